// @ts-check
/** Prices as people type them, and times that only staff and orders show. */

import { locale } from "./i18n.js";

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
