// @ts-check
/**
 * The sheet in which one buys: price, quantity, terms and seller, then the order with its deadline.
 * Refusals stay in the sheet, in words.
 *
 * testids: buy-sheet, buy-price, buy-quantity, buy-less, buy-more, buy-confirm, buy-problem, buy-login,
 * order-card (after it), orders-link
 */

import { asProblem } from "../api.js";
import { clock } from "../clock.js";
import { money } from "../format.js";
import { fill, h, icon } from "../h.js";
import { t } from "../i18n.js";
import { reserve } from "../orders-api.js";
import { phase } from "../room-state.js";
import { ensure, isAccount, me, signInAddress } from "../session.js";
import { onTick } from "../ticker.js";
import { countDown } from "./count-down.js";
import { orderCard } from "./order-card.js";
import { picture, priceBlock } from "./product-bits.js";
import { makeSheet } from "./sheet.js";

/** @typedef {import("../types.js").FlashSale} FlashSale */
/** @typedef {import("../types.js").Order} Order */
/** @typedef {import("../room-store.js").RoomStore} RoomStore */

/**
 * Opens the sheet of a sale.
 *
 * @param {RoomStore} store @param {string} saleId @param {(order: Order) => void} onOrder
 */
export function openBuySheet(store, saleId, onOrder) {
  const view = new BuySheet(store, saleId, onOrder);
  view.sheet.open();
  view.draw();
}

/** Shows an order in a sheet. @param {Order} order @param {(order: Order) => void} onOrder */
export function openOrderSheet(order, onOrder) {
  const sheet = makeSheet({ title: t("buy.order_title"), testid: "order-sheet" });
  fill(sheet.body, ...orderView(order, onOrder));
  sheet.open();
}

/** @param {Order} order @param {(order: Order) => void} onOrder */
function orderView(order, onOrder) {
  const card = orderCard(order);
  card.addEventListener("order", (event) => onOrder(/** @type {CustomEvent} */ (event).detail));
  return [card, h("a", { href: "/orders", class: "button block", testid: "orders-link" }, t("buy.all_orders"))];
}

class BuySheet {
  /** @param {RoomStore} store @param {string} saleId @param {(order: Order) => void} onOrder */
  constructor(store, saleId, onOrder) {
    this.store = store;
    this.saleId = saleId;
    this.onOrder = onOrder;
    this.quantity = 1;
    this.sending = false;
    this.ordered = false;
    this.onState = () => this.draw();
    store.addEventListener("state", this.onState);
    this.stop = onTick(() => this.drawButton());
    this.sheet = makeSheet({
      title: t("buy.title"),
      testid: "buy-sheet",
      onClose: () => {
        this.stop();
        store.removeEventListener("state", this.onState);
      },
    });
    this.price = h("div", { class: "buy-price", testid: "buy-price" });
    this.number = h("output", { class: "digits", testid: "buy-quantity" }, "1");
    this.problem = h("p", { class: "problem", role: "alert", hidden: true, testid: "buy-problem" });
    this.confirm = h("button", { type: "button", class: "button primary block big", testid: "buy-confirm", on: { click: () => this.buy() } });
    this.drawn = "";
  }

  /** @returns {FlashSale|undefined} */
  get sale() {
    return this.store.state.flash_sales.find((sale) => sale.id === this.saleId);
  }

  draw() {
    const { sale } = this;
    if (!sale || this.ordered) return;
    const key = `${sale.price_cents} ${sale.ends_at} ${sale.starts_at}`;
    if (key !== this.drawn) {
      const priceChanged = this.drawn !== "" && !this.drawn.startsWith(`${sale.price_cents} `);
      this.drawn = key;
      this.layOut(sale);
      if (priceChanged) this.say(t("buy.price_changed"));
    }
    this.drawButton();
  }

  /** @param {FlashSale} sale */
  layOut(sale) {
    const product = this.store.state.shelf.find((item) => item.id === sale.product_id);
    const opens = clock.now() < Date.parse(sale.starts_at);
    fill(this.price, priceBlock(sale), h("span", { class: "soft small" }, t("buy.price_note")));
    fill(
      this.sheet.body,
      h(
        "div",
        { class: "buy-head" },
        picture(product || sale, "large"),
        h(
          "div",
          { class: "stack tight" },
          h("p", { class: "buy-title" }, sale.title),
          this.price,
          h("p", { class: "buy-clock" }, icon("clock"), opens ? t("flash.starts_in") : t("flash.ends_in"), " ", countDown(Date.parse(opens ? sale.starts_at : sale.ends_at)), h("span", { class: "soft small" }, t("buy.server_clock"))),
        ),
      ),
      this.stepper(sale),
      product ? facts(product, sale) : null,
      this.problem,
      this.needsAccount(sale) ? this.signIn() : this.confirm,
      h("p", { class: "soft small centre" }, t("buy.hold", { n: Math.max(1, Math.round(sale.hold_seconds / 60)) })),
    );
  }

  /** @param {FlashSale} sale */
  stepper(sale) {
    if (sale.per_buyer_limit <= 1) return h("p", { class: "soft" }, t("buy.limit_one"));
    const step = (/** @type {number} */ by) => () => {
      this.quantity = Math.min(sale.per_buyer_limit, Math.max(1, this.quantity + by));
      this.number.textContent = String(this.quantity);
      this.drawButton();
    };
    return h(
      "div",
      { class: "stepper-row" },
      h("span", null, t("buy.quantity"), " ", h("span", { class: "soft small" }, t("buy.limit", { n: sale.per_buyer_limit }))),
      h(
        "span",
        { class: "stepper" },
        h("button", { type: "button", class: "icon-button", testid: "buy-less", "aria-label": t("buy.less"), on: { click: step(-1) } }, icon("minus")),
        this.number,
        h("button", { type: "button", class: "icon-button", testid: "buy-more", "aria-label": t("buy.more"), on: { click: step(1) } }, icon("plus")),
      ),
    );
  }

  /** @param {FlashSale} sale */
  needsAccount(sale) {
    return sale.buyers === "account" && !isAccount();
  }

  signIn() {
    return h("a", { class: "button primary block big", href: signInAddress(), testid: "buy-login" }, t("buy.sign_in"));
  }

  drawButton() {
    const { sale } = this;
    if (!sale || this.ordered || this.sending) return;
    const at = phase(sale, clock.now());
    const words = {
      upcoming: t("flash.upcoming"),
      open: t("buy.confirm", { amount: money(sale.price_cents * this.quantity, sale.currency) }),
      sold_out: t("flash.gone"),
      ended: t("flash.over"),
      cancelled: t("flash.over"),
    }[at];
    this.confirm.disabled = at !== "open";
    if (this.confirm.textContent !== words) this.confirm.textContent = words;
  }

  /** @param {string} words */
  say(words) {
    this.problem.hidden = false;
    fill(this.problem, words);
  }

  async buy() {
    const { sale } = this;
    if (!sale || this.sending) return;
    this.sending = true;
    this.problem.hidden = true;
    this.confirm.disabled = true;
    this.confirm.textContent = t("buy.sending");
    try {
      const who = me() || (await ensure());
      const order = await reserve({ sale: sale.id, quantity: this.quantity, user: who.user, room: this.store.id }, this.store.socket);
      this.ordered = true;
      this.onOrder(order);
      this.sheet.retitle(t("buy.done"));
      fill(this.sheet.body, h("p", { class: "good-news", role: "status" }, icon("check"), t("buy.done_text")), ...orderView(order, this.onOrder));
    } catch (error) {
      this.refused(asProblem(error));
    } finally {
      this.sending = false;
      this.drawButton();
    }
  }

  /** @param {import("../api.js").Problem} problem */
  refused(problem) {
    if (problem.name === "unauthorized" || (problem.name === "forbidden" && !isAccount())) {
      this.confirm.replaceWith(this.signIn());
    }
    this.say(problem.temporary ? t("buy.unknown", { words: problem.words }) : problem.words);
  }
}

/** What the law and fairness want beside a price. @param {import("../types.js").Product} product @param {FlashSale} sale */
function facts(product, sale) {
  const rows = /** @type {[string, string][]} */ ([
    [t("product.seller"), product.seller_name],
    [t("product.description"), product.description],
    [t("product.terms"), product.terms],
    [t("product.sku"), sale.sku],
  ]).filter(([, text]) => text);
  return h("dl", { class: "facts" }, rows.map(([name, text]) => h("div", null, h("dt", null, name), h("dd", null, text))));
}
