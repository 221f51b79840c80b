// @ts-check
/**
 * One show: for staff what came of it, for everybody what was said and shown, and files to keep.
 *
 * testids: show-report, show-figure (data-figure), show-lines, show-line (data-type), show-more,
 * show-closed, export-xml, export-ass, export-jsonl
 */

import { asProblem, explain, get, path } from "../api.js";
import { frame } from "../components/frame.js";
import { busy, empty } from "../components/product-bits.js";
import { count, money } from "../format.js";
import { dateTime, elapsed } from "../format-more.js";
import { append, h } from "../h.js";
import { t } from "../i18n.js";
import { begin, entitle } from "../page.js";
import { find } from "../session.js";

/** @typedef {{id: string, room: string, started_at: string, ended_at: string|null, open: boolean, rehearsal: boolean}} Show */

/** Lines read at once. */
const PAGE = 100;

const id = decodeURIComponent(location.pathname.split("/")[2] || "");

async function show() {
  await find().catch(() => null);
  const one = /** @type {Show} */ (await get(path`/v1/shows/${id}`));
  const room = (await get(path`/v1/rooms/${one.room}`)).room;
  const title = t("show.title", { room: room.title });
  entitle(title);
  const times = one.ended_at ? t("show.times", { from: dateTime(one.started_at), to: dateTime(one.ended_at) }) : t("show.runs", { from: dateTime(one.started_at) });
  const main = frame({ title, lead: one.rehearsal ? `${t("rehearsal.show")} · ${times}` : times });
  const report = await get(path`/v1/shows/${id}/report`).catch(() => null); // staff alone
  if (report) append(main, [figures(report)]);
  const lines = new Lines(one);
  append(main, [lines.element]);
  await lines.more().then(
    () => append(main, [files()]),
    (error) => append(main, [h("div", { testid: "show-closed" }, empty(t("show.closed"), asProblem(error).words))]),
  );
}

/** @param {any} report */
function figures(report) {
  const items = [
    figure("seconds", t("show.lasted"), elapsed(report.seconds * 1000)),
    figure("viewers", t("show.viewers"), count(report.viewers_peak)),
    figure("likes", t("show.likes"), count(report.likes)),
    figure("messages", t("show.messages"), count(report.messages + report.danmaku)),
    figure("orders", t("show.orders"), count(Object.values(report.orders).reduce((sum, n) => sum + n, 0))),
    ...report.turnover.flatMap((/** @type {any} */ sums) => [
      figure("placed", t("show.placed"), money(sums.placed_cents, sums.currency)),
      figure("paid", t("show.paid"), money(sums.paid_cents, sums.currency)),
      figure("refunded", t("show.refunded"), money(sums.refunded_cents, sums.currency)),
    ]),
    figure("shipments", t("show.shipments"), count(report.shipments_waiting)),
    figure("webhooks", t("show.webhooks"), count(report.webhooks_failed), report.webhooks_failed > 0),
    report.gaps ? figure("gaps", t("show.gaps"), count(report.gaps), true) : null,
  ];
  return h("section", { testid: "show-report", class: "stack" }, h("h2", null, t("show.report")), h("dl", { class: "show-figures" }, items));
}

/** @param {string} name @param {string} words @param {string} value @param {boolean} [warn] */
function figure(name, words, value, warn = false) {
  return h("div", { class: warn ? "show-figure warn" : "show-figure", testid: "show-figure", "data-figure": name }, h("dt", null, words), h("dd", { class: "digits" }, value));
}

class Lines {
  /** @param {Show} one */
  constructor(one) {
    this.began = Date.parse(one.started_at);
    /** @type {string|null} */
    this.cursor = null;
    this.list = h("ol", { class: "show-lines", testid: "show-lines" });
    this.button = h("button", { type: "button", class: "button block", testid: "show-more", hidden: true }, t("common.more"));
    this.problem = h("p", { class: "problem", role: "alert", hidden: true });
    const complain = (/** @type {any} */ error) => {
      this.problem.hidden = false;
      this.problem.textContent = explain(error);
    };
    this.button.addEventListener("click", () => busy(this.button, () => this.more(), complain));
    this.element = h("section", { class: "stack" }, h("h2", null, t("show.lines")), this.list, this.problem, this.button);
  }

  async more() {
    const cursor = this.cursor ? `&cursor=${encodeURIComponent(this.cursor)}` : "";
    const page = await get(path`/v1/shows/${id}/events` + `?limit=${PAGE}${cursor}`);
    this.cursor = page.next_cursor;
    this.button.hidden = !this.cursor;
    for (const line of page.items) append(this.list, [this.line(line)]);
    if (!this.list.children.length) append(this.list, [h("li", { class: "soft" }, t("show.silent"))]);
  }

  /** @param {{at: number, event: any}} line */
  line({ at, event }) {
    const words = spoken(event);
    if (!words) return null;
    return h(
      "li",
      { class: event.user || event.items ? "show-line" : "show-line moment", testid: "show-line", "data-type": event.type },
      h("time", { datetime: new Date(at).toISOString() }, elapsed(Math.max(0, at - this.began))),
      h("div", null, words),
    );
  }
}

/** What a line says; null for what changes nothing that a reader would miss. @param {any} event */
function spoken(event) {
  const said = event.type === "danmaku" ? event.items[0] : event;
  switch (event.type) {
    case "chat":
    case "danmaku":
      return [h("bdi", { class: "chat-name" }, said.user.name || t("chat.nameless")), h("bdi", null, said.text)];
    case "deleted":
      return h("span", { class: "soft" }, t("show.deleted"));
    case "room.started":
      return t("show.started");
    case "room.ended":
      return t("show.ended");
    case "room.notice":
      return event.text ? t("show.notice", { text: event.text }) : null;
    case "flash_sale.updated":
      return event.flash_sale.state === "sold_out" ? t("show.sold_out", { title: event.flash_sale.title }) : null;
    case "order.ticker":
      return t("chat.ticker", { name: event.name, title: event.title, n: event.quantity });
    case "archive.gap":
      return t("show.gap");
    default:
      return null;
  }
}

function files() {
  const way = (/** @type {string} */ ending, /** @type {string} */ words) => h("a", { class: "button", href: path`/v1/shows/${id}/export.` + ending, testid: `export-${ending}` }, words);
  return h("section", { class: "stack" }, h("h2", null, t("show.files")), h("div", { class: "actions start" }, way("xml", t("show.xml")), way("ass", t("show.ass")), way("jsonl", t("show.jsonl"))));
}

void begin("show.page", show);
