// @ts-check
/** The viewer's newest orders, in the room. testids: orders-sheet, order-card … */

import { explain } from "../api.js";
import { fill } from "../h.js";
import { t } from "../i18n.js";
import { list } from "../orders-api.js";
import { orderCard } from "./order-card.js";
import { empty, failure } from "./product-bits.js";
import { makeSheet } from "./sheet.js";

/** Older ones are the shop's to show. */
export async function openOrders() {
  const sheet = makeSheet({ title: t("orders.title"), testid: "orders-sheet" });
  sheet.open();
  try {
    const { items } = await list();
    fill(sheet.body, items.length ? items.map((order) => orderCard(order)) : empty(t("orders.none"), t("orders.none_text")));
  } catch (error) {
    fill(sheet.body, failure(explain(error)));
  }
}
