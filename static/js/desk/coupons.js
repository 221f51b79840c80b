// @ts-check
/**
 * The shop's coupons: what each takes off, from which budget, until when.
 *
 * testids: coupon-new, coupon-form, coupon-code-input, coupon-kind, coupon-value, coupon-share, coupon-currency,
 * coupon-budget, coupon-least, coupon-limit, coupon-starts, coupon-ends, coupon-save,
 * coupon-problem; coupon-row (data-coupon, data-code, data-state), coupon-stop
 */

import { get, patch, path } from "../api.js";
import { clock } from "../clock.js";
import { makeForm } from "../components/form.js";
import { busy, chip, empty, field } from "../components/product-bits.js";
import { ask, makeSheet } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { count, money } from "../format.js";
import { cents, dateTime } from "../format-more.js";
import { fill, h, keyed } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { once } from "../once.js";
import { complain } from "./bits.js";

/** @typedef {import("../types.js").Coupon} Coupon */

/** What a coupon is good for at a moment. @param {Coupon} coupon @param {number} now server ms @returns {"soon"|"over"|"spent"|"valid"} */
export function couponState(coupon, now) {
  if (coupon.ends_at !== null && now >= Date.parse(coupon.ends_at)) return "over";
  if (coupon.used_cents >= coupon.budget_cents) return "spent";
  return now < Date.parse(coupon.starts_at) ? "soon" : "valid";
}

export class Coupons {
  constructor() {
    this.list = h("ul", { class: "row-list" });
    this.holder = h("div");
    this.element = h(
      "section",
      { class: "stack" },
      h("div", { class: "section-head" }, h("h2", null, t("merchant.coupons")), h("button", { type: "button", class: "button primary", testid: "coupon-new", on: { click: () => this.make() } }, icon("plus"), t("coupon.new"))),
      this.holder,
    );
  }

  async load() {
    this.draw((await get("/v1/coupons?limit=200")).items);
  }

  /** @param {Coupon[]} items */
  draw(items) {
    if (!items.length) {
      fill(this.holder, empty(t("coupon.none"), t("coupon.none_text")));
      return;
    }
    if (this.list.parentElement !== this.holder) fill(this.holder, this.list);
    keyed(this.list, items, (coupon) => coupon.id, () => h("li", { class: "card row", testid: "coupon-row" }));
    items.forEach((coupon, at) => {
      const row = /** @type {HTMLElement} */ (this.list.children[at]);
      const state = couponState(coupon, clock.now());
      const mark = JSON.stringify([coupon, state]);
      if (row.dataset.mark === mark) return;
      Object.assign(row.dataset, { mark, coupon: coupon.id, code: coupon.code, state });
      this.fillRow(row, coupon, state);
    });
  }

  /** @param {HTMLElement} row @param {Coupon} coupon @param {ReturnType<typeof couponState>} state */
  fillRow(row, coupon, state) {
    const [words, kind] = { soon: [t("coupon.soon"), "warn"], over: [t("coupon.over"), ""], spent: [t("coupon.spent"), "bad"], valid: [t("coupon.valid"), "good"] }[state];
    const { currency } = coupon;
    const worth = coupon.kind === "amount" ? t("coupon.off_amount", { amount: money(coupon.value, currency) }) : t("coupon.off_percent", { n: count(coupon.value) });
    const times = [
      Date.parse(coupon.starts_at) > clock.now() ? t("coupon.from", { at: dateTime(coupon.starts_at) }) : "",
      coupon.ends_at ? t("coupon.until", { at: dateTime(coupon.ends_at) }) : "",
    ].filter(Boolean);
    fill(
      row,
      h(
        "div",
        { class: "row-about" },
        h("p", { class: "run-title" }, h("code", null, coupon.code)),
        h("p", { class: "run-line" }, chip(words, kind), h("strong", { class: "digits" }, worth), coupon.min_amount_cents ? h("span", { class: "soft small" }, t("coupon.orders_from", { amount: money(coupon.min_amount_cents, currency) })) : null),
        h("p", { class: "run-line soft small digits" }, [t("coupon.used_of", { used: money(coupon.used_cents, currency), budget: money(coupon.budget_cents, currency) }), t("coupon.per_buyer", { n: coupon.per_buyer_limit }), ...times].map((text) => h("span", null, text))),
      ),
      state === "over" ? null : h("div", { class: "row-actions" }, this.stopButton(coupon)),
    );
  }

  /** @param {Coupon} coupon */
  stopButton(coupon) {
    const button = h("button", { type: "button", class: "button small", testid: "coupon-stop" }, t("coupon.stop"));
    const stop = async () => {
      const sure = await ask({ title: t("coupon.stop_sure", { code: coupon.code }), text: t("coupon.stop_text"), yes: t("coupon.stop"), danger: true });
      if (!sure) return;
      const now = Math.max(Math.floor(clock.now()), Date.parse(coupon.starts_at) + 1); // an end lies after the begin
      await patch(path`/v1/coupons/${coupon.id}`, { ends_at: new Date(now).toISOString() });
      await this.load();
    };
    button.addEventListener("click", () => busy(button, stop, complain));
    return button;
  }

  make() {
    const sheet = makeSheet({ title: t("coupon.new"), testid: "coupon-sheet", wide: true });
    const price = (/** @type {string} */ testid, /** @type {boolean} */ required, /** @type {string} */ value) => {
      const input = h("input", { type: "text", inputmode: "decimal", required, value, autocomplete: "off", testid });
      input.addEventListener("input", () => input.setCustomValidity(input.value && cents(input.value) === null ? t("sale.price_wrong") : ""));
      return input;
    };
    const moment = (/** @type {string} */ testid) => h("input", { type: "datetime-local", testid });
    const code = h("input", { type: "text", required: true, maxLength: 64, autocomplete: "off", spellcheck: false, testid: "coupon-code-input" });
    const kind = h("select", { testid: "coupon-kind" }, h("option", { value: "amount" }, t("coupon.kind_amount")), h("option", { value: "percent" }, t("coupon.kind_percent")));
    const off = price("coupon-value", true, "");
    const share = h("input", { type: "number", min: "1", max: "100", step: "1", value: "10", required: true, testid: "coupon-share" });
    const currency = h("input", { type: "text", required: true, pattern: "[A-Z]{3}", maxLength: 3, value: "CNY", testid: "coupon-currency" });
    const budget = price("coupon-budget", true, "");
    const least = price("coupon-least", false, "");
    const limit = h("input", { type: "number", min: "1", step: "1", required: true, value: "1", testid: "coupon-limit" });
    const [starts, ends] = [moment("coupon-starts"), moment("coupon-ends")];
    const [offField, shareField] = [field(t("coupon.value_amount"), off), field(t("coupon.value_percent"), share)];
    const fit = () => {
      const percent = kind.value === "percent";
      offField.hidden = percent;
      shareField.hidden = !percent;
      off.disabled = percent; // what is not asked for must not hold the form up
      share.disabled = !percent;
    };
    kind.addEventListener("change", fit);
    fit();
    const save = h("button", { type: "submit", class: "button primary block", testid: "coupon-save" }, t("common.save"));
    const send = async () => {
      await once("/v1/coupons", {
        code: code.value.trim(),
        kind: kind.value,
        value: kind.value === "percent" ? Number(share.value) : cents(off.value),
        currency: currency.value,
        budget_cents: cents(budget.value),
        min_amount_cents: least.value ? cents(least.value) : 0,
        per_buyer_limit: Number(limit.value),
        starts_at: utc(starts.value),
        ends_at: utc(ends.value),
      });
      sheet.close();
      toast(t("merchant.saved"), "good");
      await this.load();
    };
    const fields = [
      h("div", { class: "field-grid" }, field(t("coupon.code"), code, t("coupon.code_hint")), field(t("coupon.kind"), kind), offField, shareField),
      h("div", { class: "field-grid" }, field(t("coupon.budget"), budget, t("coupon.budget_hint")), field(t("coupon.least"), least, t("merchant.empty_is_any")), field(t("coupon.limit"), limit), field(t("merchant.currency"), currency)),
      h("div", { class: "field-grid" }, field(t("coupon.starts"), starts, t("coupon.starts_hint")), field(t("coupon.ends"), ends, t("coupon.ends_hint"))),
    ];
    fill(sheet.body, makeForm("coupon-form", fields, save, send));
    sheet.open();
  }
}

/** A time as typed, in the reader's zone, for the wire. @param {string} typed */
const utc = (typed) => (typed ? new Date(typed).toISOString() : null);
