// @ts-check
/**
 * A product of the shelf: what it is, and buying it at its ordinary price. While a flash sale of it
 * runs, the button leads there. In the page of a shop with a cart, it goes there instead.
 *
 * testids: product-sheet, product-stock, coupon-open, coupon-code; see buy-sheet.js
 */

import { asProblem } from "../api.js";
import { host } from "../bearer.js";
import { count, money } from "../format.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { buy } from "../buying.js";
import { isRehearsing } from "../room-state.js";
import { BuySheet, facts } from "./buy-sheet.js";
import { field, picture } from "./product-bits.js";
import { openSale } from "./shelf-view.js";
import { toast } from "./toast.js";

/** @typedef {import("../types.js").Order} Order */
/** @typedef {import("../types.js").ShelfItem} ShelfItem */
/** @typedef {import("../room-store.js").RoomStore} RoomStore */

/** One press buys at most this many: more is a typing error, or a wholesale order. */
const MOST = 99;
/** How long the server keeps an unpaid order of the shelf, in minutes. */
const HOLD_MINUTES = 15;

/**
 * Opens the sheet of a product.
 *
 * @param {RoomStore} store @param {string} product id
 * @param {{onOrder: (order: Order) => void, onSale: (sale: string) => void}} then
 */
export function openProductSheet(store, product, then) {
  const item = store.state.shelf.find((one) => one.id === product);
  if (item) new ProductSheet(store, item, then).open();
}

class ProductSheet extends BuySheet {
  /**
   * @param {RoomStore} store @param {ShelfItem} item
   * @param {{onOrder: (order: Order) => void, onSale: (sale: string) => void}} then
   */
  constructor(store, item, { onOrder, onSale }) {
    super(store, onOrder, { title: item.title, testid: "product-sheet" });
    this.item = item;
    this.onSale = onSale;
    this.code = h("input", { type: "text", maxLength: 64, autocomplete: "off", autocapitalize: "none", spellcheck: false, enterkeyhint: "done", testid: "coupon-code" });
    this.coupon = h("details", { class: "more" }, h("summary", { testid: "coupon-open" }, t("buy.coupon_have")), field(t("buy.coupon_code"), this.code));
  }

  /** The product as it is on the shelf now; null when it was taken off. */
  get product() {
    return this.store.state.shelf.find((one) => one.id === this.item.id) || null;
  }

  get sale() {
    return openSale(this.store.state.flash_sales, this.item.id);
  }

  get offer() {
    const product = this.product || this.item;
    const { price_cents, list_price_cents, currency } = product;
    return {
      price_cents,
      list_price_cents,
      currency,
      most: Math.min(MOST, Math.max(2, product.stock)), // at least 2, so that the stepper stays in place
      note: this.product && product.stock > 0 ? t("product.stock", { n: count(product.stock) }) : t("product.no_stock"),
      account: false, // the server says so where guests may not buy
      holdMinutes: HOLD_MINUTES,
      drawnBy: JSON.stringify({ ...product, stock: 0, number: 0 }),
    };
  }

  status() {
    if (this.sale) return { open: true, hopeful: false, words: t("shelf.flash_now", { price: money(this.sale.price_cents, this.sale.currency) }) };
    const { product } = this;
    if (!product) return { open: false, hopeful: false, words: t("shelf.gone") };
    if (product.stock <= 0) return { open: false, hopeful: false, words: t("product.no_stock") };
    if (isRehearsing(this.store.state)) return { open: false, hopeful: false, words: t("rehearsal.no_sale") };
    const enough = this.quantity <= product.stock;
    const amount = money(product.price_cents * this.quantity, product.currency);
    return { open: enough, hopeful: false, words: host()?.hasCart ? t("buy.to_cart", { amount }) : t("buy.confirm_shelf", { amount }) };
  }

  head() {
    const product = this.product || this.item;
    return [picture(product, "large"), h("div", { class: "stack tight" }, this.price)];
  }

  details() {
    return [host()?.hasCart ? null : this.coupon, facts(this.product || this.item)];
  }

  /** @param {import("./buy-sheet.js").Offer} offer */
  layOut(offer) {
    super.layOut(offer);
    if (host()?.hasCart) fill(this.hold, t("buy.cart_note"));
  }

  press() {
    const { sale } = this;
    if (!sale) {
      void (host()?.hasCart ? this.toCart() : this.buy());
      return;
    }
    this.sheet.close();
    this.onSale(sale.id);
  }

  /** Hands it to the shop's own cart. Nothing is ordered here. */
  async toCart() {
    const { product } = this;
    const { room } = this.store.state;
    if (!product || !room || this.sending) return;
    this.sending = true;
    this.problem.hidden = true;
    this.confirm.disabled = true;
    try {
      await host()?.put(product, this.quantity, room);
      this.sheet.close();
      toast(t("buy.in_cart", { title: product.title }), "good");
    } catch (error) {
      this.say(asProblem(error).detail || t("buy.cart_failed"));
    } finally {
      this.sending = false;
      this.drawButton();
    }
  }

  /** @param {string} user */
  send(user) {
    const coupon = this.code.value.trim();
    return buy({ product: this.item.id, quantity: this.quantity, user, room: this.store.id, ...(coupon ? { coupon } : {}) }, this.store.socket);
  }

  doneTitle() {
    return t("buy.ordered");
  }

  /** Says of a coupon what is wrong with it. @param {import("../api.js").Problem} problem */
  explain(problem) {
    if (!this.code.value.trim() || !problem.detail.includes("coupon")) return problem.words;
    const words = /** @type {Record<string, string>} */ ({
      "not-found": t("buy.coupon_unknown"),
      "not-started": t("buy.coupon_soon"),
      ended: t("buy.coupon_ended"),
      "limit-exceeded": t("buy.coupon_used"),
      "sold-out": t("buy.coupon_spent"),
      validation: t("buy.coupon_unfit"),
    });
    return words[problem.name] || problem.words;
  }
}
