// @ts-check
/**
 * The shelf as viewers see it: numbered rows in the host's order, each with its way to buy.
 *
 * testids: shelf-item (data-product), shelf-number, shelf-buy (the flash sale of it),
 * shelf-more (the product itself)
 */

import { clock } from "../clock.js";
import { count } from "../format.js";
import { fill, h, keyed } from "../h.js";
import { t } from "../i18n.js";
import { phase } from "../room-state.js";
import { saving } from "../saver.js";
import { chip, empty, picture, priceBlock } from "./product-bits.js";

/** @typedef {import("../types.js").ShelfItem} ShelfItem */
/** @typedef {import("../types.js").FlashSale} FlashSale */
/** @typedef {import("../room-store.js").RoomStore} RoomStore */

/** The sale of a product that one can buy from now, if any. @param {FlashSale[]} sales @param {string} product */
export function openSale(sales, product) {
  return sales.find((sale) => sale.product_id === product && phase(sale, clock.now()) === "open");
}

/**
 * The stock of a row, in place. @param {HTMLElement} row @param {ShelfItem} item
 */
export function showStock(row, item) {
  const words = item.stock > 0 ? t("product.stock", { n: count(item.stock) }) : t("product.no_stock");
  const place = row.querySelector("[data-stock]");
  if (place && place.textContent !== words) place.textContent = words;
}

/** @typedef {{onSale: (sale: string) => void, onProduct: (product: string) => void}} Ways */

/**
 * A list of the shelf that follows the room. @param {RoomStore} store @param {Ways} ways
 * @returns {{element: HTMLElement, draw: () => void}}
 */
export function shelfList(store, ways) {
  const list = h("ol", { class: "shelf-list" });
  const holder = h("div", null, list);
  const row = (/** @type {ShelfItem} */ item) => h("li", { class: "shelf-item", testid: "shelf-item", "data-product": item.id });
  const draw = () => {
    const { shelf, flash_sales: sales, pinned } = store.state;
    fill(holder, shelf.length ? list : empty(t("shelf.empty"), t("shelf.empty_text")));
    keyed(list, shelf, (item) => item.id, row);
    shelf.forEach((item, at) => {
      const sale = openSale(sales, item.id);
      const element = /** @type {HTMLElement} */ (list.children[at]);
      const state = JSON.stringify([{ ...item, stock: item.stock > 0 }, sale?.id, sale?.price_cents, pinned === item.id, saving()]);
      if (element.dataset.drawn !== state) {
        element.dataset.drawn = state;
        fillRow(element, item, sale, pinned === item.id, ways);
      }
      showStock(element, item); // changes often; the button beside it stays as it is
    });
  };
  return { element: holder, draw };
}

/**
 * @param {HTMLElement} element @param {ShelfItem} item @param {FlashSale|undefined} sale
 * @param {boolean} pinned @param {Ways} ways
 */
function fillRow(element, item, sale, pinned, { onSale, onProduct }) {
  const action = sale
    ? h("button", { type: "button", class: "button buy", testid: "shelf-buy", on: { click: () => onSale(sale.id) } }, t("flash.buy"))
    : h("button", { type: "button", class: "button", testid: "shelf-more", on: { click: () => onProduct(item.id) } }, item.stock > 0 ? t("shelf.buy") : t("shelf.look"), h("span", { class: "sr" }, item.title));
  fill(
    element,
    h("span", { class: "shelf-picture" }, picture(item, "medium"), h("span", { class: "number digits", testid: "shelf-number" }, h("span", { class: "sr" }, t("shelf.number")), String(item.number))),
    h(
      "div",
      { class: "shelf-about" },
      h("p", { class: "shelf-title" }, item.title),
      h("p", { class: "shelf-state" }, pinned ? chip(t("shelf.explained"), "hot") : null, sale ? chip(t("flash.label"), "hot") : null, h("span", { class: "soft small", "data-stock": "" })),
      priceBlock(sale || item, "shelf-price"),
    ),
    action,
  );
}
