// @ts-check
/**
 * The shop's orders as they come.
 *
 * testids: merchant-orders, merchant-order (data-order, data-state, data-sequence),
 * merchant-order-state, merchant-order-open, orders-more, orders-live; for one order see order.js
 */

import { get } from "../api.js";
import { orderState } from "../components/order-card.js";
import { busy, chip, empty } from "../components/product-bits.js";
import { money } from "../format.js";
import { dateTime } from "../format-more.js";
import { fill, h, keyed } from "../h.js";
import { t } from "../i18n.js";
import { complain, deskTable } from "./bits.js";
import { OrderDesk } from "./order.js";

/** @typedef {import("../types.js").Order} Order */

export class Orders {
  constructor() {
    this.body = h("tbody", { role: "rowgroup" });
    this.note = h("div");
    this.more = h("button", { type: "button", class: "button block", hidden: true, testid: "orders-more" }, t("common.more"));
    const heads = [t("merchant.when"), t("merchant.what"), t("merchant.buyer"), t("merchant.amount"), t("merchant.state"), t("merchant.more")];
    this.table = deskTable(t("merchant.orders"), "merchant-orders", heads, this.body);
    this.element = h("section", { class: "stack" }, h("h2", null, t("merchant.orders")), this.note, h("div", { class: "table-holder card", tabIndex: 0, role: "region", "aria-label": t("merchant.orders") }, this.table), this.more);
    /** Orders known, by id. @type {Map<string, Order>} */
    this.known = new Map();
    /** @type {string|null} */
    this.cursor = null;
    /** The order that is looked at. @type {OrderDesk|null} */
    this.open = null;
    this.more.addEventListener("click", () => busy(this.more, () => this.older(), complain));
  }

  async load() {
    const page = await get("/v1/orders?limit=50");
    if (!this.known.size) this.cursor = page.next_cursor;
    this.take(page.items);
  }

  async older() {
    const page = await get(`/v1/orders?limit=50&cursor=${encodeURIComponent(this.cursor || "")}`);
    this.cursor = page.next_cursor;
    this.take(page.items);
  }

  /** @param {Order[]} orders */
  take(orders) {
    for (const order of orders) {
      const known = this.known.get(order.id);
      if (!known || known.sequence <= order.sequence) this.known.set(order.id, order);
      this.open?.follow(order);
    }
    const sorted = Array.from(this.known.values()).sort((a, b) => (a.created_at < b.created_at || (a.created_at === b.created_at && a.id < b.id) ? 1 : -1));
    this.more.hidden = !this.cursor;
    this.table.hidden = !sorted.length;
    fill(this.note, sorted.length ? h("p", { class: "soft", testid: "orders-live" }, t("merchant.orders_live")) : empty(t("merchant.no_orders"), t("merchant.no_orders_text")));
    keyed(this.body, sorted, (order) => order.id, () => h("tr", { role: "row", testid: "merchant-order" }));
    sorted.forEach((order, at) => this.fillRow(/** @type {HTMLElement} */ (this.body.children[at]), order));
  }

  /** @param {HTMLElement} row @param {Order} order */
  fillRow(row, order) {
    if (row.dataset.sequence === String(order.sequence)) return;
    Object.assign(row.dataset, { order: order.id, state: order.state, sequence: String(order.sequence) });
    const [words, kind] = orderState(order.state);
    fill(
      row,
      h("td", { role: "cell", class: "digits" }, dateTime(order.created_at)),
      h("td", { role: "cell" }, order.lines.map((line) => h("span", { class: "block-line" }, `${line.title} × ${line.quantity}`))),
      h("td", { role: "cell" }, h("bdi", null, order.buyer.name || order.buyer.id)),
      h("td", { role: "cell", class: "digits" }, money(order.amount_cents, order.currency)),
      h("td", { role: "cell" }, chip(words, kind, "merchant-order-state", order.state), order.refunded_cents && order.state !== "refunded" ? h("span", { class: "soft small block-line digits" }, t("merchant.refunded_part", { amount: money(order.refunded_cents, order.currency) })) : null),
      h("td", { role: "cell" }, h("button", { type: "button", class: "button small", testid: "merchant-order-open", on: { click: () => this.look(order.id) } }, t("merchant.order_open"), h("span", { class: "sr" }, order.id))),
    );
  }

  /** @param {string} id */
  look(id) {
    const order = /** @type {Order} */ (this.known.get(id));
    const desk = new OrderDesk(order, (changed) => this.take([changed]), () => (this.open = null));
    this.open = desk;
    desk.sheet.open();
  }
}
