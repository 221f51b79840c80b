// @ts-check
/**
 * `<danmaku-layer>`: messages that fly over the stage. Hidden from screen readers: whoever wants to
 * read reads the chat. Nothing moves for people who asked for less motion.
 */

import { pickLane } from "../danmaku-lanes.js";
import { h } from "../h.js";

/** @typedef {import("../types.js").DanmakuItem} DanmakuItem */

/** At most this many on screen; beyond it a phone drops frames. */
const ON_SCREEN = 60;
/** At most this many wait for a lane; more would come too late to mean anything. */
const WAITING = 100;
/** One that found no lane for this long is dropped, in ms. */
const PATIENCE_MS = 1_500;
const FLIGHT_MS = 8_000;
const STILL_MS = 4_000;
const LINE_PX = 34;

export class DanmakuLayer extends HTMLElement {
  constructor() {
    super();
    /** @type {(import("../danmaku-lanes.js").Flight|undefined)[]} */
    this.lanes = [];
    /** @type {{item: DanmakuItem, own: boolean, since: number}[]} */
    this.waiting = [];
    this.shown = 0;
    this.timer = 0;
    this.still = { top: 0, bottom: 0 };
  }

  connectedCallback() {
    this.setAttribute("aria-hidden", "true");
    this.setAttribute("data-testid", "danmaku-layer");
  }

  disconnectedCallback() {
    this.clear();
  }

  /** @param {DanmakuItem[]} items @param {string} me id of the viewer, whose own items are framed */
  add(items, me) {
    if (document.visibilityState === "hidden" || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const since = performance.now();
    for (const item of items) this.waiting.push({ item, own: item.user?.id === me, since });
    if (this.waiting.length > WAITING) this.waiting.splice(0, this.waiting.length - WAITING);
    this.launch();
  }

  clear() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.waiting = [];
    this.lanes = [];
    this.shown = 0;
    this.replaceChildren();
  }

  launch() {
    this.timer = 0;
    const now = performance.now();
    const height = this.clientHeight;
    this.lanes.length = Math.max(1, Math.floor(height / LINE_PX));
    this.waiting = this.waiting.filter((entry) => !this.show(entry, now) && (entry.own || now - entry.since < PATIENCE_MS));
    if (this.waiting.length && !this.timer) this.timer = window.setTimeout(() => this.launch(), 120);
  }

  /** Shows an item if there is room. @param {{item: DanmakuItem, own: boolean}} entry @param {number} now */
  show({ item, own }, now) {
    if (this.shown >= ON_SCREEN && !own) return false;
    const element = h("span", { class: `danmaku ${own ? "own" : ""}`, testid: "danmaku-item" }, item.text);
    if (item.color && /^#[0-9a-f]{6}$/i.test(item.color)) element.style.color = item.color;
    this.append(element);
    const placed = item.mode === "top" || item.mode === "bottom" ? this.placeStill(element, item.mode) : this.fly(element, own, now);
    if (!placed) element.remove();
    return placed;
  }

  /** @param {HTMLElement} element @param {boolean} own @param {number} now */
  fly(element, own, now) {
    const [area, width] = [this.clientWidth, element.offsetWidth];
    let lane = pickLane(this.lanes, width, area, FLIGHT_MS, now);
    if (lane < 0 && own) lane = 0;
    if (lane < 0) return false;
    this.lanes[lane] = { width, start: now, duration: FLIGHT_MS };
    element.style.top = `${lane * LINE_PX}px`;
    const path = [{ transform: `translateX(${area}px)` }, { transform: `translateX(${-width}px)` }];
    this.end(element, element.animate(path, { duration: FLIGHT_MS, easing: "linear", fill: "both" }));
    return true;
  }

  /** @param {HTMLElement} element @param {"top"|"bottom"} edge */
  placeStill(element, edge) {
    const line = this.still[edge] % 3;
    this.still[edge] += 1;
    element.classList.add("still");
    element.style[edge] = `${line * LINE_PX}px`;
    this.end(element, element.animate([{ opacity: 1 }, { opacity: 1 }], { duration: STILL_MS }));
    return true;
  }

  /** @param {HTMLElement} element @param {Animation} animation */
  end(element, animation) {
    this.shown += 1;
    animation.onfinish = () => {
      element.remove();
      this.shown = Math.max(0, this.shown - 1);
    };
  }
}

customElements.define("danmaku-layer", DanmakuLayer);
