// @ts-check
/**
 * The host's picture, or what stands for it, and the product that is being explained.
 *
 * testids: stage (data-mark), stage-words, replay, pinned-card (data-product), pinned-buy, read-aloud
 */

import { explain, path } from "../api.js";
import { chip, picture, priceBlock } from "../components/product-bits.js";
import { toast } from "../components/toast.js";
import { money } from "../format.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { isRehearsing, pinnedProduct } from "../room-state.js";
import { saving } from "../saver.js";
import { stagePicture } from "./later.js";

/** @typedef {import("../types.js").ShelfItem} ShelfItem */
/** @typedef {typeof import("./elder-aids.js")} Aids */

/** A player that could not be loaded is tried again after this, in ms. */
const PLAYER_AGAIN_MS = 10_000;

export class Stage {
  /** @param {import("./trade.js").Trade} trade @param {Aids|null} aids of elder mode */
  constructor(trade, aids) {
    this.trade = trade;
    this.aids = aids;
    this.drawn = "";
    this.backdrop = h("div", { class: "backdrop", "aria-hidden": "true" });
    this.words = h("div", { class: "stage-words" });
    this.pinned = h("div", { class: "pinned", hidden: true });
    this.element = h("main", { class: "stage", testid: "stage", id: "main" });
    /** Comes with the first picture. @type {import("../video/stage-picture.js").StagePicture|null} */
    this.camera = null;
    this.fetching = false;
  }

  draw() {
    const { state } = this.trade.store;
    const { room } = state;
    this.drawPicture();
    this.element.dataset.mark = isRehearsing(state) ? t("rehearsal.mark") : "";
    const product = pinnedProduct(state);
    const spared = saving() && state.video !== null;
    const key = JSON.stringify([product && { ...product, stock: 0 }, room?.state, room?.show, saving(), spared]);
    if (key === this.drawn) return;
    this.drawn = key;
    fill(this.backdrop, product ? picture(product, "cover") : null);
    this.drawWords(product, spared);
    this.pinned.hidden = !product;
    if (product) this.drawPinned(product);
  }

  drawPicture() {
    const { room, video } = this.trade.store.state;
    const shown = saving() ? null : video;
    if (this.camera) this.camera.show(shown, room?.state);
    else if (shown && room?.state === "live" && !this.fetching) void this.fetchPlayer();
  }

  async fetchPlayer() {
    this.fetching = true;
    try {
      const { StagePicture } = await stagePicture();
      this.camera = new StagePicture();
    } catch (error) {
      toast(explain(error), "bad");
      setTimeout(() => (this.fetching = false), PLAYER_AGAIN_MS);
      return;
    }
    const { element, controls } = this.camera;
    element.addEventListener("picture", (event) => this.element.dispatchEvent(new CustomEvent("picture", { detail: /** @type {CustomEvent} */ (event).detail })));
    this.backdrop.after(element);
    this.element.append(controls);
    this.drawPicture();
  }

  /** Until a picture comes, the product being explained fills the stage. @param {ShelfItem|null} product @param {boolean} spared whether a picture is not fetched */
  drawWords(product, spared) {
    const { room } = this.trade.store.state;
    const words = { live: spared ? t("room.saver") : t("room.no_picture"), idle: t("room.idle_text"), ended: room?.rehearsal ? t("rehearsal.over_text") : t("room.ended_text") }[room?.state || "idle"];
    fill(
      this.words,
      product && room?.state === "live" ? h("div", { class: "stage-product" }, picture(product, "hero")) : null,
      h("p", { class: "stage-state", testid: "stage-words" }, words),
      room?.state === "ended" && room.show && !room.rehearsal ? h("a", { class: "button stage-replay", href: path`/shows/${room.show}`, testid: "replay" }, t("room.replay")) : null,
    );
  }

  /** @param {ShelfItem} product */
  drawPinned(product) {
    const show = () => this.trade.show(product.id);
    fill(
      this.pinned,
      h(
        "button",
        { type: "button", class: "pinned-card", testid: "pinned-card", "data-product": product.id, on: { click: show } },
        h("span", { class: "pinned-picture" }, picture(product, "fill")),
        h("span", { class: "pinned-words" }, chip(t("shelf.explained_number", { number: product.number }), "hot"), h("span", { class: "pinned-title" }, product.title), priceBlock(product, "pinned-price")),
      ),
      this.aids ? this.bigWays(product, this.aids, show) : null,
    );
  }

  /** Elder mode: what can be done, in words. @param {ShelfItem} product @param {Aids} aids @param {() => void} show */
  bigWays(product, { readAloudButton }, show) {
    return h(
      "div",
      { class: "pinned-ways" },
      readAloudButton(() => [product.title, money(product.price_cents, product.currency), product.description].join(". ")),
      h("button", { type: "button", class: "button primary", testid: "pinned-buy", on: { click: show } }, t("shelf.buy")),
    );
  }
}
