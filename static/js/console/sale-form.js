// @ts-check
/**
 * A flash sale in three inputs, with what viewers will see.
 *
 * testids: sale-form, sale-product, sale-price, sale-units, sale-more, sale-limit, sale-buyers,
 * sale-countdown, sale-starts-at, sale-duration, sale-hold, sale-host-away, sale-preview, sale-nothing, sale-low-price,
 * sale-confirm-low, sale-problem, sale-start
 */

import { asProblem, path, put } from "../api.js";
import { FlashCard } from "../components/flash-card.js";
import { field } from "../components/product-bits.js";
import { clock } from "../clock.js";
import { money } from "../format.js";
import { cents, plainPrice } from "../format-more.js";
import { fill, h, icon } from "../h.js";
import { t } from "../i18n.js";
import { once } from "../once.js";
import { isRehearsing } from "../room-state.js";

/** @typedef {import("../types.js").Product} Product */
/** @typedef {Product & {grant: {min_price_cents: number|null, units_max: number|null, used: number}}} Sellable */

export class SaleForm {
  /**
   * @param {import("../room-store.js").RoomStore} store @param {import("./act.js").Actions} actions
   * @param {() => Sellable[]} sellable
   */
  constructor(store, actions, sellable) {
    this.store = store;
    this.actions = actions;
    this.sellable = sellable;
    this.product = h("select", { testid: "sale-product", required: true });
    this.price = h("input", { type: "text", inputmode: "decimal", required: true, autocomplete: "off", testid: "sale-price" });
    this.units = h("input", { type: "number", min: "1", max: "1000000", value: "10", required: true, inputmode: "numeric", testid: "sale-units" });
    this.limit = h("input", { type: "number", min: "1", max: "100", value: "1", required: true, inputmode: "numeric", testid: "sale-limit" });
    this.buyers = h("select", { testid: "sale-buyers" }, h("option", { value: "" }, t("sale.buyers_default")), h("option", { value: "account" }, t("sale.buyers_account")), h("option", { value: "guest" }, t("sale.buyers_guest")));
    this.countdown = h("input", { type: "number", min: "0", max: "300", value: "10", required: true, inputmode: "numeric", testid: "sale-countdown" });
    this.startsAt = h("input", { type: "datetime-local", step: "1", autocomplete: "off", testid: "sale-starts-at" });
    this.duration = h("input", { type: "number", min: "10", max: "86400", value: "300", required: true, inputmode: "numeric", testid: "sale-duration" });
    this.hold = h("input", { type: "number", min: "10", max: "86400", value: "300", required: true, inputmode: "numeric", testid: "sale-hold" });
    this.hostAway = h("select", { testid: "sale-host-away" }, h("option", { value: "go_on" }, t("sale.host_away_go_on")), h("option", { value: "pause" }, t("sale.host_away_pause")));
    this.lowBox = h("input", { type: "checkbox", testid: "sale-confirm-low" });
    this.lowWords = h("span");
    this.low = h("label", { class: "low-price", hidden: true, testid: "sale-low-price" }, this.lowBox, this.lowWords);
    this.problem = h("p", { class: "problem", role: "alert", hidden: true, testid: "sale-problem" });
    this.preview = /** @type {FlashCard} */ (h("flash-card"));
    this.startWords = h("span");
    this.start = h("button", { type: "submit", class: "button primary big", testid: "sale-start" }, icon("bolt"), this.startWords);
    this.example = h("div", { class: "preview", testid: "sale-preview" }, h("p", { class: "soft small" }, t("sale.preview")), this.preview);
    this.nothing = h("p", { class: "soft", testid: "sale-nothing", hidden: true }, t("console.nothing_granted"));
    this.drawnChoice = "";
    this.element = this.layOut();
  }

  layOut() {
    const more = h(
      "details",
      { class: "more", testid: "sale-more" },
      h("summary", null, t("sale.more")),
      h(
        "div",
        { class: "field-grid" },
        field(t("sale.limit"), this.limit),
        field(t("sale.countdown"), this.countdown),
        field(t("sale.starts_at"), this.startsAt),
        field(t("sale.duration"), this.duration),
        field(t("sale.hold"), this.hold),
        field(t("sale.buyers"), this.buyers),
        field(t("sale.host_away"), this.hostAway),
      ),
    );
    const form = h(
      "form",
      { class: "sale-form", testid: "sale-form", on: { submit: (/** @type {Event} */ event) => this.submit(event), input: () => this.drawPreview() } },
      h("div", { class: "three" }, field(t("sale.product"), this.product), field(t("sale.price"), this.price), field(t("sale.units"), this.units)),
      more,
      this.low,
      this.problem,
      this.nothing,
      this.example,
      this.start,
    );
    this.product.addEventListener("change", () => this.suggestPrice());
    this.preview.setAttribute("inert", "");
    return form;
  }

  /** @returns {Sellable|undefined} */
  get chosen() {
    return this.sellable().find((product) => product.id === this.product.value);
  }

  drawChoice() {
    const words = isRehearsing(this.store.state) ? t("rehearsal.try") : t("sale.start");
    if (this.startWords.textContent !== words) this.startWords.textContent = words;
    const { shelf, pinned } = this.store.state;
    const order = new Map(shelf.map((item) => [item.id, item.number]));
    const choice = [...this.sellable()].sort((a, b) => (order.get(a.id) || 999) - (order.get(b.id) || 999));
    const key = JSON.stringify(choice.map((product) => [product.id, product.title, order.get(product.id)]));
    if (key === this.drawnChoice) return;
    this.drawnChoice = key;
    const before = this.product.value;
    fill(
      this.product,
      choice.map((product) => h("option", { value: product.id }, order.has(product.id) ? t("sale.numbered", { number: Number(order.get(product.id)), title: product.title }) : product.title)),
    );
    this.product.value = before || pinned || choice[0]?.id || "";
    if (!before) this.suggestPrice();
    this.start.disabled = !choice.length;
    this.nothing.hidden = choice.length > 0;
    this.example.hidden = !choice.length;
  }

  /** A first price to change: the product's own. */
  suggestPrice() {
    if (this.chosen) this.price.value = plainPrice(this.chosen.price_cents);
    this.drawPreview();
  }

  drawPreview() {
    const product = this.chosen;
    const price = cents(this.price.value);
    this.price.setCustomValidity(price ? "" : t("sale.price_wrong"));
    if (!product || !price) return;
    const list = product.list_price_cents ?? product.price_cents;
    const isLow = price * 2 < list;
    this.low.hidden = !isLow;
    if (!isLow) this.lowBox.checked = false;
    fill(this.lowWords, t("sale.low_price", { price: money(price, product.currency), list: money(list, product.currency) }));
    const now = clock.now();
    const units = Number(this.units.value) || 1;
    const planned = Date.parse(this.startsAt.value); // NaN without one
    const startsAt = planned || now - 1 + (Number(this.countdown.value) || 0) * 1000;
    this.preview.show(
      {
        id: "preview",
        room: this.store.id,
        show: null,
        product_id: product.id,
        sku: product.sku,
        title: product.title,
        price_cents: price,
        list_price_cents: product.list_price_cents ?? (price < product.price_cents ? product.price_cents : null),
        currency: product.currency,
        units_total: units,
        units_left: units,
        per_buyer_limit: Number(this.limit.value) || 1,
        buyers: "guest",
        hold_seconds: 300,
        starts_at: new Date(startsAt).toISOString(),
        ends_at: new Date(startsAt + (Number(this.duration.value) || 300) * 1000).toISOString(),
        state: startsAt > now ? "scheduled" : "running",
        version: now,
      },
      product,
      null,
    );
  }

  /** @param {Event} event */
  submit(event) {
    event.preventDefault();
    const product = this.chosen;
    const price = cents(this.price.value);
    if (!product || !price) return;
    this.problem.hidden = true;
    if (!this.low.hidden && !this.lowBox.checked) {
      this.say(t("problem.price-unconfirmed"));
      this.lowBox.focus();
      return;
    }
    if (isRehearsing(this.store.state)) {
      this.tryOut(product, price);
      return;
    }
    const body = {
      sku: product.sku,
      price_cents: price,
      units: Number(this.units.value),
      per_buyer_limit: Number(this.limit.value),
      ...this.whenToStart(),
      duration_seconds: Number(this.duration.value),
      hold_seconds: Number(this.hold.value),
      host_away: this.hostAway.value,
      ...(this.buyers.value ? { buyers: this.buyers.value } : {}),
      ...(this.lowBox.checked ? { confirm_low_price: true } : {}),
    };
    const create = async () => {
      await once(path`/v1/rooms/${this.store.id}/flash-sales`, body);
      this.lowBox.checked = false;
      this.startsAt.value = "";
    };
    const done = this.startsAt.value ? t("sale.planned") : t("sale.started");
    void this.actions.press(this.start, create, done, (error) => {
      const problem = asProblem(error);
      if (problem.name === "price-unconfirmed") this.low.hidden = false;
      this.say(problem.words);
    });
  }

  /** In a rehearsal everybody sees the sale, and nobody can buy. @param {Product} product @param {number} price */
  tryOut(product, price) {
    const show = () =>
      put(path`/v1/rooms/${this.store.id}/rehearsal-sale`, {
        product_id: product.id,
        price_cents: price,
        units: Number(this.units.value),
        per_buyer_limit: Number(this.limit.value),
        countdown_seconds: Number(this.countdown.value),
        duration_seconds: Number(this.duration.value),
      });
    void this.actions.press(this.start, show, t("act.tried"), (error) => this.say(asProblem(error).words));
  }

  /** At a moment that was chosen, in this device's zone, or after the countdown. */
  whenToStart() {
    if (!this.startsAt.value) return { countdown_seconds: Number(this.countdown.value) };
    return { starts_at: new Date(this.startsAt.value).toISOString() };
  }

  /** @param {string} words */
  say(words) {
    this.problem.hidden = false;
    fill(this.problem, words);
  }
}
