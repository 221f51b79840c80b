// @ts-check
/**
 * Sheets and questions on the native `<dialog>`: focus goes in, Escape closes, focus goes back.
 * On a phone a sheet rises from the bottom and the stage stays visible above it.
 */

import { fill, h, icon } from "../h.js";
import { t } from "../i18n.js";

let serial = 0;

/**
 * A sheet, closed at first.
 *
 * @param {{title: string, testid: string, wide?: boolean, onClose?: () => void}} options
 */
export function makeSheet({ title, testid, wide = false, onClose }) {
  serial += 1;
  const heading = h("h2", { id: `sheet-${serial}`, class: "sheet-title" }, title);
  const body = h("div", { class: "sheet-body" });
  const close = h(
    "button",
    { type: "button", class: "icon-button", testid: `${testid}-close`, "aria-label": t("common.close"), on: { click: () => dialog.close() } },
    icon("close"),
  );
  const dialog = h(
    "dialog",
    { class: wide ? "sheet wide" : "sheet", testid, "aria-labelledby": heading.id },
    h("div", { class: "sheet-frame" }, h("header", { class: "sheet-head" }, heading, close), body),
  );
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // outside the frame: the backdrop
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (onClose) onClose();
  });
  return {
    element: dialog,
    body,
    /** @param {string} text */
    retitle: (text) => fill(heading, text),
    open() {
      if (!dialog.isConnected) document.body.append(dialog);
      if (!dialog.open) dialog.showModal();
    },
    close: () => dialog.open && dialog.close(),
  };
}

/**
 * Asks before something that hurts.
 *
 * @param {{title: string, text?: string, yes: string, no?: string, danger?: boolean}} question
 * @returns {Promise<boolean>}
 */
export function ask({ title, text, yes, no = t("common.back"), danger = false }) {
  return new Promise((done) => {
    let answer = false;
    const sheet = makeSheet({ title, testid: "ask", onClose: () => done(answer) });
    const choose = (/** @type {boolean} */ value) => () => {
      answer = value;
      sheet.close();
    };
    fill(
      sheet.body,
      text ? h("p", { class: "soft" }, text) : null,
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", class: "button", testid: "ask-no", on: { click: choose(false) } }, no),
        h("button", { type: "button", class: danger ? "button danger" : "button primary", testid: "ask-yes", on: { click: choose(true) } }, yes),
      ),
    );
    sheet.open();
  });
}
