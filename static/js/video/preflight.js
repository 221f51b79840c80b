// @ts-check
/**
 * What is looked at before a show: the way up, the clocks, the stock against the plan, webhooks.
 * Each look gives a verdict ("good" | "warn" | "bad") and words.
 */

import { call, path, post } from "../api.js";
import { clock } from "../clock.js";
import { count } from "../format.js";
import { t } from "../i18n.js";

/** @typedef {{name: string, verdict: "good"|"warn"|"bad", words: string}} Finding */
/** @typedef {import("../types.js").Product & {grant: {units_max: number|null, used: number}}} Sellable */

const UPLINK_BYTES = 512 * 1024;
const UPLINK_GOOD_KBPS = 3_000;
const UPLINK_LEAST_KBPS = 1_200;
const CLOCK_WARN_MS = 2_000;

/** @param {string} room @returns {Promise<Finding>} */
async function uplink(room) {
  const body = new Blob([crypto.getRandomValues(new Uint8Array(65_536))].concat(Array(UPLINK_BYTES / 65_536 - 1).fill(crypto.getRandomValues(new Uint8Array(65_536)))), { type: "application/octet-stream" });
  const began = performance.now();
  await call("POST", path`/v1/rooms/${room}/preflight/uplink`, { body, timeout: 20_000 });
  const kbps = Math.round((UPLINK_BYTES * 8) / (performance.now() - began));
  const verdict = kbps >= UPLINK_GOOD_KBPS ? "good" : kbps >= UPLINK_LEAST_KBPS ? "warn" : "bad";
  return { name: "uplink", verdict, words: t(`preflight.uplink_${verdict}`, { mbps: (kbps / 1_000).toFixed(1) }) };
}

/** @returns {Promise<Finding>} */
async function clocks() {
  const off = Math.abs(clock.now() - Date.now());
  const seconds = (off / 1_000).toFixed(1);
  return off > CLOCK_WARN_MS ? { name: "clock", verdict: "warn", words: t("preflight.clock_warn", { seconds }) } : { name: "clock", verdict: "good", words: t("preflight.clock_good") };
}

/** What the room may still sell of a product against what is there. @param {Sellable[]} sellable @returns {Finding} */
export function stock(sellable) {
  const short = sellable.filter((one) => one.stock < (one.grant.units_max === null ? 1 : one.grant.units_max - one.grant.used));
  if (!sellable.length) return { name: "stock", verdict: "warn", words: t("preflight.stock_none") };
  if (!short.length) return { name: "stock", verdict: "good", words: t("preflight.stock_good", { n: count(sellable.length) }) };
  return { name: "stock", verdict: "bad", words: t("preflight.stock_bad", { titles: short.slice(0, 5).map((one) => one.title).join(" · ") }) };
}

/** @param {string} room @returns {Promise<Finding>} */
async function webhooks(room) {
  const { items } = await post(path`/v1/rooms/${room}/preflight/webhooks`);
  const failed = items.filter((/** @type {{state: string}} */ one) => one.state !== "delivered");
  if (!items.length) return { name: "webhooks", verdict: "warn", words: t("preflight.webhooks_none") };
  if (!failed.length) return { name: "webhooks", verdict: "good", words: t("preflight.webhooks_good", { n: count(items.length) }) };
  return { name: "webhooks", verdict: "bad", words: t("preflight.webhooks_bad", { n: count(failed.length) }) };
}

/**
 * All looks at once; each is told when it is known, a failed one as bad.
 *
 * @param {string} room @param {Sellable[]} sellable @param {(finding: Finding) => void} tell
 */
export async function preflight(room, sellable, tell) {
  /** @type {[string, Promise<Finding>][]} */
  const looks = [
    ["uplink", uplink(room)],
    ["clock", clocks()],
    ["stock", Promise.resolve(stock(sellable))],
    ["webhooks", webhooks(room)],
  ];
  await Promise.all(
    looks.map(([name, look]) => look.catch(() => /** @type {Finding} */ ({ name, verdict: "bad", words: t("preflight.failed", { name: t(`preflight.${name}`) }) })).then(tell)),
  );
}

export const LOOKS = ["uplink", "clock", "stock", "webhooks"];
