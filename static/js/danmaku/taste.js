// @ts-check
/**
 * How somebody likes their danmaku: pure rules and the values they may take. Kept in this browser.
 */

/** @typedef {import("../types.js").DanmakuItem} DanmakuItem */

/**
 * @typedef {object} Taste
 * @property {number} opacity 0.2–1
 * @property {number} size times the normal size, 0.8–1.6
 * @property {number} speed times the normal speed, 0.5–2
 * @property {number} area part of the stage they may use, 0.25–1
 * @property {number} density part of what the screen can show, 0.25–1
 * @property {boolean} top @property {boolean} bottom whether those that stand still are shown
 * @property {boolean} color whether colours are shown
 * @property {boolean} merge whether the same words at the same time are shown once, with a count
 * @property {string[]} words not to be seen @property {{id: string, name: string}[]} users not to be seen
 */

/** @type {Readonly<Taste>} */
export const USUAL = Object.freeze({
  opacity: 1, size: 1, speed: 1, area: 0.5, density: 1, top: true, bottom: true, color: true, merge: true, words: [], users: [],
});

/** @type {Record<string, [number, number]>} */
export const RANGES = { opacity: [0.2, 1], size: [0.8, 1.6], speed: [0.5, 2], area: [0.25, 1], density: [0.25, 1] };

/** Words and users that may be blocked; more would be compared with each item. */
export const BLOCKED_MAX = 200;

/** What was stored, as far as it makes sense. @param {any} stored @returns {Taste} */
export function asTaste(stored) {
  const taste = /** @type {any} */ ({ ...USUAL });
  if (!stored || typeof stored !== "object") return taste;
  for (const [name, [low, high]] of Object.entries(RANGES)) {
    const value = Number(stored[name]);
    if (Number.isFinite(value) && value > 0) taste[name] = Math.min(high, Math.max(low, value));
  }
  for (const name of ["top", "bottom", "color", "merge"]) if (typeof stored[name] === "boolean") taste[name] = stored[name];
  if (Array.isArray(stored.words)) taste.words = stored.words.map((/** @type {unknown} */ word) => fold(String(word))).filter(Boolean).slice(0, BLOCKED_MAX);
  if (Array.isArray(stored.users)) {
    const known = stored.users.filter((/** @type {any} */ user) => user && typeof user.id === "string");
    taste.users = known.map((/** @type {any} */ user) => ({ id: user.id, name: String(user.name || "") })).slice(-BLOCKED_MAX);
  }
  return taste;
}

/** Words as they are compared: width, case and spaces do not matter. @param {string} text */
export function fold(text) {
  return text.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();
}

/** Whether somebody with this taste sees the words of this person. @param {Taste} taste @param {{text: string, user?: {id: string}}} item */
export function isWelcome(taste, item) {
  if (taste.users.some((user) => user.id === item.user?.id)) return false;
  if (!taste.words.length) return true;
  const text = fold(item.text);
  return !taste.words.some((word) => text.includes(word));
}

/** The same for danmaku, where a mode may be hidden. @param {Taste} taste @param {DanmakuItem} item */
export function isShown(taste, item) {
  if ((item.mode === "top" && !taste.top) || (item.mode === "bottom" && !taste.bottom)) return false;
  return isWelcome(taste, item);
}
