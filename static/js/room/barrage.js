// @ts-check
/**
 * The danmaku over the stage: their layer, their switch, and how this viewer likes them.
 *
 * testids: danmaku-toggle
 */

import { explain } from "../api.js";
import { ownTaste } from "../components/own-taste.js";
import { toast } from "../components/toast.js";
import { isElder } from "../elder.js";
import { h, icon } from "../h.js";
import { t } from "../i18n.js";
import { later, whenIdle } from "../later.js";
import { saving } from "../saver.js";
import { me } from "../session.js";
import { load, save } from "../storage.js";

/** What draws them; never fetched where they are off. */
const drawing = later(() => import("../danmaku/layer.js"));

export class Barrage {
  /** @param {import("../room-store.js").RoomStore} store */
  constructor(store) {
    this.store = store;
    this.on = false;
    /** Whether the socket stood once: nothing flies before, so what draws need not come before. */
    this.begins = false;
    this.layer = /** @type {import("../danmaku/layer.js").DanmakuLayer} */ (h("danmaku-layer")); // one that draws from `show` on
    this.button = h("button", { type: "button", class: "icon-button barrage", testid: "danmaku-toggle", "aria-label": t("room.danmaku"), on: { click: () => this.press() } }, icon("barrage"));
  }

  /** Shows them, where this viewer wants them; none while data is saved, and none for a page that nobody sees. */
  begin() {
    this.store.addEventListener("danmaku", (event) => this.draw(/** @type {CustomEvent} */ (event).detail.items || []));
    this.store.addEventListener("danmaku.own", () => this.on || this.set(true)); // who throws one wants to see it
    this.store.addEventListener("deleted", (event) => this.layer.drop?.(/** @type {CustomEvent} */ (event).detail));
    document.addEventListener("visibilitychange", () => this.show());
    this.store.socket.addEventListener("connection", () => {
      if (this.begins || !this.store.socket.connected) return;
      this.begins = true;
      whenIdle([() => this.show()]);
    });
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

  seen() {
    return this.on && this.begins && document.visibilityState !== "hidden";
  }

  /** Asks for danmaku once there is what draws them, so that none comes unseen. */
  async show() {
    if (this.seen() && !(await this.drawable())) return;
    const seen = this.seen(); // it may have changed meanwhile
    this.store.showDanmaku(seen);
    if (!seen) this.layer.clear?.();
  }

  /** @param {import("../types.js").DanmakuItem[]} items */
  async draw(items) {
    if (await this.drawable()) this.layer.add(items, me()?.user || "");
  }

  /** @returns {Promise<boolean>} false: it did not come; the next press tries anew */
  async drawable() {
    if (customElements.get("danmaku-layer")) return true;
    const came = await drawing().then(() => true, (error) => toast(explain(error), "bad"));
    if (came) this.layer.suit(ownTaste());
    else this.set(false);
    return Boolean(came);
  }
}
