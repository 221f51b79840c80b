// @ts-check
/**
 * `<caption-lane>`: what is being said, in words, for who cannot hear it. Two lines at most, the newest
 * last; gone after a pause. Not read aloud by screen readers: whoever uses one hears the host.
 *
 * testids: caption-lane, caption
 */

import { h } from "../h.js";
import { load } from "../storage.js";

/** A caption stays this long after the last one, in ms. */
const SHOWN_MS = 8_000;
const LINES = 2;

export class CaptionLane extends HTMLElement {
  constructor() {
    super();
    this.timer = 0;
  }

  connectedCallback() {
    this.setAttribute("data-testid", "caption-lane");
    this.suit();
  }

  /** Shown or not, as this browser remembers; on unless switched off. */
  suit() {
    this.hidden = load("captions") === false;
  }

  /** @param {string} text */
  say(text) {
    this.append(h("p", { class: "caption", testid: "caption", "aria-hidden": "true" }, h("bdi", null, text)));
    while (this.children.length > LINES) this.firstElementChild?.remove();
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.replaceChildren(), SHOWN_MS);
  }
}

customElements.define("caption-lane", CaptionLane);
