// @ts-check
/** The frame of every page with a header. */

import { append, fill, h } from "../h.js";
import { t } from "../i18n.js";
import { app } from "../page.js";
import { siteHeader } from "./site-header.js";

/**
 * The frame of a page with a header. @param {{title: string, lead?: string, wide?: boolean}} options
 * @param {...import("../h.js").Child|import("../h.js").Child[]} children
 */
export function frame({ title, lead, wide = false }, ...children) {
  const main = h("main", { class: wide ? "column wide" : "column", id: "main" }, h("h1", null, title), lead ? h("p", { class: "lead" }, lead) : null);
  append(main, children);
  fill(app(), h("a", { href: "#main", class: "skip" }, t("common.skip")), siteHeader(), main);
  return main;
}
