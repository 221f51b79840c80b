// @ts-check
/**
 * The lobby: what is live now, and the other rooms.
 *
 * testids: room-card (data-room, data-state), empty
 */

import { frame } from "../components/frame.js";
import { empty, picture } from "../components/product-bits.js";
import { get, path } from "../api.js";
import { count, stateWords } from "../format.js";
import { h, icon } from "../h.js";
import { t } from "../i18n.js";
import { begin } from "../page.js";
import { phase, pinnedProduct } from "../room-state.js";
import { find, isAccount, me } from "../session.js";

/** @typedef {import("../types.js").Room} Room */

/** Live rooms looked into; more cards than this are below the first screen. */
const LOOKS = 8;

/** @type {Map<string, import("../types.js").Snapshot>} */
const seen = new Map();

async function show() {
  const [rooms] = await Promise.all([get("/v1/rooms?limit=50"), find().catch(() => null)]);
  const items = /** @type {Room[]} */ (rooms.items);
  const live = items.filter((room) => room.state === "live");
  await Promise.all(live.slice(0, LOOKS).map(look));
  const others = items.filter((room) => room.state !== "live");
  frame(
    { title: t("lobby.title"), lead: t("lobby.lead"), wide: true },
    live.length ? section(t("lobby.live"), live) : empty(t("lobby.none_live"), t("lobby.none_live_text")),
    others.length ? section(t("lobby.others"), others) : null,
  );
}

/** Looks into a live room, so that its card shows what is being sold. @param {Room} room */
async function look(room) {
  try {
    seen.set(room.id, await get(path`/v1/rooms/${room.id}`));
  } catch {
    // the card shows its title alone
  }
}

/** @param {string} title @param {Room[]} rooms */
function section(title, rooms) {
  return h("section", null, h("h2", null, title), h("ul", { class: "room-grid" }, rooms.map(card)));
}

/** @param {Room} room */
function card(room) {
  const inside = seen.get(room.id);
  const product = inside ? pinnedProduct(inside) : null;
  const selling = inside?.flash_sales.some((sale) => ["open", "paused", "upcoming"].includes(phase(sale, Date.now())));
  return h(
    "li",
    { class: "room-card", testid: "room-card", "data-room": room.id, "data-state": room.state },
    h(
      "a",
      { href: path`/rooms/${room.id}`, class: `room-cover cover-${room.id.length % 4}` },
      product ? h("span", { class: "cover-picture" }, picture(product)) : null,
      h("span", { class: "cover-line" }, h("span", { class: `live-chip ${room.state} ${room.rehearsal && room.state === "live" ? "rehearsal" : ""}` }, stateWords(room)), inside ? h("span", { class: "cover-online" }, t("room.online", { n: count(inside.stats.online) })) : null),
      h("span", { class: "cover-words" }, h("span", { class: "room-name" }, room.title), selling ? h("span", { class: "cover-product" }, icon("bolt"), t("flash.label")) : product ? h("span", { class: "cover-product" }, product.title) : null),
    ),
    mayRun(room) ? h("a", { href: path`/console/${room.id}`, class: "button", testid: "console-link" }, icon("bolt"), t("lobby.console")) : null,
  );
}

/** @param {Room} room */
function mayRun(room) {
  const who = me();
  return isAccount() && who && (who.role === "admin" || who.rooms.includes(room.id));
}

void begin("lobby.page", show);
