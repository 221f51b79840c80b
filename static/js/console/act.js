// @ts-check
/**
 * How an action of the console is sent: refused in words while the connection is lost, busy while it
 * is on its way, acknowledged in words once the server has answered, and taken back where that is
 * offered. Nothing is kept for later: a price or a pin that arrives a minute late does harm.
 *
 * testids: ack (data-ms: how long the answer took), undo-bar, undo
 */

import { explain } from "../api.js";
import { busy } from "../components/product-bits.js";
import { toast } from "../components/toast.js";
import { fill, h, icon } from "../h.js";
import { t } from "../i18n.js";

/** An action can be taken back for this long, in ms. */
export const UNDO_MS = 8_000;
/** An acknowledgement stands for this long, in ms. */
const ACK_MS = 6_000;
/** States of the connection in which nothing is sent. */
const CUT = ["trying", "offline", "expired", "closed"];

/** Says a failure of an action. @param {unknown} error */
export const complain = (error) => toast(explain(error), "bad");

export class Actions {
  /** @param {import("../socket.js").Socket} socket */
  constructor(socket) {
    this.socket = socket;
    this.ackTimer = 0;
    this.undoTimer = 0;
    this.ack = h("p", { class: "ack", role: "status", testid: "ack" });
    this.undoBar = h("div", { class: "undo-bar", role: "group", testid: "undo-bar", hidden: true, "aria-label": t("act.undo_bar") });
    this.foot = h("div", { class: "console-foot" }, this.undoBar, this.ack);
    // A dialog takes with it what stands in it; the way back must outlive it.
    document.addEventListener("close", () => document.body.append(this.foot), true);
  }

  /** Whether the console is cut off from the server. */
  get cut() {
    return CUT.includes(this.socket.connection.state) || !navigator.onLine;
  }

  /**
   * Sends an action; answers whether the server took it.
   *
   * @param {() => Promise<unknown>} action @param {string} done what the server has then done, in words
   * @param {(error: unknown) => void} [onError]
   */
  async send(action, done, onError = complain) {
    if (this.cut) {
      toast(t("act.cut"), "bad");
      return false;
    }
    const sentAt = performance.now();
    try {
      await action();
    } catch (error) {
      onError(error);
      return false;
    }
    this.acknowledge(done, Math.max(1, Math.round(performance.now() - sentAt)));
    return true;
  }

  /**
   * The same from a button, which is busy meanwhile. @param {HTMLButtonElement} button
   * @param {() => Promise<unknown>} action @param {string} done @param {(error: unknown) => void} [onError]
   */
  async press(button, action, done, onError = complain) {
    let taken = false;
    const run = async () => {
      taken = await this.send(action, done, onError);
    };
    await busy(button, run, complain);
    return taken;
  }

  /** @param {string} done @param {number} ms */
  acknowledge(done, ms) {
    this.show();
    this.ack.dataset.ms = String(ms);
    fill(this.ack, icon("check"), h("span", null, t("act.ack", { done, ms })));
    clearTimeout(this.ackTimer);
    this.ackTimer = window.setTimeout(() => fill(this.ack), ACK_MS);
  }

  /** Offers the way back for a while. @param {string} words @param {() => Promise<unknown>} undo */
  offerUndo(words, undo) {
    this.show();
    clearInterval(this.undoTimer);
    const until = Date.now() + UNDO_MS;
    const left = h("span", { class: "digits", "aria-hidden": "true" });
    const button = h("button", { type: "button", class: "button small", testid: "undo" }, t("act.undo"), left);
    const close = () => {
      clearInterval(this.undoTimer);
      this.undoBar.hidden = true;
    };
    const tick = () => {
      left.textContent = String(Math.ceil((until - Date.now()) / 1000));
      if (Date.now() >= until) close();
    };
    button.addEventListener("click", async () => {
      if (await this.press(button, undo, t("act.undone"))) close();
    });
    fill(this.undoBar, h("span", null, words), button);
    this.undoBar.hidden = false;
    tick();
    this.undoTimer = window.setInterval(tick, 250);
  }

  /** What is said stands where it can be seen: in the open dialog, which hides all else. */
  show() {
    const open = Array.from(document.querySelectorAll("dialog[open]")).pop();
    const home = open || document.body;
    if (this.foot.parentElement !== home) home.append(this.foot);
  }
}
