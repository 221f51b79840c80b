// @ts-check
/**
 * How somebody wants to see the room: danmaku first. Everything takes effect while it is moved, and
 * stays in this browser.
 *
 * testids: settings, saver-switch, captions-switch, clear-switch, shortcuts-switch, danmaku-pause, taste-opacity … taste-density, taste-top, taste-bottom,
 * taste-color, taste-merge, taste-words, taste-user, taste-reset.
 */

import { RANGES, USUAL, asTaste } from "../danmaku/taste.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { keepSaving, saving } from "../saver.js";
import { load, save } from "../storage.js";
import { elderButton } from "./elder-button.js";
import { keepTaste, ownTaste } from "./own-taste.js";
import { makeSheet } from "./sheet.js";
import { languageButton } from "./ways.js";

/** @typedef {import("../danmaku/taste.js").Taste} Taste */

/**
 * @param {{onTaste: (taste: Taste) => void, paused: boolean, onPause: (paused: boolean) => void,
 *   onCaptions: () => void, onSaver: () => void, clearing: import("../room/clearing.js").Clearing}} ways
 */
export function openSettings({ onTaste, paused, onPause, onCaptions, onSaver, clearing }) {
  let taste = ownTaste();
  const sheet = makeSheet({ title: t("settings.title"), testid: "settings" });
  const change = (/** @type {Partial<Taste>} */ part) => {
    taste = asTaste({ ...taste, ...part });
    keepTaste(taste);
    onTaste(taste);
  };
  const draw = () =>
    fill(
      sheet.body,
      h("div", { class: "settings-row" }, elderButton(), languageButton()),
      onOff("captions", t("settings.captions"), load("captions") !== false, (on) => (save("captions", on), onCaptions())),
      onOff("saver", t("settings.saver"), saving(), (on) => (keepSaving(on), onSaver())),
      clearing.possible ? onOff("clear", t("settings.clear"), clearing.on, (on) => clearing.set(on)) : null,
      onOff("shortcuts", t("settings.shortcuts"), load("shortcuts") !== false, (on) => save("shortcuts", on)),
      h("h3", { class: "settings-head" }, t("settings.danmaku")),
      pauseSwitch(paused, onPause),
      ...Object.keys(RANGES).map((name) => slider(name, taste, change)),
      h("div", { class: "settings-checks" }, ...["top", "bottom", "color", "merge"].map((name) => check(name, taste, change))),
      blockedWords(taste, change),
      blockedUsers(taste, change, draw),
      h("div", { class: "actions" }, h("button", { type: "button", class: "button", testid: "taste-reset", on: { click: () => (change({ ...USUAL }), draw()) } }, t("settings.reset"))),
    );
  draw();
  sheet.open();
}

/** @param {string} name @param {string} words @param {boolean} on @param {(on: boolean) => void} change */
function onOff(name, words, on, change) {
  const input = h("input", { type: "checkbox", checked: on, testid: `${name}-switch` });
  input.addEventListener("change", () => change(input.checked));
  return h("label", { class: "settings-check" }, input, words);
}

/** @param {boolean} paused @param {(paused: boolean) => void} onPause */
function pauseSwitch(paused, onPause) {
  const button = h("button", { type: "button", class: "button", testid: "danmaku-pause" });
  const set = (/** @type {boolean} */ value) => {
    paused = value;
    button.setAttribute("aria-pressed", String(value));
    fill(button, value ? t("settings.go_on") : t("settings.pause"));
  };
  button.addEventListener("click", () => {
    set(!paused);
    onPause(paused);
  });
  set(paused);
  return h("div", { class: "settings-row" }, button);
}

/** @param {string} name @param {Taste} taste @param {(part: Partial<Taste>) => void} change */
function slider(name, taste, change) {
  const [low, high] = RANGES[name];
  const percent = (/** @type {number} */ value) => `${Math.round(value * 100)} %`;
  const value = /** @type {any} */ (taste)[name];
  const shown = h("output", { class: "digits" }, percent(value));
  const input = h("input", { type: "range", min: String(low), max: String(high), step: "0.05", value: String(value), testid: `taste-${name}` });
  input.addEventListener("input", () => {
    fill(shown, percent(Number(input.value)));
    input.setAttribute("aria-valuetext", percent(Number(input.value)));
    change({ [name]: Number(input.value) });
  });
  return h("label", { class: "settings-row" }, h("span", null, t(`settings.${name}`)), input, shown);
}

/** @param {string} name @param {Taste} taste @param {(part: Partial<Taste>) => void} change */
function check(name, taste, change) {
  const input = h("input", { type: "checkbox", checked: /** @type {any} */ (taste)[name], testid: `taste-${name}` });
  input.addEventListener("change", () => change({ [name]: input.checked }));
  return h("label", { class: "settings-check" }, input, t(`settings.${name}`));
}

/** @param {Taste} taste @param {(part: Partial<Taste>) => void} change */
function blockedWords(taste, change) {
  const area = h("textarea", { rows: 3, value: taste.words.join("\n"), testid: "taste-words", placeholder: t("settings.words_hint") });
  area.addEventListener("change", () => change({ words: area.value.split("\n") }));
  return h("label", { class: "settings-block" }, h("span", null, t("settings.words")), area);
}

/** @param {Taste} taste @param {(part: Partial<Taste>) => void} change @param {() => void} draw */
function blockedUsers(taste, change, draw) {
  if (!taste.users.length) return null;
  const row = (/** @type {{id: string, name: string}} */ user) =>
    h(
      "li",
      { class: "settings-row", testid: "taste-user" },
      h("bdi", null, user.name || user.id),
      h("button", { type: "button", class: "button", on: { click: () => (change({ users: taste.users.filter((one) => one.id !== user.id) }), draw()) } }, t("settings.unblock")),
    );
  return h("div", { class: "settings-block" }, h("span", null, t("settings.users")), h("ul", { class: "plain" }, ...taste.users.map(row)));
}
