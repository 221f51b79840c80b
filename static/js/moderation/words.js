// @ts-check
/**
 * The editor of the room's word lists: one word a line. All lists are saved together.
 *
 * testids: words-sheet, words-list, words-name, words-action, words-words, words-remove, words-add,
 * words-form, words-save, words-problem
 */

import { explain } from "../api.js";
import { makeForm } from "../components/form.js";
import { failure, field } from "../components/product-bits.js";
import { makeSheet } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";

/** @typedef {import("./api.js").WordList} WordList */

const ACTIONS = /** @type {const} */ (["refuse", "mask", "hold", "pass"]);

/** @param {import("./api.js").ModerationApi} api */
export function openWords(api) {
  const sheet = makeSheet({ title: t("words.title"), testid: "words-sheet", wide: true });
  const lists = h("div", { class: "stack" });
  const add = h("button", { type: "button", class: "button", testid: "words-add", on: { click: () => lists.append(listFields()) } }, icon("plus"), t("words.add"));
  const save = h("button", { type: "submit", class: "button primary", testid: "words-save" }, t("common.save"));
  const form = makeForm("words-form", [h("p", { class: "soft" }, t("words.hint")), lists, h("div", { class: "actions start" }, add)], save, async () => {
    await api.putWordLists(Array.from(lists.children).map(read));
    sheet.close();
    toast(t("words.saved"), "good");
  });
  const load = async () => {
    try {
      const found = await api.wordLists();
      fill(lists, found.length ? found.map((list) => listFields(list)) : listFields());
      fill(sheet.body, form);
    } catch (error) {
      fill(sheet.body, failure(explain(error), load));
    }
  };
  sheet.open();
  void load();
}

/** @param {WordList} [list] */
function listFields(list) {
  const name = h("input", { type: "text", maxLength: 40, required: true, testid: "words-name", value: list?.name || "" });
  const action = h("select", { testid: "words-action" }, ...ACTIONS.map((one) => h("option", { value: one }, t(`words_action.${one}`))));
  action.value = list?.action || "refuse";
  const words = h("textarea", { rows: 4, testid: "words-words", spellcheck: false });
  words.value = (list?.words || []).join("\n");
  const remove = h("button", { type: "button", class: "icon-button", testid: "words-remove", "aria-label": t("words.remove") }, icon("close"));
  const element = h(
    "fieldset",
    { class: "words-list", testid: "words-list" },
    h("legend", { class: "sr" }, t("words.list")),
    h("div", { class: "words-head" }, field(t("words.name"), name), field(t("words.action"), action), remove),
    field(t("words.words"), words, t("words.words_hint")),
  );
  remove.addEventListener("click", () => element.remove());
  return element;
}

/** @param {Element} element @returns {WordList} */
function read(element) {
  const value = (/** @type {string} */ testid) => /** @type {HTMLInputElement} */ (element.querySelector(`[data-testid=${testid}]`)).value;
  const words = value("words-words").split("\n").map((word) => word.trim()).filter(Boolean);
  return { name: value("words-name").trim(), action: /** @type {WordList["action"]} */ (value("words-action")), words };
}
