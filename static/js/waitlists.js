// @ts-check
/**
 * My places in the waiting lists of sold-out sales.
 *
 * Fires `change` (the sale's id). A place is looked at again when its sale changed, since then somebody
 * may have moved up, but never often and never by everybody in the same second.
 */

import { Problem, get, path, post, remove } from "./api.js";
import { RETRY_WAITS_MS, newKey, pause } from "./pending.js";

/** @typedef {import("./types.js").Place} Place */
/** @typedef {import("./types.js").FlashSale} FlashSale */

/** A place is not looked at again before this, in ms … */
const LOOK_MS = 8_000;
/** … and up to this much later, in ms, so that a whole line does not look at once. */
const SPREAD_MS = 6_000;

export class Waitlists extends EventTarget {
  constructor() {
    super();
    /** @type {Map<string, Place>} */
    this.places = new Map();
    /** The version of each sale at the last look. @type {Map<string, number>} */
    this.seen = new Map();
    /** @type {Set<string>} */
    this.looking = new Set();
  }

  /** @param {string} sale @returns {Place|null} */
  of(sale) {
    return this.places.get(sale) || null;
  }

  /** Begins anew, for another person. */
  forget() {
    this.places.clear();
    this.seen.clear();
  }

  /** Lines up; the key makes all tries one place. @param {string} sale @throws {Problem} */
  async join(sale) {
    const key = newKey();
    for (let attempt = 0; ; attempt += 1) {
      try {
        this.keep(await post(path`/v1/flash-sales/${sale}/waitlist`, { quantity: 1 }, key));
        return;
      } catch (error) {
        if (!(error instanceof Problem) || !error.temporary || attempt >= RETRY_WAITS_MS.length) throw error;
        await pause(RETRY_WAITS_MS[attempt]);
      }
    }
  }

  /** @param {string} sale @throws {Problem} */
  async leave(sale) {
    await remove(path`/v1/flash-sales/${sale}/waitlist`);
    const place = this.of(sale);
    if (place) this.keep({ ...place, state: "left", position: null });
  }

  /**
   * Called as often as one likes: looks once when a sold-out sale is first seen, and again while I wait
   * and the sale has changed. A look that fails is made good by the next one.
   *
   * @param {FlashSale} sale
   */
  async follow(sale) {
    const first = !this.seen.has(sale.id);
    const waits = this.of(sale.id)?.state === "waiting";
    if (this.looking.has(sale.id) || (!first && (!waits || this.seen.get(sale.id) === sale.version))) return;
    this.looking.add(sale.id);
    this.seen.set(sale.id, sale.version);
    try {
      if (!first) await pause(LOOK_MS + Math.random() * SPREAD_MS);
      this.keep(await get(path`/v1/flash-sales/${sale.id}/waitlist`));
    } catch {
      // the line stands on the server; the page says what it knew
    } finally {
      this.looking.delete(sale.id);
    }
  }

  /** @param {Place} place */
  keep(place) {
    this.places.set(place.flash_sale, place);
    this.dispatchEvent(new CustomEvent("change", { detail: place.flash_sale }));
  }
}
