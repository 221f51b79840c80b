// @ts-check
/**
 * `<connection-bar>`: the state of the socket in words. Silent while all is well; a loss is named
 * after two seconds, and coming back is said once.
 */

import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { signInWay } from "./ways.js";
import { LOSS_SHOWN_MS } from "../socket.js";

/** @typedef {import("../socket.js").Socket} Socket */

export class ConnectionBar extends HTMLElement {
  constructor() {
    super();
    /** @type {Socket|null} */
    this.socket = null;
    this.timer = 0;
  }

  /** @param {Socket} socket */
  follow(socket) {
    this.socket = socket;
    this.setAttribute("role", "status");
    this.setAttribute("data-testid", "connection");
    socket.addEventListener("connection", () => this.onChange());
    this.dataset.state = socket.connection.state;
    this.hidden = true;
  }

  onChange() {
    if (!this.socket) return;
    const { state } = this.socket.connection;
    this.dataset.state = state;
    if (state !== "trying" || !this.hidden) this.show();
    else if (!this.timer) this.timer = window.setTimeout(() => this.show(), LOSS_SHOWN_MS);
  }

  show() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (!this.socket) return;
    const { state, attempt } = this.socket.connection;
    const quiet = state === "live" || state === "joining" || (state === "back" && this.hidden);
    this.hidden = quiet;
    if (quiet) return;
    fill(this, this.words(state, attempt));
    if (state === "expired") fill(this, t("connection.expired"), " ", signInWay({ class: "link" }, t("common.sign_in")));
    if (state === "closed") {
      fill(this, t("connection.closed", { reason: this.socket.reason || "" }), " ", reloadButton());
    }
  }

  /** @param {string} state @param {number} attempt */
  words(state, attempt) {
    if (state === "trying") return t("connection.trying", { n: attempt });
    if (state === "offline") return t("connection.offline");
    return t("connection.back");
  }
}

function reloadButton() {
  return h("button", { type: "button", class: "link", on: { click: () => location.reload() } }, t("common.reload"));
}

customElements.define("connection-bar", ConnectionBar);
