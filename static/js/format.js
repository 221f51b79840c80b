// @ts-check
/** Money, counts and times as people read them. All functions take what the wire carries. */

import { locale } from "./i18n.js";

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

/**
 * What a person typed as a price, in the minor unit; null if it is no price.
 *
 * Accepts full-width digits and dots. @param {string} text @returns {number|null}
 */
export function cents(text) {
  const plain = text.normalize("NFKC").replace(/[\s,¥￥$€]/g, "");
  const match = /^(\d{1,9})(?:\.(\d{1,2}))?$/.exec(plain);
  if (!match) return null;
  return Number(match[1]) * 100 + Number((match[2] || "").padEnd(2, "0"));
}

/** A price for an input field: `cents(plainPrice(x)) === x`. @param {number} minor */
export const plainPrice = (minor) => (minor / 100).toFixed(2);

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

/** Since when a show runs: hh:mm:ss. @param {number} ms */
export function elapsed(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return [seconds / 3600, (seconds / 60) % 60, seconds % 60]
    .map((part) => String(Math.floor(part)).padStart(2, "0"))
    .join(":");
}

/** Day and time in the reader's zone. @param {string|number|null} at RFC 3339 or milliseconds */
export function dateTime(at) {
  if (at === null || at === undefined) return "";
  return new Intl.DateTimeFormat(locale(), {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
  }).format(new Date(at));
}

/** Hours and minutes. @param {string|number} at */
export function clockTime(at) {
  return new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit", hour12: false }).format(new Date(at));
}

/** The off-price in whole percent, or 0 without a list price. @param {number} price @param {number|null} list */
export function percentOff(price, list) {
  return list && list > price ? Math.floor(((list - price) / list) * 100) : 0;
}
