// @ts-check
/** A buyer's orders. What is done with them is in buying.js. */

import { get } from "./api.js";

/** @typedef {import("./types.js").Order} Order */

/** States in which the buyer still has to pay, or may change their mind. */
export const OPEN_STATES = new Set(["reserved", "pending_payment", "payment_unknown"]);

/** @param {string|null} [cursor] @returns {Promise<{items: Order[], next_cursor: string|null}>} */
export const list = (cursor) => get(`/v1/orders?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
