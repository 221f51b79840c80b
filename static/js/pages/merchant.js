// @ts-check
/**
 * The merchant's desk: products, what rooms may sell, orders as they come, webhooks.
 *
 * testids: tab-products, tab-orders, tab-webhooks;
 * product-new, product-form, product-sku, product-title-input, product-price-input,
 * product-list-price, product-currency, product-stock-input, product-description, product-terms,
 * product-seller, product-image, product-save, product-problem; product-row (data-product, data-sku,
 * data-stock), product-edit, product-stock, stock-form, stock-delta, stock-reason, stock-save,
 * product-grant, grant-form, grant-room, grant-floor, grant-units, grant-save, grant-row;
 * merchant-orders, merchant-order (data-order, data-state, data-sequence), orders-more;
 * endpoint-form, endpoint-url, endpoint-save, endpoint-problem, endpoint-secret, endpoint-row
 * (data-endpoint, data-state), endpoint-test, endpoint-rotate, endpoint-toggle, endpoint-delete,
 * delivery-row (data-delivery, data-state), delivery-redeliver, deliveries-refresh
 */

import { explain, get, patch, path, post, put, remove } from "../api.js";
import { orderState } from "../components/order-card.js";
import { busy, chip, empty, failure, field, picture } from "../components/product-bits.js";
import { ask, makeSheet, toast } from "../components/sheet.js";
import { cents, count, dateTime, money, plainPrice } from "../format.js";
import { fill, h, icon, keyed } from "../h.js";
import { t } from "../i18n.js";
import { begin, frame } from "../page.js";
import { find, signInAddress } from "../session.js";

/** @typedef {import("../types.js").Product} Product */
/** @typedef {import("../types.js").Order} Order */
/** @typedef {import("../types.js").Room} Room */
/** @typedef {{id: string, url: string, events: string[], state: string, disabled_reason: string|null, failing_since: string|null}} Endpoint */
/** @typedef {{id: string, endpoint: string, type: string, state: string, attempts: number, created_at: string, last_status: number|null, last_error: string|null, next_attempt_at: string|null}} Delivery */

/** How often what happened meanwhile is fetched while somebody looks, in ms. */
const REFRESH_MS = 2_000;

/** @param {unknown} error */
const complain = (error) => toast(explain(error), "bad");

/** Repeats while the page is looked at; one request at a time. @param {() => Promise<unknown>} action */
function repeat(action) {
  const turn = async () => {
    if (document.visibilityState === "visible") await action().catch(() => undefined); // the next turn tries again
    setTimeout(turn, REFRESH_MS);
  };
  setTimeout(turn, REFRESH_MS);
}

/**
 * A form whose failure stands under it.
 *
 * @param {string} testid @param {import("../h.js").Child[]} fields @param {HTMLButtonElement} button
 * @param {() => Promise<unknown>} send
 */
function makeForm(testid, fields, button, send) {
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

/* products */

class Products {
  constructor() {
    this.list = h("ul", { class: "row-list" });
    this.holder = h("div");
    this.element = h(
      "section",
      { class: "stack" },
      h("div", { class: "section-head" }, h("h2", null, t("merchant.products")), h("button", { type: "button", class: "button primary", testid: "product-new", on: { click: () => this.edit(null) } }, icon("plus"), t("merchant.product_new"))),
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
    const image = text(product?.image_url || "", { maxLength: 500, testid: "product-image", placeholder: "https://…" });
    const save = h("button", { type: "submit", class: "button primary block", testid: "product-save" }, t("common.save"));
    for (const input of [price, listPrice]) {
      input.addEventListener("input", () => input.setCustomValidity(input.value && !cents(input.value) ? t("sale.price_wrong") : ""));
    }
    const send = async () => {
      const common = {
        title: title.value.trim(),
        description: description.value,
        terms: terms.value,
        seller_name: seller.value.trim(),
        price_cents: cents(price.value),
        list_price_cents: listPrice.value ? cents(listPrice.value) : null,
        image_url: image.value.trim() || null,
      };
      if (product) await patch(path`/v1/products/${product.id}`, common);
      else await post("/v1/products", { ...common, sku: sku.value.trim(), currency: currency.value, stock: Number(stock.value) });
      sheet.close();
      toast(t("merchant.saved"), "good");
      await this.load();
    };
    const fields = [
      field(t("product.title"), title),
      h("div", { class: "field-grid" }, field(t("product.sku"), sku, t("merchant.sku_hint")), field(t("merchant.currency"), currency), field(t("merchant.price"), price), field(t("merchant.list_price"), listPrice, t("merchant.list_price_hint")), field(t("merchant.stock_now"), stock), field(t("product.seller"), seller)),
      field(t("product.description"), description),
      field(t("product.terms"), terms),
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
      await post(path`/v1/products/${product.id}/stock`, { delta: Number(delta.value), reason: reason.value.trim() });
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

/* orders */

class Orders {
  constructor() {
    this.body = h("tbody", { role: "rowgroup" });
    this.note = h("div");
    this.more = h("button", { type: "button", class: "button block", hidden: true, testid: "orders-more" }, t("common.more"));
    const heads = [t("merchant.when"), t("merchant.what"), t("merchant.buyer"), t("merchant.amount"), t("merchant.state")];
    this.table = h("table", { class: "table", role: "table", testid: "merchant-orders" }, h("caption", { class: "sr" }, t("merchant.orders")), h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((text) => h("th", { scope: "col", role: "columnheader" }, text)))), this.body);
    this.element = h("section", { class: "stack" }, h("h2", null, t("merchant.orders")), this.note, h("div", { class: "table-holder card", tabIndex: 0, role: "region", "aria-label": t("merchant.orders") }, this.table), this.more);
    /** Orders known, by id. @type {Map<string, Order>} */
    this.known = new Map();
    /** @type {string|null} */
    this.cursor = null;
    this.more.addEventListener("click", () => busy(this.more, () => this.older(), complain));
  }

  async load() {
    const page = await get("/v1/orders?limit=50");
    if (!this.known.size) this.cursor = page.next_cursor;
    this.take(page.items);
  }

  async older() {
    const page = await get(`/v1/orders?limit=50&cursor=${encodeURIComponent(this.cursor || "")}`);
    this.cursor = page.next_cursor;
    this.take(page.items);
  }

  /** @param {Order[]} orders */
  take(orders) {
    for (const order of orders) this.known.set(order.id, order);
    const sorted = Array.from(this.known.values()).sort((a, b) => (a.created_at < b.created_at || (a.created_at === b.created_at && a.id < b.id) ? 1 : -1));
    this.more.hidden = !this.cursor;
    this.table.hidden = !sorted.length;
    fill(this.note, sorted.length ? h("p", { class: "soft", testid: "orders-live" }, t("merchant.orders_live")) : empty(t("merchant.no_orders"), t("merchant.no_orders_text")));
    keyed(this.body, sorted, (order) => order.id, () => h("tr", { role: "row", testid: "merchant-order" }));
    sorted.forEach((order, at) => this.fillRow(/** @type {HTMLElement} */ (this.body.children[at]), order));
  }

  /** @param {HTMLElement} row @param {Order} order */
  fillRow(row, order) {
    if (row.dataset.sequence === String(order.sequence)) return;
    Object.assign(row.dataset, { order: order.id, state: order.state, sequence: String(order.sequence) });
    const [words, kind] = orderState(order.state);
    fill(
      row,
      h("td", { role: "cell", class: "digits" }, dateTime(order.created_at)),
      h("td", { role: "cell" }, order.lines.map((line) => h("span", { class: "block-line" }, `${line.title} × ${line.quantity}`))),
      h("td", { role: "cell" }, h("bdi", null, order.buyer.name || order.buyer.id)),
      h("td", { role: "cell", class: "digits" }, money(order.amount_cents, order.currency)),
      h("td", { role: "cell" }, chip(words, kind, "merchant-order-state", order.state)),
    );
  }
}

/* webhooks */

class WebhookDesk {
  constructor() {
    this.endpoints = h("ul", { class: "row-list" });
    this.deliveries = h("tbody", { role: "rowgroup" });
    this.secret = h("div", { role: "status" });
    const url = h("input", { type: "url", required: true, maxLength: 2000, placeholder: "https://", testid: "endpoint-url" });
    const save = h("button", { type: "submit", class: "button primary", testid: "endpoint-save" }, t("webhook.add"));
    const send = async () => {
      const made = await post("/v1/webhook-endpoints", { url: url.value.trim(), events: [] });
      url.value = "";
      this.showSecret(made.secret);
      await this.load();
    };
    const heads = [t("webhook.when"), t("webhook.event"), t("webhook.state"), t("webhook.answer"), t("webhook.action")];
    this.element = h(
      "section",
      { class: "stack" },
      h("h2", null, t("merchant.webhooks")),
      h("p", { class: "soft" }, t("webhook.lead")),
      h("div", { class: "card" }, makeForm("endpoint-form", [field(t("webhook.url"), url, t("webhook.url_hint"))], save, send)),
      this.secret,
      this.endpoints,
      h("h3", null, t("webhook.deliveries")),
      h("div", { class: "table-holder card", tabIndex: 0, role: "region", "aria-label": t("webhook.deliveries") }, h("table", { class: "table", role: "table", testid: "deliveries" }, h("caption", { class: "sr" }, t("webhook.deliveries")), h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((text) => h("th", { scope: "col", role: "columnheader" }, text)))), this.deliveries)),
    );
  }

  /** @param {string} secret */
  showSecret(secret) {
    fill(this.secret, h("div", { class: "note strong" }, h("p", null, t("webhook.secret")), h("code", { class: "secret", testid: "endpoint-secret" }, secret)));
  }

  async load() {
    const [endpoints, deliveries] = await Promise.all([get("/v1/webhook-endpoints"), get("/v1/webhook-deliveries?limit=50")]);
    this.drawEndpoints(endpoints.items);
    this.drawDeliveries(deliveries.items);
  }

  /** @param {Endpoint[]} items */
  drawEndpoints(items) {
    keyed(this.endpoints, items, (endpoint) => endpoint.id, () => h("li", { class: "card row", testid: "endpoint-row" }));
    items.forEach((endpoint, at) => {
      const row = /** @type {HTMLElement} */ (this.endpoints.children[at]);
      const mark = JSON.stringify(endpoint);
      if (row.dataset.mark === mark) return;
      Object.assign(row.dataset, { mark, endpoint: endpoint.id, state: endpoint.state });
      const on = endpoint.state === "active";
      fill(
        row,
        h("div", { class: "row-about" }, h("p", { class: "run-title break" }, endpoint.url), h("p", { class: "run-line" }, on ? chip(t("webhook.active"), "good") : chip(t("webhook.disabled"), "bad"), endpoint.failing_since ? h("span", { class: "problem-text" }, t("webhook.failing", { at: dateTime(endpoint.failing_since) })) : null)),
        h(
          "div",
          { class: "row-actions" },
          this.action(t("webhook.test"), "endpoint-test", () => post(path`/v1/webhook-endpoints/${endpoint.id}/test`), t("webhook.test_sent")),
          this.action(on ? t("webhook.switch_off") : t("webhook.switch_on"), "endpoint-toggle", () => patch(path`/v1/webhook-endpoints/${endpoint.id}`, { state: on ? "disabled" : "active" })),
          this.action(t("webhook.rotate"), "endpoint-rotate", () => this.rotate(endpoint)),
          this.action(t("webhook.delete"), "endpoint-delete", () => this.drop(endpoint)),
        ),
      );
    });
  }

  /** @param {string} text @param {string} testid @param {() => Promise<unknown>} action @param {string} [done] */
  action(text, testid, action, done) {
    const button = h("button", { type: "button", class: "button small", testid }, text);
    const run = async () => {
      await action();
      if (done) toast(done, "good");
      await this.load();
    };
    button.addEventListener("click", () => busy(button, run, complain));
    return button;
  }

  /** @param {Endpoint} endpoint */
  async rotate(endpoint) {
    const sure = await ask({ title: t("webhook.rotate_sure"), text: t("webhook.rotate_text"), yes: t("webhook.rotate") });
    if (sure) this.showSecret((await post(path`/v1/webhook-endpoints/${endpoint.id}/rotate-secret`)).secret);
  }

  /** @param {Endpoint} endpoint */
  async drop(endpoint) {
    const sure = await ask({ title: t("webhook.delete_sure"), text: endpoint.url, yes: t("webhook.delete"), danger: true });
    if (sure) await remove(path`/v1/webhook-endpoints/${endpoint.id}`);
  }

  /** @param {Delivery[]} items */
  drawDeliveries(items) {
    keyed(this.deliveries, items, (delivery) => delivery.id, () => h("tr", { role: "row", testid: "delivery-row" }));
    if (!items.length) fill(this.deliveries, h("tr", null, h("td", { role: "cell", colSpan: 5, class: "soft" }, t("webhook.no_deliveries"))));
    items.forEach((delivery, at) => {
      const row = /** @type {HTMLElement} */ (this.deliveries.children[at]);
      const mark = JSON.stringify(delivery);
      if (row.dataset.mark === mark) return;
      Object.assign(row.dataset, { mark, delivery: delivery.id, state: delivery.state });
      const [words, kind] = deliveryState(delivery.state);
      const answer = [delivery.last_status ? `HTTP ${delivery.last_status}` : "", delivery.last_error || ""].filter(Boolean).join(" · ") || "–";
      fill(
        row,
        h("td", { role: "cell", class: "digits" }, dateTime(delivery.created_at)),
        h("td", { role: "cell" }, h("code", null, delivery.type)),
        h("td", { role: "cell" }, chip(words, kind), " ", h("span", { class: "soft small" }, t("webhook.attempts", { n: delivery.attempts }))),
        h("td", { role: "cell", class: "break" }, answer),
        h("td", { role: "cell" }, this.action(t("webhook.redeliver"), "delivery-redeliver", () => post(path`/v1/webhook-deliveries/${delivery.id}/redeliver`), t("webhook.queued"))),
      );
    });
  }
}

/** @param {string} state @returns {[string, string]} */
function deliveryState(state) {
  const known = /** @type {Record<string, [string, string]>} */ ({
    pending: [t("webhook.pending"), "warn"],
    delivered: [t("webhook.delivered"), "good"],
    failed: [t("webhook.failed"), "bad"],
  });
  return known[state] || [state, ""];
}

/* the page */

async function show() {
  const who = await find();
  if (!who || who.role !== "merchant") {
    const way = h("a", { href: signInAddress(), class: "button primary", testid: "sign-in-here" }, t("common.sign_in"));
    frame({ title: t("merchant.title") }, empty(who && !who.guest ? t("merchant.not_yours") : t("merchant.sign_in"), t("merchant.who_may"), way));
    return;
  }
  const views = { products: new Products(), orders: new Orders(), webhooks: new WebhookDesk() };
  const holder = h("div", { class: "desk-view" });
  const names = { products: t("merchant.products"), orders: t("merchant.orders"), webhooks: t("merchant.webhooks") };
  const tabs = h(
    "nav",
    { class: "tabs", "aria-label": t("merchant.parts") },
    Object.entries(names).map(([name, text]) => h("a", { href: `#${name}`, testid: `tab-${name}` }, text)),
  );
  frame({ title: t("merchant.title"), lead: t("merchant.lead"), wide: true }, tabs, holder);
  const current = () => /** @type {keyof typeof views} */ (location.hash.slice(1) in views ? location.hash.slice(1) : "products");
  const turn = async () => {
    const view = views[current()];
    for (const tab of Array.from(tabs.children)) {
      if (tab.getAttribute("href") === `#${current()}`) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
    fill(holder, view.element);
    try {
      await view.load();
    } catch (error) {
      fill(holder, failure(explain(error), turn));
    }
  };
  window.addEventListener("hashchange", turn);
  await turn();
  repeat(() => views[current()].load());
}

void begin("merchant.title", show);
