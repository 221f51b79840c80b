// @ts-check
/** What all parts of the merchant's desk use: forms, and words for what went wrong. */

import { explain } from "../api.js";
import { busy } from "../components/product-bits.js";
import { toast } from "../components/sheet.js";
import { fill, h } from "../h.js";

/** @param {unknown} error */
export const complain = (error) => toast(explain(error), "bad");

/**
 * A form whose failure stands under it.
 *
 * @param {string} testid @param {import("../h.js").Child[]} fields @param {HTMLButtonElement} button
 * @param {() => Promise<unknown>} send
 */
export function makeForm(testid, fields, button, send) {
  const problem = h("p", { class: "problem", role: "alert", hidden: true, testid: testid.replace("-form", "-problem") });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    problem.hidden = true;
    void busy(button, send, (error) => {
      problem.hidden = false;
      fill(problem, explain(error));
    });
  };
  return h("form", { class: "stack", testid, on: { submit } }, ...fields, problem, h("div", { class: "actions" }, button));
}

/** A table with its head, readable as one on a phone too. @param {string} name @param {string} testid @param {string[]} heads @param {HTMLElement} body */
export function deskTable(name, testid, heads, body) {
  return h("table", { class: "table", role: "table", testid }, h("caption", { class: "sr" }, name), h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((text) => h("th", { scope: "col", role: "columnheader" }, text)))), body);
}
