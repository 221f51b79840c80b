// @ts-check
/**
 * An address where nothing is.
 *
 * testids: nowhere
 */

import { frame } from "../components/frame.js";
import { empty } from "../components/product-bits.js";
import { h } from "../h.js";
import { t } from "../i18n.js";
import { begin } from "../page.js";
import { find } from "../session.js";

async function show() {
  await find().catch(() => null);
  const way = h("a", { href: "/", class: "button primary" }, t("room.to_lobby"));
  frame({ title: t("site.nowhere") }, h("div", { testid: "nowhere" }, empty(t("site.nowhere_text"), "", way)));
}

begin("site.nowhere", show);
