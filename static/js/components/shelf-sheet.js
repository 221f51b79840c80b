// @ts-check
/** The shelf in a sheet, for phones. testids: shelf-sheet, shelf-item … */

import { fill } from "../h.js";
import { t } from "../i18n.js";
import { makeSheet } from "./sheet.js";
import { shelfList } from "./shelf-view.js";

/** @typedef {import("../room-store.js").RoomStore} RoomStore */
/** @typedef {import("./shelf-view.js").Ways} Ways */

/** @param {RoomStore} store @param {Ways} ways */
export function openShelfSheet(store, { onSale, onProduct }) {
  const onState = () => view.draw();
  const sheet = makeSheet({ title: t("shelf.title"), testid: "shelf-sheet", onClose: () => store.removeEventListener("state", onState) });
  const leave = (/** @type {(id: string) => void} */ way) => (/** @type {string} */ id) => {
    sheet.close();
    way(id);
  };
  const view = shelfList(store, { onSale: leave(onSale), onProduct });
  store.addEventListener("state", onState);
  view.draw();
  fill(sheet.body, view.element);
  sheet.open();
}
