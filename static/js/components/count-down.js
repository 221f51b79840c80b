// @ts-check
/**
 * `<count-down>`: what is left until a moment of the server's clock, as text.
 *
 * Set `until` (server ms). Fires `done` once when it reaches zero.
 */

import { clock } from "../clock.js";
import { countdown } from "../format.js";
import { onTick } from "../ticker.js";

export class CountDown extends HTMLElement {
  constructor() {
    super();
    this.target = 0;
    this.finished = false;
    this.stop = () => {};
  }

  /** @param {number} at server ms */
  set until(at) {
    if (at === this.target) return;
    this.target = at;
    this.finished = false;
    this.show();
  }

  connectedCallback() {
    this.setAttribute("role", "timer");
    this.classList.add("digits");
    this.stop = onTick(() => this.show());
    this.show();
  }

  disconnectedCallback() {
    this.stop();
  }

  show() {
    if (!this.target) return;
    const left = this.target - clock.now();
    const text = countdown(left);
    if (this.textContent !== text) this.textContent = text;
    if (left <= 0 && !this.finished) {
      this.finished = true;
      this.dispatchEvent(new CustomEvent("done"));
    }
  }
}

customElements.define("count-down", CountDown);

/** @param {number} until server ms @param {string} [testid] */
export function countDown(until, testid) {
  const element = /** @type {CountDown} */ (document.createElement("count-down"));
  element.until = until;
  if (testid) element.setAttribute("data-testid", testid);
  return element;
}
