// @ts-check
/**
 * A name for a guest, before the first words.
 *
 * testids: name-sheet, name-input, name-save
 */

import { rename } from "../account.js";
import { explain } from "../api.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { save } from "../storage.js";
import { busy, field } from "./product-bits.js";
import { makeSheet } from "./sheet.js";

/** @returns {Promise<boolean>} whether a name was given */
export function askName() {
  return new Promise((done) => {
    let given = false;
    const sheet = makeSheet({ title: t("name.title"), testid: "name-sheet", onClose: () => done(given) });
    const input = h("input", { type: "text", maxLength: 24, required: true, autocomplete: "nickname", testid: "name-input" });
    const problem = h("p", { class: "problem", role: "alert", hidden: true });
    const button = h("button", { type: "submit", class: "button primary block", testid: "name-save" }, t("name.save"));
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      const store = async () => {
        save("named", (await rename(input.value.trim())).user);
        given = true;
        sheet.close();
      };
      void busy(button, store, (error) => {
        problem.hidden = false;
        fill(problem, explain(error));
      });
    };
    fill(sheet.body, h("form", { class: "stack", on: { submit } }, field(t("name.label"), input, t("name.hint")), problem, button));
    sheet.open();
    input.focus();
  });
}
