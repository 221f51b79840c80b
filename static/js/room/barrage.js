// @ts-check
/**
 * The danmaku over the stage: their layer, their switch, and how this viewer likes them.
 *
 * testids: danmaku-toggle
 */

import { ownTaste } from "../components/own-taste.js";
import { DanmakuLayer } from "../danmaku/layer.js";
import { isElder } from "../elder.js";
import { h, icon } from "../h.js";
import { t } from "../i18n.js";
import { saving } from "../saver.js";
import { me } from "../session.js";
import { load, save } from "../storage.js";

export class Barrage {
  /** @param {import("../room-store.js").RoomStore} store */
  constructor(store) {
    this.store = store;
    this.on = false;
    this.layer = new DanmakuLayer();
    this.layer.suit(ownTaste());
    this.button = h("button", { type: "button", class: "icon-button barrage", testid: "danmaku-toggle", "aria-label": t("room.danmaku"), on: { click: () => this.press() } }, icon("barrage"));
  }

  /** Shows them, where this viewer wants them; none while data is saved, and none for a page that nobody sees. */
  begin() {
    this.store.addEventListener("danmaku", (event) => this.layer.add(/** @type {CustomEvent} */ (event).detail.items || [], me()?.user || ""));
    this.store.addEventListener("deleted", (event) => this.layer.drop(/** @type {CustomEvent} */ (event).detail));
    document.addEventListener("visibilitychange", () => this.show());
    this.begun();
  }

  /** As it is without a press. */
  begun() {
    this.set(!saving() && this.wanted());
  }

  wanted() {
    if (isElder()) return false;
    return load("danmaku") ?? !matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  press() {
    this.set(!this.on);
    save("danmaku", this.on);
  }

  /** @param {boolean} on */
  set(on) {
    this.on = on;
    this.button.setAttribute("aria-pressed", String(on));
    this.show();
  }

  show() {
    const seen = this.on && document.visibilityState !== "hidden";
    this.store.showDanmaku(seen);
    if (!seen) this.layer.clear();
  }
}
