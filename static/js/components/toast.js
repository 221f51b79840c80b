// @ts-check
/** Words that pass by. testids: toasts, toast */

import { h } from "../h.js";

/** @type {HTMLElement|null} */
let toasts = null;

/**
 * Says in passing what happened; read aloud, gone after some seconds.
 *
 * @param {string} text @param {"good"|"bad"|"plain"} [kind]
 */
export function toast(text, kind = "plain") {
  if (!toasts) {
    toasts = h("div", { class: "toasts", role: "status", testid: "toasts" });
  }
  // A modal dialog makes everything outside inert, so words belong into the open one.
  const open = Array.from(document.querySelectorAll("dialog[open]")).pop();
  const home = open || document.body;
  if (toasts.parentElement !== home) home.append(toasts);
  const line = h("p", { class: `toast ${kind}`, testid: "toast" }, text);
  toasts.append(line);
  while (toasts.children.length > 3) toasts.firstElementChild?.remove();
  setTimeout(() => line.remove(), kind === "bad" ? 8_000 : 4_000);
}
