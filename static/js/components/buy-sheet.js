// @ts-check
/**
 * The sheet in which one buys: price, quantity, terms and seller, then the order with its deadline.
 * Refusals stay in the sheet, in words. What is bought, a flash sale or a product of the shelf, is
 * said by the classes made of this one.
 *
 * testids: buy-sheet | product-sheet, buy-price, buy-quantity, buy-less, buy-more, buy-confirm,
 * buy-hold, buy-problem, buy-login, order-card (after it), order-news, orders-link
 */

import { asProblem } from "../api.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { ensure, isAccount, me } from "../session.js";
import { onTick } from "../ticker.js";
import { orderCard } from "./order-card.js";
import { priceBlock } from "./product-bits.js";
import { makeSheet } from "./sheet.js";
import { ordersWay, signInWay } from "./ways.js";

/** @typedef {import("../types.js").Order} Order */
/** @typedef {import("../room-store.js").RoomStore} RoomStore */
/** @typedef {import("../h.js").Child} Child */

/**
 * What one may buy now: `most` is the greatest quantity, `note` says why, `hold` how long it is held.
 *
 * @typedef {{price_cents: number, list_price_cents: number|null, currency: string, most: number,
 *   note: string, account: boolean, holdMinutes: number, drawnBy: string}} Offer
 */

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
  return [card, ordersWay({ class: "button block", testid: "orders-link" }, t("buy.all_orders"))];
}

export class BuySheet {
  /** @param {RoomStore} store @param {(order: Order) => void} onOrder @param {{title: string, testid: string}} face */
  constructor(store, onOrder, { title, testid }) {
    this.store = store;
    this.onOrder = onOrder;
    this.quantity = 1;
    this.sending = false;
    this.ordered = false;
    this.onState = () => this.draw();
    store.addEventListener("state", this.onState);
    this.stop = onTick(() => this.drawButton());
    this.sheet = makeSheet({
      title,
      testid,
      onClose: () => {
        this.stop();
        store.removeEventListener("state", this.onState);
      },
    });
    this.price = h("div", { class: "buy-price", testid: "buy-price" });
    this.number = h("output", { class: "digits", testid: "buy-quantity" }, "1");
    this.note = h("span", { class: "soft small" });
    this.problem = h("p", { class: "problem", role: "alert", hidden: true, testid: "buy-problem" });
    this.confirm = h("button", { type: "button", class: "button primary block big", testid: "buy-confirm", on: { click: () => this.press() } });
    this.hold = h("p", { class: "soft small centre", testid: "buy-hold" });
    this.drawn = "";
    /** @type {number|null} */
    this.shownPrice = null;
  }

  open() {
    this.sheet.open();
    this.draw();
  }

  /* said by the classes made of this one */

  /** What is for sale; null when it is gone. @returns {Offer|null} */
  get offer() {
    return null;
  }

  /** Whether it can be bought now, whether it may be soon, and what the button says. @returns {{open: boolean, hopeful: boolean, words: string}} */
  status() {
    return { open: false, hopeful: false, words: "" };
  }

  /** Picture, name, price. @returns {Child[]} */
  head() {
    return [];
  }

  /** What stands between quantity and button. @returns {Child[]} */
  details() {
    return [];
  }

  /** Sends the wish. @param {string} _user @returns {Promise<Order>} */
  send(_user) {
    return Promise.reject(new Error("nothing is for sale"));
  }

  /** The title once it is ordered. @returns {string} */
  doneTitle() {
    return "";
  }

  /** A refusal in words. @param {import("../api.js").Problem} problem */
  explain(problem) {
    return problem.words;
  }

  press() {
    void this.buy();
  }

  /* the same for all */

  draw() {
    const { offer } = this;
    if (!offer || this.ordered) return;
    if (offer.drawnBy !== this.drawn) {
      const priceChanged = this.shownPrice !== null && this.shownPrice !== offer.price_cents;
      this.drawn = offer.drawnBy;
      this.shownPrice = offer.price_cents;
      this.layOut(offer);
      if (priceChanged) this.say(t("buy.price_changed"));
    }
    this.note.textContent = offer.note;
    this.step(0);
  }

  /** @param {Offer} offer */
  layOut(offer) {
    fill(this.price, priceBlock(offer), offer.list_price_cents ? h("span", { class: "soft small" }, t("buy.price_note")) : null);
    fill(this.hold, t("buy.hold", { n: offer.holdMinutes }));
    fill(
      this.sheet.body,
      h("div", { class: "buy-head" }, ...this.head()),
      this.stepper(offer),
      ...this.details(),
      this.problem,
      offer.account && !isAccount() ? this.signIn() : this.confirm,
      this.hold,
    );
  }

  /** @param {Offer} offer */
  stepper(offer) {
    if (offer.most <= 1) return h("p", null, this.note);
    const button = (/** @type {number} */ by) =>
      h("button", { type: "button", class: "icon-button", testid: by < 0 ? "buy-less" : "buy-more", "aria-label": by < 0 ? t("buy.less") : t("buy.more"), on: { click: () => this.step(by) } }, icon(by < 0 ? "minus" : "plus"));
    return h("div", { class: "stepper-row" }, h("span", null, t("buy.quantity"), " ", this.note), h("span", { class: "stepper" }, button(-1), this.number, button(1)));
  }

  /** @param {number} by */
  step(by) {
    this.quantity = Math.max(1, Math.min(this.offer?.most || 1, this.quantity + by));
    if (this.number.textContent !== String(this.quantity)) this.number.textContent = String(this.quantity);
    this.drawButton();
  }

  signIn() {
    return signInWay({ class: "button primary block big", testid: "buy-login" }, t("buy.sign_in"));
  }

  drawButton() {
    if (this.ordered || this.sending || !this.offer) return;
    const { open, hopeful, words } = this.status();
    this.confirm.disabled = !open;
    this.hold.hidden = !open && !hopeful;
    if (this.confirm.textContent !== words) this.confirm.textContent = words;
  }

  /** @param {string} words */
  say(words) {
    this.problem.hidden = false;
    fill(this.problem, words);
  }

  async buy() {
    if (!this.offer || this.sending) return;
    this.sending = true;
    this.problem.hidden = true;
    this.confirm.disabled = true;
    this.confirm.textContent = t("buy.sending");
    try {
      const who = me() || (await ensure());
      const order = await this.send(who.user);
      this.ordered = true;
      this.onOrder(order);
      this.showOrder(order);
    } catch (error) {
      this.refused(asProblem(error));
    } finally {
      this.sending = false;
      this.drawButton();
    }
  }

  /** The order in place of the offer; what stands above it follows its state. @param {Order} order */
  showOrder(order) {
    const news = h("p", { class: "good-news", role: "status", testid: "order-news" });
    const tell = (/** @type {Order} */ now) => {
      const words = { reserved: t("buy.done_text"), paid: t("buy.paid_text") }[now.state] || "";
      news.hidden = !words;
      fill(news, icon("check"), words);
      this.sheet.retitle(words ? this.doneTitle() : t("buy.order_title"));
    };
    const view = orderView(order, this.onOrder);
    view[0].addEventListener("shown", (event) => tell(/** @type {CustomEvent} */ (event).detail));
    tell(order);
    fill(this.sheet.body, news, ...view);
  }

  /** @param {import("../api.js").Problem} problem */
  refused(problem) {
    if (problem.name === "unauthorized" || (problem.name === "forbidden" && !isAccount())) {
      this.confirm.replaceWith(this.signIn());
    }
    this.say(problem.temporary ? t("buy.unknown", { words: problem.words }) : this.explain(problem));
  }
}

/** What the law and fairness want beside a price. @param {import("../types.js").Product} product */
export function facts(product) {
  const rows = /** @type {[string, string][]} */ ([
    [t("product.seller"), product.seller_name],
    [t("product.description"), product.description],
    [t("product.terms"), product.terms],
    [t("product.sku"), product.sku],
  ]).filter(([, text]) => text);
  return h("dl", { class: "facts" }, rows.map(([name, text]) => h("div", null, h("dt", null, name), h("dd", null, text))));
}
