// @ts-check
/**
 * How the show goes: viewers, likes and units taken over the last half hour, with marks where
 * something was done; and how the picture comes in. Kept in the page alone, from what the room says.
 *
 * testids: metric (data-metric, data-now), metric-mark, ingest
 */

import { clock } from "../clock.js";
import { clockTime, count } from "../format.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { onTick } from "../ticker.js";
import { STEPS, STEP_MS, Series } from "./series.js";

/** @typedef {import("../types.js").RoomState} RoomState */

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [STEPS - 1, 40];
/** Marks that are kept; older ones leave the half hour soon. */
const MARKS = 40;
/** Marks that are told in words. */
const TOLD = 4;

export class Metrics {
  /** @param {import("../room-store.js").RoomStore} store */
  constructor(store) {
    this.store = store;
    this.online = new Chart("online", t("console.online"), (series, now) => series.levels(now));
    this.likes = new Chart("likes", t("metrics.likes"), (series, now) => series.perMinute(now));
    this.units = new Chart("units", t("metrics.units"), (series, now) => series.perMinute(now));
    /** @type {{at: number, words: string}[]} */
    this.marks = [];
    this.told = h("ol", { class: "mark-list" });
    this.ingest = h("p", { class: "soft digits", testid: "ingest" }, t("metrics.no_picture"));
    this.element = h("div", { class: "stack" }, this.online.element, this.likes.element, this.units.element, this.told, this.ingest);
    this.step = 0;
  }

  follow() {
    this.store.addEventListener("state", (event) => this.onState(/** @type {CustomEvent} */ (event).detail));
    this.online.series.set(clock.now(), this.store.state.stats.online);
    onTick(() => this.draw());
  }

  /** @param {RoomState} before */
  onState(before) {
    const { state } = this.store;
    const now = clock.now();
    this.online.series.set(now, state.stats.online);
    this.likes.series.add(now, Math.max(0, state.stats.likes - before.stats.likes));
    for (const sale of state.flash_sales) {
      const known = before.flash_sales.find((one) => one.id === sale.id);
      if (!known) this.mark(t("metrics.sale", { title: sale.title }));
      else this.units.series.add(now, Math.max(0, taken(sale) - taken(known)));
      if (known && known.state !== "sold_out" && sale.state === "sold_out") this.mark(t("metrics.sold_out", { title: sale.title }));
    }
    if (state.pinned !== before.pinned && state.pinned) this.mark(t("metrics.pinned", { number: state.shelf.find((one) => one.id === state.pinned)?.number || 0 }));
    if (state.notice !== before.notice && state.notice) this.mark(t("metrics.notice"));
  }

  /** @param {string} words */
  mark(words) {
    this.marks.push({ at: clock.now(), words });
    this.marks = this.marks.slice(-MARKS);
    this.step = 0; // drawn at the next tick
  }

  draw() {
    const now = clock.now();
    const step = Math.floor(now / STEP_MS);
    if (step === this.step) return;
    this.step = step;
    const places = this.marks.map((mark) => WIDTH - (step - Math.floor(mark.at / STEP_MS))).filter((place) => place >= 0);
    for (const chart of [this.online, this.likes, this.units]) chart.draw(now, places);
    const told = this.marks.slice(-TOLD).reverse();
    fill(this.told, told.map((mark) => h("li", { testid: "metric-mark" }, h("span", { class: "mark-time digits" }, clockTime(mark.at)), mark.words)));
  }

  /** What the server measures of the picture. @param {any} event */
  onAdvice(event) {
    if (event.type !== "video.quality") return;
    fill(this.ingest, t("metrics.ingest", { kbps: event.kbps, fps: event.fps, seconds: event.keyframe_seconds, lost: event.lost }));
  }
}

/** @param {import("../types.js").FlashSale} sale */
const taken = (sale) => sale.units_total - sale.units_left;

/** One line over time, its figure of now and its highest. */
class Chart {
  /** @param {string} name @param {string} words @param {(series: Series, now: number) => number[]} line */
  constructor(name, words, line) {
    this.words = words;
    this.line = line;
    this.series = new Series();
    this.now = h("strong", { class: "digits" }, "0");
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("role", "img");
    this.svg.setAttribute("class", "spark");
    this.element = h("div", { class: "metric", testid: "metric", "data-metric": name, "data-now": "0" }, h("p", { class: "metric-words" }, h("span", null, words), this.now), this.svg);
  }

  /** @param {number} now ms @param {number[]} marks where something was done */
  draw(now, marks) {
    const values = this.line(this.series, now);
    const last = values[values.length - 1] || 0;
    const most = Math.max(...values, 0);
    this.now.textContent = count(last);
    this.element.dataset.now = String(last);
    this.svg.setAttribute("aria-label", t("metrics.summary", { what: this.words, now: count(last), most: count(most) }));
    const x = (/** @type {number} */ at) => WIDTH - (values.length - 1 - at);
    const y = (/** @type {number} */ value) => (HEIGHT - 2 - (value / Math.max(1, most)) * (HEIGHT - 4)).toFixed(1);
    const points = values.map((value, at) => `${x(at)} ${y(value)}`);
    this.svg.replaceChildren(...marks.map((place) => stroke("spark-mark", `M${place} 0V${HEIGHT}`)), stroke("spark-line", `M${points.join("L")}`));
  }
}

/** @param {string} name @param {string} line */
function stroke(name, line) {
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("class", name);
  path.setAttribute("d", line);
  path.setAttribute("vector-effect", "non-scaling-stroke");
  return path;
}
