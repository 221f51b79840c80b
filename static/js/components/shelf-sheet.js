// @ts-check
/** The shelf in a sheet, for phones; a long one can be searched. testids: shelf-sheet, shelf-search, shelf-none, shelf-item … */

import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { makeSheet } from "./sheet.js";
import { shelfList } from "./shelf-view.js";

/** @typedef {import("../room-store.js").RoomStore} RoomStore */
/** @typedef {import("./shelf-view.js").Ways} Ways */

/** As many rows are seen at a glance. */
const GLANCE = 6;

/** @param {RoomStore} store @param {Ways} ways */
export function openShelfSheet(store, { onSale, onProduct }) {
  const search = h("input", { type: "search", class: "shelf-search", testid: "shelf-search", "aria-label": t("shelf.search"), placeholder: t("shelf.search") });
  const none = h("p", { class: "soft", role: "status", testid: "shelf-none" });
  const onState = () => {
    view.draw();
    search.hidden = store.state.shelf.length <= GLANCE;
    find();
  };
  const find = () => {
    const words = search.hidden ? "" : search.value.trim().toLowerCase();
    const rows = /** @type {HTMLElement[]} */ (Array.from(view.element.querySelectorAll(".shelf-item")));
    const found = rows.filter((row, at) => {
      const item = store.state.shelf[at];
      row.hidden = !(String(item.number) === words || item.title.toLowerCase().includes(words));
      return !row.hidden;
    });
    const told = rows.length && !found.length ? t("shelf.none_found") : "";
    if (none.textContent !== told) none.textContent = told; // else it is read out at each news
  };
  search.addEventListener("input", find);
  const sheet = makeSheet({ title: t("shelf.title"), testid: "shelf-sheet", onClose: () => store.removeEventListener("state", onState) });
  const leave = (/** @type {(id: string) => void} */ way) => (/** @type {string} */ id) => {
    sheet.close();
    way(id);
  };
  const view = shelfList(store, { onSale: leave(onSale), onProduct });
  store.addEventListener("state", onState);
  onState();
  fill(sheet.body, search, none, view.element);
  sheet.open();
}
