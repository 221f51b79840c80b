// @ts-check
/**
 * Wishes to buy, over HTTP or over the room's socket: each is one order at most (pending.js). And what
 * becomes of an order by its buyer's hand.
 */

import { Problem, asProblem, path, post } from "./api.js";
import { clock } from "./clock.js";
import { pause, pendingOf, settle, take } from "./pending.js";
import { me } from "./session.js";

/** @typedef {import("./types.js").Order} Order */
/** @typedef {import("./pending.js").Pending} Pending */
/** @typedef {{rpc(method: string, data: unknown): Promise<any>, readonly connected: boolean}} Caller */

/** What the server is asked for, without the key. @param {Pending} entry */
function orderOf(entry) {
  const lines = [{ product_id: entry.product, quantity: entry.quantity }];
  return { room: entry.room, lines, ...(entry.coupon ? { coupon: entry.coupon } : {}) };
}

/** Whoever this page became meanwhile does not buy what somebody else wanted. @param {Pending} entry */
function sameBuyer(entry) {
  const who = me();
  if (who && who.user !== entry.user) throw new Problem("unavailable");
}

/** Over HTTP: works on every page. @param {Pending} entry @returns {Promise<Order>} */
async function sendByHttp(entry) {
  sameBuyer(entry);
  if (!entry.sale) return post("/v1/orders", orderOf(entry), entry.key);
  return post(path`/v1/flash-sales/${entry.sale}/reservations`, { quantity: entry.quantity }, entry.key);
}

/** Over the socket while it is open, else over HTTP; the key makes them one request. @param {Caller} socket */
function sender(socket) {
  return async (/** @type {Pending} */ entry) => {
    sameBuyer(entry);
    if (!socket.connected) return sendByHttp(entry);
    try {
      if (!entry.sale) return (await socket.rpc("order.create", { ...orderOf(entry), key: entry.key })).order;
      const data = { flash_sale: entry.sale, quantity: entry.quantity, key: entry.key };
      return (await socket.rpc("reserve", data)).order;
    } catch (error) {
      throw asProblem(error);
    }
  };
}

/**
 * Buys units of a flash sale, or of a product on the shelf. @param {import("./pending.js").Wish} wish
 * @param {Caller} socket @returns {Promise<Order>}
 */
export function buy(wish, socket) {
  return settle(take(wish, clock.local()), sender(socket), pause);
}

/**
 * Asks again for everything that was never answered. @param {string} user
 * @returns {Promise<{orders: Order[], refused: {entry: Pending, problem: import("./api.js").Problem}[]}>}
 */
export async function resume(user) {
  const outcome = { orders: /** @type {Order[]} */ ([]), refused: /** @type {any[]} */ ([]) };
  for (const entry of pendingOf(user, clock.local())) {
    try {
      outcome.orders.push(await settle(entry, sendByHttp, pause));
    } catch (error) {
      outcome.refused.push({ entry, problem: asProblem(error) });
    }
  }
  return outcome;
}

/** Whether an order can be paid now. @param {Order} order @param {number} now server ms */
export function isPayable(order, now) {
  return order.state === "reserved" && (!order.expires_at || Date.parse(order.expires_at) > now);
}

/** @param {string} id @returns {Promise<Order>} */
export const pay = (id) => post(path`/v1/orders/${id}/pay`);
/** @param {string} id @returns {Promise<Order>} */
export const cancel = (id) => post(path`/v1/orders/${id}/cancel`);
