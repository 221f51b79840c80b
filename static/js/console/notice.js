// @ts-check
/**
 * The notice over the stage.
 *
 * testids: notice-input, notice-save, notice-clear
 */

import { path, post } from "../api.js";
import { field } from "../components/product-bits.js";
import { h } from "../h.js";
import { t } from "../i18n.js";

export class NoticePanel {
  /** @param {import("../room-store.js").RoomStore} store @param {import("./act.js").Actions} actions */
  constructor(store, actions) {
    this.store = store;
    this.actions = actions;
    this.shown = /** @type {string|null|undefined} */ (undefined);
    this.input = h("input", { type: "text", maxLength: 200, testid: "notice-input" });
    this.save = h("button", { type: "submit", class: "button", testid: "notice-save" }, t("console.notice_save"));
    this.clear = h("button", { type: "button", class: "button", testid: "notice-clear" }, t("console.notice_clear"));
    this.clear.addEventListener("click", () => void this.takeDown());
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      const text = this.input.value.trim();
      if (text) void this.actions.press(this.save, () => this.send(text), t("act.notice"));
      else void this.takeDown();
    };
    this.element = h("form", { class: "inline-form", on: { submit } }, field(t("console.notice_label"), this.input), this.save, this.clear);
  }

  /** @param {string|null} text */
  send(text) {
    return post(path`/v1/rooms/${this.store.id}/notice`, { text });
  }

  async takeDown() {
    const { notice } = this.store.state;
    if (!notice || !(await this.actions.press(this.clear, () => this.send(null), t("act.notice_gone")))) return;
    this.actions.offerUndo(t("act.notice_gone"), () => this.send(notice));
  }

  draw() {
    const { notice } = this.store.state;
    if (notice === this.shown) return;
    this.shown = notice;
    this.input.value = notice || "";
    this.clear.hidden = !notice;
  }
}
