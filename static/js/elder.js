// @ts-check
/**
 * Elder mode: larger words and controls, one thing at a time, nothing that moves by itself. After the
 * rules for elders of China's industry ministry (MIIT, 2021): main text of at least 18, controls of at
 * least 60, contrast of 7:1, no pop-ups. `?elder=1` switches it on, `?elder=0` off; it is remembered.
 */

import { load, save } from "./storage.js";

/** Whether this visit is in elder mode. */
export const isElder = () => document.documentElement.classList.contains("elder");

/** Reads the address, then what this browser remembers. Before anything is drawn. */
export function startElder() {
  const asked = new URLSearchParams(location.search).get("elder");
  if (asked !== null) save("elder", asked === "1" ? true : null);
  document.documentElement.classList.toggle("elder", asked === null ? load("elder") === true : asked === "1");
}
