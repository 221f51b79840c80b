// @ts-check
/**
 * Pages for a streaming program (OBS browser source): transparent, one thing each, always current.
 * `/overlay/card/{room}` the product being explained or the running flash sale,
 * `/overlay/countdown/{room}` the time to its start or end, `/overlay/chat/{room}` the last messages.
 *
 * testids: overlay (data-kind), overlay-mark, overlay-card, overlay-clock, overlay-row
 */

import { asProblem } from "../api.js";
import { countDown } from "../components/count-down.js";
import { failure, picture, priceBlock } from "../components/product-bits.js";
import { clock } from "../clock.js";
import { count } from "../format.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { app, begin } from "../page.js";
import { isRehearsing, phase, pinnedProduct, salesOnStage } from "../room-state.js";
import { RoomStore } from "../room-store.js";
import { ensure } from "../session.js";
import { Socket } from "../socket.js";
import { onTick } from "../ticker.js";

/** Messages on screen at once. */
const ROWS = 8;

const [, , kind, room] = location.pathname.split("/").map(decodeURIComponent);

class Overlay {
  constructor() {
    this.store = new RoomStore(room, new Socket());
    this.view = h("main", { class: "overlay", testid: "overlay", "data-kind": kind });
    this.heading = h("h1", { class: "sr" }, t("overlay.page"));
    this.drawn = "";
  }

  /** The sale that stands on the stage now, if any. */
  sale() {
    return salesOnStage(this.store.state, clock.now())[0] || null;
  }

  draw() {
    const sale = this.sale();
    const product = sale ? null : pinnedProduct(this.store.state);
    const at = sale && phase(sale, clock.now());
    const key = JSON.stringify([sale, at, product, isRehearsing(this.store.state)]);
    if (key === this.drawn) return;
    this.drawn = key;
    const shown = kind === "countdown" ? sale && this.clock(sale, at === "upcoming") : sale ? this.card(sale, t("flash.left", { n: count(sale.units_left), total: count(sale.units_total) })) : product && this.card(product, "");
    fill(this.view, this.heading, shown && this.mark(), shown);
  }

  /** A rehearsal is seen as one in the picture too: a program may send it elsewhere. */
  mark() {
    return isRehearsing(this.store.state) ? h("p", { class: "overlay-mark", testid: "overlay-mark" }, t("rehearsal.mark")) : null;
  }

  /** @param {any} thing a flash sale or a product @param {string} left */
  card(thing, left) {
    const shown = this.store.state.shelf.find((item) => item.id === (thing.product_id || thing.id)) || thing;
    return h(
      "section",
      { class: "overlay-card", testid: "overlay-card" },
      picture(shown, "large"),
      h("div", null, h("p", { class: "overlay-title" }, h("bdi", null, thing.title)), priceBlock(thing, "overlay-price"), left ? h("p", { class: "overlay-left digits" }, left) : null),
    );
  }

  /** @param {import("../types.js").FlashSale} sale @param {boolean} upcoming */
  clock(sale, upcoming) {
    if (!upcoming && phase(sale, clock.now()) !== "open") return null;
    const until = Date.parse(upcoming ? sale.starts_at : sale.ends_at);
    return h("section", null, h("p", { class: "overlay-label" }, upcoming ? t("flash.starts_in") : t("flash.ends_in")), h("p", { class: "overlay-clock", testid: "overlay-clock" }, countDown(until)));
  }

  listen() {
    if (kind !== "chat") {
      this.store.addEventListener("state", () => this.draw());
      onTick(() => this.draw());
      this.draw();
      return;
    }
    const rows = (/** @type {any[]} */ messages) => {
      for (const message of messages) this.view.append(this.row(message));
      while (this.view.children.length > ROWS + 1) this.view.children[1].remove();
    };
    this.view.classList.add("overlay-chat");
    fill(this.view, this.heading);
    this.store.addEventListener("chat.past", (event) => rows(/** @type {CustomEvent} */ (event).detail));
    this.store.addEventListener("chat", (event) => rows([/** @type {CustomEvent} */ (event).detail]));
    this.store.addEventListener("deleted", (event) => this.view.querySelector(`[data-id="${CSS.escape(/** @type {CustomEvent} */ (event).detail)}"]`)?.remove());
  }

  /** @param {import("../types.js").ChatMessage} message */
  row(message) {
    return h("p", { class: "chat-row", testid: "overlay-row", "data-id": message.id }, h("bdi", { class: "chat-name" }, message.user.name || t("chat.nameless")), h("bdi", null, message.text));
  }

  async run() {
    fill(app(), this.view);
    try {
      await Promise.all([ensure(), this.store.first()]);
    } catch (error) {
      fill(this.view, this.heading, failure(asProblem(error).words, () => location.reload()));
      return;
    }
    this.listen();
    this.store.subscribe();
    this.store.socket.open();
  }
}

void begin("overlay.page", () => new Overlay().run());
