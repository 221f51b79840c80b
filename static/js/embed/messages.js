// @ts-check
/**
 * The messages between a room in a frame and the page of the shop around it, both ways (docs/embed.md).
 * Each is `{source, version, type, data}`; whatever is not exactly that, from exactly there, is nothing.
 *
 * Loaded by pages of other sites too: it knows no other module.
 */

/** The form of the messages; a change that an older side would misread raises it. */
export const VERSION = 1;
const SOURCE = "live-room";
/** Longest token, in characters; the server takes no longer ones. */
const TOKEN_LENGTH = 8_192;
/** Longest name or sentence, in characters. */
const TEXT_LENGTH = 300;

/** @typedef {Record<string, (data: Record<string, any>) => boolean>} Types */
/** @typedef {{type: string, data: Record<string, any>}} Message */

/** @param {unknown} value */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
/** @param {unknown} value @param {number} [most] */
const isText = (value, most = TEXT_LENGTH) => typeof value === "string" && value.length > 0 && value.length <= most;

/** The ends of an order's steps, as webhooks name them. */
export const ORDER_STEPS = ["reserved", "paid", "expired", "cancelled", "shipped", "completed", "refunded"];

/** What the room says. @type {Types} */
export const FROM_ROOM = {
  "room.hello": () => true,
  "room.ready": (data) => isObject(data.room),
  "room.updated": (data) => isObject(data.room),
  "product.explained": (data) => data.product === null || isObject(data.product),
  "cart.add": (data) => isText(data.request) && isObject(data.line),
  "session.wanted": () => true,
  "session.changed": (data) => isText(data.user),
  "session.refused": (data) => isText(data.reason),
  ...Object.fromEntries(ORDER_STEPS.map((step) => [`order.${step}`, (/** @type {any} */ data) => isObject(data.order)])),
};

/** What the shop's page says. @type {Types} */
export const FROM_HOST = {
  "host.hello": (data) => typeof data.cart === "boolean" && (data.token === undefined || isText(data.token, TOKEN_LENGTH)),
  "product.open": (data) => isText(data.product),
  "session.token": (data) => isText(data.token, TOKEN_LENGTH),
  "cart.answer": (data) => isText(data.request) && typeof data.ok === "boolean" && (data.message === undefined || isText(data.message)),
};

/** @param {string} type @param {Record<string, any>} [data] */
export const wrap = (type, data = {}) => ({ source: SOURCE, version: VERSION, type, data });

/**
 * The message of an event; null for everything that is not meant for us.
 *
 * @param {{origin: string, source: unknown, data: any}} event
 * @param {{origin: string, source: unknown, types: Types}} expected
 * @returns {Message|null}
 */
export function read({ origin, source, data }, expected) {
  if (origin !== expected.origin || source !== expected.source || !source) return null;
  if (!isObject(data) || data.source !== SOURCE || data.version !== VERSION || !isObject(data.data)) return null;
  const known = Object.prototype.hasOwnProperty.call(expected.types, data.type);
  return known && expected.types[data.type](data.data) ? { type: data.type, data: data.data } : null;
}
