// @ts-check
/** What elder mode adds to the room: words read aloud, and sentences to say with one press. */

import { h } from "../h.js";
import { t } from "../i18n.js";

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
