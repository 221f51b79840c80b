// @ts-check
/**
 * Ways to sign in and to one's orders. In the page of a shop both stay there: the shop signs its
 * viewers in, and the orders open in the room.
 */

import { framed } from "../bearer.js";
import { host } from "../embed/around.js";
import { h } from "../h.js";
import { t } from "../i18n.js";
import { later, pressed } from "../later.js";
import { signInAddress } from "../session.js";
import { toast } from "./toast.js";

/** @typedef {import("../h.js").Child} Child */

const openOrders = pressed(later(() => import("./orders-sheet.js")));

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
  return h("button", { ...props, type: "button", on: { click: () => void openOrders((sheet) => sheet.openOrders()) } }, ...children);
}
