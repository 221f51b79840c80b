// @ts-check
/**
 * What can be done about a message of somebody else: everybody answers or copies it; staff delete it,
 * mute or ban who wrote it; viewers report it, or read no more of that person. message-buttons.js opens it.
 *
 * testids: message-menu, message-reply, message-copy, message-block, message-reason, message-delete, message-mute (data-seconds), message-ban,
 * message-all, report-form, report-reason, report-note, report-send, report-problem
 */

import { explain } from "../api.js";
import { makeForm } from "../components/form.js";
import { busy, field } from "../components/product-bits.js";
import { makeSheet } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { append, h } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { REASONS, moderationOf } from "./api.js";

/** @typedef {import("../types.js").ChatMessage} ChatMessage */
/** @typedef {import("./message-buttons.js").MenuWays} MenuWays */

/** Mutes that are offered, in seconds. */
const MUTES = [60, 600, 3_600, 86_400];

/** @param {ChatMessage} message @param {string} room @param {boolean} staff @param {MenuWays} ways */
export function openMenu(message, room, staff, ways) {
  const sheet = makeSheet({ title: t("message.title"), testid: "message-menu" });
  const quote = h("blockquote", { class: "quote" }, h("bdi", { class: "quote-name" }, message.user.name || t("chat.nameless")), h("bdi", null, message.text));
  append(sheet.body, [quote, usualWays(message, sheet.close, ways), ...(staff ? staffTools(message, room, sheet.close) : [reportForm(message, room, sheet.close)])]);
  sheet.open();
}

/** Answer, copy, block. @param {ChatMessage} message @param {() => void} close @param {MenuWays} ways */
function usualWays(message, close, { onReply, onBlock }) {
  const way = (/** @type {string} */ testid, /** @type {"reply"|"copy"|"block"} */ picture, /** @type {string} */ words, /** @type {() => void} */ act) =>
    h("button", { type: "button", class: "button", testid, on: { click: () => (close(), act()) } }, icon(picture), words);
  return h(
    "div",
    { class: "actions start" },
    way("message-reply", "reply", t("message.reply"), () => onReply(message)),
    navigator.clipboard ? way("message-copy", "copy", t("message.copy"), () => copy(message.text)) : null,
    onBlock && !message.user.badges?.length ? way("message-block", "block", t("message.block"), () => onBlock(message.user)) : null,
  );
}

/** @param {string} text */
function copy(text) {
  navigator.clipboard.writeText(text).then(
    () => toast(t("message.copied"), "good"),
    () => toast(t("message.copy_failed"), "bad"),
  );
}

/** @param {string} testid */
export function reasonSelect(testid) {
  return h("select", { testid }, ...REASONS.map((reason) => h("option", { value: reason }, t(`reason_of.${reason}`))));
}

/** @param {ChatMessage} message @param {string} room @param {() => void} close */
function reportForm(message, room, close) {
  const reason = reasonSelect("report-reason");
  const note = h("textarea", { rows: 2, maxLength: 300, testid: "report-note" });
  const button = h("button", { type: "submit", class: "button primary", testid: "report-send" }, t("report.send"));
  const hint = h("p", { class: "soft" }, t("report.hint"));
  const title = h("h3", null, t("report.title"));
  return makeForm("report-form", [title, field(t("report.reason"), reason), field(t("report.note"), note), hint], button, async () => {
    await moderationOf(room).report({ message: message.id, reason: reason.value, note: note.value.trim() });
    close();
    toast(t("report.done"), "good");
  });
}

/** @param {ChatMessage} message @param {string} room @param {() => void} close @returns {HTMLElement[]} */
function staffTools(message, room, close) {
  const api = moderationOf(room);
  const user = message.user.id;
  const name = message.user.name || t("chat.nameless");
  const reason = reasonSelect("message-reason");
  const all = h("input", { type: "checkbox", testid: "message-all" });
  const act = (/** @type {HTMLButtonElement} */ button, /** @type {() => Promise<unknown>} */ action, /** @type {string} */ done) => {
    button.addEventListener("click", () =>
      busy(
        button,
        async () => {
          await action();
          close();
          toast(done, "good");
        },
        (error) => toast(explain(error), "bad"),
      ),
    );
    return button;
  };
  const remove = act(h("button", { type: "button", class: "button", testid: "message-delete" }, t("message.delete")), () => api.deleteMessage(message.id, reason.value), t("message.deleted"));
  const mutes = MUTES.map((seconds) =>
    act(
      h("button", { type: "button", class: "button small", testid: "message-mute", "data-seconds": String(seconds) }, muteWords(seconds)),
      () => api.mute({ user, seconds, reason: reason.value, delete_messages: all.checked }),
      t("message.muted", { name }),
    ),
  );
  const ban = act(h("button", { type: "button", class: "button danger", testid: "message-ban" }, t("message.ban")), () => api.ban({ user, reason: reason.value, delete_messages: all.checked }), t("message.banned", { name }));
  return [
    field(t("message.reason"), reason, t("message.reason_hint")),
    h("div", { class: "actions start" }, remove),
    h("div", { class: "stack" }, h("p", { class: "field-label" }, t("message.mute", { name })), h("div", { class: "actions start" }, ...mutes)),
    h("label", { class: "check" }, all, h("span", null, t("message.all"))),
    h("div", { class: "actions start" }, ban),
  ];
}

/** @param {number} seconds */
function muteWords(seconds) {
  if (seconds < 3_600) return t("message.minutes", { n: seconds / 60 });
  return t("message.hours", { n: seconds / 3_600 });
}
