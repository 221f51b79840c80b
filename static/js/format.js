// @ts-check
/** Money, counts and times as people read them. All functions take what the wire carries. */

import { locale, t } from "./i18n.js";

/** @type {Map<string, Intl.NumberFormat>} */
const moneyFormats = new Map();

/**
 * Money in the minor unit as text.
 *
 * @param {number} cents @param {string} currency ISO 4217
 */
export function money(cents, currency) {
  const key = `${locale()} ${currency}`;
  let format = moneyFormats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(locale(), { style: "currency", currency, currencyDisplay: "narrowSymbol" });
    moneyFormats.set(key, format);
  }
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  return format.format(cents / 10 ** digits);
}

/** A count, grouped. @param {number} n */
export const count = (n) => new Intl.NumberFormat(locale()).format(n);

/**
 * What is left of a countdown: m:ss, or h:mm:ss. Never negative; a begun second counts whole, so
 * that 0:00 is only shown at the end.
 *
 * @param {number} ms
 */
export function countdown(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${two(minutes)}:${two(seconds % 60)}`;
}

/** Hours and minutes. @param {string|number} at */
export function clockTime(at) {
  return new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit", hour12: false }).format(new Date(at));
}

/** The off-price in whole percent, or 0 without a list price. @param {number} price @param {number|null} list */
export function percentOff(price, list) {
  return list && list > price ? Math.floor(((list - price) / list) * 100) : 0;
}

/** What a room is now. @param {import("./types.js").Room} room */
export const stateWords = ({ state, rehearsal }) =>
  rehearsal && state === "live" ? t("rehearsal.on") : { live: t("room.live"), idle: t("room.idle"), ended: t("room.ended") }[state];
