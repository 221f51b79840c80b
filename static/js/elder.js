// @ts-check
/**
 * Elder mode: larger words and controls, one thing at a time, nothing that moves by itself. After the
 * rules for elders of China's industry ministry (MIIT, 2021): main text of at least 18, controls of at
 * least 60, contrast of 7:1, no pop-ups. `?elder=1` switches it on, `?elder=0` off; it is remembered.
 */

import { h } from "./h.js";
import { t } from "./i18n.js";
import { load, save } from "./storage.js";

/** Whether this visit is in elder mode. */
export const isElder = () => document.documentElement.classList.contains("elder");

/** Reads the address, then what this browser remembers. Before anything is drawn. */
export function startElder() {
  const asked = new URLSearchParams(location.search).get("elder");
  if (asked !== null) save("elder", asked === "1" ? true : null);
  document.documentElement.classList.toggle("elder", asked === null ? load("elder") === true : asked === "1");
}

/** The way in, and the way back; the page is drawn anew. */
export function elderButton() {
  const change = () => {
    save("elder", isElder() ? null : true);
    const address = new URL(location.href);
    address.searchParams.delete("elder");
    location.replace(address.href);
  };
  return h("button", { type: "button", class: "link-button", testid: "elder", "aria-pressed": String(isElder()), on: { click: change } }, isElder() ? t("elder.off") : t("elder.on"));
}

/** Reads words aloud with the voices of the device; nothing where it has none. @param {string} text @param {string} language */
function speak(text, language) {
  const words = new SpeechSynthesisUtterance(text);
  words.lang = language;
  speechSynthesis.cancel();
  speechSynthesis.speak(words);
}

/** A button that reads aloud, or null where the device cannot. @param {() => string} text */
export function readAloudButton(text) {
  if (typeof speechSynthesis === "undefined") return null;
  return h("button", { type: "button", class: "button", testid: "read-aloud", on: { click: () => speak(text(), document.documentElement.lang) } }, t("elder.read_aloud"));
}

/** Sentences to say with one press. @param {(text: string) => void} say */
export function phrases(say) {
  const words = [t("elder.phrase_price"), t("elder.phrase_size"), t("elder.phrase_again"), t("elder.phrase_thanks")];
  return h("div", { class: "phrases", testid: "phrases", role: "group", "aria-label": t("elder.phrases") }, ...words.map((text) => h("button", { type: "button", class: "button", on: { click: () => say(text) } }, text)));
}
