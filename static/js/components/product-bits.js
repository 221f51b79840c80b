// @ts-check
/** Small pieces that several views show: pictures, prices, chips. */

import { money, percentOff } from "../format.js";
import { h, isSafeUrl } from "../h.js";
import { t } from "../i18n.js";
import { saving } from "../saver.js";

/**
 * A product's picture, or its initial on a quiet ground when there is none or it does not load.
 *
 * @param {{title: string, image_url?: string|null}} product @param {string} [size] a class
 */
export function picture(product, size = "") {
  const frame = h("span", { class: `picture ${size}`, "aria-hidden": "true" });
  const initial = h("span", { class: "initial" }, Array.from(product.title.trim())[0] || "·");
  const spared = saving() && size !== "large"; // shown where somebody looks at this very product
  if (!product.image_url || spared || !isSafeUrl(product.image_url)) {
    frame.append(initial);
    return frame;
  }
  const image = h("img", { src: product.image_url, alt: "", loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.replaceWith(initial), { once: true });
  frame.append(image);
  return frame;
}

/**
 * The price and, struck through, the list price it is measured by.
 *
 * @param {{price_cents: number, list_price_cents: number|null, currency: string}} item @param {string} [testid]
 */
export function priceBlock(item, testid = "price") {
  const off = percentOff(item.price_cents, item.list_price_cents);
  return h(
    "span",
    { class: "prices" },
    h("strong", { class: "price digits", testid }, money(item.price_cents, item.currency)),
    off
      ? h(
          "s",
          { class: "list-price digits" },
          h("span", { class: "sr" }, t("product.list_price")),
          money(/** @type {number} */ (item.list_price_cents), item.currency),
        )
      : null,
  );
}

/** @param {string} text @param {string} kind @param {string} [testid] @param {string} [state] for tests */
export const chip = (text, kind = "", testid = undefined, state = undefined) => h("span", { class: `chip ${kind}`, testid, "data-state": state }, text);

/**
 * Runs an action from a button: busy while it runs, failures in words.
 *
 * @param {HTMLButtonElement} button @param {() => Promise<unknown>} action @param {(error: unknown) => void} onError
 */
export async function busy(button, action, onError) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  button.disabled = true;
  try {
    await action();
  } catch (error) {
    onError(error);
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}

/**
 * A labelled field. @param {string} label @param {HTMLElement} control @param {string} [hint]
 */
export function field(label, control, hint) {
  return h("label", { class: "field" }, h("span", { class: "field-label" }, label), control, hint ? h("span", { class: "field-hint" }, hint) : null);
}

/** A place that is empty, and what to do about it. @param {string} title @param {string} [text] @param {Node|null} [action] */
export function empty(title, text, action) {
  return h("div", { class: "empty", testid: "empty" }, h("p", { class: "empty-title" }, title), text ? h("p", { class: "soft" }, text) : null, action);
}

/** A failure in place, with the way out. @param {string} words @param {() => void} [retry] */
export function failure(words, retry) {
  return h(
    "div",
    { class: "failure", role: "alert", testid: "failure" },
    h("p", null, words),
    retry ? h("button", { type: "button", class: "button", testid: "retry", on: { click: retry } }, t("common.retry")) : null,
  );
}
