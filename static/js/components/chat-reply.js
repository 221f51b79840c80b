// @ts-check
/**
 * Answers to a message of the chat: the bar that says whom the next words answer, and the words that
 * stand above an answer.
 *
 * testids: chat-replying, chat-reply-stop, chat-quote (data-of)
 */

import { fill, h, icon } from "../h.js";
import { t } from "../i18n.js";

/** @typedef {import("../types.js").ChatMessage} ChatMessage */

/** Whom the next words answer. */
export class ReplyBar {
  /** @param {() => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
    /** @type {ChatMessage|null} */
    this.message = null;
    this.element = h("p", { class: "chat-replying", testid: "chat-replying", hidden: true });
  }

  /** @param {ChatMessage|null} message */
  answer(message) {
    this.message = message;
    this.element.hidden = !message;
    if (message) {
      const name = message.user.name || t("chat.nameless");
      const stop = h("button", { type: "button", class: "icon-button", testid: "chat-reply-stop", "aria-label": t("chat.reply_stop"), on: { click: () => this.answer(null) } }, icon("close"));
      const words = h("span", { class: "chat-quote-words" }, t("chat.replying"), " ", h("bdi", { class: "quote-name" }, name), " ", h("bdi", null, message.text));
      fill(this.element, icon("reply"), words, stop);
    }
    this.onChange();
  }

  /** What goes with the words. */
  get part() {
    return this.message ? { reply_to: this.message.id } : {};
  }

  /** A message that is gone is not answered. @param {string} id */
  drop(id) {
    if (this.message?.id === id) this.answer(null);
  }
}

/**
 * What an answer answers, above it. @param {string} id @param {ChatMessage|undefined} message undefined: no
 *   longer on this page
 */
export function quoteOf(id, message) {
  const quote = h("span", { class: "chat-quote", testid: "chat-quote", "data-of": id });
  const words = message ? [h("bdi", { class: "quote-name" }, message.user.name || t("chat.nameless")), " ", h("bdi", null, message.text)] : t("chat.reply_gone");
  fill(quote, icon("reply"), h("span", { class: "sr" }, t("chat.answers")), h("span", { class: "chat-quote-words" }, words));
  return quote;
}

/** A deleted message is gone from the answers to it too. @param {Element} list @param {string} id */
export function dropQuotes(list, id) {
  for (const quote of Array.from(list.querySelectorAll(`.chat-quote[data-of="${CSS.escape(id)}"]`))) quote.replaceWith(quoteOf(id, undefined));
}
