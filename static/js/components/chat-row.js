// @ts-check
/** One message of the chat as a row. testids: chat-row; see chat-reply.js */

import { h } from "../h.js";
import { t } from "../i18n.js";
import { quoteOf } from "./chat-reply.js";

/** @typedef {import("../types.js").ChatMessage} ChatMessage */

const TINTS = 6;

/**
 * @param {ChatMessage} message
 * @param {{own: boolean, hidden: boolean, answers: ChatMessage|undefined, menu: HTMLElement|null}} more `answers`
 *   what it answers, where that is still on this page
 */
export function chatRow(message, { own, hidden, answers, menu }) {
  const { user } = message;
  return h(
    "li",
    { class: own ? "chat-row own" : "chat-row", testid: "chat-row", "data-id": message.id, "data-user": user.id, hidden },
    message.reply_to ? quoteOf(message.reply_to, answers) : null,
    (user.badges || []).map((badge) => h("span", { class: `badge ${badge}` }, badgeWords(badge))),
    h("bdi", { class: `chat-name tint-${tint(user.id)}` }, user.name || t("chat.nameless")),
    h("span", { class: "sr" }, t("chat.says")),
    h("bdi", { class: "chat-text" }, message.text),
    menu,
  );
}

/** One of a few colours for a person, always the same. @param {string} id */
function tint(id) {
  let sum = 0;
  for (let at = 0; at < id.length; at += 1) sum = (sum * 31 + id.charCodeAt(at)) >>> 0;
  return sum % TINTS;
}

/** @param {string} badge */
function badgeWords(badge) {
  const known = /** @type {Record<string, string>} */ ({
    streamer: t("badge.streamer"),
    moderator: t("badge.moderator"),
    merchant: t("badge.merchant"),
    admin: t("badge.admin"),
  });
  return known[badge] || badge;
}
