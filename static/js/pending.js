// @ts-check
/**
 * Reservations and orders on their way.
 *
 * The key of one is kept in localStorage before the request leaves. A page that is killed
 * between sending and the answer asks again with the same key when it opens: the server answers with
 * the order that the first request made, or makes it now. So one press is at most one order.
 *
 * One entry for each flash sale and each product of a shelf: one press of a button is one wish.
 */

import { Problem } from "./api.js";
import { PENDING, load, save } from "./storage.js";

/**
 * What somebody wants to buy: units of a flash sale, or of a product at its ordinary price.
 *
 * @typedef {{sale?: string, product?: string, coupon?: string, quantity: number, user: string, room: string}} Wish
 * @typedef {Wish & {key: string, at: number}} Pending
 */

/** A press older than this is history: its order, if any, stands in the list of orders. In ms. */
export const PENDING_LIFE_MS = 15 * 60_000;
/** Waits between tries with the same key, in ms; after the last one the buyer is told. */
export const RETRY_WAITS_MS = [300, 800, 1_500, 3_000];

/** A key that nobody else makes: 128 random bits. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `web-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** All reservations on their way of one user, dropping those that are too old. @param {string} user @param {number} now */
export function pendingOf(user, now) {
  const all = /** @type {Pending[]} */ (load(PENDING) || []);
  return all.filter((entry) => entry.user === user && now - entry.at < PENDING_LIFE_MS);
}

/** What a wish is about. @param {Wish} wish */
const about = (wish) => (wish.sale ? `sale ${wish.sale}` : `product ${wish.product}`);

/** @param {Pending} entry */
function keep(entry) {
  const others = /** @type {Pending[]} */ (load(PENDING) || []).filter(
    (other) => about(other) !== about(entry) && entry.at - other.at < PENDING_LIFE_MS,
  );
  save(PENDING, [...others, entry]);
}

/** @param {string} key */
function forget(key) {
  const others = /** @type {Pending[]} */ (load(PENDING) || []).filter((other) => other.key !== key);
  save(PENDING, others.length ? others : null);
}

/**
 * Takes up a wish: an unanswered press for the very same again, else a new one.
 * It is saved when this returns.
 *
 * @param {Wish} wish @param {number} now
 * @returns {Pending}
 */
export function take(wish, now) {
  const open = pendingOf(wish.user, now).find((entry) => about(entry) === about(wish));
  if (open && open.quantity === wish.quantity && open.coupon === wish.coupon) return open;
  const entry = { ...wish, key: newKey(), at: now };
  keep(entry);
  return entry;
}

/**
 * Sends a wish until it is answered: an order, or a refusal that is final. In both cases it
 * is no longer pending. When the server cannot be reached it stays pending for the next visit.
 *
 * @param {Pending} entry
 * @param {(entry: Pending) => Promise<any>} send answers the order; throws Problem
 * @param {(ms: number) => Promise<void>} wait
 * @returns {Promise<any>} the order
 * @throws {Problem}
 */
export async function settle(entry, send, wait) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const order = await send(entry);
      forget(entry.key);
      return order;
    } catch (error) {
      if (!(error instanceof Problem) || !error.temporary) {
        forget(entry.key);
        throw error;
      }
      if (attempt >= RETRY_WAITS_MS.length) throw error;
      await wait(Math.max(RETRY_WAITS_MS[attempt], Math.min(error.retryAfter, 5) * 1000));
    }
  }
}

/** @param {number} ms @returns {Promise<void>} */
export const pause = (ms) => new Promise((done) => setTimeout(done, ms));
