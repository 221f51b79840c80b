// @ts-check
/**
 * What stands on the shelf, in which order, and what is being explained.
 *
 * testids: shelf-row (data-product), shelf-grip, shelf-up, shelf-down, shelf-remove, pin, unpin,
 * shelf-add-select, shelf-add
 */

import { path, put } from "../api.js";
import { field, picture, priceBlock } from "../components/product-bits.js";
import { showStock } from "../components/shelf-view.js";
import { fill, h, keyed } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { dragRows } from "./drag.js";

/** @typedef {import("../types.js").ShelfItem} ShelfItem */

export class ShelfPanel {
  /**
   * @param {import("../room-store.js").RoomStore} store @param {import("./act.js").Actions} actions
   * @param {import("./pinning.js").Pinning} pinning @param {() => import("./sale-form.js").Sellable[]} sellable
   */
  constructor(store, actions, pinning, sellable) {
    this.store = store;
    this.actions = actions;
    this.pinning = pinning;
    this.sellable = sellable;
    this.list = h("ol", { class: "run-list" });
    this.none = h("div");
    this.select = h("select", { testid: "shelf-add-select" });
    this.add = h("button", { type: "submit", class: "button", testid: "shelf-add" }, icon("plus"), t("console.shelf_add"));
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      if (this.select.value) void this.actions.press(this.add, () => this.put([...this.ids(), this.select.value]), t("act.shelf_added"));
    };
    this.form = h("form", { class: "inline-form", on: { submit } }, field(t("console.shelf_choose"), this.select), this.add);
    this.element = h("div", { class: "stack" }, this.none, this.list, this.form, pinning.element);
    dragRows(this.list, (from, to) => void this.actions.send(() => this.put(moved(this.ids(), from, to)), t("act.shelf_sorted")));
    this.drawn = "";
  }

  ids() {
    return this.store.state.shelf.map((item) => item.id);
  }

  /** @param {string[]} ids */
  put(ids) {
    return put(path`/v1/rooms/${this.store.id}/shelf`, { product_ids: ids });
  }

  draw() {
    const { shelf, pinned } = this.store.state;
    const drawn = JSON.stringify([shelf, pinned]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    fill(this.none, shelf.length ? null : h("p", { class: "soft" }, t("console.shelf_empty")));
    keyed(this.list, shelf, (item) => item.id, (item) => h("li", { class: "run-row", testid: "shelf-row", "data-product": item.id }));
    shelf.forEach((item, at) => this.fillRow(/** @type {HTMLElement} */ (this.list.children[at]), item, at, pinned === item.id));
    const free = this.sellable().filter((product) => !shelf.some((item) => item.id === product.id));
    fill(this.select, free.map((product) => h("option", { value: product.id }, product.title)));
    this.form.hidden = !free.length;
    if (!this.sellable().length) fill(this.none, h("p", { class: "soft" }, t("console.nothing_granted")));
  }

  /** @param {HTMLElement} row @param {ShelfItem} item @param {number} at @param {boolean} pinned */
  fillRow(row, item, at, pinned) {
    const mark = JSON.stringify([{ ...item, stock: 0 }, at, pinned, this.ids().length]);
    if (row.dataset.mark === mark) {
      showStock(row, item); // changes often; the buttons beside it stay as they are
      return;
    }
    const focused = row.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.testid : null;
    row.dataset.mark = mark;
    row.classList.toggle("pinned-row", pinned);
    fill(
      row,
      h("span", { class: "grip", testid: "shelf-grip", title: t("shelf_desk.drag"), "aria-hidden": "true" }, icon("grip"), h("span", { class: "number digits" }, String(item.number))),
      picture(item, "small"),
      h("div", { class: "run-about" }, h("p", { class: "run-title" }, item.title), h("p", { class: "run-line" }, priceBlock(item), h("span", { class: "soft small", "data-stock": "" }))),
      h(
        "div",
        { class: "run-actions" },
        this.pinButton(item, pinned),
        this.tool("up", t("console.shelf_up", { title: item.title }), "shelf-up", at === 0, (button) => this.move(button, at, at - 1)),
        this.tool("down", t("console.shelf_down", { title: item.title }), "shelf-down", at === this.ids().length - 1, (button) => this.move(button, at, at + 1)),
        this.tool("close", t("console.shelf_remove", { title: item.title }), "shelf-remove", false, (button) => this.takeOff(button, item, at)),
      ),
    );
    showStock(row, item);
    if (focused) /** @type {HTMLElement|null} */ (row.querySelector(`[data-testid="${focused}"]`))?.focus();
  }

  /** @param {ShelfItem} item @param {boolean} pinned */
  pinButton(item, pinned) {
    const button = h(
      "button",
      { type: "button", class: pinned ? "button small primary" : "button small", testid: pinned ? "unpin" : "pin", "aria-pressed": String(pinned) },
      icon("pin"),
      pinned ? t("console.unpin") : t("console.pin"),
    );
    button.addEventListener("click", () => void (pinned ? this.pinning.unpin(button) : this.pinning.pin(button, item.id)));
    return button;
  }

  /** @param {HTMLButtonElement} button @param {number} from @param {number} to */
  move(button, from, to) {
    return this.actions.press(button, () => this.put(moved(this.ids(), from, to)), t("act.shelf_sorted"));
  }

  /** @param {HTMLButtonElement} button @param {ShelfItem} item @param {number} at */
  async takeOff(button, item, at) {
    const explained = this.store.state.pinned === item.id;
    const gone = t("act.shelf_removed", { title: item.title });
    if (!(await this.actions.press(button, () => this.put(this.ids().filter((id) => id !== item.id)), gone))) return;
    this.actions.offerUndo(gone, async () => {
      const others = this.ids().filter((id) => id !== item.id); // others may have changed the shelf meanwhile
      await this.put([...others.slice(0, at), item.id, ...others.slice(at)]);
      if (explained && !this.store.state.pinned) await this.pinning.send(item.id);
    });
  }

  /** @param {"up"|"down"|"close"} name @param {string} label @param {string} testid @param {boolean} off @param {(button: HTMLButtonElement) => unknown} action */
  tool(name, label, testid, off, action) {
    const button = h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, testid, disabled: off }, icon(name));
    button.addEventListener("click", () => action(button));
    return button;
  }
}

/** @param {string[]} ids @param {number} from @param {number} to */
function moved(ids, from, to) {
  const next = [...ids];
  const [id] = next.splice(from, 1);
  next.splice(to, 0, id);
  return next;
}
