// @ts-check
/**
 * What the staff of the room did, newest first, so that two people at two consoles do not work against
 * each other. It comes by the staff's own channel, which the moderation tools read too.
 *
 * testids: activity-row (data-type, data-own), ticker-row
 */

import { clockTime } from "../format.js";
import { fill, h, icon } from "../h.js";
import { has, t } from "../i18n.js";
import { me } from "../session.js";

/** @typedef {import("centrifuge").Subscription} Subscription */

const ROWS = 30;

/** The staff's channel of a room; subscribed to once all who read it listen. @param {import("../room-store.js").RoomStore} store */
export const staffChannel = (store) => store.socket.client.newSubscription(`console:${store.id}`, { recoverable: true, positioned: true });

export class Activity {
  /** @param {import("../room-store.js").RoomStore} store */
  constructor(store) {
    this.store = store;
    this.list = h("ol", { class: "activity-list", tabIndex: 0, "aria-label": t("activity.title") });
    this.element = h("div", null, h("p", { class: "soft" }, t("activity.none")));
  }

  /** @param {Subscription} channel */
  follow(channel) {
    channel.on("publication", ({ data }) => this.add(data));
    channel.on("subscribed", async ({ recovered }) => {
      if (recovered) return;
      try {
        const past = await channel.history({ limit: ROWS, reverse: true });
        fill(this.list);
        for (const { data } of past.publications.reverse()) this.add(data);
      } catch {
        // what was done before is a courtesy: what is done from now on is shown
      }
    });
  }

  /** @param {any} event */
  add(event) {
    const words = this.words(event);
    if (!words) return;
    if (this.list.parentElement !== this.element) fill(this.element, this.list);
    const own = event.actor === me()?.user;
    const who = own ? h("strong", null, t("activity.you")) : h("bdi", { class: "run-title" }, event.actor);
    const row = h("li", { testid: "activity-row", "data-type": event.type, "data-own": String(own) }, h("time", { class: "mark-time digits" }, clockTime(event.at)), h("span", null, who, " ", words));
    this.list.prepend(row);
    while (this.list.children.length > ROWS) this.list.lastElementChild?.remove();
  }

  /** @param {any} event */
  words(event) {
    if (!event.actor || event.actor === "media") return "";
    if (event.type === "shelf.pinned" && !event.product_id) return t("activity.unpinned");
    if (event.type === "room.notice" && !event.text) return t("activity.notice_gone");
    const item = this.store.state.shelf.find((one) => one.id === event.product_id);
    const type = event.rehearsal ? event.type.replace("room.", "rehearsal.") : event.type;
    return has(`activity.${type}`) ? t(`activity.${type}`, { title: event.title || (item ? item.title : ""), text: event.text || "" }) : "";
  }
}

/** Orders as the room says them, newest first. */
export class Ticker {
  constructor() {
    this.list = h("ol", { class: "ticker-list", tabIndex: 0, "aria-label": t("console.ticker") });
    this.element = h("div", null, h("p", { class: "soft" }, t("console.no_orders")));
  }

  /** @param {any} event */
  onAdvice(event) {
    if (event.type !== "order.ticker") return;
    if (this.list.parentElement !== this.element) fill(this.element, this.list);
    const words = t("chat.ticker", { name: event.name, title: event.title, n: event.quantity });
    this.list.prepend(h("li", { testid: "ticker-row" }, icon("bag"), h("span", null, words)));
    while (this.list.children.length > ROWS) this.list.lastElementChild?.remove();
  }
}
