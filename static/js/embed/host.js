// @ts-check
/**
 * The room's end of the bridge to the page of the shop around it: says what happened here, takes a few
 * wishes. Only the page that the address names, if the server lists its origin, is heard and told.
 */

import { around, framed } from "../bearer.js";
import { config } from "../config.js";
import { Problem } from "../api.js";
import { FROM_HOST, ORDER_STEPS, read, wrap } from "./messages.js";

/** @typedef {import("../types.js").Order} Order */
/** @typedef {import("../room-store.js").RoomStore} RoomStore */
/** @typedef {import("../types.js").ShelfItem} ShelfItem */

/** How long the shop's page may take to say who the viewer is, before a guest is let in, in ms. */
const GREETING_MS = 1_500;
/** How long a cart may take, in ms. */
const CART_MS = 8_000;

/** Events: `product` (sku or id to open), `token` (of the viewer), `cart` (whether there is one). */
export class Host extends EventTarget {
  /** @param {string} origin @param {Window} page */
  constructor(origin, page) {
    super();
    this.origin = origin;
    this.page = page;
    this.hasCart = false;
    /** What waits for the cart's answer. @type {Map<string, (answer: Record<string, any>) => void>} */
    this.waiting = new Map();
    /** The newest state told of each order. @type {Map<string, number>} */
    this.told = new Map();
    this.requests = 0;
    this.explained = "";
    /** The newest token of the shop's page. */
    this.token = "";
    addEventListener("message", (event) => this.hear(event));
  }

  /** Greets the shop's page and waits until it answered, or long enough. @returns {Promise<void>} */
  greeted() {
    return new Promise((done) => {
      const timer = setTimeout(done, GREETING_MS);
      this.addEventListener("greeted", () => (clearTimeout(timer), done()), { once: true });
      this.say("room.hello");
    });
  }

  /** @param {MessageEvent} event */
  hear(event) {
    const message = read(event, { origin: this.origin, source: this.page, types: FROM_HOST });
    if (!message) return;
    const { type, data } = message;
    if (type === "host.hello") this.greet(data);
    else if (type === "session.token") this.takeToken(data.token);
    else if (type === "product.open") this.emit("product", data.product);
    else this.waiting.get(data.request)?.(data);
  }

  /** @param {Record<string, any>} data */
  greet({ cart, token }) {
    this.hasCart = cart;
    if (token) this.takeToken(token);
    this.emit("cart", cart);
    this.emit("greeted", null);
  }

  /** @param {string} token */
  takeToken(token) {
    if (token === this.token) return;
    this.token = token;
    this.emit("token", token);
  }

  /** @param {string} type @param {Record<string, any>} [data] */
  say(type, data) {
    this.page.postMessage(wrap(type, data), this.origin);
  }

  /** Tells of the room from now on. @param {RoomStore} store */
  follow(store) {
    this.say("room.ready", { room: store.state.room });
    this.explain(store);
    store.addEventListener("state", (event) => {
      const before = /** @type {CustomEvent} */ (event).detail;
      if (before.room !== store.state.room) this.say("room.updated", { room: store.state.room });
      this.explain(store);
    });
  }

  /** @param {RoomStore} store */
  explain({ state }) {
    const item = state.shelf.find((one) => one.id === state.pinned) || null;
    if ((item?.id || "") === this.explained) return;
    this.explained = item?.id || "";
    this.say("product.explained", { product: item });
  }

  /**
   * Tells of a step of the viewer's order: what was bought, nobody's name or address.
   * @param {Order} order @param {boolean} [past] a step of before, which is only remembered
   */
  order(order, past = false) {
    const { id, state, sequence, merchant, lines, amount_cents, refunded_cents, currency, room, show, flash_sale, created_at, paid_at } = order;
    if ((this.told.get(id) ?? -1) >= sequence) return;
    this.told.set(id, sequence);
    if (past || !ORDER_STEPS.includes(state)) return;
    this.say(`order.${state}`, { order: { id, state, sequence, merchant, lines, amount_cents, refunded_cents, currency, room, show, flash_sale, created_at, paid_at } });
  }

  /**
   * Puts a product into the shop's cart.
   *
   * @param {ShelfItem} item @param {number} quantity @param {import("../types.js").Room} room
   * @throws {Problem} `cart` with the shop's words, `timeout` where its page says nothing
   */
  async put(item, quantity, room) {
    this.requests += 1;
    const request = `cart-${this.requests}`;
    const { id: product_id, sku, title, price_cents: unit_price_cents, currency } = item;
    /** @type {Promise<Record<string, any>>} */
    const answered = new Promise((done) => {
      this.waiting.set(request, done);
      setTimeout(() => done({ ok: false, late: true }), CART_MS);
    });
    this.say("cart.add", { request, line: { product_id, sku, title, quantity, unit_price_cents, currency, room: room.id, show: room.show } });
    const answer = await answered;
    this.waiting.delete(request);
    if (answer.late) throw new Problem("timeout");
    if (!answer.ok) throw new Problem("cart", answer.message || "");
  }

  /** @param {string} type @param {unknown} detail */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * Meets the page around this one. A page that stands alone, or in the page of somebody who is not
 * listed, goes on as the ordinary room; the browser shows that one in no frame.
 *
 * @param {string} room @returns {Host|null}
 */
export function meetHost(room) {
  if (!framed) return null;
  const origin = new URLSearchParams(location.search).get("host") || "";
  if (window.parent === window || !(config().embed_origins || []).includes(origin)) {
    location.replace(`/rooms/${encodeURIComponent(room)}`);
    return null;
  }
  const host = new Host(origin, window.parent);
  around(host);
  document.addEventListener("click", openOutside, true);
  return host;
}

/** Other pages open in a tab of their own: no frame may show them. @param {MouseEvent} event */
function openOutside(event) {
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!(link instanceof HTMLAnchorElement) || link.getAttribute("href")?.startsWith("#")) return;
  link.target = "_blank";
  link.rel = "noopener";
}
