// @ts-check
/**
 * The line to write in: chat or danmaku, an answer or not, and why one cannot write now. A refused text
 * stays in the field, with the reason above it.
 *
 * testids: chat-input, chat-send, chat-mode, chat-problem; see chat-reply.js, name-sheet.js
 */

import { asProblem, explain } from "../api.js";
import { fill, h, icon } from "../h.js";
import { t } from "../i18n.js";
import { later } from "../later.js";
import { SpeakingRight } from "../moderation/speaking-right.js";
import { isAccount, me } from "../session.js";
import { publish } from "../socket.js";
import { load } from "../storage.js";
import { ReplyBar } from "./chat-reply.js";
import { busy } from "./product-bits.js";

/** @typedef {import("../room-store.js").RoomStore} RoomStore */
/** @typedef {import("../types.js").ChatMessage} ChatMessage */

/** Longest text the server takes, in characters. */
const TEXT_LENGTH = 200;
/** How long a message waits for its channel, in ms. */
const CHANNEL_MS = 5_000;
/** How often the wait of slow mode is looked at, in ms. */
const COUNT_MS = 250;

/** Asks a guest for a name, before the first words. */
export const nameSheet = later(() => import("./name-sheet.js"));

export class Composer {
  /** @param {RoomStore} store @param {{staff: boolean, danmaku: boolean}} options */
  constructor(store, { staff, danmaku }) {
    this.store = store;
    this.staff = staff;
    this.mode = "chat";
    /** When slow mode counts from: the own last words, ms of this browser's clock. */
    this.spokeAt = 0;
    this.left = 0;
    this.timer = 0;
    this.input = h("input", { type: "text", class: "chat-input", testid: "chat-input", maxLength: TEXT_LENGTH, autocomplete: "off", enterkeyhint: "send", "aria-label": t("chat.input") });
    this.send = h("button", { type: "submit", class: "icon-button send", testid: "chat-send", "aria-label": t("chat.send") }, icon("send"));
    this.modeButton = h("button", { type: "button", class: "mode-button", testid: "chat-mode", "aria-pressed": "false", on: { click: () => this.switchMode() } }, t("chat.mode_danmaku"));
    this.reply = new ReplyBar(() => this.showRules());
    this.problem = h("p", { class: "chat-problem", role: "alert", testid: "chat-problem", hidden: true });
    this.form = h("form", { class: "composer", on: { submit: (/** @type {Event} */ event) => this.onSubmit(event) } }, danmaku ? this.modeButton : null, this.input, this.send);
    this.elements = [this.problem, this.reply.element, this.form];
    this.right = new SpeakingRight(store, () => this.showRules());
    store.addEventListener("state", () => this.showRules());
    store.socket.addEventListener("connection", () => this.showRules());
    this.showRules();
  }

  /** The next words answer this. @param {ChatMessage} message */
  answer(message) {
    if (this.mode === "danmaku") this.switchMode();
    this.reply.answer(message);
    this.input.focus();
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
    const { state } = this.store.socket.connection;
    if (!this.store.loaded || state === "joining") return t("chat.joining");
    if (state === "expired") return t("chat.expired");
    if (!["live", "back"].includes(state)) return t("chat.offline");
    return this.staff ? null : this.right.hindrance();
  }

  showRules() {
    const why = this.hindrance();
    this.form.classList.toggle("hindered", Boolean(why));
    this.input.disabled = Boolean(why);
    this.input.placeholder = why || this.usualPlaceholder();
    this.count(Boolean(why));
  }

  /** Between two messages in this room, in s; 0 = no slow mode, or none for this person. */
  slowSeconds() {
    return this.staff ? 0 : this.store.state.chat_rules.slow_mode_seconds;
  }

  /** Slow mode: the button counts, typing goes on. @param {boolean} hindered */
  count(hindered) {
    const slow = this.slowSeconds();
    const left = Math.max(0, Math.min(slow, Math.ceil((this.spokeAt - Date.now()) / 1000) + slow));
    const counting = left > 0;
    this.send.disabled = hindered || counting || this.send.getAttribute("aria-busy") === "true";
    if (left !== this.left) this.drawSend(counting ? String(left) : "");
    this.left = left;
    clearTimeout(this.timer);
    if (counting) this.timer = window.setTimeout(() => this.showRules(), COUNT_MS);
  }

  /** @param {string} left */
  drawSend(left) {
    fill(this.send, left ? h("span", { class: "digits" }, left) : icon("send"));
    this.send.setAttribute("aria-label", left ? `${t("chat.send")} ${left}` : t("chat.send"));
  }

  usualPlaceholder() {
    const slow = this.slowSeconds();
    if (slow) return t("chat.placeholder_slow", { n: slow });
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
    if (!text) return;
    this.problem.hidden = true;
    const refused = (/** @type {unknown} */ error) => this.onRefused(error);
    let named = false;
    await busy(this.send, async () => (named = await this.named()), refused);
    if (!named) return;
    await busy(this.send, () => this.publish(text), refused);
    this.showRules();
    this.input.focus();
  }

  /** @param {string} text */
  async publish(text) {
    const { store } = this;
    const subscription = this.mode === "danmaku" ? store.danmaku : store.chat;
    if (this.mode === "danmaku") {
      store.showDanmaku(true); // one throws only into a channel one hears
      store.emit("danmaku.own", text);
    }
    await subscription.ready(CHANNEL_MS).catch(() => undefined);
    await publish(subscription, { text, ...this.reply.part });
    this.spokeAt = Date.now();
    this.input.value = "";
    this.reply.answer(null);
  }

  /** @param {unknown} error */
  onRefused(error) {
    this.problem.hidden = false;
    fill(this.problem, explain(error));
    this.right.learn(error);
    const { reason, seconds } = asProblem(error);
    if (reason === "slow-mode") this.spokeAt = Date.now() + (seconds - this.slowSeconds()) * 1000; // said elsewhere
  }

  /** Asks a guest for a name before the first words. @returns {Promise<boolean>} whether they may be sent */
  async named() {
    const who = me();
    if (!who || isAccount() || load("named") === who.user) return true;
    const { askName } = await nameSheet();
    if (!(await askName())) return false;
    this.store.socket.reopen(); // the server learns names when a connection begins
    return true;
  }
}
