// @ts-check
/** The shop's page around this room, for everything that speaks to it. */

/** @typedef {import("./host.js").Host} Host */

/** @type {Host|null} */
let known = null;

/** The page around; null where there is none. */
export const host = () => known;

/** @param {Host} found */
export function around(found) {
  known = found;
}
