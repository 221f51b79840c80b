// @ts-check
/**
 * Ways to sign in, to one's orders and to the other language. In the page of a shop the first two stay
 * there: the shop signs its viewers in, and the orders open in the room. testid: language
 */

import { framed, host } from "../bearer.js";
import { h } from "../h.js";
import { change, locale, t } from "../i18n.js";
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

/** Switches to the other language. @param {boolean} [short] two letters, where there is little room */
export function languageButton(short = false) {
  const other = locale() === "en" ? "zh-CN" : "en";
  return h(
    "button",
    { type: "button", class: "link-button", testid: "language", lang: other, on: { click: () => change(other) } },
    other === "zh-CN" ? "中文" : short ? "EN" : "English",
  );
}
