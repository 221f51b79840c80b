// @ts-check
/**
 * What staff did, newest first. Nothing here can be changed.
 *
 * testids: log-sheet, log-row (data-action), log-more, log-empty
 */

import { explain } from "../api.js";
import { busy, failure } from "../components/product-bits.js";
import { makeSheet } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { dateTime } from "../format-more.js";
import { fill, h } from "../h.js";
import { has, t } from "../i18n.js";
import { REASONS } from "./api.js";

/** @param {import("./api.js").ModerationApi} api */
export function openLog(api) {
  const sheet = makeSheet({ title: t("log.title"), testid: "log-sheet", wide: true });
  const list = h("ol", { class: "plain-list" });
  const more = h("button", { type: "button", class: "button", testid: "log-more" }, t("common.more"));
  /** @type {string|null} */
  let cursor = null;
  const next = async () => {
    const page = await api.audit(cursor);
    cursor = page.next_cursor;
    list.append(...page.items.map(row));
    more.hidden = !cursor;
  };
  more.addEventListener("click", () => busy(more, next, (error) => toast(explain(error), "bad")));
  const load = async () => {
    try {
      await next();
      fill(sheet.body, h("p", { class: "soft" }, t("log.hint")), list.children.length ? list : h("p", { class: "soft", testid: "log-empty" }, t("log.empty")), more);
    } catch (error) {
      fill(sheet.body, failure(explain(error), load));
    }
  };
  sheet.open();
  void load();
}

/** @param {import("./api.js").AuditEntry} entry */
function row(entry) {
  const action = has(`audit.${entry.action}`) ? t(`audit.${entry.action}`) : entry.action;
  const reason = REASONS.includes(entry.reason) ? t(`reason_of.${entry.reason}`) : entry.reason;
  const said = Object.values(entry.details).filter((value) => value && typeof value === "object" && value.text);
  return h(
    "li",
    { class: "queue-row", testid: "log-row", "data-action": entry.action },
    h("p", { class: "run-line" }, h("strong", null, action), h("bdi", null, entry.target), h("span", { class: "soft" }, reason)),
    ...said.map((value) => h("blockquote", { class: "quote" }, h("bdi", { class: "quote-name" }, value.user?.name || t("chat.nameless")), h("bdi", null, value.text))),
    h("p", { class: "soft" }, t("log.by", { actor: entry.actor, at: dateTime(entry.created_at) })),
  );
}
