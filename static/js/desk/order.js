// @ts-check
/**
 * One order on the merchant's desk: what it is, what can be done with it, and every step so far.
 *
 * testids: desk-order (data-order, data-state), desk-buyer, desk-address, ship-form, ship-carrier, ship-tracking,
 * ship-save, order-complete, refund-open, refund-form, refund-amount, refund-restock, refund-reason,
 * refund-save, refund-problem, mark-open, mark-form, mark-reference, mark-save, order-history,
 * history-row (data-state)
 */

import { Problem, explain, get, path, post } from "../api.js";
import { makeForm } from "../components/form.js";
import { orderLines, orderState, shipment, sums } from "../components/order-card.js";
import { busy, chip, field } from "../components/product-bits.js";
import { ask, makeSheet } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { money } from "../format.js";
import { cents, dateTime, plainPrice } from "../format-more.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { newKey } from "../pending.js";
import { complain } from "./bits.js";

/** @typedef {import("../types.js").Order} Order */
/** @typedef {{sequence: number, from_state: string|null, state: string, actor: string, at: string}} Edge */

/** States in which money may be given back. */
const REFUNDABLE = new Set(["paid", "shipped", "completed"]);
/** States in which money may still arrive; of the last two a new order is made. */
const UNPAID = new Set(["reserved", "pending_payment", "payment_unknown", "expired", "cancelled"]);
const DEAD = new Set(["expired", "cancelled"]);

export class OrderDesk {
  /** @param {Order} order @param {(order: Order) => void} onChange @param {() => void} onClose */
  constructor(order, onChange, onClose) {
    this.order = order;
    this.onChange = onChange;
    this.sheet = makeSheet({ title: t("merchant.order_title"), testid: "order-sheet", wide: true, onClose });
    this.view = h("div", { class: "stack", testid: "desk-order" });
    this.address = h("dl", { class: "facts", hidden: true, testid: "desk-address" });
    this.history = h("ol", { class: "history", testid: "order-history" });
    fill(this.sheet.body, this.view);
    this.draw();
  }

  /** Takes what is newer of the same order; anything else leaves typed words alone. @param {Order} order */
  follow(order) {
    if (order.id !== this.order.id || order.sequence <= this.order.sequence) return;
    this.order = order;
    this.draw();
  }

  draw() {
    const { order } = this;
    const [words, kind] = orderState(order.state);
    Object.assign(this.view.dataset, { order: order.id, state: order.state });
    fill(
      this.view,
      h("div", { class: "order-head" }, chip(words, kind, "desk-order-state", order.state), h("span", { class: "soft small" }, dateTime(order.created_at))),
      h("ul", { class: "order-lines" }, orderLines(order)),
      h("div", { class: "stack tight" }, sums(order)),
      this.about(),
      this.address,
      shipment(order),
      this.actions(),
      h("h3", null, t("merchant.history")),
      this.history,
    );
    void this.loadMore();
  }

  about() {
    const { order } = this;
    const rows = [
      [t("merchant.buyer"), h("bdi", { testid: "desk-buyer" }, order.buyer.name || order.buyer.id)],
      [t("order.number"), h("code", { class: "break" }, order.id)],
      [t("merchant.paid_at"), order.paid_at ? dateTime(order.paid_at) : null],
      [t("merchant.pay_until"), order.state === "reserved" && order.expires_at ? dateTime(order.expires_at) : null],
      [t("merchant.replaces"), order.replaces ? h("code", { class: "break" }, order.replaces) : null],
    ].filter(([, value]) => value);
    return h("dl", { class: "facts" }, rows.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
  }

  /** @param {Record<string, string>} given */
  showAddress(given) {
    const rows = /** @type {[string, string][]} */ ([
      [t("delivery.recipient"), given.recipient],
      [t("delivery.phone"), given.phone],
      [t("delivery.address"), given.address],
      [t("delivery.note"), given.note],
    ]).filter(([, text]) => text);
    this.address.hidden = !rows.length;
    fill(this.address, rows.map(([name, text]) => h("div", null, h("dt", null, name), h("dd", null, h("bdi", null, text)))));
  }

  actions() {
    const { state } = this.order;
    return [
      state === "paid" ? this.shipForm() : null,
      state === "shipped" ? this.completeButton() : null,
      UNPAID.has(state) ? part("mark-open", t("merchant.mark_paid"), this.markForm()) : null,
      REFUNDABLE.has(state) ? part("refund-open", t("merchant.refund"), this.refundForm()) : null,
    ];
  }

  /** Does one step; the answer is the order as it is now. @param {string} step @param {unknown} body @param {string} [key] */
  async step(step, body, key) {
    const changed = /** @type {Order} */ (await post(path`/v1/orders/${this.order.id}/${step}`, body, key));
    toast(t("merchant.saved"), "good");
    if (changed.id !== this.order.id) this.order = { ...changed, sequence: 0 }; // a late payment made a new one
    this.follow(changed);
    this.onChange(changed);
  }

  shipForm() {
    const carrier = h("input", { type: "text", maxLength: 100, autocomplete: "off", testid: "ship-carrier" });
    const tracking = h("input", { type: "text", maxLength: 200, autocomplete: "off", autocapitalize: "characters", spellcheck: false, testid: "ship-tracking" });
    const save = h("button", { type: "submit", class: "button primary", testid: "ship-save" }, t("merchant.ship"));
    const send = () => this.step("ship", { carrier: carrier.value.trim(), tracking: tracking.value.trim() });
    return makeForm("ship-form", [h("div", { class: "field-grid" }, field(t("order.carrier"), carrier), field(t("order.tracking"), tracking))], save, send);
  }

  completeButton() {
    const button = h("button", { type: "button", class: "button primary", testid: "order-complete" }, t("merchant.complete"));
    button.addEventListener("click", () => busy(button, () => this.step("complete", {}), complain));
    return h("div", { class: "actions" }, button);
  }

  markForm() {
    const reference = h("input", { type: "text", maxLength: 200, autocomplete: "off", testid: "mark-reference" });
    const save = h("button", { type: "submit", class: "button primary", testid: "mark-save" }, t("merchant.mark_paid"));
    const send = () => this.step("mark-paid", reference.value.trim() ? { reference: reference.value.trim() } : {});
    const note = h("p", { class: "soft" }, DEAD.has(this.order.state) ? t("merchant.mark_dead") : t("merchant.mark_text"));
    return makeForm("mark-form", [note, field(t("merchant.reference"), reference, t("merchant.reference_hint"))], save, send);
  }

  refundForm() {
    const { order } = this;
    const left = order.amount_cents - order.refunded_cents;
    const key = newKey(); // pressed twice, it is given back once
    const amount = h("input", { type: "text", inputmode: "decimal", required: left > 0, value: plainPrice(left), testid: "refund-amount" });
    const restock = h("input", { type: "checkbox", testid: "refund-restock" });
    const reason = h("input", { type: "text", maxLength: 500, autocomplete: "off", testid: "refund-reason" });
    const save = h("button", { type: "submit", class: "button danger", testid: "refund-save" }, t("merchant.refund"));
    const whole = () => {
      const all = (cents(amount.value) ?? 0) >= left;
      restock.disabled = !all; // units go back with the part that completes the amount
      if (!all) restock.checked = false;
    };
    amount.addEventListener("input", whole);
    const send = async () => {
      const back = cents(amount.value);
      if (back === null || back > left || (left > 0 && back === 0)) throw new Problem("refund-amount", money(left, order.currency));
      const sure = await ask({ title: t("merchant.refund_sure", { amount: money(back, order.currency) }), text: restock.checked ? t("merchant.refund_restock_text") : t("merchant.refund_text"), yes: t("merchant.refund"), danger: true });
      if (sure) await this.step("refund", { amount_cents: back, restock: restock.checked, reason: reason.value.trim() }, key);
    };
    const fields = [
      h("div", { class: "field-grid" }, field(t("merchant.refund_amount"), amount, t("merchant.refund_left", { amount: money(left, order.currency) })), field(t("merchant.reason"), reason)),
      h("label", { class: "check" }, restock, h("span", null, t("merchant.restock"), h("span", { class: "field-hint block-line" }, t("merchant.restock_hint")))),
    ];
    return makeForm("refund-form", fields, save, send);
  }

  /** What the list of orders does not carry: its steps, and where to send it. */
  async loadMore() {
    try {
      const [steps, whole] = await Promise.all([get(path`/v1/orders/${this.order.id}/history`), get(path`/v1/orders/${this.order.id}`)]);
      fill(this.history, /** @type {Edge[]} */ (steps.items).map((edge) => historyRow(edge)));
      this.showAddress(whole.delivery || {});
    } catch (error) {
      fill(this.history, h("li", { class: "problem-text" }, explain(error)));
    }
  }
}

/** What is done seldom waits behind its name. @param {string} testid @param {string} name @param {HTMLElement} form */
const part = (testid, name, form) => h("details", { class: "more" }, h("summary", { testid }, name), form);

/** @param {Edge} edge */
function historyRow(edge) {
  const words = edge.from_state === edge.state ? t("merchant.step_refund") : orderState(edge.state)[0];
  return h(
    "li",
    { class: "history-row", testid: "history-row", "data-state": edge.state },
    h("strong", null, words),
    h("span", { class: "soft small digits" }, dateTime(edge.at)),
    h("bdi", { class: "soft small break" }, edge.actor === "system" ? t("merchant.by_itself") : edge.actor),
  );
}
