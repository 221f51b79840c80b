// @ts-check
/**
 * The room's address for others: a code for the camera of a phone, the address to copy, and what the
 * device itself offers to share with.
 *
 * testids: share, share-code (data-address), share-address, share-copy, share-device
 */

import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { qrCode } from "../qr.js";
import { field } from "./product-bits.js";
import { makeSheet } from "./sheet.js";
import { toast } from "./toast.js";

/** Light modules around a code. */
const QUIET = 4;
const SVG = "http://www.w3.org/2000/svg";

/** @param {import("../types.js").Room} room */
export function openShare(room) {
  const address = new URL(`/rooms/${encodeURIComponent(room.id)}`, location.origin).href;
  const sheet = makeSheet({ title: t("share.title"), testid: "share" });
  const line = h("input", { type: "text", readOnly: true, value: address, testid: "share-address" });
  line.addEventListener("focus", () => line.select());
  fill(
    sheet.body,
    code(address),
    h("p", { class: "share-words soft" }, t("share.scan")),
    field(t("share.address"), line),
    h(
      "div",
      { class: "actions" },
      way("share-copy", "copy", t("share.copy"), () => copy(address, line)),
      "share" in navigator ? way("share-device", "share", t("share.device"), () => offer(room.title, address)) : null,
    ),
  );
  sheet.open();
}

/** @param {string} testid @param {"copy"|"share"} picture @param {string} words @param {() => void} act */
function way(testid, picture, words, act) {
  return h("button", { type: "button", class: picture === "copy" ? "button primary" : "button", testid, on: { click: act } }, icon(picture), words);
}

/** A code of one path, dark on light in every theme; null for an address that is too long for one. @param {string} address */
function code(address) {
  let rows;
  try {
    rows = qrCode(address);
  } catch {
    return null; // the address below does
  }
  const size = rows.length + 2 * QUIET;
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  const dark = rows.flatMap((row, y) => row.map((on, x) => (on ? `M${x + QUIET} ${y + QUIET}h1v1h-1z` : "")));
  path.setAttribute("d", dark.join(""));
  svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
  svg.setAttribute("shape-rendering", "crispEdges");
  svg.append(path);
  return h("div", { class: "share-code", role: "img", "aria-label": t("share.code"), testid: "share-code", "data-address": address }, svg);
}

/** Without the right to the clipboard the address is marked, to be copied by hand. @param {string} address @param {HTMLInputElement} line */
async function copy(address, line) {
  try {
    await navigator.clipboard.writeText(address);
    toast(t("share.copied"), "good");
  } catch {
    line.focus();
    toast(t("share.by_hand"));
  }
}

/** @param {string} title @param {string} url */
function offer(title, url) {
  navigator.share({ title, url }).catch((/** @type {DOMException} */ error) => {
    if (error.name !== "AbortError") toast(t("share.failed"), "bad"); // changed their mind
  });
}
