// @ts-check
/**
 * Many products from a file that a spreadsheet wrote.
 *
 * testids: import-form, import-file, import-save, import-problem, import-result, import-mistakes
 */

import { asProblem, call } from "../api.js";
import { makeForm } from "../components/form.js";
import { field } from "../components/product-bits.js";
import { makeSheet } from "../components/sheet.js";
import { count } from "../format.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";

/** A thousand products are written in a few seconds; the line of a phone may be slow, in ms. */
const UPLOAD_TIMEOUT_MS = 60_000;

/** @param {() => Promise<unknown>} done called after something was imported */
export function openImport(done) {
  const sheet = makeSheet({ title: t("import.title"), testid: "import-sheet" });
  const file = h("input", { type: "file", required: true, accept: ".csv,text/csv", testid: "import-file" });
  const told = h("div", { role: "status" });
  const save = h("button", { type: "submit", class: "button primary", testid: "import-save" }, t("import.send"));
  const send = async () => {
    fill(told);
    const data = new Blob([await /** @type {FileList} */ (file.files)[0].arrayBuffer()], { type: "text/csv" });
    try {
      const result = await call("POST", "/v1/products/import", { body: data, timeout: UPLOAD_TIMEOUT_MS });
      fill(told, h("p", { class: "note", testid: "import-result" }, t("import.result", { created: count(result.created), changed: count(result.changed), same: count(result.same) })));
      await done();
    } catch (error) {
      const mistakes = /** @type {{line: number, detail: string}[]} */ (asProblem(error).facts.errors || []);
      if (mistakes.length > 1) fill(told, h("ul", { testid: "import-mistakes" }, mistakes.map((one) => h("li", null, t("import.mistake", { n: one.line, detail: one.detail })))));
      throw error;
    }
  };
  const columns = h("p", { class: "soft small" }, t("import.columns"), " ", h("code", { class: "break" }, "sku, title, price_cents, currency, stock, description, terms, seller_name, list_price_cents, image_url"));
  fill(sheet.body, h("p", { class: "soft" }, t("import.lead")), columns, makeForm("import-form", [field(t("import.file"), file)], save, send), told);
  sheet.open();
}
