// @ts-check
/**
 * The questions of a chat: how many wait for an answer, and the chat with nothing but them. A reply by
 * staff is an answer.
 *
 * testids: chat-questions (data-open), chat-no-questions
 */

import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { asks } from "../questions.js";

/** @typedef {import("../components/chat-panel.js").ChatPanel} ChatPanel */
/** @typedef {import("../types.js").ChatMessage} ChatMessage */

/** Answers remembered, in case one is read before its question; the chat keeps fewer rows. */
const ANSWERED = 500;

export class Questions {
  /** @param {ChatPanel} chat */
  constructor(chat) {
    this.chat = chat;
    /** @type {Set<string>} */
    this.answered = new Set();
    this.button = h("button", { type: "button", class: "talk-button", testid: "chat-questions", "aria-pressed": "false", on: { click: () => this.toggle() } });
    this.none = h("p", { class: "soft small chat-no-questions", testid: "chat-no-questions", role: "status" });
    this.element = h("div", { class: "chat-filter" }, this.button, this.none);
    chat.addEventListener("row", (event) => this.onRow(/** @type {CustomEvent} */ (event).detail));
    chat.addEventListener("change", () => this.count());
    this.count();
  }

  /** @param {{message: ChatMessage, row: HTMLElement}} added */
  onRow({ message, row }) {
    if (message.user.badges?.length) {
      if (message.reply_to) this.answer(message.reply_to);
      return; // staff ask viewers, not themselves
    }
    if (asks(message.text)) row.dataset.asks = this.answered.has(message.id) ? "answered" : "open";
  }

  /** @param {string} id */
  answer(id) {
    this.answered.add(id);
    if (this.answered.size > ANSWERED) this.answered.delete(/** @type {string} */ (this.answered.values().next().value));
    const row = this.chat.rowOf(id);
    if (row?.dataset.asks) row.dataset.asks = "answered";
  }

  toggle() {
    const only = this.button.getAttribute("aria-pressed") !== "true";
    this.button.setAttribute("aria-pressed", String(only));
    this.chat.classList.toggle("only-questions", only);
    this.count();
    this.chat.toEnd();
  }

  count() {
    const open = this.chat.list.querySelectorAll('[data-asks="open"]').length;
    const words = open || !this.chat.classList.contains("only-questions") ? "" : t("questions.none");
    if (this.none.textContent !== words) this.none.textContent = words;
    if (this.button.dataset.open === String(open)) return;
    this.button.dataset.open = String(open);
    fill(this.button, t("questions.title"), open ? h("span", { class: "talk-count digits" }, String(open)) : null);
  }
}
