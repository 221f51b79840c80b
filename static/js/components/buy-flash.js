// @ts-check
/** Buying from a flash sale: its price, its limit, its countdown. For testids see buy-sheet.js. */

import { clock } from "../clock.js";
import { money } from "../format.js";
import { h } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { buy } from "../buying.js";
import { phase } from "../room-state.js";
import { BuySheet, facts } from "./buy-sheet.js";
import { countDown } from "./count-down.js";
import { picture } from "./product-bits.js";

/** @typedef {import("../types.js").FlashSale} FlashSale */
/** @typedef {import("../types.js").Order} Order */
/** @typedef {import("../room-store.js").RoomStore} RoomStore */

/**
 * Opens the sheet of a sale.
 *
 * @param {RoomStore} store @param {string} saleId @param {(order: Order) => void} onOrder
 */
export function openFlashSheet(store, saleId, onOrder) {
  new FlashSheet(store, saleId, onOrder).open();
}

class FlashSheet extends BuySheet {
  /** @param {RoomStore} store @param {string} saleId @param {(order: Order) => void} onOrder */
  constructor(store, saleId, onOrder) {
    super(store, onOrder, { title: t("buy.title"), testid: "buy-sheet" });
    this.saleId = saleId;
  }

  /** @returns {FlashSale|undefined} */
  get sale() {
    return this.store.state.flash_sales.find((sale) => sale.id === this.saleId);
  }

  get product() {
    return this.store.state.shelf.find((item) => item.id === this.sale?.product_id);
  }

  get offer() {
    const { sale } = this;
    if (!sale) return null;
    const { price_cents, list_price_cents, currency } = sale;
    const most = Math.max(1, sale.per_buyer_limit);
    return {
      price_cents,
      list_price_cents,
      currency,
      most,
      note: most === 1 ? t("buy.limit_one") : t("buy.limit", { n: most }),
      account: sale.buyers === "account",
      holdMinutes: Math.max(1, Math.round(sale.hold_seconds / 60)),
      drawnBy: `${price_cents} ${sale.ends_at} ${sale.starts_at} ${most}`,
    };
  }

  status() {
    const sale = /** @type {FlashSale} */ (this.sale);
    const at = phase(sale, clock.now());
    const words = {
      upcoming: t("flash.upcoming"),
      paused: t("flash.paused"),
      open: t("buy.confirm", { amount: money(sale.price_cents * this.quantity, sale.currency) }),
      sold_out: t("flash.gone"),
      ended: t("flash.over"),
      cancelled: t("flash.over"),
    }[at];
    return { open: at === "open", hopeful: at === "upcoming" || at === "paused", words };
  }

  head() {
    const sale = /** @type {FlashSale} */ (this.sale);
    const pauses = Boolean(sale.paused_at);
    const opens = clock.now() < Date.parse(sale.starts_at);
    const timer = countDown(Date.parse(opens ? sale.starts_at : sale.ends_at));
    return [
      picture(this.product || sale, "large"),
      h(
        "div",
        { class: "stack tight" },
        h("p", { class: "buy-title" }, sale.title),
        this.price,
        pauses ? h("p", { class: "buy-clock" }, icon("clock"), t("flash.pauses")) : h("p", { class: "buy-clock" }, icon("clock"), opens ? t("flash.starts_in") : t("flash.ends_in"), " ", timer, h("span", { class: "soft small" }, t("buy.server_clock"))),
      ),
    ];
  }

  details() {
    return [this.product ? facts(this.product) : null];
  }

  /** @param {string} user */
  send(user) {
    return buy({ sale: this.saleId, quantity: this.quantity, user, room: this.store.id }, this.store.socket);
  }

  doneTitle() {
    return t("buy.done");
  }
}
