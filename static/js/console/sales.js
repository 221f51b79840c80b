// @ts-check
/**
 * The flash sales of the show: what is left, more or fewer units, and the way to stop one.
 *
 * testids: sale-row (data-sale, data-phase, data-left), sale-left, sale-more-units, sale-fewer-units,
 * sale-go-on, sale-hide, sale-cancel, cancel-sheet, cancel-honour (hold), cancel-void (hold)
 */

import { patch, path, remove } from "../api.js";
import { countDown } from "../components/count-down.js";
import { chip, priceBlock } from "../components/product-bits.js";
import { makeSheet } from "../components/sheet.js";
import { clock } from "../clock.js";
import { count } from "../format.js";
import { append, fill, h, keyed } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { once } from "../once.js";
import { phase, triedSales } from "../room-state.js";
import { HOLD_MS, holdButton } from "./hold.js";

/** @typedef {import("../types.js").FlashSale} FlashSale */
/** @typedef {ReturnType<typeof phase>} Phase */

export class SaleList {
  /** @param {import("../room-store.js").RoomStore} store @param {import("./act.js").Actions} actions */
  constructor(store, actions) {
    this.store = store;
    this.actions = actions;
    this.list = h("ul", { class: "sale-list" });
    this.element = h("div");
  }

  draw() {
    const now = clock.now();
    const sales = [...triedSales(this.store.state), ...[...this.store.state.flash_sales].reverse()];
    if (!sales.length) {
      if (!this.element.querySelector("p")) fill(this.element, h("p", { class: "soft" }, t("console.no_sales")));
      return;
    }
    if (this.list.parentElement !== this.element) fill(this.element, this.list);
    keyed(this.list, sales, (sale) => sale.id, () => h("li", { class: "sale-row", testid: "sale-row" }));
    sales.forEach((sale, place) => this.drawRow(/** @type {HTMLElement} */ (this.list.children[place]), sale, phase(sale, now)));
  }

  /** @param {HTMLElement} row @param {FlashSale} sale @param {Phase} at */
  drawRow(row, sale, at) {
    const mark = `${at} ${sale.ends_at} ${sale.units_total} ${sale.title} ${sale.host_away}`;
    if (row.dataset.mark !== mark) this.fillRow(row, sale, at);
    row.dataset.mark = mark;
    row.dataset.left = String(sale.units_left); // the rest stays, so that "cancel" can be pressed
    const left = row.querySelector("[data-units]");
    if (left && left.textContent !== count(sale.units_left)) left.textContent = count(sale.units_left);
  }

  /** @param {HTMLElement} row @param {FlashSale} sale @param {Phase} at */
  fillRow(row, sale, at) {
    row.dataset.sale = sale.id;
    row.dataset.phase = at;
    const words = { upcoming: t("flash.starts_in"), open: t("flash.ends_in"), paused: t("sale.pauses"), sold_out: t("flash.gone"), ended: t("flash.over"), cancelled: t("sale.cancelled") }[at];
    const until = at === "upcoming" ? sale.starts_at : at === "open" ? sale.ends_at : null;
    const running = at === "upcoming" || at === "open" || at === "paused" || at === "sold_out";
    const focused = row.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.testid : null;
    fill(
      row,
      h("div", { class: "sale-about" }, h("p", { class: "run-title" }, sale.title), h("p", { class: "run-line" }, priceBlock(sale), chip(words, at === "open" ? "hot" : ""), until ? countDown(Date.parse(until)) : null)),
      h("p", { class: "sale-left digits", testid: "sale-left" }, h("strong", { "data-units": "" }), h("span", { class: "soft small" }, t("sale.left_of", { n: count(sale.units_total) }))),
      sale.tried ? h("div", { class: "run-actions" }, this.hideButton()) : null,
      running && !sale.tried ? h("div", { class: "run-actions" }, this.step(sale, -1), this.step(sale, 1), this.goOnButton(sale), this.cancelButton(sale)) : null,
    );
    if (focused) /** @type {HTMLElement|null} */ (row.querySelector(`[data-testid="${focused}"]`))?.focus();
  }

  /** @param {FlashSale} sale @param {1|-1} by */
  step(sale, by) {
    const label = by > 0 ? t("sale.more_units", { title: sale.title }) : t("sale.fewer_units", { title: sale.title });
    const button = h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, testid: by > 0 ? "sale-more-units" : "sale-fewer-units" }, icon(by > 0 ? "plus" : "minus"));
    const change = () => patch(path`/v1/flash-sales/${sale.id}`, { units: sale.units_total + by });
    button.addEventListener("click", () => void this.actions.press(button, change, t("act.units", { n: count(sale.units_total + by) })));
    return button;
  }

  /** For one that is to pause without its host: sell on, now or when the time comes. @param {FlashSale} sale */
  goOnButton(sale) {
    if (sale.host_away !== "pause") return null;
    const button = h("button", { type: "button", class: sale.paused_at ? "button small primary" : "button small", testid: "sale-go-on" }, t("sale.go_on"));
    const change = () => patch(path`/v1/flash-sales/${sale.id}`, { host_away: "go_on" });
    button.addEventListener("click", () => void this.actions.press(button, change, t("act.sale_goes_on", { title: sale.title })));
    return button;
  }

  /** Takes the sale of a rehearsal away. */
  hideButton() {
    const button = h("button", { type: "button", class: "button small", testid: "sale-hide" }, t("rehearsal.hide"));
    button.addEventListener("click", () => void this.actions.press(button, () => remove(path`/v1/rooms/${this.store.id}/rehearsal-sale`), t("act.tried_gone")));
    return button;
  }

  /** @param {FlashSale} sale */
  cancelButton(sale) {
    return h("button", { type: "button", class: "button small", testid: "sale-cancel", on: { click: () => this.askCancel(sale) } }, t("sale.cancel"));
  }

  /** What a cancelled sale sold cannot be sold again: both ways are held. @param {FlashSale} sale */
  askCancel(sale) {
    const sheet = makeSheet({ title: t("sale.cancel_sure", { title: sale.title }), testid: "cancel-sheet" });
    const choice = (/** @type {"honour"|"void"} */ orders, /** @type {string} */ words) =>
      holdButton({
        testid: `cancel-${orders}`,
        words,
        hint: t("hold.hint", { n: HOLD_MS / 1000 }),
        className: orders === "void" ? "button danger block" : "button block",
        action: async (button) => {
          const cancel = () => once(path`/v1/flash-sales/${sale.id}/cancel`, { orders });
          if (await this.actions.press(button, cancel, t("act.sale_cancelled", { title: sale.title }))) sheet.close();
        },
      });
    append(sheet.body, [
      h("p", { class: "soft" }, t("sale.cancel_text"), " ", t("hold.hint", { n: HOLD_MS / 1000 })),
      choice("honour", t("sale.cancel_honour")),
      choice("void", t("sale.cancel_void")),
      h("button", { type: "button", class: "button block", on: { click: () => sheet.close() } }, t("common.back")),
    ]);
    sheet.open();
  }
}
