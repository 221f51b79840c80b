// @ts-check
/**
 * What the viewer buys in this room: the ways to it, and their orders. Fires `change` when one of the
 * orders did.
 */

import { toast } from "../components/toast.js";
import { t } from "../i18n.js";
import { list } from "../orders-api.js";
import { me } from "../session.js";
import { PENDING, load } from "../storage.js";
import { buying, withFlash, withOrder, withProduct } from "./later.js";

/** @typedef {import("../types.js").Order} Order */

export class Trade extends EventTarget {
  /** @param {import("../room-store.js").RoomStore} store @param {import("../embed/host.js").Host|null} host */
  constructor(store, host) {
    super();
    this.store = store;
    this.host = host;
    /** My orders of this room, by flash sale. @type {Map<string, Order>} */
    this.orders = new Map();
    store.socket.addEventListener("personal", (event) => {
      const { detail } = /** @type {CustomEvent} */ (event);
      if (detail.type === "order.updated") this.keep(detail.order);
    });
  }

  /** @param {string} sale */
  buy(sale) {
    void withFlash((sheet) => sheet.openFlashSheet(this.store, sale, (order) => this.keep(order)));
  }

  /** @param {string} product */
  show(product) {
    const then = { onOrder: (/** @type {Order} */ order) => this.keep(order), onSale: (/** @type {string} */ sale) => this.buy(sale) };
    void withProduct((sheet) => sheet.openProductSheet(this.store, product, then));
  }

  /** Opens a product of the shelf by its sku or id; one that is not there opens nothing. @param {string} name */
  showNamed(name) {
    const item = this.store.state.shelf.find((one) => one.sku === name || one.id === name);
    if (item && !document.querySelector("dialog[open]")) this.show(item.id);
  }

  /** @param {string} id */
  showOrder(id) {
    const order = Array.from(this.orders.values()).find((one) => one.id === id);
    if (order) void withOrder((sheet) => sheet.openOrderSheet(order, (changed) => this.keep(changed)));
  }

  /** @param {Order} order @param {boolean} [past] one of an earlier visit */
  keep(order, past = false) {
    this.host?.order(order, past);
    for (const card of Array.from(document.querySelectorAll("order-card"))) {
      if (card instanceof HTMLElement && card.dataset.order === order.id) /** @type {any} */ (card).show(order);
    }
    if (!order.flash_sale) return;
    const known = this.orders.get(order.flash_sale);
    if (known && known.id === order.id && known.sequence > order.sequence) return;
    this.orders.set(order.flash_sale, order);
    if (order.source === "waitlist" && order.state === "reserved" && known?.id !== order.id) toast(t("line.turn"), "good");
    this.dispatchEvent(new Event("change"));
  }

  /** Orders of before, and reservations that were never answered. The room works without: /orders says what is wrong. */
  async takeUp() {
    const who = me();
    if (!who) return;
    try {
      if (load(PENDING)) await this.resume(who.user);
      for (const order of (await list()).items.reverse()) this.keep(order, true);
    } catch {
      // as said above
    }
  }

  /** @param {string} user */
  async resume(user) {
    const { resume } = await buying();
    const { orders, refused } = await resume(user);
    for (const order of orders) {
      this.keep(order);
      toast(t("buy.resumed"), "good");
    }
    for (const { problem } of refused) toast(t("buy.resume_refused", { words: problem.words }), "bad");
  }

  /** Begins anew, for another person. */
  async forget() {
    this.orders.clear();
    await this.takeUp();
    this.dispatchEvent(new Event("change"));
  }
}
