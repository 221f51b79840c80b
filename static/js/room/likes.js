// @ts-check
/** The button of likes, how many there are, and the hearts that rise. testids: like-button, likes */

import { isElder } from "../elder.js";
import { count } from "../format.js";
import { h, icon } from "../h.js";
import { t } from "../i18n.js";

/** Hearts in the air at once; more are counted, not drawn. */
const HEARTS = 8;
/** From here on likes are told in thousands. */
const MANY = 10_000;

export class Likes {
  /** @param {import("../room-store.js").RoomStore} store */
  constructor(store) {
    this.store = store;
    this.mine = 0;
    this.number = h("span", { class: "digits", testid: "likes" }, "0");
    this.hearts = h("div", { class: "hearts", "aria-hidden": "true" });
    this.button = h("button", { type: "button", class: "icon-button like", testid: "like-button", on: { click: () => this.press() } }, icon("heart"), h("span", { class: "sr" }, t("room.like")), this.number);
  }

  /** Two presses on the picture are a like; what is pressed for itself stays what it is. @param {HTMLElement} stage */
  alsoOn(stage) {
    stage.addEventListener("dblclick", (event) => {
      if (!isElder() && !(/** @type {Element} */ (event.target).closest("a, button, input, .flash-card"))) this.press();
    });
  }

  press() {
    this.store.like();
    this.mine += 1;
    this.rise();
    this.draw();
  }

  draw() {
    const shown = Math.max(this.store.state.stats.likes, this.mine);
    this.number.textContent = shown >= MANY ? t("room.many", { n: count(Math.floor(shown / 1000)) }) : count(shown);
  }

  rise() {
    if (isElder() || this.hearts.children.length >= HEARTS || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const heart = h("span", { class: `heart drift-${Math.floor(Math.random() * 4)}` }, icon("heart"));
    heart.addEventListener("animationend", () => heart.remove());
    this.hearts.append(heart);
  }
}
