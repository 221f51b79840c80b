// @ts-check
/**
 * The room's socket: the official client in a thin wrapper that speaks of states a person knows.
 *
 * The session cookie identifies us, and no token passes through scripts; in the page of a shop the
 * token does. When the session is gone a guest gets a new one silently, an account is told to sign in.
 */

import { Problem, asProblem } from "./api.js";
import { bearer, framed } from "./bearer.js";
import { ensure, isAccount } from "./session.js";

/** @typedef {import("centrifuge").Centrifuge} Client */
/** @typedef {import("centrifuge").Subscription} Subscription */

/**
 * What the connection is, as shown:
 * joining = first try · live = connected · back = connected again, for a moment · trying = lost, and
 * trying again · offline = this device has no network · expired = signed out · closed = the server
 * ended it for good.
 *
 * @typedef {"joining"|"live"|"back"|"trying"|"offline"|"expired"|"closed"} Connection
 */

/** "connected again" is shown for this long, in ms. */
const BACK_SHOWN_MS = 1_500;
/** With which the client itself ends a connection for which there is no token. */
const NO_TOKEN = 1;
/** A short loss is not worth a word, in ms. */
const LOSS_SHOWN_MS = 2_000;

/**
 * The state after something happened; pure, so that every path can be tested.
 *
 * @param {{state: Connection, attempt: number, wasLive: boolean}} now
 * @param {{type: "connecting"|"connected"|"disconnected"|"settled", code?: number, online?: boolean, account?: boolean}} what
 */
export function nextConnection(now, what) {
  switch (what.type) {
    case "connecting":
      if (!now.wasLive && now.attempt === 0 && what.online !== false) return { ...now, state: /** @type {Connection} */ ("joining"), attempt: 1 };
      return { ...now, state: /** @type {Connection} */ (what.online === false ? "offline" : "trying"), attempt: now.attempt + 1 };
    case "connected":
      return { state: /** @type {Connection} */ (now.wasLive ? "back" : "live"), attempt: 0, wasLive: true };
    case "settled":
      return now.state === "back" ? { ...now, state: /** @type {Connection} */ ("live") } : now;
    default:
      return { ...now, state: /** @type {Connection} */ (isAuthCode(what.code || 0) && what.account ? "expired" : "closed"), attempt: 0 };
  }
}

/** Codes with which the server says that it does not know us (any more). @param {number} code */
export const isAuthCode = (code) => [NO_TOKEN, 101, 109, 110, 3500].includes(code);

/** The token of whoever this is now; "" where an account's is over, so that the client stops asking. */
async function freshToken() {
  try {
    await ensure();
    return bearer();
  } catch (error) {
    if (asProblem(error).name === "unauthorized") return "";
    throw error;
  }
}

/** Events: `connection` (state), `personal` (an event on our own channel). */
export class Socket extends EventTarget {
  constructor() {
    super();
    /** @type {{state: Connection, attempt: number, wasLive: boolean}} */
    this.connection = { state: "joining", attempt: 0, wasLive: false };
    /** Why the server ended the connection, in its words. */
    this.reason = "";
    this.renewed = false;
    /** @type {number|undefined} */
    this.timer = undefined;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const Centrifuge = /** @type {typeof import("centrifuge").Centrifuge} */ (/** @type {any} */ (globalThis).Centrifuge);
    /** @type {Client} */
    this.client = new Centrifuge(`${scheme}://${location.host}/connection/websocket`, {
      name: "pages",
      minReconnectDelay: 300,
      maxReconnectDelay: 15_000,
      timeout: 5_000,
      ...(framed ? { getToken: () => freshToken() } : {}),
    });
    this.client.on("connecting", () => this.change({ type: "connecting", online: navigator.onLine }));
    this.client.on("connected", () => this.onConnected());
    this.client.on("disconnected", (context) => this.onDisconnected(context));
    this.client.on("error", () => this.onFailedAttempt());
    this.client.on("publication", (context) => this.dispatchEvent(new CustomEvent("personal", { detail: context.data })));
    globalThis.addEventListener("offline", () => this.onFailedAttempt());
    document.addEventListener("visibilitychange", () => this.onVisible());
  }

  get connected() {
    return this.client.state === "connected";
  }

  open() {
    this.client.connect();
  }

  /** Connects anew, for a new name or a new session. */
  reopen() {
    this.client.disconnect();
    if (framed) this.client.setToken(bearer());
    this.client.connect();
  }

  /** @param {string} method @param {unknown} data @returns {Promise<any>} @throws {Problem} */
  async rpc(method, data) {
    try {
      return (await this.client.rpc(method, data)).data;
    } catch (error) {
      throw asProblem(error);
    }
  }

  /** @param {Parameters<typeof nextConnection>[1]} what */
  change(what) {
    this.connection = nextConnection(this.connection, what);
    this.dispatchEvent(new CustomEvent("connection", { detail: this.connection }));
  }

  onConnected() {
    this.renewed = false;
    this.change({ type: "connected" });
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.change({ type: "settled" }), BACK_SHOWN_MS);
  }

  onFailedAttempt() {
    if (this.client.state === "connecting") this.change({ type: "connecting", online: navigator.onLine });
  }

  /** Timers sleep in hidden tabs: whoever looks again should not wait for the next one. */
  onVisible() {
    if (document.visibilityState === "visible" && this.client.state === "connecting") this.reopen();
  }

  /** @param {{code: number, reason: string}} context */
  async onDisconnected({ code, reason }) {
    if (code === 0) return; // we closed it
    this.reason = reason;
    if (isAuthCode(code) && !isAccount() && !this.renewed) {
      this.renewed = true;
      try {
        await ensure();
        this.open();
        return;
      } catch {
        // no session to be had: said below
      }
    }
    this.change({ type: "disconnected", code, account: isAccount() });
  }
}

/** Publishes on a subscription. @param {Subscription} subscription @param {unknown} data @throws {Problem} */
export async function publish(subscription, data) {
  if (subscription.state !== "subscribed") throw new Problem("network");
  try {
    await subscription.publish(data);
  } catch (error) {
    throw asProblem(error);
  }
}

export { LOSS_SHOWN_MS };
