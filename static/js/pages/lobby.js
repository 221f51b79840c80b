// @ts-check
/**
 * The lobby: what is live now, and the other rooms.
 *
 * testids: room-card (data-room, data-state), empty
 */

import { empty } from "../components/product-bits.js";
import { get, path } from "../api.js";
import { h, icon } from "../h.js";
import { t } from "../i18n.js";
import { begin, frame } from "../page.js";
import { find, isAccount, me } from "../session.js";

/** @typedef {import("../types.js").Room} Room */

async function show() {
  const [rooms] = await Promise.all([get("/v1/rooms?limit=50"), find().catch(() => null)]);
  const items = /** @type {Room[]} */ (rooms.items);
  const live = items.filter((room) => room.state === "live");
  const others = items.filter((room) => room.state !== "live");
  frame(
    { title: t("lobby.title"), lead: t("lobby.lead") },
    live.length ? section(t("lobby.live"), live) : empty(t("lobby.none_live"), t("lobby.none_live_text")),
    others.length ? section(t("lobby.others"), others) : null,
  );
}

/** @param {string} title @param {Room[]} rooms */
function section(title, rooms) {
  return h("section", null, h("h2", null, title), h("ul", { class: "room-grid" }, rooms.map(card)));
}

/** @param {Room} room */
function card(room) {
  const words = { live: t("room.live"), idle: t("room.idle"), ended: t("room.ended") }[room.state];
  return h(
    "li",
    { class: "room-card", testid: "room-card", "data-room": room.id, "data-state": room.state },
    h(
      "a",
      { href: path`/rooms/${room.id}`, class: `room-cover cover-${room.id.length % 4}` },
      h("span", { class: `live-chip ${room.state}` }, words),
      h("span", { class: "room-name" }, room.title),
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
