// @ts-check
/**
 * `<chat-panel>`: the log of a room, and below it the line to write in (chat-composer.js).
 *
 * It sticks to its end until the reader scrolls up. Screen readers hear a summary every ten seconds.
 *
 * Fires `row` (detail: {message, row}) for every message that gets one, `change` after rows came or went.
 *
 * testids: chat-log, chat-skipped, chat-new, ticker-row; see chat-row.js, chat-composer.js and
 * message-buttons.js
 */

import { append, fill, h, icon } from "../h.js";
import { t } from "../i18n.js";
import { messageMenus } from "../moderation/message-buttons.js";
import { me } from "../session.js";
import { Composer } from "./chat-composer.js";
import { dropQuotes } from "./chat-reply.js";
import { chatRow } from "./chat-row.js";

/** @typedef {import("../room-store.js").RoomStore} RoomStore */
/** @typedef {import("../types.js").ChatMessage} ChatMessage */

/** Rows kept. */
const ROWS = 150;
/** Rows let go at a time, since that moves all others. */
const SPARE_ROWS = 50;
/** Between two summaries, in ms. */
const SUMMARY_MS = 10_000;
/** So close is at the end, in px. */
const STICKY_PX = 40;
/** Deleted messages remembered, in case one arrives later. */
const GONE = 500;

export class ChatPanel extends HTMLElement {
  constructor() {
    super();
    /** Whether the reader is at the end; only their own scrolling changes it. */
    this.sticky = true;
    this.unread = 0;
    this.unspoken = 0;
    this.end = 0; // where it was, in px
    /** When the newest message here was said, in ms. */
    this.newest = 0;
    /** @type {Map<string, ChatMessage>} */
    this.seen = new Map();
    /** People whose words this reader does not want. @type {Set<string>} */
    this.blocked = new Set();
    /** @type {Set<string>} */
    this.gone = new Set();
    /** @type {Composer|null} */
    this.composer = null;
    /** @type {((message: ChatMessage) => HTMLElement)|null} */
    this.menuOf = null;
    this.empty = h("li", { class: "chat-row system" }, t("chat.empty"));
    this.list = h("ol", { class: "chat-rows" });
    this.log = h("div", { class: "chat-log", role: "log", "aria-live": "off", "aria-label": t("chat.log"), tabIndex: 0, testid: "chat-log" }, this.list);
    this.summary = h("p", { class: "sr", role: "status" });
    this.newer = h("button", { type: "button", class: "chat-new", testid: "chat-new", hidden: true, on: { click: () => this.toEnd() } });
    this.log.addEventListener("scroll", () => this.onScroll(), { passive: true });
    const sizes = new ResizeObserver(() => this.sticky && this.toEnd()); // costs no layout
    for (const part of [this.log, this.list]) sizes.observe(part);
  }

  /** @param {RoomStore} store @param {{staff?: boolean, danmaku?: boolean, composerIn?: HTMLElement, onBlock?: (user: import("../types.js").Speaker) => void}} [options] */
  follow(store, { staff = false, danmaku = true, composerIn, onBlock } = {}) {
    const composer = (this.composer = new Composer(store, { staff, danmaku }));
    append(this, [this.log, this.newer, this.summary]);
    append(composerIn || this, composer.elements);
    const on = (/** @type {string} */ type, /** @type {(detail: any) => void} */ act) => store.addEventListener(type, (event) => act(/** @type {CustomEvent} */ (event).detail));
    on("chat", (message) => this.add([message]));
    on("chat.past", (messages) => this.addPast(messages));
    on("chat.skipped", (count) => this.addSkipped(count));
    on("deleted", (id) => this.drop(id));
    on("advice", (event) => this.onAdvice(event));
    this.menuOf = messageMenus(this.log, store.id, staff, { onReply: (message) => composer.answer(message), onBlock });
    setInterval(() => this.speak(), SUMMARY_MS);
    append(this.list, [this.empty]);
  }

  /** Messages of before: older ones above what is there, those of a gap below it. @param {ChatMessage[]} messages */
  addPast(messages) {
    const { newest } = this;
    const fresh = messages.filter((message) => this.isNew(message));
    if (!fresh.length) return;
    this.empty.remove();
    const [older, missed] = [false, true].map((late) => fresh.filter((message) => message.at > newest === late).map((message) => this.row(message)));
    this.list.prepend(...older);
    this.list.append(...missed);
    this.trim();
    this.toEnd();
    this.dispatchEvent(new Event("change"));
  }

  /** Says that messages of a long cut cannot be had any more. @param {number} count */
  addSkipped(count) {
    this.addRow(h("li", { class: "chat-row system", testid: "chat-skipped" }, t("chat.skipped", { n: count })));
  }

  /** @param {ChatMessage[]} messages */
  add(messages) {
    for (const message of messages) {
      if (message.type !== "chat" || !this.isNew(message)) continue;
      this.addRow(this.row(message));
      this.unspoken += 1;
    }
  }

  /** @param {HTMLElement} row */
  addRow(row) {
    this.empty.remove();
    this.list.append(row);
    this.trim();
    this.dispatchEvent(new Event("change"));
    if (this.sticky) return;
    this.unread += 1;
    this.newer.hidden = false;
    fill(this.newer, icon("down"), t("chat.new", { n: this.unread }));
  }

  /** @param {ChatMessage} message */
  isNew(message) {
    if (this.seen.has(message.id) || this.gone.has(message.id)) return false;
    this.seen.set(message.id, message);
    this.newest = Math.max(this.newest, message.at);
    return true;
  }

  trim() {
    const rows = this.list.children;
    if (rows.length <= ROWS) return;
    for (const row of Array.from(rows).slice(0, rows.length - ROWS + SPARE_ROWS)) {
      this.seen.delete(row.getAttribute("data-id") || "");
      row.remove();
    }
    this.end = 0; // the next layout tells
  }

  /** @param {ChatMessage} message */
  row(message) {
    const user = message.user.id;
    const own = user === me()?.user;
    const answers = message.reply_to ? this.seen.get(message.reply_to) : undefined;
    const row = chatRow(message, { own, hidden: this.blocked.has(user), answers, menu: (!own && this.menuOf?.(message)) || null });
    this.dispatchEvent(new CustomEvent("row", { detail: { message, row } }));
    return row;
  }

  /** @param {string} id @returns {HTMLElement|null} */
  rowOf(id) {
    return this.list.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  /** Shows nothing of these people, of before and from now on. @param {{id: string}[]} users */
  block(users) {
    this.blocked = new Set(users.map(({ id }) => id));
    for (const row of /** @type {HTMLElement[]} */ (Array.from(this.list.children))) row.hidden = this.blocked.has(row.dataset.user || "");
  }

  /** @param {string} id */
  drop(id) {
    this.gone.add(id);
    if (this.gone.size > GONE) this.gone.delete(/** @type {string} */ (this.gone.values().next().value));
    this.seen.delete(id);
    this.rowOf(id)?.remove();
    dropQuotes(this.list, id);
    this.composer?.reply.drop(id);
    this.dispatchEvent(new Event("change"));
  }

  /** @param {any} event */
  onAdvice(event) {
    if (event.type !== "order.ticker") return;
    const words = t("chat.ticker", { name: event.name, title: event.title, n: event.quantity });
    this.addRow(h("li", { class: "chat-row system ticker", testid: "ticker-row" }, icon("bag"), h("span", null, words)));
  }

  onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    const stayed = this.sticky && scrollTop > this.end - STICKY_PX; // the end moved, not the reader
    this.sticky = stayed || scrollHeight - scrollTop - clientHeight < STICKY_PX;
    if (this.sticky && this.unread) this.toEnd();
  }

  toEnd() {
    this.sticky = true;
    this.log.scrollTop = this.log.scrollHeight;
    this.end = this.log.scrollTop;
    this.unread = 0;
    this.newer.hidden = true;
  }

  speak() {
    if (this.unspoken) fill(this.summary, t("chat.summary", { n: this.unspoken }));
    this.unspoken = 0;
  }

  /** @param {string} text */
  say(text) {
    this.composer?.say(text);
  }
}

customElements.define("chat-panel", ChatPanel);
