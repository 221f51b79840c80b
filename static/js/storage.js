// @ts-check
/** localStorage that never throws: private windows and full disks lose a preference, not the page. */

const PREFIX = "liveserver.";
/** The name of presses that were never answered (pending.js). */
export const PENDING = "pending";

/** @param {string} name @returns {any} what was saved, or null */
export function load(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name) || "null");
  } catch {
    return null;
  }
}

/** @param {string} name @param {unknown} value null forgets it @returns {boolean} whether it was kept */
export function save(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
