// @ts-check
/**
 * The shop's products: texts, prices, picture, stock, and which rooms may sell them.
 *
 * testids: product-new, product-import, product-form, product-sku, product-title-input, product-price-input,
 * product-list-price, product-currency, product-stock-input, product-description, product-terms,
 * product-seller, product-picture, product-image, product-save, product-problem; product-row
 * (data-product, data-sku, data-stock), product-edit, product-stock, stock-form, stock-delta,
 * stock-reason, stock-save, product-grant, grant-form, grant-room, grant-floor, grant-units,
 * grant-save, grant-row
 */

import { call, get, patch, path, put } from "../api.js";
import { makeForm } from "../components/form.js";
import { chip, empty, field, picture } from "../components/product-bits.js";
import { makeSheet } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { count, money } from "../format.js";
import { cents, plainPrice } from "../format-more.js";
import { fill, h, keyed } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { once } from "../once.js";
import { complain } from "./bits.js";
import { openImport } from "./import.js";
import { PICTURE_TYPES, fittingPicture } from "./picture.js";

/** @typedef {import("../types.js").Product} Product */
/** @typedef {import("../types.js").Room} Room */

/** A file on its way up may take its time on a phone, in ms. */
const UPLOAD_TIMEOUT_MS = 60_000;

export class Products {
  constructor() {
    this.list = h("ul", { class: "row-list" });
    this.holder = h("div");
    this.element = h(
      "section",
      { class: "stack" },
      h(
        "div",
        { class: "section-head" },
        h("h2", null, t("merchant.products")),
        h(
          "div",
          { class: "row-actions" },
          h("button", { type: "button", class: "button", testid: "product-import", on: { click: () => openImport(() => this.load()) } }, t("import.title")),
          h("button", { type: "button", class: "button primary", testid: "product-new", on: { click: () => this.edit(null) } }, icon("plus"), t("merchant.product_new")),
        ),
      ),
      this.holder,
    );
    /** @type {Product[]} */
    this.items = [];
  }

  async load() {
    this.items = (await get("/v1/products?limit=200")).items;
    this.draw();
  }

  draw() {
    if (!this.items.length) {
      fill(this.holder, empty(t("merchant.no_products"), t("merchant.no_products_text")));
      return;
    }
    if (this.list.parentElement !== this.holder) fill(this.holder, this.list);
    keyed(this.list, this.items, (product) => product.id, () => h("li", { class: "card row", testid: "product-row" }));
    this.items.forEach((product, at) => {
      const row = /** @type {HTMLElement} */ (this.list.children[at]);
      const mark = JSON.stringify(product);
      if (row.dataset.mark !== mark) this.fillRow(row, product, mark);
    });
  }

  /** @param {HTMLElement} row @param {Product} product @param {string} mark */
  fillRow(row, product, mark) {
    Object.assign(row.dataset, { mark, product: product.id, sku: product.sku, stock: String(product.stock) });
    const button = (/** @type {string} */ text, /** @type {string} */ testid, /** @type {() => void} */ click) =>
      h("button", { type: "button", class: "button small", testid, on: { click } }, text);
    fill(
      row,
      picture(product, "medium"),
      h(
        "div",
        { class: "row-about" },
        h("p", { class: "run-title" }, product.title),
        h("p", { class: "run-line" }, h("strong", { class: "digits" }, money(product.price_cents, product.currency)), h("span", { class: "soft small" }, product.sku)),
        h("p", { class: "run-line" }, product.stock ? chip(t("product.stock", { n: count(product.stock) })) : chip(t("product.no_stock"), "bad")),
      ),
      h(
        "div",
        { class: "row-actions" },
        button(t("merchant.edit"), "product-edit", () => this.edit(product)),
        button(t("merchant.stock"), "product-stock", () => this.stock(product)),
        button(t("merchant.grant"), "product-grant", () => openGrants(product)),
      ),
    );
  }

  /** @param {Product|null} product */
  edit(product) {
    const sheet = makeSheet({ title: product ? t("merchant.product_edit") : t("merchant.product_new"), testid: "product-sheet", wide: true });
    const text = (/** @type {string} */ value, /** @type {Record<string, any>} */ more) => h("input", { type: "text", value, autocomplete: "off", ...more });
    const sku = text(product?.sku || "", { required: true, maxLength: 64, testid: "product-sku", disabled: Boolean(product) });
    const title = text(product?.title || "", { required: true, maxLength: 200, testid: "product-title-input" });
    const price = text(product ? plainPrice(product.price_cents) : "", { required: true, inputmode: "decimal", testid: "product-price-input" });
    const listPrice = text(product?.list_price_cents ? plainPrice(product.list_price_cents) : "", { inputmode: "decimal", testid: "product-list-price" });
    const currency = text(product?.currency || "CNY", { required: true, pattern: "[A-Z]{3}", maxLength: 3, testid: "product-currency", disabled: Boolean(product) });
    const stock = h("input", { type: "number", min: "0", value: String(product?.stock ?? 0), required: true, testid: "product-stock-input", disabled: Boolean(product) });
    const description = h("textarea", { rows: 3, value: product?.description || "", testid: "product-description" });
    const terms = h("textarea", { rows: 2, value: product?.terms || "", testid: "product-terms" });
    const seller = text(product?.seller_name || "", { maxLength: 200, testid: "product-seller" });
    const file = h("input", { type: "file", accept: PICTURE_TYPES.join(), testid: "product-picture" });
    const image = text(product?.image_url || "", { maxLength: 500, testid: "product-image", placeholder: "https://…" });
    const save = h("button", { type: "submit", class: "button primary block", testid: "product-save" }, t("common.save"));
    for (const input of [price, listPrice]) {
      input.addEventListener("input", () => input.setCustomValidity(input.value && !cents(input.value) ? t("sale.price_wrong") : ""));
    }
    let known = product;
    const send = async () => {
      const common = {
        title: title.value.trim(),
        description: description.value,
        terms: terms.value,
        seller_name: seller.value.trim(),
        price_cents: cents(price.value),
        list_price_cents: listPrice.value ? cents(listPrice.value) : null,
        ...(image.value.trim() === (known?.image_url || "") ? {} : { image_url: image.value.trim() || null }),
      };
      if (known) await patch(path`/v1/products/${known.id}`, common);
      else known = await once("/v1/products", { ...common, sku: sku.value.trim(), currency: currency.value, stock: Number(stock.value) });
      // A picture that is refused leaves the product made: the next press of the button changes it.
      if (known && file.files?.length) await call("PUT", path`/v1/products/${known.id}/image`, { body: await fittingPicture(file.files[0]), timeout: UPLOAD_TIMEOUT_MS });
      sheet.close();
      toast(t("merchant.saved"), "good");
      await this.load();
    };
    const fields = [
      field(t("product.title"), title),
      h("div", { class: "field-grid" }, field(t("product.sku"), sku, t("merchant.sku_hint")), field(t("merchant.currency"), currency), field(t("merchant.price"), price), field(t("merchant.list_price"), listPrice, t("merchant.list_price_hint")), field(t("merchant.stock_now"), stock), field(t("product.seller"), seller)),
      field(t("product.description"), description),
      field(t("product.terms"), terms),
      field(t("merchant.picture"), file, t("merchant.picture_hint")),
      field(t("merchant.image"), image),
    ];
    fill(sheet.body, makeForm("product-form", fields, save, send));
    sheet.open();
  }

  /** @param {Product} product */
  stock(product) {
    const sheet = makeSheet({ title: t("merchant.stock_of", { title: product.title }), testid: "stock-sheet" });
    const delta = h("input", { type: "number", required: true, value: "10", testid: "stock-delta" });
    const reason = h("input", { type: "text", required: true, maxLength: 200, value: t("merchant.stock_reason"), testid: "stock-reason" });
    const save = h("button", { type: "submit", class: "button primary block", testid: "stock-save" }, t("common.save"));
    const send = async () => {
      await once(path`/v1/products/${product.id}/stock`, { delta: Number(delta.value), reason: reason.value.trim() });
      sheet.close();
      await this.load();
    };
    const step = (/** @type {number} */ by) => h("button", { type: "button", class: "button small", on: { click: () => (delta.value = String((Number(delta.value) || 0) + by)) } }, by > 0 ? `+${by}` : String(by));
    fill(
      sheet.body,
      h("p", null, t("merchant.stock_is", { n: count(product.stock) })),
      makeForm("stock-form", [field(t("merchant.stock_delta"), delta, t("merchant.stock_delta_hint")), h("div", { class: "actions start" }, [-10, -1, 1, 10, 100].map(step)), field(t("merchant.reason"), reason)], save, send),
    );
    sheet.open();
  }
}

/** @param {Product} product */
async function openGrants(product) {
  const sheet = makeSheet({ title: t("merchant.grant_of", { title: product.title }), testid: "grant-sheet" });
  const rows = h("ul", { class: "plain-list" });
  const room = h("select", { required: true, testid: "grant-room" });
  const floor = h("input", { type: "text", inputmode: "decimal", testid: "grant-floor" });
  const units = h("input", { type: "number", min: "1", testid: "grant-units" });
  const save = h("button", { type: "submit", class: "button primary block", testid: "grant-save" }, t("merchant.grant_save"));
  const load = async () => {
    const [grants, rooms] = await Promise.all([get(path`/v1/products/${product.id}/grants`), get("/v1/rooms?limit=200")]);
    const names = new Map(/** @type {Room[]} */ (rooms.items).map((one) => [one.id, one.title]));
    const chosen = room.value;
    fill(room, rooms.items.map((/** @type {Room} */ one) => h("option", { value: one.id }, one.title)));
    if (chosen) room.value = chosen;
    fill(
      rows,
      grants.items.map((/** @type {any} */ grant) =>
        h(
          "li",
          { class: "plain-row", testid: "grant-row", "data-room": grant.room },
          h("strong", null, names.get(grant.room) || grant.room),
          h("span", { class: "soft" }, grant.min_price_cents ? t("merchant.grant_from", { price: money(grant.min_price_cents, product.currency) }) : t("merchant.grant_any_price")),
          h("span", { class: "soft" }, grant.units_max ? t("merchant.grant_units", { used: count(grant.used), n: count(grant.units_max) }) : t("merchant.grant_any_units")),
        ),
      ),
    );
    if (!grants.items.length) fill(rows, h("li", { class: "soft" }, t("merchant.no_grants")));
  };
  const send = async () => {
    await put(path`/v1/products/${product.id}/grants`, { room: room.value, min_price_cents: floor.value ? cents(floor.value) : null, units_max: units.value ? Number(units.value) : null });
    toast(t("merchant.saved"), "good");
    await load();
  };
  fill(
    sheet.body,
    h("p", { class: "soft" }, t("merchant.grant_text")),
    rows,
    makeForm("grant-form", [field(t("merchant.room"), room), h("div", { class: "field-grid" }, field(t("merchant.floor"), floor, t("merchant.empty_is_any")), field(t("merchant.units_max"), units, t("merchant.empty_is_any")))], save, send),
  );
  sheet.open();
  await load().catch(complain);
}
