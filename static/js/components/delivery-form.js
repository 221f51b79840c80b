// @ts-check
/**
 * Where a paid order is sent, for shops that ask here. Only the shop reads it; the buyer sees that
 * it was given and may give another one until it is shipped.
 *
 * testids: delivery-form, delivery-recipient, delivery-phone, delivery-address, delivery-note,
 * delivery-save, delivery-problem, delivery-given, delivery-change
 */

import { get, path, post } from "../api.js";
import { dateTime } from "../format-more.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { makeForm } from "./form.js";
import { field } from "./product-bits.js";

/** @typedef {import("../types.js").Order} Order */

export class DeliveryPlace {
  constructor() {
    this.element = h("div", { class: "stack", hidden: true });
    /** The order that was asked about. */
    this.known = "";
  }

  /** Asks once an order is paid, so that a rush of reservations asks for nothing. @param {Order} order */
  follow(order) {
    if (order.state !== "paid") {
      this.known = "";
      this.element.hidden = true;
    } else if (this.known !== order.id) {
      this.known = order.id;
      get(path`/v1/orders/${order.id}`).then(
        (whole) => this.draw(whole),
        () => (this.known = ""), // asked again with the next news of the order
      );
    }
  }

  /** @param {Order} order */
  draw(order) {
    if (this.known !== order.id) return;
    this.element.hidden = !order.delivery;
    if (!order.delivery) return;
    if (!order.delivery.given_at) {
      this.drawForm(order);
      return;
    }
    const change = h("button", { type: "button", class: "button small", testid: "delivery-change", on: { click: () => this.drawForm(order) } }, t("delivery.change"));
    fill(this.element, h("p", { class: "soft", testid: "delivery-given" }, t("delivery.given", { at: dateTime(order.delivery.given_at) })), h("div", { class: "actions" }, change));
  }

  /** @param {Order} order */
  drawForm(order) {
    const recipient = h("input", { type: "text", required: true, maxLength: 100, autocomplete: "shipping name", testid: "delivery-recipient" });
    const phone = h("input", { type: "tel", required: true, minLength: 3, maxLength: 40, pattern: "[0-9 +\\(\\).\\/\\-]+", autocomplete: "tel", testid: "delivery-phone" });
    const address = h("textarea", { rows: 2, required: true, maxLength: 500, autocomplete: "shipping street-address", testid: "delivery-address" });
    const note = h("input", { type: "text", maxLength: 500, autocomplete: "off", testid: "delivery-note" });
    const save = h("button", { type: "submit", class: "button primary", testid: "delivery-save" }, t("delivery.save"));
    const send = async () => {
      const body = { recipient: recipient.value.trim(), phone: phone.value.trim(), address: address.value.trim(), note: note.value.trim() };
      this.draw(await post(path`/v1/orders/${order.id}/delivery`, body));
    };
    const fields = [h("p", { class: "soft" }, t("delivery.text")), field(t("delivery.recipient"), recipient), field(t("delivery.phone"), phone), field(t("delivery.address"), address), field(t("delivery.note"), note)];
    fill(this.element, makeForm("delivery-form", fields, save, send));
  }
}
