// @ts-check
/**
 * The top of the room: what it is, and the ways out.
 *
 * testids: nav-lobby, room-title, room-state, online, settings-open, share-open, nav-orders, notice
 */

import { ConnectionBar } from "../components/connection-bar.js";
import { languageButton, ordersWay } from "../components/ways.js";
import { count, stateWords } from "../format.js";
import { fill, h, icon } from "../h.js";
import { t } from "../i18n.js";
import { entitle } from "../page.js";

export class Head {
  /** @param {import("../socket.js").Socket} socket @param {boolean} alone whether this is a page of its own @param {{onSettings: () => void, onShare: () => void}} ways */
  constructor(socket, alone, { onSettings, onShare }) {
    this.title = h("h1", { class: "room-title", testid: "room-title" });
    this.state = h("span", { class: "live-chip", testid: "room-state" });
    this.online = h("span", { class: "online digits", testid: "online" });
    this.notice = h("p", { class: "notice", testid: "notice", hidden: true });
    const connection = /** @type {ConnectionBar} */ (h("connection-bar"));
    connection.follow(socket);
    const settings = h("button", { type: "button", class: "icon-button glass", testid: "settings-open", "aria-label": t("settings.open"), on: { click: onSettings } }, icon("sliders"));
    const share = h("button", { type: "button", class: "icon-button glass", testid: "share-open", "aria-label": t("share.title"), on: { click: onShare } }, icon("share"));
    const orders = ordersWay({ class: "icon-button glass", "aria-label": t("site.orders"), testid: "nav-orders" }, icon("list"));
    this.element = h(
      "header",
      { class: "top" },
      h(
        "div",
        { class: "top-row" },
        alone ? h("a", { href: "/", class: "icon-button glass", "aria-label": t("room.back"), testid: "nav-lobby" }, icon("back")) : null,
        h("div", { class: "host glass" }, h("div", { class: "host-words" }, this.title, h("p", { class: "host-line" }, this.state, this.online))),
        h("div", { class: "top-ways" }, share, settings, languageButton(true), orders),
      ),
      connection,
      this.notice,
    );
  }

  /** @param {import("../types.js").RoomState} state @param {import("../types.js").Room} room */
  draw({ stats, notice }, room) {
    entitle(room.title);
    if (this.title.textContent !== room.title) this.title.textContent = room.title;
    this.state.textContent = stateWords(room);
    this.state.className = `live-chip ${room.state}`;
    this.online.textContent = t("room.online", { n: count(stats.online) });
    this.notice.hidden = !notice;
    if (notice === this.notice.dataset.text) return;
    this.notice.dataset.text = notice || "";
    fill(this.notice, icon("horn"), h("span", { class: "sr" }, t("room.notice")), h("bdi", null, notice));
  }
}
