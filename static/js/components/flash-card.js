// @ts-check
/**
 * `<flash-card>`: one flash sale with its countdown by the server's clock and one clear button.
 *
 * Fires `buy`, `order` (show my order), `join` and `leave` (the waiting list). `data-phase` is
 * as in room-state.js; `data-sale` its id.
 *
 * testids: flash-card, flash-price, flash-left, flash-countdown, flash-words, buy-button, order-button,
 * waitlist-join, waitlist-leave, waitlist-position
 */

import { clock } from "../clock.js";
import { count } from "../format.js";
import { fill, h, icon } from "../h.js";
import { t } from "../i18n.js";
import { OPEN_STATES } from "../orders-api.js";
import { phase } from "../room-state.js";
import { onTick } from "../ticker.js";
import { countDown } from "./count-down.js";
import { picture, priceBlock } from "./product-bits.js";

/** @typedef {import("../types.js").FlashSale} FlashSale */
/** @typedef {import("../types.js").Order} Order */
/** @typedef {import("../types.js").Place} Place */

export class FlashCard extends HTMLElement {
  constructor() {
    super();
    /** @type {FlashSale|null} */
    this.sale = null;
    /** @type {Order|null} */
    this.order = null;
    /** @type {Place|null} */
    this.place = null;
    this.drawn = "";
    this.stop = () => {};
    this.left = h("span", { class: "flash-left digits", testid: "flash-left" });
    this.meter = h("span", { class: "meter-fill" });
    this.words = h("p", { class: "flash-words", testid: "flash-words", role: "status" });
    this.action = h("div", { class: "flash-action" });
    this.tag = h("div", { class: "flash-tag" });
    this.face = h("div", { class: "flash-face" });
  }

  connectedCallback() {
    this.setAttribute("data-testid", "flash-card");
    this.stop = onTick(() => this.draw());
    if (!this.firstChild) this.append(this.tag, this.face, this.words);
    this.draw();
  }

  disconnectedCallback() {
    this.stop();
  }

  /**
   * @param {FlashSale} sale @param {{image_url?: string|null, title: string}|null} product
   * @param {Order|null} order mine, of this sale @param {Place|null} [place] mine in its waiting list
   */
  show(sale, product, order, place = null) {
    if (sale.id !== this.sale?.id || sale.title !== this.sale?.title || sale.price_cents !== this.sale?.price_cents) {
      fill(
        this.face,
        picture(product || sale, "medium"),
        h(
          "div",
          { class: "flash-about" },
          h("p", { class: "flash-title" }, sale.title),
          priceBlock(sale, "flash-price"),
          h("div", { class: "flash-stock" }, h("span", { class: "meter", "aria-hidden": "true" }, this.meter), this.left),
        ),
        this.action,
      );
    }
    this.sale = sale;
    this.order = order;
    this.place = place;
    this.dataset.sale = sale.id;
    this.dataset.version = String(sale.version);
    const part = sale.units_total ? Math.max(0, sale.units_left) / sale.units_total : 0;
    this.meter.style.width = `${part * 100}%`;
    fill(this.left, t("flash.left", { n: count(sale.units_left), total: count(sale.units_total) }));
    this.dataset.left = String(sale.units_left);
    this.draw();
  }

  /** Draws what depends on time; cheap while nothing changed. */
  draw() {
    const { sale } = this;
    if (!sale) return;
    const at = phase(sale, clock.now());
    const state = `${sale.id} ${at} ${sale.starts_at} ${sale.ends_at} ${this.order?.id} ${this.order?.state} ${this.place?.state} ${this.place?.position}`;
    if (state === this.drawn) return;
    this.drawn = state;
    this.dataset.phase = at;
    this.drawTag(sale, at);
    this.drawAction(sale, at);
  }

  /** @param {FlashSale} sale @param {ReturnType<typeof phase>} at */
  drawTag(sale, at) {
    const label = h("span", { class: "flash-label" }, icon("bolt"), t("flash.label"));
    if (at === "upcoming") {
      fill(this.tag, label, h("span", { class: "flash-clock" }, t("flash.starts_in"), countDown(Date.parse(sale.starts_at), "flash-countdown")));
    } else if (at === "open") {
      fill(this.tag, label, h("span", { class: "flash-clock" }, t("flash.ends_in"), countDown(Date.parse(sale.ends_at), "flash-countdown")));
    } else {
      fill(this.tag, label);
    }
  }

  /** @param {FlashSale} sale @param {ReturnType<typeof phase>} at */
  drawAction(sale, at) {
    const mine = this.order && (OPEN_STATES.has(this.order.state) || ["paid", "shipped", "completed"].includes(this.order.state));
    if (mine && this.order) {
      this.drawOrder(this.order);
      return;
    }
    if (at === "sold_out") {
      this.drawLine(sale);
      return;
    }
    const words = {
      upcoming: t("flash.upcoming"),
      open: sale.tried ? t("rehearsal.sale") : "",
      paused: t("flash.paused"),
      ended: t("flash.ended"),
      cancelled: t("flash.cancelled"),
    }[at];
    fill(this.words, words);
    this.words.hidden = !words;
    const button = h(
      "button",
      { type: "button", class: "button buy", testid: "buy-button", disabled: at !== "open" || sale.tried, on: { click: () => this.dispatchEvent(new CustomEvent("buy", { detail: sale.id })) } },
      at === "open" ? t("flash.buy") : at === "upcoming" ? t("flash.soon") : at === "paused" ? t("flash.pauses") : t("flash.over"),
    );
    fill(this.action, button);
  }

  /** Sold out: one may stand in line for what comes back. @param {FlashSale} sale */
  drawLine(sale) {
    const missed = this.missedTurn();
    const waits = !missed && this.place?.state === "waiting" && this.place.position;
    fill(
      this.words,
      waits ? h("strong", { class: "line-place", testid: "waitlist-position" }, t("line.place", { n: count(Number(waits)) })) : null,
      h("span", null, waits ? t("line.waiting") : missed ? t("line.missed") : this.place?.state === "passed" ? t("line.passed") : t("flash.sold_out")),
    );
    this.words.hidden = false;
    const tell = (/** @type {string} */ what) => () => this.dispatchEvent(new CustomEvent(what, { detail: sale.id }));
    fill(
      this.action,
      waits
        ? h("button", { type: "button", class: "button", testid: "waitlist-leave", on: { click: tell("leave") } }, t("line.leave"))
        : h("button", { type: "button", class: "button buy", testid: "waitlist-join", on: { click: tell("join") } }, t("line.join")),
    );
  }

  /** Whether what was held at my turn went on to the next, and I have not lined up again since. */
  missedTurn() {
    const { order, place } = this;
    if (order?.source !== "waitlist" || order.state !== "expired") return false;
    return !place?.joined_at || place.joined_at <= order.created_at;
  }

  /** @param {Order} order */
  drawOrder(order) {
    const waits = order.state === "reserved";
    const held = order.source === "waitlist" ? t("line.turn") : t("flash.mine_reserved");
    fill(this.words, icon("check"), waits ? held : t("flash.mine_paid"));
    if (waits && order.expires_at) this.words.append(" ", countDown(Date.parse(order.expires_at)));
    this.words.hidden = false;
    fill(
      this.action,
      h(
        "button",
        { type: "button", class: "button buy", testid: "order-button", on: { click: () => this.dispatchEvent(new CustomEvent("order", { detail: order.id })) } },
        waits ? t("flash.pay") : t("flash.see_order"),
      ),
    );
  }
}

customElements.define("flash-card", FlashCard);
