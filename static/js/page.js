// @ts-check
/** How every page begins: words first, then who one is, then the view; a failure is always words. */

import { asProblem } from "./api.js";
import { config } from "./config.js";
import { startElder } from "./elder.js";
import { fill, h } from "./h.js";
import { start as startWords, t } from "./i18n.js";
import { failure } from "./components/product-bits.js";

const BROKEN = "页面没有加载完整，请刷新。 The page did not load completely. Please reload.";

/** The element that a page fills. */
export const app = () => /** @type {HTMLElement} */ (document.getElementById("app"));

/**
 * Begins a page.
 *
 * @param {string} title key of the page's title
 * @param {() => Promise<void>} show
 */
export async function begin(title, show) {
  if (document.documentElement.dataset.floor) return; // floor.js shows plain words
  startElder();
  try {
    await startWords();
  } catch {
    fill(app(), h("p", { class: "failure", role: "alert" }, BROKEN));
    return;
  }
  entitle(t(title));
  try {
    await show();
  } catch (error) {
    const problem = asProblem(error);
    if (problem.name === "internal") console.error(error);
    if (!document.querySelector("main")) fill(app(), h("main", { class: "column" }));
    const main = /** @type {HTMLElement} */ (document.querySelector("main"));
    fill(main, h("h1", null, t("common.failed_title")), failure(problem.words, () => location.reload()));
  }
  document.documentElement.dataset.ready = "true";
}

/** @param {string} text */
export function entitle(text) {
  document.title = `${text} · ${config().shop_name || t("site.name")}`;
}
