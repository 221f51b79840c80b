// @ts-check
/**
 * How the shop's orders are paid and sent, the secret it shares with its own system, and
 * the keys of its programs (keys.js).
 *
 * testids: shop-form, shop-checkout, shop-url, shop-days, shop-save, shop-problem, secret-make,
 * shop-secret
 */

import { get, patch, post } from "../api.js";
import { makeForm } from "../components/form.js";
import { busy, field } from "../components/product-bits.js";
import { ask } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { complain } from "./bits.js";
import { KeyDesk } from "./keys.js";

export class ShopDesk {
  constructor() {
    this.form = h("div", { class: "card" });
    this.secret = h("div", { role: "status" });
    this.make = h("button", { type: "button", class: "button", testid: "secret-make" }, t("shop.secret_make"));
    this.make.addEventListener("click", () => busy(this.make, () => this.makeSecret(), complain));
    this.keys = new KeyDesk();
    this.loaded = false;
    this.hasSecret = false;
    this.element = h("section", { class: "stack" }, h("h2", null, t("merchant.shop")), this.form, h("h3", null, t("shop.secret")), h("p", { class: "soft" }, t("shop.secret_text")), h("div", { class: "actions start" }, this.make), this.secret, this.keys.element);
  }

  async load() {
    await Promise.all([this.loadShop(), this.keys.load()]);
  }

  /** Read once: words that are being typed stay. */
  async loadShop() {
    if (this.loaded) return;
    const shop = await get("/v1/shop");
    this.loaded = true;
    this.hasSecret = shop.has_secret;
    const ways = /** @type {[string, string][]} */ ([
      ["none", t("shop.none")],
      ["handoff", t("shop.handoff")],
      ["collect", t("shop.collect")],
    ]);
    const checkout = h("select", { testid: "shop-checkout" }, ways.map(([value, words]) => h("option", { value }, words)));
    checkout.value = shop.checkout;
    const address = h("input", { type: "url", required: true, maxLength: 1000, value: shop.checkout_url || "", placeholder: "https://", testid: "shop-url" });
    const days = h("input", { type: "number", min: "1", max: "3650", step: "1", required: true, value: String(shop.keep_days), testid: "shop-days" });
    const [addressField, daysField] = [field(t("shop.url"), address, t("shop.url_hint")), field(t("shop.days"), days, t("shop.days_hint"))];
    const fit = () => {
      addressField.hidden = address.disabled = checkout.value !== "handoff";
      daysField.hidden = days.disabled = checkout.value !== "collect";
    };
    checkout.addEventListener("change", fit);
    fit();
    const save = h("button", { type: "submit", class: "button primary", testid: "shop-save" }, t("common.save"));
    const send = async () => {
      await patch("/v1/shop", {
        checkout: checkout.value,
        ...(address.disabled ? {} : { checkout_url: address.value.trim() }),
        ...(days.disabled ? {} : { keep_days: Number(days.value) }),
      });
      toast(t("merchant.saved"), "good");
    };
    fill(this.form, makeForm("shop-form", [field(t("shop.checkout"), checkout), addressField, daysField], save, send));
  }

  async makeSecret() {
    if (this.hasSecret && !(await ask({ title: t("webhook.rotate_sure"), text: t("webhook.rotate_text"), yes: t("webhook.rotate") }))) return;
    const { secret } = await post("/v1/hooks/secret");
    this.hasSecret = true;
    fill(this.secret, h("div", { class: "note strong" }, h("p", null, t("webhook.secret")), h("code", { class: "secret", testid: "shop-secret" }, secret)));
  }
}
