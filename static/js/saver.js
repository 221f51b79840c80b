// @ts-check
/**
 * The data saver: chat, prices and buying without the moving picture, without danmaku, and with pictures
 * of products only where one is looked at. On where the browser asks for it, until the viewer chooses.
 */

import { load, save } from "./storage.js";

/** Whether to save data now. */
export function saving() {
  const asked = Boolean(/** @type {any} */ (globalThis.navigator)?.connection?.saveData);
  return Boolean(load("saver") ?? asked);
}

/** @param {boolean} on */
export const keepSaving = (on) => save("saver", on);
