// @ts-check
/** How this browser likes its danmaku, and whom it does not read. */

import { asTaste } from "../danmaku/taste.js";
import { load, save } from "../storage.js";

/** @typedef {import("../danmaku/taste.js").Taste} Taste */

/** What this browser keeps. */
export function ownTaste() {
  return asTaste(load("taste"));
}

/** @param {Taste} taste */
export function keepTaste(taste) {
  save("taste", taste);
}

/** Nothing of this person from now on. @param {string} id @param {string} name @returns {Taste} */
export function blockUser(id, name) {
  const taste = ownTaste();
  const changed = asTaste({ ...taste, users: [...taste.users.filter((user) => user.id !== id), { id, name }] });
  keepTaste(changed);
  return changed;
}
