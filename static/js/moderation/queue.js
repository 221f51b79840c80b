// @ts-check
/**
 * What waits for staff: messages that a word list holds, and reports of viewers.
 *
 * testids: queue-sheet, queue-held, held-show, held-refuse, queue-report, report-delete, report-mute,
 * report-uphold, report-dismiss, queue-empty
 */

import { explain } from "../api.js";
import { busy, failure } from "../components/product-bits.js";
import { makeSheet } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { dateTime } from "../format-more.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { REASONS } from "./api.js";

/** @typedef {import("./api.js").ModerationApi} ModerationApi */
/** @typedef {import("./api.js").Report} Report */
/** @typedef {import("./api.js").Held} Held */

/** A report that is right mutes for this long, in seconds; longer ones are in the message's menu. */
const MUTE_SECONDS = 600;

/** @param {ModerationApi} api @param {() => void} onChange */
export function openQueue(api, onChange) {
  const sheet = makeSheet({ title: t("queue.title"), testid: "queue-sheet", wide: true, onClose: onChange });
  const load = async () => {
    try {
      const [held, reports] = await Promise.all([api.held(), api.reports()]);
      const rows = [...held.map((one) => heldRow(api, one, load)), ...reports.map((one) => reportRow(api, one, load))];
      fill(sheet.body, rows.length ? h("ul", { class: "plain-list" }, ...rows) : h("p", { class: "soft", testid: "queue-empty" }, t("queue.empty")));
    } catch (error) {
      fill(sheet.body, failure(explain(error), load));
    }
  };
  sheet.open();
  void load();
}

/** @param {ModerationApi} api @param {Held} held @param {() => Promise<void>} reload */
function heldRow(api, held, reload) {
  const about = h("p", { class: "soft" }, t("queue.held_by", { list: held.list, at: dateTime(held.created_at) }));
  return h(
    "li",
    { class: "queue-row", testid: "queue-held" },
    quote(held.name, held.text),
    about,
    actions(reload, [
      ["held-show", t("queue.show"), () => api.decideHeld(held.id, "shown")],
      ["held-refuse", t("queue.refuse"), () => api.decideHeld(held.id, "refused")],
    ]),
  );
}

/** @param {ModerationApi} api @param {Report} report @param {() => Promise<void>} reload */
function reportRow(api, report, reload) {
  const uphold = () => api.decideReport(report.id, "upheld");
  const reason = REASONS.includes(report.reason) ? report.reason : "other";
  /** @type {[string, string, () => Promise<unknown>][]} */
  const ways = [
    ["report-mute", t("queue.mute"), () => api.mute({ user: report.user, seconds: MUTE_SECONDS, reason }).then(uphold)],
    ["report-uphold", t("queue.uphold"), uphold],
    ["report-dismiss", t("queue.dismiss"), () => api.decideReport(report.id, "dismissed")],
  ];
  const message = report.message;
  /** What is kept nowhere any more need not be deleted. @param {{name: string}} problem */
  const gone = (problem) => {
    if (problem.name !== "not-found") throw problem;
  };
  if (message) ways.unshift(["report-delete", t("queue.delete"), () => api.deleteMessage(message, reason).catch(gone).then(uphold)]);
  return h(
    "li",
    { class: "queue-row", testid: "queue-report" },
    quote(report.name || report.user, report.text),
    h("p", { class: "soft" }, t("queue.reported", { reason: t(`reason_of.${reason}`), at: dateTime(report.created_at) }), report.note ? h("bdi", { class: "queue-note" }, report.note) : null),
    actions(reload, ways),
  );
}

/** @param {string} name @param {string} text */
const quote = (name, text) => h("blockquote", { class: "quote" }, h("bdi", { class: "quote-name" }, name || t("chat.nameless")), text ? h("bdi", null, text) : null);

/** @param {() => Promise<void>} reload @param {[string, string, () => Promise<unknown>][]} ways */
function actions(reload, ways) {
  const buttons = ways.map(([testid, words, action]) => {
    const button = h("button", { type: "button", class: "button small", testid }, words);
    button.addEventListener("click", () => busy(button, () => action().then(reload), (error) => toast(explain(error), "bad")));
    return button;
  });
  return h("div", { class: "actions start" }, ...buttons);
}
