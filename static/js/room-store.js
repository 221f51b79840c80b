// @ts-check
/**
 * A room that keeps itself up to date: snapshot, then numbered events, over one socket.
 *
 * Events: `state` (the room changed), `advice` (an advisory event, e.g. order.ticker), `chat` (one
 * message), `chat.past` (older messages), `chat.skipped` (how many nobody can read any more), `deleted` (id of a message), `danmaku` (items),
 * `danmaku.own` (the viewer throws one), `console`.
 */

import { get, path } from "./api.js";
import { clock } from "./clock.js";
import { apply, emptyRoom, fromSnapshot } from "./room-state.js";

/** @typedef {import("./types.js").RoomState} RoomState */
/** @typedef {import("./types.js").Snapshot} Snapshot */
/** @typedef {import("centrifuge").Subscription} Subscription */

/** How many older messages a newcomer reads. */
const PAST_MESSAGES = 50;
/** Likes are counted here for this long and sent as one call, in ms. */
const LIKE_TICK_MS = 400;
/** At most this many likes in one call; more in one tick are not a person. */
const LIKES_PER_CALL = 50;

export class RoomStore extends EventTarget {
  /** @param {string} id @param {import("./socket.js").Socket} socket */
  constructor(id, socket) {
    super();
    this.id = id;
    this.socket = socket;
    /** @type {RoomState} */
    this.state = emptyRoom();
    this.loaded = false;
    this.likes = 0;
    this.likeTimer = 0;
    /** The place of the newest message of the chat that came here; 0 before the first. */
    this.chatOffset = 0;
    const client = socket.client;
    // The client asks for the snapshot at first and whenever the server cannot fill a gap; between,
    // it recovers by offset. `flag 2` of the protocol makes the server refuse instead of skipping.
    this.room = client.newSubscription(`room:${id}`, { getState: () => this.load(), recoverable: true, positioned: true });
    this.room.on("publication", (context) => this.fold(context.data));
    this.room.on("subscribed", (context) => {
      if (context.wasRecovering && !context.recovered && !context.hasRecoveredPublications) void this.load();
    });
    this.chat = client.newSubscription(`chat:${id}`, { recoverable: true, positioned: true });
    this.chat.on("publication", (context) => this.onChat(context.data, context.offset));
    this.chat.on("subscribed", (context) => this.onChatSubscribed(context));
    this.danmaku = client.newSubscription(`danmaku:${id}`);
    this.danmaku.on("publication", (context) => this.emit("danmaku", context.data));
  }

  /** Fetches the room once over HTTP, so that it shows before the socket stands. */
  async first() {
    this.take(await this.fetch());
    return this.state;
  }

  subscribe() {
    this.room.subscribe();
    this.chat.subscribe();
  }

  /** Danmaku cost nothing while they are hidden. @param {boolean} on */
  showDanmaku(on) {
    if (on) this.danmaku.subscribe();
    else this.danmaku.unsubscribe();
  }

  /** @returns {Promise<Snapshot>} */
  async fetch() {
    const sentAt = Date.now();
    const snapshot = await get(path`/v1/rooms/${this.id}`);
    clock.sample(snapshot.server_time, sentAt, Date.now());
    return snapshot;
  }

  /** The newest snapshot; its position is where the events after it begin. */
  async load() {
    const snapshot = await this.fetch();
    this.take(snapshot);
    return snapshot.position;
  }

  /** @param {Snapshot} snapshot */
  take(snapshot) {
    this.loaded = true;
    this.set(fromSnapshot(snapshot));
  }

  /** @param {any} event */
  fold(event) {
    const next = apply(this.state, event);
    if (next !== this.state) this.set(next);
    else if (event.type === "moderation.message_deleted") this.emit("deleted", event.id);
    else this.emit("advice", event);
  }

  /** @param {RoomState} state */
  set(state) {
    const before = this.state;
    this.state = state;
    this.emit("state", before);
  }

  /** A message, or what stands where a deleted one stood. @param {any} message @param {number} [offset] */
  onChat(message, offset) {
    this.chatOffset = offset || this.chatOffset;
    if (message.type === "deleted") this.emit("deleted", message.id);
    else this.emit("chat", message);
  }

  /** @param {import("centrifuge").SubscribedContext} context */
  async onChatSubscribed(context) {
    const before = this.chatOffset;
    const now = context.streamPosition?.offset || 0;
    this.chatOffset = now;
    if (context.recovered) return;
    try {
      const past = await this.chat.history({ limit: PAST_MESSAGES, reverse: true });
      const missed = past.publications.filter((publication) => (publication.offset || 0) > before).length;
      const messages = past.publications.map((publication) => publication.data).reverse().filter((message) => message.type === "chat");
      if (context.wasRecovering && before && now - before > missed) this.emit("chat.skipped", now - before - missed);
      this.emit("chat.past", messages);
    } catch {
      this.emit("chat.past", []); // older messages are a courtesy: without them the room still works
    }
  }

  /** One more like of ours. */
  like() {
    this.likes += 1;
    if (this.likeTimer) return;
    this.likeTimer = window.setTimeout(() => {
      const count = Math.min(this.likes, LIKES_PER_CALL);
      this.likes = 0;
      this.likeTimer = 0;
      this.socket.rpc("like", { room: this.id, count }).catch(() => undefined); // likes may be lost
    }, LIKE_TICK_MS);
  }

  /** @param {string} type @param {unknown} detail */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
