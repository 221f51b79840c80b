// @ts-check
/** Forms that say under their fields what went wrong. */

import { explain } from "../api.js";
import { fill, h } from "../h.js";
import { busy } from "./product-bits.js";

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
