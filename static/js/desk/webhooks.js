// @ts-check
/**
 * Where the shop's events are sent, and what became of each.
 *
 * testids: endpoint-form, endpoint-url, endpoint-save, endpoint-problem, endpoint-secret,
 * endpoint-row (data-endpoint, data-state), endpoint-test, endpoint-rotate, endpoint-toggle,
 * endpoint-delete, deliveries, delivery-row (data-delivery, data-state), delivery-redeliver
 */

import { get, patch, path, post, remove } from "../api.js";
import { makeForm } from "../components/form.js";
import { busy, chip, field } from "../components/product-bits.js";
import { ask } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { dateTime } from "../format-more.js";
import { fill, h, keyed } from "../h.js";
import { t } from "../i18n.js";
import { complain, deskTable } from "./bits.js";
import { whyNot } from "./delivery-words.js";

/** @typedef {{id: string, url: string, events: string[], state: string, disabled_reason: string|null, failing_since: string|null}} Endpoint */
/** @typedef {{id: string, endpoint: string, type: string, state: string, attempts: number, created_at: string, last_status: number|null, last_error: string|null, next_attempt_at: string|null}} Delivery */

export class WebhookDesk {
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
      h("div", { class: "table-holder card", tabIndex: 0, role: "region", "aria-label": t("webhook.deliveries") }, deskTable(t("webhook.deliveries"), "deliveries", heads, this.deliveries)),
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
      fill(
        row,
        h("td", { role: "cell", class: "digits" }, dateTime(delivery.created_at)),
        h("td", { role: "cell" }, h("code", null, delivery.type)),
        h("td", { role: "cell" }, chip(words, kind), " ", h("span", { class: "soft small" }, t("webhook.attempts", { n: delivery.attempts }))),
        h("td", { role: "cell", class: "break" }, whyNot(delivery.last_status, delivery.last_error)),
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
