// @ts-check
/**
 * The picture alone: on a phone a tap takes away what is said over it, and brings it back. Sales and all
 * buttons stay, those of the settings too, which do the same for whoever cannot tap. Not in elder mode,
 * where a tap beside a button must not change the page.
 *
 * testids: room (class cleared)
 */

import { toast } from "../components/toast.js";
import { isElder } from "../elder.js";
import { t } from "../i18n.js";

/** A second press within this makes a like of both, in ms. */
const DOUBLE_MS = 300;

export class Clearing {
  /** @param {HTMLElement} view the room */
  constructor(view) {
    this.view = view;
    this.timer = 0;
  }

  get on() {
    return this.view.classList.contains("cleared");
  }

  /** Whether anything lies over the picture: beside it nothing is in its way. */
  get possible() {
    return !isElder() && matchMedia("(max-width: 1023px) and (orientation: portrait)").matches;
  }

  /** @param {boolean} on */
  set(on) {
    this.view.classList.toggle("cleared", on);
    if (on) toast(t("room.cleared"));
  }

  /** @param {HTMLElement} stage */
  byTapOn(stage) {
    stage.addEventListener("click", (event) => {
      if (!this.possible || /** @type {Element} */ (event.target).closest("a, button, input, .flash-card")) return;
      clearTimeout(this.timer);
      if (event.detail === 1) this.timer = window.setTimeout(() => this.set(!this.on), DOUBLE_MS);
    });
  }
}
