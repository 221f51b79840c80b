// @ts-check
/**
 * API keys for the shop's own programs: made for some scopes, shown once, ended at any time.
 *
 * testids: key-form, key-name, key-scope (value), key-save, key-problem, key-secret,
 * key-row (data-key), key-delete
 */

import { get, path, post, remove } from "../api.js";
import { makeForm } from "../components/form.js";
import { busy, field } from "../components/product-bits.js";
import { ask } from "../components/sheet.js";
import { dateTime } from "../format-more.js";
import { fill, h, keyed } from "../h.js";
import { t } from "../i18n.js";
import { complain } from "./bits.js";

/** @typedef {{id: string, name: string, scopes: string[], hint: string, created_at: string, last_used_at: string|null}} Key */

/** As liveserver/scopes.py names them for merchants. */
const SCOPES = ["products:read", "products:write", "sales:write", "orders:read", "orders:write", "coupons:read", "coupons:write", "webhooks:read", "webhooks:write", "hooks:write", "shop:write"];

export class KeyDesk {
  constructor() {
    this.list = h("ul", { class: "row-list" });
    this.secret = h("div", { role: "status" });
    this.element = h("section", { class: "stack" }, h("h3", null, t("key.title")), h("p", { class: "soft" }, t("key.lead")), h("div", { class: "card" }, this.makeForm()), this.secret, this.list);
  }

  makeForm() {
    const name = h("input", { type: "text", required: true, maxLength: 60, autocomplete: "off", testid: "key-name" });
    const boxes = SCOPES.map((scope) => h("input", { type: "checkbox", value: scope, testid: "key-scope" }));
    const save = h("button", { type: "submit", class: "button", testid: "key-save" }, t("key.make"));
    const complete = () => boxes[0].setCustomValidity(boxes.some((box) => box.checked) ? "" : t("key.choose"));
    boxes.forEach((box) => box.addEventListener("change", complete));
    complete();
    const send = async () => {
      const made = await post("/v1/api-keys", { name: name.value.trim(), scopes: boxes.filter((box) => box.checked).map((box) => box.value) });
      name.value = "";
      boxes.forEach((box) => (box.checked = false));
      complete();
      fill(this.secret, h("div", { class: "note strong" }, h("p", null, t("key.shown_once")), h("code", { class: "secret", testid: "key-secret" }, made.key)));
      await this.load();
    };
    const choices = boxes.map((box) => h("label", { class: "check" }, box, h("code", null, box.value)));
    const scopes = h("fieldset", { class: "checks" }, h("legend", null, t("key.scopes")), ...choices);
    return makeForm("key-form", [field(t("key.name"), name, t("key.name_hint")), scopes], save, send);
  }

  async load() {
    /** @type {Key[]} */
    const items = (await get("/v1/api-keys")).items;
    keyed(this.list, items, (key) => key.id, () => h("li", { class: "card row", testid: "key-row" }));
    items.forEach((key, at) => this.fillRow(/** @type {HTMLElement} */ (this.list.children[at]), key));
  }

  /** @param {HTMLElement} row @param {Key} key */
  fillRow(row, key) {
    const mark = JSON.stringify(key);
    if (row.dataset.mark === mark) return;
    Object.assign(row.dataset, { mark, key: key.id });
    const end = h("button", { type: "button", class: "button small", testid: "key-delete" }, t("key.delete"));
    end.addEventListener("click", () => busy(end, () => this.drop(key), complain));
    const used = key.last_used_at ? t("key.used", { at: dateTime(key.last_used_at) }) : t("key.unused");
    const about = h("div", { class: "row-about" }, h("p", { class: "run-title break" }, key.name, " ", h("code", { class: "soft small" }, `…${key.hint}`)), h("p", { class: "soft small break" }, key.scopes.join(", ")), h("p", { class: "soft small" }, used));
    fill(row, about, h("div", { class: "row-actions" }, end));
  }

  /** @param {Key} key */
  async drop(key) {
    const sure = await ask({ title: t("key.delete_sure"), text: t("key.delete_text", { name: key.name }), yes: t("key.delete"), danger: true });
    if (!sure) return;
    await remove(path`/v1/api-keys/${key.id}`);
    await this.load();
  }
}
