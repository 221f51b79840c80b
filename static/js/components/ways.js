// @ts-check
/**
 * Ways to sign in and to one's orders. In the page of a shop both stay there: the shop signs its
 * viewers in, and the orders open in the room.
 *
 * testids: orders-sheet, order-card …
 */

import { explain } from "../api.js";
import { framed } from "../bearer.js";
import { host } from "../embed/host.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { list } from "../orders-api.js";
import { signInAddress } from "../session.js";
import { orderCard } from "./order-card.js";
import { empty, failure } from "./product-bits.js";
import { makeSheet, toast } from "./sheet.js";

/** @typedef {import("../h.js").Child} Child */

/** A link, or in a frame a button, that leads to signing in. @param {Record<string, any>} props @param {string} words */
export function signInWay(props, words) {
  return framed ? h("button", { ...props, type: "button", on: { click: goSignIn } }, words) : h("a", { ...props, href: signInAddress() }, words);
}

/** Leaves to sign in, or asks the shop's page to do it. */
export function goSignIn() {
  if (!framed) {
    location.href = signInAddress();
    return;
  }
  host()?.say("session.wanted");
  toast(t("embed.sign_in"));
}

/** A link, or in a frame a button, that leads to one's orders. @param {Record<string, any>} props @param {...Child} children */
export function ordersWay(props, ...children) {
  if (!framed) return h("a", { ...props, href: "/orders" }, ...children);
  return h("button", { ...props, type: "button", on: { click: () => void openOrders() } }, ...children);
}

/** The newest orders, in the room. Older ones are the shop's to show. */
async function openOrders() {
  const sheet = makeSheet({ title: t("orders.title"), testid: "orders-sheet" });
  sheet.open();
  try {
    const { items } = await list();
    fill(sheet.body, items.length ? items.map((order) => orderCard(order)) : empty(t("orders.none"), t("orders.none_text")));
  } catch (error) {
    fill(sheet.body, failure(explain(error)));
  }
}
