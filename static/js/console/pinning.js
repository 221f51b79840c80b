// @ts-check
/**
 * Which product is being explained: set by button or by the keys 1 to 9, taken back for a while.
 *
 * testids: keys-toggle
 */

import { path, post } from "../api.js";
import { h } from "../h.js";
import { t } from "../i18n.js";
import { load, save } from "../storage.js";

const KEPT = "console.keys";
/** Where digits are typed, they are digits. */
const TYPING = "input, select, textarea, [contenteditable], dialog";

export class Pinning {
  /** @param {import("../room-store.js").RoomStore} store @param {import("./act.js").Actions} actions */
  constructor(store, actions) {
    this.store = store;
    this.actions = actions;
    this.keys = load(KEPT) !== false;
    const box = h("input", { type: "checkbox", checked: this.keys, testid: "keys-toggle" });
    box.addEventListener("change", () => {
      this.keys = box.checked;
      save(KEPT, this.keys);
    });
    this.element = h("label", { class: "check small pin-keys" }, box, h("span", null, t("shelf_desk.keys")));
    document.addEventListener("keydown", (event) => this.onKey(event));
  }

  /** @param {string|null} product */
  send(product) {
    return post(path`/v1/rooms/${this.store.id}/pin`, { product_id: product });
  }

  /** @param {string} product */
  words(product) {
    const item = this.store.state.shelf.find((one) => one.id === product);
    return t("act.pinned", { number: item ? item.number : 0, title: item ? item.title : "" });
  }

  /** @param {HTMLButtonElement} button @param {string} product */
  pin(button, product) {
    return this.actions.press(button, () => this.send(product), this.words(product));
  }

  /** @param {HTMLButtonElement} button */
  async unpin(button) {
    const { pinned } = this.store.state;
    if (!pinned || !(await this.actions.press(button, () => this.send(null), t("act.unpinned")))) return;
    this.actions.offerUndo(t("act.unpinned"), () => this.send(pinned));
  }

  /** What comes after the product being explained; after the last comes the first. */
  next() {
    const { shelf, pinned } = this.store.state;
    return shelf[(shelf.findIndex((item) => item.id === pinned) + 1) % Math.max(1, shelf.length)] || null;
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const plain = !(event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat || event.isComposing);
    if (!this.keys || !plain || !/^[1-9]$/.test(event.key)) return;
    if (document.querySelector("dialog[open]") || (event.target instanceof Element && event.target.closest(TYPING))) return;
    const item = this.store.state.shelf.find((one) => one.number === Number(event.key));
    if (!item) return;
    event.preventDefault();
    void this.actions.send(() => this.send(item.id), this.words(item.id));
  }
}
