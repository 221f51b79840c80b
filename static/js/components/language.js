// @ts-check
/** The way to the other language. testid: language */

import { h } from "../h.js";
import { change, locale } from "../i18n.js";

/** Switches to the other language. @param {boolean} [short] two letters, where there is little room */
export function languageButton(short = false) {
  const other = locale() === "en" ? "zh-CN" : "en";
  return h(
    "button",
    { type: "button", class: "link-button", testid: "language", lang: other, on: { click: () => change(other) } },
    other === "zh-CN" ? "中文" : short ? "EN" : "English",
  );
}
