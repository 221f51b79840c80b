// @ts-check
/**
 * Who may not speak in the room, and the way to lift it.
 *
 * testids: people-sheet, people-row (data-kind), people-lift, people-empty
 */

import { explain } from "../api.js";
import { busy, chip, failure } from "../components/product-bits.js";
import { makeSheet } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { dateTime } from "../format-more.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { REASONS } from "./api.js";

/** @typedef {import("./api.js").ModerationApi} ModerationApi */

/** @param {ModerationApi} api */
export function openPeople(api) {
  const sheet = makeSheet({ title: t("people.title"), testid: "people-sheet", wide: true });
  const load = async () => {
    try {
      const [mutes, bans] = await Promise.all([api.sanctions("mutes"), api.sanctions("bans")]);
      const rows = [...bans.map((one) => row(api, "bans", one, load)), ...mutes.map((one) => row(api, "mutes", one, load))];
      fill(sheet.body, rows.length ? h("ul", { class: "plain-list" }, ...rows) : h("p", { class: "soft", testid: "people-empty" }, t("people.empty")));
    } catch (error) {
      fill(sheet.body, failure(explain(error), load));
    }
  };
  sheet.open();
  void load();
}

/** @param {ModerationApi} api @param {"mutes"|"bans"} kind @param {import("./api.js").Sanction} one @param {() => Promise<void>} reload */
function row(api, kind, one, reload) {
  const lift = h("button", { type: "button", class: "button small", testid: "people-lift" }, t("people.lift"));
  lift.addEventListener("click", () => busy(lift, () => api.lift(kind, one.user).then(reload), (error) => toast(explain(error), "bad")));
  const reason = REASONS.includes(one.reason) ? t(`reason_of.${one.reason}`) : one.reason;
  return h(
    "li",
    { class: "queue-row", testid: "people-row", "data-kind": kind },
    h("p", { class: "run-line" }, h("bdi", { class: "run-title" }, one.name || one.user), chip(one.until ? t("people.muted_until", { at: dateTime(one.until) }) : t("people.banned"))),
    h("p", { class: "soft" }, t("people.why", { reason, by: one.by, at: dateTime(one.created_at) })),
    h("div", { class: "actions start" }, lift),
  );
}
