// @ts-check
/**
 * Words. One catalogue file per language; a key names the place, never the text.
 *
 * A value is a text with `{name}` places, or an object of plural forms chosen by `{n}`.
 */

import { config, loadConfig } from "./config.js";
import { load, save } from "./storage.js";

export const LOCALES = /** @type {const} */ (["zh-CN", "en"]);
/** Not a language: shows which texts would not be translated, or would not fit (pseudo.js). */
const PSEUDO = "en-XA";
/** @typedef {typeof LOCALES[number]} Locale */
/** @typedef {Record<string, string|Record<string, string>>} Catalogue */

/** @type {Catalogue} */
let catalogue = {};
/** @type {Locale} */
let current = "en";
let plural = new Intl.PluralRules("en");

/** The language of the page. */
export const locale = () => current;

/**
 * The language to use: asked for in the address, then saved, then the shop's where it has chosen
 * one ("auto" is none), then the browser's first that we have.
 *
 * @param {string|null} asked @param {string|null} saved @param {string} shop
 * @param {readonly string[]} accepted @returns {Locale}
 */
export function choose(asked, saved, shop, accepted) {
  for (const wish of [asked, saved, shop, ...accepted]) {
    const found = wish && LOCALES.find((known) => known.slice(0, 2) === wish.slice(0, 2).toLowerCase());
    if (found) return found;
  }
  return "en";
}

/** Loads the catalogue of this visit and marks the document with its language. */
export async function start() {
  const asked = new URLSearchParams(location.search).get("lang");
  await loadConfig();
  const chosen = choose(asked, load("lang"), config().language, navigator.languages || [navigator.language]);
  const strange = asked === PSEUDO;
  if (asked && !strange) save("lang", chosen);
  const answer = await fetch(new URL(`./i18n/${chosen}.json`, import.meta.url).href);
  if (!answer.ok) throw new Error(`catalogue ${chosen}: ${answer.status}`);
  const words = await answer.json();
  use(chosen, strange ? (await import("./pseudo.js")).pseudo(words) : words);
  document.documentElement.lang = strange ? PSEUDO : chosen;
}

/** @param {Locale} chosen @param {Catalogue} words */
export function use(chosen, words) {
  current = chosen;
  catalogue = words;
  plural = new Intl.PluralRules(chosen);
}

/** Keeps the language for later visits and shows the page in it. @param {Locale} chosen */
export function change(chosen) {
  save("lang", chosen);
  const address = new URL(location.href);
  address.searchParams.delete("lang");
  location.replace(address.href);
}

/**
 * The text of a key.
 *
 * @param {string} key
 * @param {Record<string, string|number>} [values] for the `{name}` places; `n` chooses the plural
 * @returns {string}
 */
export function t(key, values) {
  const entry = catalogue[key];
  if (entry === undefined) return key;
  const text = typeof entry === "string" ? entry : entry[plural.select(Number(values?.n))] || entry.other;
  return values ? text.replace(/\{(\w+)\}/g, (place, name) => String(values[name] ?? place)) : text;
}

/** Whether the catalogue has a key (for keys made from a server's code). @param {string} key */
export const has = (key) => key in catalogue;
