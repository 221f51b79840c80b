// @ts-check
/** A room in the page of a shop: everything that the ordinary room does without. */

import { meetHost } from "./host.js";
import { Wishes } from "./wishes.js";

export class Frame {
  /** @param {import("./host.js").Host} host */
  constructor(host) {
    this.host = host;
    this.wishes = new Wishes(host);
  }

  /** Before anything is asked of the server: who the viewer is. */
  begin() {
    return this.wishes.begin();
  }

  /** Heeds the page from now on, and tells it of the room. @param {import("../room-store.js").RoomStore} store @param {import("./wishes.js").Ways} ways */
  follow(store, ways) {
    this.wishes.follow(ways);
    this.host.follow(store);
  }
}

/** @param {string} room @returns {Frame|null} null: the ordinary room is being opened instead */
export function meet(room) {
  const host = meetHost(room);
  return host && new Frame(host);
}
