// @ts-check
/**
 * What a room in the page of a shop knows of it: that page, and a token. Browsers keep cookies from such
 * frames, and a cookie would let the page around press its buttons in somebody's name: so none counts.
 *
 * A guest's token stays in this browser's storage for that shop, so that a guest keeps being the same
 * person; the token that the shop's page gave stays in memory.
 */

import { load, save } from "./storage.js";

/** Whether this page is for the frame of another site. */
export const framed = Boolean(globalThis.location?.pathname.startsWith("/embed/"));

const NAME = "frame_guest";
let token = framed ? String(load(NAME) || "") : "";

/** The token that requests carry; "" = none, or the cookie's. */
export const bearer = () => token;

/** @param {string} given @param {boolean} guest whether it outlives this page */
export function hold(given, guest) {
  token = given;
  if (guest) save(NAME, given || null);
}

/** The shop's page around this room; null where there is none. @type {import("./embed/host.js").Host|null} */
let page = null;

export const host = () => page;

/** @param {import("./embed/host.js").Host} found */
export function around(found) {
  page = found;
}
