// @ts-check
/**
 * `<live-room room="demo">`: a live room in the page of a shop, and its way to the shop's cart.
 *
 * The one module that such a page loads, from the server of the room. Attributes: `room`, `product`
 * (its sku or id, opened), `lang`, `elder`, `label` (the frame's name for screen readers). Properties:
 * `onCart` (takes what is put into the cart), `token` (signs the viewer in). What happens in the room
 * arrives as events of the element; docs/embed.md lists them.
 */

import { FROM_ROOM, read, wrap } from "./messages.js";

const SERVER = new URL(import.meta.url).origin;
/** What the page may do in the frame beyond showing it. */
const ALLOWED = "autoplay; fullscreen; picture-in-picture; clipboard-write";
/** Where a page gives the element no height, it gets one: a telephone's, in px. */
const HEIGHT = 700;
const LEAST_HEIGHT = 200;
/** Words for the viewer, when the shop's own cart said no without any, are the room's. */
const MESSAGE_LENGTH = 300;

/** @typedef {{product_id: string, sku: string, title: string, quantity: number, unit_price_cents: number, currency: string, room: string, show: string|null}} CartLine */
/** @typedef {(line: CartLine) => unknown} OnCart takes it, or throws an Error whose message the viewer reads */

export class LiveRoom extends HTMLElement {
  static get observedAttributes() {
    return ["room", "product"];
  }

  constructor() {
    super();
    /** @type {HTMLIFrameElement|null} */
    this.frame = null;
    /** @type {OnCart|null} */
    this.cart = null;
    this.signedIn = "";
    this.onMessage = (/** @type {MessageEvent} */ event) => this.hear(event);
    for (const name of ["onCart", "token"]) this.takeUp(name);
  }

  /** A property that was set before this module had come. @param {string} name */
  takeUp(name) {
    if (!Object.prototype.hasOwnProperty.call(this, name)) return;
    const self = /** @type {any} */ (this);
    const value = self[name];
    delete self[name];
    self[name] = value;
  }

  /** What takes products of the shelf into the shop's cart; null: they are bought in the room. */
  get onCart() {
    return this.cart;
  }

  set onCart(take) {
    this.cart = typeof take === "function" ? take : null;
    this.greet();
  }

  /** The viewer's token, made by the shop's server; "" = a guest. It is never an attribute. */
  get token() {
    return this.signedIn;
  }

  set token(token) {
    this.signedIn = token || "";
    if (this.signedIn) this.say("session.token", { token: this.signedIn });
  }

  /** Shows a product of the shelf. @param {string} product sku or id */
  openProduct(product) {
    this.say("product.open", { product });
  }

  connectedCallback() {
    addEventListener("message", this.onMessage);
    this.show();
  }

  disconnectedCallback() {
    removeEventListener("message", this.onMessage);
    this.frame?.remove();
    this.frame = null;
  }

  /** @param {string} name @param {string|null} before @param {string|null} now */
  attributeChangedCallback(name, before, now) {
    if (!this.frame || before === now) return;
    if (name === "product" && now) this.openProduct(now);
    if (name === "room") this.show();
  }

  /** The address of the room; it names our origin, so that the room knows whom to talk to. */
  get address() {
    const address = new URL(`/embed/${encodeURIComponent(this.getAttribute("room") || "")}`, SERVER);
    address.searchParams.set("host", location.origin);
    for (const name of ["product", "lang"]) {
      const value = this.getAttribute(name);
      if (value) address.searchParams.set(name, value);
    }
    if (this.hasAttribute("elder")) address.searchParams.set("elder", "1");
    return address.href;
  }

  show() {
    this.frame?.remove();
    this.frame = null;
    if (!this.getAttribute("room")) return;
    const frame = document.createElement("iframe");
    frame.title = this.getAttribute("label") || "Live";
    frame.allow = ALLOWED;
    frame.referrerPolicy = "origin";
    Object.assign(frame.style, { display: "block", width: "100%", height: "100%", border: "0" });
    frame.src = this.address;
    if (getComputedStyle(this).display === "inline") this.style.display = "block";
    if (this.getBoundingClientRect().height < LEAST_HEIGHT) this.style.height = `${HEIGHT}px`;
    this.frame = frame;
    this.append(frame);
  }

  /** @param {MessageEvent} event */
  hear(event) {
    const expected = { origin: SERVER, source: this.frame?.contentWindow, types: FROM_ROOM };
    const message = read(event, expected);
    if (!message) return;
    if (message.type === "room.hello") this.greet();
    else if (message.type === "cart.add") void this.put(message.data.request, message.data.line);
    else this.dispatchEvent(new CustomEvent(message.type, { detail: message.data }));
  }

  /** Says what this page can do, and who the viewer is. */
  greet() {
    this.say("host.hello", { cart: this.cart !== null, ...(this.signedIn ? { token: this.signedIn } : {}) });
  }

  /** @param {string} request @param {CartLine} line */
  async put(request, line) {
    try {
      if (!this.cart) throw new Error();
      await this.cart(line);
      this.say("cart.answer", { request, ok: true });
    } catch (error) {
      const message = (error instanceof Error ? error.message : "").slice(0, MESSAGE_LENGTH);
      this.say("cart.answer", { request, ok: false, ...(message ? { message } : {}) });
    }
    this.dispatchEvent(new CustomEvent("cart.add", { detail: { line } }));
  }

  /** @param {string} type @param {Record<string, any>} data */
  say(type, data) {
    this.frame?.contentWindow?.postMessage(wrap(type, data), SERVER);
  }
}

customElements.define("live-room", LiveRoom);
