// @ts-check
/** What a buyer does with orders that there are. */

import { get, path, post } from "./api.js";

/** @typedef {import("./types.js").Order} Order */

/** States in which the buyer still has to pay, or may change their mind. */
export const OPEN_STATES = new Set(["reserved", "pending_payment", "payment_unknown"]);

/** Whether an order can be paid now. @param {Order} order @param {number} now server ms */
export function isPayable(order, now) {
  return order.state === "reserved" && (!order.expires_at || Date.parse(order.expires_at) > now);
}

/** @param {string|null} [cursor] @returns {Promise<{items: Order[], next_cursor: string|null}>} */
export const list = (cursor) => get(`/v1/orders?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
/** @param {string} id @returns {Promise<Order>} */
export const pay = (id) => post(path`/v1/orders/${id}/pay`);
/** @param {string} id @returns {Promise<Order>} */
export const cancel = (id) => post(path`/v1/orders/${id}/cancel`);
