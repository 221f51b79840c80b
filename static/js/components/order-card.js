// @ts-check
/**
 * `<order-card>`: one order of the buyer, with its deadline and what can be done.
 *
 * Fires `order` (detail: the changed order) after what was done here, `shown` (detail: the order)
 * whenever another state of it shows. `data-order` is its id, `data-state` its state.
 *
 * testids: order-card, order-state, order-amount, order-hint, order-discount, order-refunded,
 * order-shipment, order-deadline, order-pay, order-cancel, order-problem
 */

import { explain } from "../api.js";
import { cancel, isPayable, pay } from "../buying.js";
import { clock } from "../clock.js";
import { config } from "../config.js";
import { money } from "../format.js";
import { dateTime } from "../format-more.js";
import { fill, h, isSafeUrl } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { DeliveryPlace } from "./delivery-form.js";
import { countDown } from "./count-down.js";
import { busy, chip } from "./product-bits.js";
import { ask } from "./sheet.js";

/** @typedef {import("../types.js").Order} Order */

/** state -> [words, kind of chip] */
export function orderState(/** @type {string} */ state) {
  const known = /** @type {Record<string, [string, string]>} */ ({
    reserved: [t("order.reserved"), "warn"],
    pending_payment: [t("order.pending_payment"), "warn"],
    payment_unknown: [t("order.payment_unknown"), "warn"],
    paid: [t("order.paid"), "good"],
    shipped: [t("order.shipped"), "good"],
    completed: [t("order.completed"), "good"],
    refunding: [t("order.refunding"), "warn"],
    refunded: [t("order.refunded"), ""],
    expired: [t("order.expired"), ""],
    cancelled: [t("order.cancelled"), ""],
  });
  return known[state] || [state, ""];
}

/** What a state means for the buyer, where its name does not say it all; "" where it does. @param {Order} order */
function hint(order) {
  const known = /** @type {Record<string, string>} */ ({
    pending_payment: t("order.hint_pending"),
    payment_unknown: t("order.hint_unknown"),
    expired: t("order.hint_expired"),
    paid: t("order.hint_paid"),
    refunding: t("order.hint_refunding"),
  });
  if (order.state === "paid" && order.replaces) return t("order.hint_replaces");
  return known[order.state] || "";
}

/** Coupon and refunds, below the lines. @param {Order} order */
export function sums(order) {
  const row = (/** @type {string} */ name, /** @type {string} */ amount, /** @type {string} */ testid) =>
    h("p", { class: "order-part", testid }, h("span", null, name), h("span", { class: "digits" }, amount));
  const { currency, coupon } = order;
  return [
    order.discount_cents ? row(coupon ? t("order.coupon", { code: coupon.code }) : t("order.discount"), `−${money(order.discount_cents, currency)}`, "order-discount") : null,
    h("p", { class: "order-sum" }, h("span", null, t("order.total")), h("strong", { class: "price digits", testid: "order-amount" }, money(order.amount_cents, currency))),
    order.refunded_cents ? row(order.refunded_cents < order.amount_cents ? t("order.refunded_part") : t("order.refunded_all"), money(order.refunded_cents, currency), "order-refunded") : null,
  ];
}

/** Who carries it and how it is followed. @param {Order} order */
export function shipment(order) {
  const parcel = order.shipment;
  if (!parcel) return null;
  const about = [
    [t("order.carrier"), parcel.carrier ? h("bdi", null, parcel.carrier) : null],
    [t("order.tracking"), parcel.tracking ? h("code", { class: "break" }, parcel.tracking) : null],
    [t("order.shipped_at"), parcel.shipped_at ? dateTime(parcel.shipped_at) : null],
  ].filter(([, value]) => value);
  return h("dl", { class: "facts", testid: "order-shipment" }, about.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
}

export class OrderCard extends HTMLElement {
  constructor() {
    super();
    /** @type {Order|null} */
    this.order = null;
    this.drawn = "";
    this.problem = h("p", { class: "problem", role: "alert", hidden: true, testid: "order-problem" });
    this.delivery = new DeliveryPlace();
  }

  /**
   * @param {Order} order one not newer than the shown one changes nothing: the same news arrives by
   *   answer and by channel, and a button that is being pressed must not be replaced
   */
  show(order) {
    if (this.order && this.order.id === order.id && order.sequence < this.order.sequence) return;
    const drawn = `${order.id} ${order.sequence} ${isPayable(order, clock.now())}`;
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.order = order;
    this.setAttribute("data-testid", "order-card");
    this.dataset.order = order.id;
    this.dataset.state = order.state;
    const [words, kind] = orderState(order.state);
    const more = hint(order);
    fill(
      this,
      h("div", { class: "order-head" }, chip(words, kind, "order-state", order.state), h("span", { class: "soft small" }, dateTime(order.created_at))),
      h("ul", { class: "order-lines" }, orderLines(order)),
      sums(order),
      more ? h("p", { class: "soft small", testid: "order-hint" }, more) : null,
      this.delivery.element,
      shipment(order),
      this.deadline(order),
      this.problem,
      this.actions(order),
      h("p", { class: "soft small order-id" }, t("order.number"), " ", h("code", { testid: "order-id" }, order.id)),
    );
    this.delivery.follow(order);
    this.dispatchEvent(new CustomEvent("shown", { detail: order }));
  }

  /** @param {Order} order */
  deadline(order) {
    if (order.state !== "reserved" || !order.expires_at) return null;
    const timer = countDown(Date.parse(order.expires_at), "order-deadline");
    timer.addEventListener("done", () => this.order && this.show(this.order));
    if (!isPayable(order, clock.now())) return h("p", { class: "deadline late" }, icon("clock"), t("order.deadline_over"));
    return h("p", { class: "deadline" }, icon("clock"), t("order.deadline"), " ", timer);
  }

  /** @param {Order} order */
  actions(order) {
    if (!isPayable(order, clock.now())) return null;
    const payButton = h("button", { type: "button", class: "button primary", testid: "order-pay" }, t("order.pay"));
    payButton.addEventListener("click", () => this.run(payButton, () => pay(order.id)));
    const cancelButton = h("button", { type: "button", class: "button", testid: "order-cancel" }, t("order.cancel"));
    cancelButton.addEventListener("click", async () => {
      const sure = await ask({ title: t("order.cancel_sure"), text: t("order.cancel_text"), yes: t("order.cancel_yes"), danger: true });
      if (sure) await this.run(cancelButton, () => cancel(order.id));
    });
    const out = order.checkout_url && isSafeUrl(order.checkout_url);
    return h(
      "div",
      { class: "actions" },
      cancelButton,
      !out && !config().payments.length ? h("p", { class: "soft small", testid: "order-no-payment" }, t("order.no_payment")) : null,
      out ? h("a", { class: "button primary", href: order.checkout_url, testid: "order-checkout" }, t("order.checkout")) : null,
      !out && config().payments.length ? payButton : null,
    );
  }

  /** @param {HTMLButtonElement} button @param {() => Promise<Order>} action */
  run(button, action) {
    this.problem.hidden = true;
    const change = async () => {
      const order = await action();
      this.show(order);
      this.dispatchEvent(new CustomEvent("order", { detail: order, bubbles: true }));
    };
    return busy(button, change, (error) => {
      this.problem.hidden = false;
      fill(this.problem, explain(error));
    });
  }
}

/** What was bought, a row a line. @param {Order} order */
export function orderLines({ lines, currency }) {
  return lines.map((line) =>
    h("li", null, h("span", { class: "line-title" }, line.title), h("span", { class: "soft digits" }, `${money(line.unit_price_cents, currency)} × ${line.quantity}`)),
  );
}

customElements.define("order-card", OrderCard);

/** @param {Order} order @returns {OrderCard} */
export function orderCard(order) {
  const card = /** @type {OrderCard} */ (document.createElement("order-card"));
  card.show(order);
  return card;
}
