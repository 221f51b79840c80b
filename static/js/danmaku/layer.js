// @ts-check
/**
 * `<danmaku-layer>`: messages that fly over the stage. Hidden from screen readers: whoever wants to
 * read reads the chat. Nothing moves for people who asked for less motion.
 *
 * Widths are measured on a canvas, so that placing never makes the page lay itself out; flights are
 * animations of `transform` alone, which the compositor runs. What waits, what is on screen and what
 * is kept for reuse is bounded, so a night of danmaku takes the memory of a minute.
 */

import { h } from "../h.js";
import { pickLane } from "./lanes.js";
import { USUAL, isShown } from "./taste.js";

/** @typedef {import("../types.js").DanmakuItem} DanmakuItem */
/** @typedef {import("./taste.js").Taste} Taste */
/** @typedef {{item: DanmakuItem, loud: boolean, own: boolean, since: number}} Waiting */
/** @typedef {{id: string, key: string, count: number, element: HTMLElement, animation: Animation}} Shown */

/** On screen at most: what a phone, and what a desktop draws at 60 frames a second. */
const ON_SCREEN = { phone: 60, desktop: 150 };
/** At most this many wait for a lane; more would come too late to mean anything. */
const WAITING = 200;
/** One that found no lane for this long is dropped, in ms. */
const PATIENCE_MS = 1_500;
const RETRY_MS = 120;
const FLIGHT_MS = 8_000;
const STILL_MS = 4_000;
/** px of a line at size 1, and of the letters in it. */
const LINE_PX = { phone: 34, desktop: 40 };
const FONT_PX = { phone: 18, desktop: 22 };
/** Around the words: padding of the element, both sides, in px. */
const PADDING_PX = 20;
const WIDE = "(min-width: 1024px)";
const CALM = "(prefers-reduced-motion: reduce)";

export class DanmakuLayer extends HTMLElement {
  constructor() {
    super();
    /** @type {Taste} */
    this.taste = USUAL;
    /** @type {(import("./lanes.js").Flight|undefined)[]} */
    this.lanes = [];
    /** When each line at an edge is free again. */
    this.still = { top: /** @type {number[]} */ ([]), bottom: /** @type {number[]} */ ([]) };
    /** @type {Waiting[]} */
    this.waiting = [];
    /** @type {Set<Shown>} */
    this.shown = new Set();
    /** @type {HTMLElement[]} elements to use again */
    this.spare = [];
    this.font = FONT_PX.phone; // px of the letters
    this.line = LINE_PX.phone; // px of a lane
    this.timer = 0;
    this.paused = false;
    this.pausedAt = 0;
    this.pausedFor = 0; // ms
    this.pen = document.createElement("canvas").getContext("2d");
  }

  connectedCallback() {
    this.setAttribute("aria-hidden", "true");
    this.setAttribute("data-testid", "danmaku-layer");
    this.suit(this.taste);
  }

  disconnectedCallback() {
    this.clear();
  }

  /** Milliseconds that do not pass during a pause. */
  now() {
    return (this.paused ? this.pausedAt : performance.now()) - this.pausedFor;
  }

  get kind() {
    return matchMedia(WIDE).matches ? "desktop" : "phone";
  }

  /** From now on everything looks like this. @param {Taste} taste */
  suit(taste) {
    this.taste = taste;
    this.font = FONT_PX[this.kind] * taste.size;
    this.line = LINE_PX[this.kind] * taste.size;
    this.style.opacity = String(taste.opacity);
    this.style.fontSize = `${this.font}px`;
    if (this.pen) this.pen.font = `600 ${this.font}px ${getComputedStyle(this).fontFamily}`;
    this.waiting = this.waiting.filter(({ item }) => isShown(taste, item));
  }

  /** @param {DanmakuItem[]} items @param {string} me id of the viewer, whose own items are framed */
  add(items, me) {
    if (document.visibilityState === "hidden" || matchMedia(CALM).matches) return;
    const since = this.now();
    for (const item of items) {
      const own = item.user?.id === me;
      if (!isShown(this.taste, item) || (!own && this.taste.merge && this.mergeInto(item))) continue;
      this.waiting.push({ item, own, loud: own || Boolean(item.user?.badges?.length), since });
    }
    if (this.waiting.length > WAITING) this.waiting.splice(0, this.waiting.length - WAITING);
    if (!this.timer && !this.paused) this.launch();
  }

  /** Counts words that are flying already. @param {DanmakuItem} item @returns {boolean} */
  mergeInto(item) {
    for (const one of this.shown) {
      if (one.key !== keyOf(item)) continue;
      one.count += 1;
      one.element.dataset.count = `×${one.count}`;
      return true;
    }
    return false;
  }

  /** Something was deleted: at once, wherever it is. @param {string} id */
  drop(id) {
    this.waiting = this.waiting.filter(({ item }) => item.id !== id);
    for (const one of this.shown) if (one.id === id) this.end(one);
  }

  clear() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.waiting = [];
    this.lanes = [];
    this.still = { top: [], bottom: [] };
    for (const one of this.shown) one.animation.cancel();
    this.shown.clear();
    this.spare = [];
    this.replaceChildren();
  }

  /** Stops everything where it is, or lets it go on. @param {boolean} paused */
  pause(paused) {
    if (paused === this.paused) return;
    if (paused) this.pausedAt = performance.now();
    else this.pausedFor += performance.now() - this.pausedAt;
    this.paused = paused;
    for (const { animation } of this.shown) {
      if (paused) animation.pause();
      else animation.play();
    }
    if (!paused) this.launch();
  }

  launch() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (this.paused) return;
    const now = this.now();
    const room = { width: this.clientWidth, height: this.clientHeight * this.taste.area };
    this.lanes.length = Math.max(1, Math.floor(room.height / this.line));
    const most = Math.max(1, Math.floor(ON_SCREEN[this.kind] * this.taste.density));
    this.waiting = this.waiting.filter((entry) => {
      if (!entry.loud && this.shown.size >= most) return now - entry.since < PATIENCE_MS;
      return !this.show(entry, room.width, now) && now - entry.since < PATIENCE_MS;
    });
    if (this.waiting.length) this.timer = window.setTimeout(() => this.launch(), RETRY_MS);
  }

  /** Shows an item if there is room; a loud one always. @param {Waiting} entry @param {number} area @param {number} now */
  show({ item, own, loud }, area, now) {
    const still = item.mode === "top" || item.mode === "bottom";
    const line = still ? this.freeLine(/** @type {"top"|"bottom"} */ (item.mode), now) : -1;
    const width = (this.pen ? this.pen.measureText(item.text).width : item.text.length * this.font) + PADDING_PX;
    const duration = still ? STILL_MS : FLIGHT_MS / this.taste.speed;
    let lane = still ? line : pickLane(this.lanes, width, area, duration, now);
    if (lane < 0 && !loud) return false;
    lane = Math.max(0, lane);
    const element = this.spare.pop() || this.appendChild(h("span", { testid: "danmaku-item" }));
    element.textContent = item.text;
    delete element.dataset.count;
    element.className = `danmaku ${own ? "own" : ""} ${loud && !own ? "staff" : ""}`;
    element.style.color = this.taste.color && /^#[0-9a-f]{6}$/i.test(item.color || "") ? /** @type {string} */ (item.color) : "";
    if (still) this.still[/** @type {"top"|"bottom"} */ (item.mode)][lane] = now + duration;
    else this.lanes[lane] = { width, start: now, duration };
    const bottom = this.clientHeight - (lane + 1) * this.line;
    const y = item.mode === "bottom" ? bottom : lane * this.line;
    const [from, to] = still ? [(area - width) / 2, (area - width) / 2] : [area, -width - area / 8];
    this.start(element, item, [from, to, y], still ? duration : (duration * (area * 1.125 + width)) / (area + width));
    return true;
  }

  /** @param {HTMLElement} element @param {DanmakuItem} item @param {number[]} path from x, to x, y @param {number} duration */
  start(element, item, [from, to, y], duration) {
    const frames = [from, to].map((x) => ({ transform: `translate3d(${x}px,${y}px,0)` }));
    const animation = element.animate(frames, { duration, easing: "linear", fill: "both" });
    const one = { id: item.id, key: keyOf(item), count: 1, element, animation };
    this.shown.add(one);
    animation.onfinish = () => this.end(one);
  }

  /** A line at an edge that is free, or -1. @param {"top"|"bottom"} edge @param {number} now */
  freeLine(edge, now) {
    const lines = this.still[edge];
    lines.length = Math.max(1, Math.floor(this.lanes.length / 2));
    for (let at = 0; at < lines.length; at += 1) if (!(lines[at] > now)) return at;
    return -1;
  }

  /** @param {Shown} one */
  end(one) {
    if (!this.shown.delete(one)) return;
    one.animation.cancel();
    one.element.className = "danmaku spare";
    one.element.textContent = "";
    this.spare.push(one.element);
    if (this.spare.length > ON_SCREEN.desktop) this.spare.shift()?.remove();
  }
}

/** @param {DanmakuItem} item */
function keyOf(item) {
  return `${item.mode} ${item.text}`;
}

customElements.define("danmaku-layer", DanmakuLayer);
