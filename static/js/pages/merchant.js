// @ts-check
/**
 * The merchant's desk: products, what rooms may sell, orders as they come, coupons, webhooks.
 *
 * testids: tab-products, tab-orders, tab-coupons, tab-webhooks, tab-shop; see the modules in desk/ for theirs
 */

import { explain } from "../api.js";
import { frame } from "../components/frame.js";
import { empty, failure } from "../components/product-bits.js";
import { Coupons } from "../desk/coupons.js";
import { Orders } from "../desk/orders.js";
import { Products } from "../desk/products.js";
import { ShopDesk } from "../desk/shop.js";
import { WebhookDesk } from "../desk/webhooks.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { begin } from "../page.js";
import { find, signInAddress } from "../session.js";

/** How often what happened meanwhile is fetched while somebody looks, in ms. */
const REFRESH_MS = 2_000;

/** Repeats while the page is looked at; one request at a time. @param {() => Promise<unknown>} action */
function repeat(action) {
  const turn = async () => {
    if (document.visibilityState === "visible") await action().catch(() => undefined); // the next turn tries again
    setTimeout(turn, REFRESH_MS);
  };
  setTimeout(turn, REFRESH_MS);
}

async function show() {
  const who = await find();
  if (!who || who.role !== "merchant") {
    const way = h("a", { href: signInAddress(), class: "button primary", testid: "sign-in-here" }, t("common.sign_in"));
    frame({ title: t("merchant.title") }, empty(who && !who.guest ? t("merchant.not_yours") : t("merchant.sign_in"), t("merchant.who_may"), way));
    return;
  }
  const views = { products: new Products(), orders: new Orders(), coupons: new Coupons(), webhooks: new WebhookDesk(), shop: new ShopDesk() };
  const holder = h("div", { class: "desk-view" });
  const names = { products: t("merchant.products"), orders: t("merchant.orders"), coupons: t("merchant.coupons"), webhooks: t("merchant.webhooks"), shop: t("merchant.shop") };
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
      if (tab.getAttribute("href") === `#${current()}`) mark(tab);
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

/** The tab of this part; on a narrow screen it comes into sight. @param {Element} tab */
function mark(tab) {
  tab.setAttribute("aria-current", "page");
  tab.scrollIntoView({ block: "nearest", inline: "nearest" });
}

void begin("merchant.title", show);
