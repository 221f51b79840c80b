// @ts-check
/**
 * `<chat-panel>`: the log of a room and the line to write in.
 *
 * The log sticks to its end until the reader scrolls up. Screen readers hear a summary every ten
 * seconds instead of every row. A refused text stays in the field, with the reason under it.
 *
 * What can be done about a message stands in its menu: by its button, by the arrow keys of the log,
 * by a long press on a phone.
 *
 * Fires `row` (detail: {message, row}) for every message that gets one, `change` after rows came or went.
 *
 * testids: chat-log, chat-row, chat-skipped, chat-menu, chat-new, chat-input, chat-send, chat-mode,
 * chat-problem; see chat-reply.js, name-sheet.js
 */

import { asProblem, explain } from "../api.js";
import { append, fill, h, icon } from "../h.js";
import { t } from "../i18n.js";
import { SpeakingRight } from "../moderation/speaking-right.js";
import { messageMenus } from "../moderation/message-menu.js";
import { isAccount, me } from "../session.js";
import { load } from "../storage.js";
import { publish } from "../socket.js";
import { ReplyBar, dropQuotes, quoteOf } from "./chat-reply.js";
import { askName } from "./name-sheet.js";
import { busy } from "./product-bits.js";

/** @typedef {import("../room-store.js").RoomStore} RoomStore */
/** @typedef {import("../types.js").ChatMessage} ChatMessage */

/** Rows kept; older ones are beyond what anybody scrolls to in a live room. */
const ROWS = 200;
/** Longest text the server takes, in characters. */
const TEXT_LENGTH = 200;
/** How often a screen reader hears what arrived, in ms. */
const SUMMARY_MS = 10_000;
/** This close to the end counts as being there, in px. */
const STICKY_PX = 40;
/** Deleted messages remembered, in case one arrives after the news of its end. */
const GONE = 500;
const TINTS = 6;

export class ChatPanel extends HTMLElement {
  constructor() {
    super();
    /** @type {RoomStore|null} */
    this.store = null;
    this.staff = false;
    /** Whether the reader is at the end; only their own scrolling changes it. */
    this.sticky = true;
    this.unread = 0;
    this.unspoken = 0;
    /** When the newest message here was said, in ms. */
    this.newest = 0;
    /** What has a row. @type {Map<string, ChatMessage>} */
    this.seen = new Map();
    /** People whose words this reader does not want. @type {Set<string>} */
    this.blocked = new Set();
    /** @type {Set<string>} */
    this.gone = new Set();
    /** @type {SpeakingRight|null} */
    this.right = null;
    /** @type {((message: ChatMessage) => HTMLElement)|null} */
    this.menuOf = null;
    this.mode = "chat";
    this.list = h("ol", { class: "chat-rows" });
    this.log = h("div", { class: "chat-log", role: "log", "aria-live": "off", "aria-label": t("chat.log"), tabIndex: 0, testid: "chat-log" }, this.list);
    this.summary = h("p", { class: "sr", role: "status" });
    this.newer = h("button", { type: "button", class: "chat-new", testid: "chat-new", hidden: true, on: { click: () => this.toEnd() } });
    this.input = h("input", {
      type: "text",
      class: "chat-input",
      testid: "chat-input",
      maxLength: TEXT_LENGTH,
      autocomplete: "off",
      enterkeyhint: "send",
      "aria-label": t("chat.input"),
    });
    this.send = h("button", { type: "submit", class: "icon-button send", testid: "chat-send", "aria-label": t("chat.send") }, icon("send"));
    this.modeButton = h(
      "button",
      { type: "button", class: "mode-button", testid: "chat-mode", "aria-pressed": "false", on: { click: () => this.switchMode() } },
      t("chat.mode_danmaku"),
    );
    this.reply = new ReplyBar(() => this.showRules());
    this.problem = h("p", { class: "chat-problem", role: "alert", testid: "chat-problem", hidden: true });
    this.form = h("form", { class: "composer", on: { submit: (/** @type {Event} */ event) => this.onSubmit(event) } }, this.modeButton, this.input, this.send);
    this.log.addEventListener("scroll", () => this.onScroll(), { passive: true });
    new ResizeObserver(() => this.sticky && this.toEnd()).observe(this.log);
  }

  /** @param {RoomStore} store @param {{staff?: boolean, danmaku?: boolean, composerIn?: HTMLElement, onBlock?: (user: import("../types.js").Speaker) => void}} [options] */
  follow(store, { staff = false, danmaku = true, composerIn, onBlock } = {}) {
    this.store = store;
    this.staff = staff;
    if (!danmaku) this.modeButton.remove();
    append(this, [this.log, this.newer, this.summary]);
    append(composerIn || this, [this.problem, this.reply.element, this.form]);
    store.addEventListener("chat", (event) => this.add([/** @type {CustomEvent} */ (event).detail]));
    store.addEventListener("chat.past", (event) => this.addPast(/** @type {CustomEvent} */ (event).detail));
    store.addEventListener("chat.skipped", (event) => this.addSkipped(/** @type {CustomEvent} */ (event).detail));
    store.addEventListener("deleted", (event) => this.drop(/** @type {CustomEvent} */ (event).detail));
    store.addEventListener("advice", (event) => this.onAdvice(/** @type {CustomEvent} */ (event).detail));
    store.addEventListener("state", () => this.showRules());
    store.socket.addEventListener("connection", () => this.showRules());
    this.right = new SpeakingRight(store, () => this.showRules());
    this.menuOf = messageMenus(this.log, store.id, staff, { onReply: (message) => this.answer(message), onBlock });
    setInterval(() => this.speak(), SUMMARY_MS);
    this.showRules();
    this.showEmpty();
  }

  showEmpty() {
    if (!this.list.children.length) append(this.list, [h("li", { class: "chat-row system", "data-empty": "true" }, t("chat.empty"))]);
  }

  /** Messages of before: older ones above what is there, those of a gap below it. @param {ChatMessage[]} messages */
  addPast(messages) {
    const { newest } = this;
    const fresh = messages.filter((message) => this.isNew(message));
    if (!fresh.length) return;
    this.list.querySelector("[data-empty]")?.remove();
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
    this.list.querySelector("[data-empty]")?.remove();
    this.list.append(row);
    this.trim();
    this.dispatchEvent(new Event("change"));
    if (this.sticky) this.toEnd();
    else {
      this.unread += 1;
      this.newer.hidden = false;
      fill(this.newer, icon("down"), t("chat.new", { n: this.unread }));
    }
  }

  /** @param {ChatMessage} message */
  isNew(message) {
    if (this.seen.has(message.id) || this.gone.has(message.id)) return false;
    this.seen.set(message.id, message);
    this.newest = Math.max(this.newest, message.at);
    return true;
  }

  trim() {
    while (this.list.children.length > ROWS) {
      const first = /** @type {HTMLElement} */ (this.list.firstElementChild);
      if (first.dataset.id) this.seen.delete(first.dataset.id);
      first.remove();
    }
  }

  /** @param {ChatMessage} message */
  row(message) {
    const { id: user } = message.user;
    const own = user === me()?.user;
    const row = h(
      "li",
      { class: own ? "chat-row own" : "chat-row", testid: "chat-row", "data-id": message.id, "data-user": user, hidden: this.blocked.has(user) },
      message.reply_to ? quoteOf(message.reply_to, this.seen.get(message.reply_to)) : null,
      (message.user.badges || []).map((badge) => h("span", { class: `badge ${badge}` }, badgeWords(badge))),
      h("bdi", { class: `chat-name tint-${tint(message.user.id)}` }, message.user.name || t("chat.nameless")),
      h("span", { class: "sr" }, t("chat.says")),
      h("bdi", { class: "chat-text" }, message.text),
      own ? null : this.menuOf?.(message),
    );
    this.dispatchEvent(new CustomEvent("row", { detail: { message, row } }));
    return row;
  }

  /** @param {string} id @returns {HTMLElement|null} */
  rowOf(id) {
    return this.list.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  /** The next words answer this. @param {ChatMessage} message */
  answer(message) {
    if (this.mode === "danmaku") this.switchMode();
    this.reply.answer(message);
    this.input.focus();
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
    this.reply.drop(id);
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
    this.sticky = scrollHeight - scrollTop - clientHeight < STICKY_PX;
    if (this.sticky && this.unread) this.toEnd();
  }

  toEnd() {
    this.sticky = true;
    this.log.scrollTop = this.log.scrollHeight;
    this.unread = 0;
    this.newer.hidden = true;
  }

  /** Says how much arrived, for people who listen. */
  speak() {
    if (this.unspoken) fill(this.summary, t("chat.summary", { n: this.unspoken }));
    this.unspoken = 0;
  }

  switchMode() {
    this.mode = this.mode === "chat" ? "danmaku" : "chat";
    if (this.mode === "danmaku") this.reply.answer(null);
    this.modeButton.setAttribute("aria-pressed", String(this.mode === "danmaku"));
    this.showRules();
    this.input.focus();
  }

  /** Why one cannot write now, or null. */
  hindrance() {
    if (!this.store || !this.store.loaded || this.store.socket.connection.state === "joining") return t("chat.joining");
    if (this.store.socket.connection.state === "expired") return t("chat.expired");
    if (!["live", "back"].includes(this.store.socket.connection.state)) return t("chat.offline");
    if (this.staff) return null;
    return this.right?.hindrance() || null;
  }

  showRules() {
    const why = this.hindrance();
    this.form.classList.toggle("hindered", Boolean(why));
    this.input.disabled = Boolean(why);
    this.send.disabled = Boolean(why);
    this.input.placeholder = why || this.usualPlaceholder();
  }

  usualPlaceholder() {
    if (this.reply.message) return t("chat.placeholder_reply");
    return this.mode === "danmaku" ? t("chat.placeholder_danmaku") : t("chat.placeholder");
  }

  /** Says this at once, as if it had been typed. @param {string} text */
  say(text) {
    if (this.input.disabled) return;
    this.input.value = text;
    this.form.dispatchEvent(new Event("submit", { cancelable: true }));
  }

  /** @param {Event} event */
  async onSubmit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (!text || !this.store) return;
    this.problem.hidden = true;
    if (!(await this.named())) return;
    await busy(
      this.send,
      async () => {
        const store = /** @type {RoomStore} */ (this.store);
        const subscription = this.mode === "danmaku" ? store.danmaku : store.chat;
        if (this.mode === "danmaku") store.showDanmaku(true);
        await subscription.ready(5_000).catch(() => undefined);
        await publish(subscription, { text, ...this.reply.part });
        this.input.value = "";
        this.reply.answer(null);
        this.slowDown(store.state.chat_rules.slow_mode_seconds);
      },
      (error) => {
        this.problem.hidden = false;
        fill(this.problem, explain(error));
        this.right?.learn(error);
        if (asProblem(error).reason === "slow-mode") this.slowDown(asProblem(error).seconds);
      },
    );
    this.showRules();
    this.input.focus();
  }

  /** Slow mode: the button counts, typing goes on. @param {number} seconds */
  slowDown(seconds) {
    if (!seconds || this.staff) return;
    const until = Date.now() + seconds * 1000;
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      this.send.disabled = left > 0;
      fill(this.send, left > 0 ? h("span", { class: "digits" }, String(left)) : icon("send"));
      this.send.setAttribute("aria-label", left > 0 ? `${t("chat.send")} ${left}` : t("chat.send"));
      if (left > 0) setTimeout(tick, 250);
      else this.showRules();
    };
    setTimeout(tick);
  }

  /** Asks a guest for a name before the first words. @returns {Promise<boolean>} */
  async named() {
    const who = me();
    if (!who || isAccount() || load("named") === who.user) return true;
    const given = await askName();
    if (!given) return false;
    this.store?.socket.reopen(); // the server learns names when a connection begins
    return true;
  }
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

customElements.define("chat-panel", ChatPanel);
