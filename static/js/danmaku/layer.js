// @ts-check
/**
 * `<danmaku-layer>`: messages that fly over the stage. Hidden from screen readers, who have the chat;
 * nothing moves for people who asked for less motion.
 *
 * What flies in a lane is a train with one animation of `transform`, run by the compositor: a browser
 * looks at every animation in every frame, so their number is the cost. Sizes are watched and
 * widths measured on a canvas: placing causes no layout. What waits and what is shown is bounded.
 */

import { h } from "../h.js";
import { pickLane, speedBehind } from "./lanes.js";
import { USUAL, isShown } from "./taste.js";

/** @typedef {import("../types.js").DanmakuItem} DanmakuItem */
/** @typedef {{item: DanmakuItem, loud: boolean, own: boolean, since: number}} Waiting */
/** @typedef {import("./lanes.js").Train & {full: boolean, element: HTMLElement, animation: Animation}} Train */
/** `end`: its own in its train, in px; of one that stands, in time. @typedef {{id: string, key: string, count: number, element: HTMLElement, train?: Train, end: number}} Shown */

/** At most so many wait for a lane; more would come too late. */
const WAITING = 200;
/** One that finds no lane for this long is dropped. */
const PATIENCE_MS = 1_500;
const TICK_MS = 120;
const FLIGHT_MS = 8_000;
const STILL_MS = 4_000;
/** A train goes for so long and is boarded for half of it. */
const TRAIN_MS = 300_000;
/** Shown at most (readable; drawn in time); px of letters and lines at size 1. */
const PHONE = { most: 60, font: 18, line: 34 };
const DESKTOP = { most: 150, font: 22, line: 36 };
/** Besides the words: padding, the gap behind. */
const SPACE_PX = 32;

export class DanmakuLayer extends HTMLElement {
  constructor() {
    super();
    this.taste = USUAL;
    /** The last train of each. @type {(Train|undefined)[]} */
    this.lanes = [];
    /** @type {Set<Train>} */
    this.trains = new Set();
    /** When each line at an edge is free again. @type {{top: number[], bottom: number[]}} */
    this.still = { top: [], bottom: [] };
    /** @type {Waiting[]} */
    this.waiting = [];
    /** @type {Set<Shown>} */
    this.shown = new Set();
    this.screen = PHONE;
    this.size = { width: 0, height: 0 };
    this.timer = 0;
    this.paused = false;
    this.pen = /** @type {any} */ (document.createElement("canvas").getContext("2d"));
    new ResizeObserver(([{ contentRect }]) => {
      this.size = contentRect;
      this.suit(this.taste);
    }).observe(this);
  }

  connectedCallback() {
    this.setAttribute("aria-hidden", "true");
    this.dataset.testid = "danmaku-layer";
  }

  disconnectedCallback() {
    this.clear();
  }

  /** px of a lane */
  get line() {
    return this.screen.line * this.taste.size;
  }

  /** From now on everything looks like this. @param {import("./taste.js").Taste} taste */
  suit(taste) {
    this.taste = taste;
    this.screen = matchMedia("(min-width: 1024px)").matches ? DESKTOP : PHONE;
    this.style.opacity = String(taste.opacity);
    this.style.fontSize = `${this.screen.font * taste.size}px`;
    this.pen.font = `600 ${this.style.fontSize} ${getComputedStyle(this).fontFamily}`;
    this.waiting = this.waiting.filter(({ item }) => isShown(taste, item));
    for (const train of this.trains) train.full = true; // the next may be faster
  }

  /** @param {DanmakuItem[]} items @param {string} me id of the viewer, whose own items are framed */
  add(items, me) {
    if (document.visibilityState === "hidden" || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const since = performance.now();
    for (const item of items) {
      const own = item.user?.id === me;
      if (!isShown(this.taste, item) || (!own && this.taste.merge && this.mergeInto(keyOf(item)))) continue;
      this.waiting.push({ item, own, loud: own || !!item.user?.badges?.length, since });
    }
    this.waiting = this.waiting.slice(-WAITING);
    this.launch();
  }

  /** Counts words that are flying already. @param {string} key */
  mergeInto(key) {
    const one = Array.from(this.shown).find((other) => other.key === key);
    if (one) one.element.dataset.count = `×${(one.count += 1)}`;
    return one;
  }

  /** Deleted: gone at once, wherever it is. @param {string} id */
  drop(id) {
    this.waiting = this.waiting.filter(({ item }) => item.id !== id);
    for (const one of this.shown) if (one.id === id) this.end(one);
  }

  clear() {
    clearTimeout(this.timer);
    this.waiting = [];
    this.still = { top: [], bottom: [] };
    for (const one of this.shown) this.end(one);
  }

  /** Stops everything where it is, or lets it go on. @param {boolean} paused */
  pause(paused) {
    this.paused = paused;
    for (const { animation } of this.trains) animation[paused ? "pause" : "play"]();
    this.launch();
  }

  launch() {
    clearTimeout(this.timer);
    if (this.paused) return;
    const now = performance.now();
    this.sweep(now);
    const { area, density } = this.taste;
    this.lanes.length = Math.max(1, Math.floor((this.size.height * area) / this.line));
    this.waiting = this.waiting.filter((entry) => {
      if ((entry.loud || this.shown.size < this.screen.most * density) && this.size.width && this.show(entry, now)) return false;
      return now - entry.since < PATIENCE_MS;
    });
    if (this.waiting.length || this.shown.size) this.timer = window.setTimeout(() => this.launch(), TICK_MS);
  }

  /** Drops what nobody sees any more. @param {number} now */
  sweep(now) {
    for (const train of this.trains) {
      const time = Number(train.animation.currentTime);
      train.gone = time < TRAIN_MS ? time * train.speed : Infinity;
    }
    for (const one of this.shown) if (one.end < (one.train ? one.train.gone - this.size.width : now)) this.end(one);
  }

  /** Shows an item if there is room; a loud one always. @param {Waiting} entry @param {number} now */
  show({ item, own, loud }, now) {
    const edge = item.mode === "top" || item.mode === "bottom" ? item.mode : null;
    const lane = edge ? this.freeLine(edge, now, loud) : pickLane(this.lanes, loud);
    if (lane < 0) return false;
    const element = h("span", { class: `danmaku ${own ? "own" : loud ? "staff" : ""}`, testid: "danmaku-item" }, item.text);
    if (this.taste.color && /^#[0-9a-f]{6}$/i.test(item.color || "")) element.style.color = String(item.color);
    /** @type {Shown} */
    const one = { id: item.id, key: keyOf(item), count: 1, element, end: now + STILL_MS };
    if (edge) {
      element.style[edge] = `${lane * this.line}px`;
      this.append(element);
    } else this.board(one, lane, this.pen.measureText(item.text).width + SPACE_PX);
    return this.shown.add(one);
  }

  /** @param {Shown} one @param {number} lane @param {number} width */
  board(one, lane, width) {
    const last = this.lanes[lane];
    const train = last && !last.full && last.gone < (last.speed * TRAIN_MS) / 2 ? last : this.depart(lane, width);
    one.train = train;
    one.element.style.left = `${train.gone}px`;
    one.end = train.tail = train.gone + width;
    train.element.append(one.element);
  }

  /** A new train, as fast as this item wants. @param {number} lane @param {number} width @returns {Train} */
  depart(lane, width) {
    const area = this.size.width;
    const speed = speedBehind(this.lanes[lane], area, ((area + width) * this.taste.speed) / FLIGHT_MS);
    const element = this.appendChild(h("div", { class: "danmaku-train" }));
    element.style.top = `${lane * this.line}px`;
    const animation = element.animate({ transform: ["none", `translateX(${-speed * TRAIN_MS}px)`] }, TRAIN_MS);
    const train = { speed, gone: 0, tail: 0, full: false, element, animation };
    this.trains.add(train);
    return (this.lanes[lane] = train);
  }

  /** A line to stand on, or -1. @param {"top"|"bottom"} edge @param {number} now @param {boolean} anyway */
  freeLine(edge, now, anyway) {
    const lines = this.still[edge];
    lines.length = Math.ceil(this.lanes.length / 2);
    let free = lines.findIndex((until) => !(until > now));
    if (anyway) free = Math.max(0, free);
    if (free >= 0) lines[free] = now + STILL_MS;
    return free;
  }

  /** @param {Shown} one */
  end(one) {
    this.shown.delete(one);
    one.element.remove();
    const { train } = one;
    if (!train || train.element.firstChild) return;
    train.animation.cancel();
    train.element.remove();
    this.trains.delete(train);
    train.gone = Infinity;
  }
}

/** @param {DanmakuItem} item */
const keyOf = (item) => `${item.mode} ${item.text}`;

customElements.define("danmaku-layer", DanmakuLayer);
