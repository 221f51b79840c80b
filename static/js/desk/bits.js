// @ts-check
/** What all parts of the merchant's desk use: tables, and words for what went wrong. */

import { explain } from "../api.js";
import { toast } from "../components/toast.js";
import { h } from "../h.js";

/** @param {unknown} error */
export const complain = (error) => toast(explain(error), "bad");

/** A table with its head, readable as one on a phone too. @param {string} name @param {string} testid @param {string[]} heads @param {HTMLElement} body */
export function deskTable(name, testid, heads, body) {
  return h("table", { class: "table", role: "table", testid }, h("caption", { class: "sr" }, name), h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((text) => h("th", { scope: "col", role: "columnheader" }, text)))), body);
}
