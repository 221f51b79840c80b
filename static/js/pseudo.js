// @ts-check
/**
 * The language that nobody speaks, `?lang=en-XA`: English with foreign letters, a third longer and in
 * brackets. A text that still reads as English stands in the code instead of the catalogue, one
 * without its end was cut, and what does not fit here will not fit in some language either.
 */

const PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const STRANGE = Array.from("áƀçđéƒĝĥíĵķļɱñóþɋŕšŧúṽŵẋýžÁƁÇĐÉƑĜĤÍĴĶĻṀÑÓÞɊŔŠŦÚṼŴẊÝŽ");
/** How much longer than English other languages are, as a share of the letters. */
const LONGER = 0.35;

/** @param {string} text its `{places}` stay */
export function strange(text) {
  const parts = text.split(/(\{\w+\})/);
  const letters = parts.filter((_, at) => at % 2 === 0).join("").length;
  const words = parts.map((part, at) => (at % 2 ? part : part.replace(/[a-z]/gi, (letter) => STRANGE[PLAIN.indexOf(letter)])));
  return `[${words.join("")}${"·".repeat(Math.ceil(letters * LONGER))}]`;
}

/** @param {import("./i18n.js").Catalogue} catalogue @returns {import("./i18n.js").Catalogue} */
export function pseudo(catalogue) {
  const whole = (/** @type {string|Record<string, string>} */ value) =>
    typeof value === "string" ? strange(value) : Object.fromEntries(Object.entries(value).map(([form, text]) => [form, strange(text)]));
  return Object.fromEntries(Object.entries(catalogue).map(([key, value]) => [key, whole(value)]));
}
