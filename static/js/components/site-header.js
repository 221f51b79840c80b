// @ts-check
/**
 * The head of every page but the live room: shop, ways to go, language, who one is.
 *
 * testids: site-header, nav-lobby, nav-orders, nav-console, nav-merchant, nav-setup, elder, language,
 * sign-in, sign-out, who
 */

import { config } from "../config.js";
import { h } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { signOut } from "../account.js";
import { isAccount, me, signInAddress } from "../session.js";
import { elderButton } from "./elder-button.js";
import { toast } from "./toast.js";
import { languageButton } from "./ways.js";
import { explain, path } from "../api.js";

/** @param {string} href @param {string} text @param {string} testid */
function way(href, text, testid) {
  const here = location.pathname === href;
  return h("a", { href, testid, class: "nav-link", "aria-current": here ? "page" : undefined }, text);
}

function account() {
  const who = me();
  if (!who || who.guest) {
    return [h("a", { href: signInAddress(), class: "link-button", testid: "sign-in" }, t("common.sign_in"))];
  }
  const leave = async () => {
    try {
      await signOut();
      location.assign("/");
    } catch (error) {
      toast(explain(error), "bad");
    }
  };
  return [
    h("span", { class: "who", testid: "who" }, h("bdi", null, who.name || who.user)),
    h("button", { type: "button", class: "link-button", testid: "sign-out", on: { click: leave } }, t("common.sign_out")),
  ];
}

export function siteHeader() {
  const who = me();
  return h(
    "header",
    { class: "site-header", testid: "site-header" },
    h("a", { href: "/", class: "brand", testid: "nav-lobby" }, icon("shop"), h("span", null, config().shop_name || t("site.name"))),
    h(
      "nav",
      { class: "site-nav", "aria-label": t("site.nav") },
      way("/orders", t("site.orders"), "nav-orders"),
      isAccount() && who?.rooms.length ? way(path`/console/${who.rooms[0]}`, t("lobby.console"), "nav-console") : null,
      isAccount() && who?.role === "merchant" ? way("/merchant", t("site.merchant"), "nav-merchant") : null,
      isAccount() && who?.role === "admin" ? way("/setup", t("site.setup"), "nav-setup") : null,
    ),
    h("div", { class: "site-who" }, elderButton(), languageButton(), ...account()),
  );
}
