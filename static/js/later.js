// @ts-check
/**
 * Modules that are not needed before a page can be used. They come when the page has nothing else to
 * do, or at the press that wants them; where the network fails twice, people are told.
 *
 * Many browsers remember until the page is loaded anew that a module did not come (whatwg/html#6768),
 * so the words name that way too.
 */

import { Problem, explain } from "./api.js";
import { toast } from "./components/toast.js";
import { t } from "./i18n.js";

/** A module that takes longer than this is not waited for, in ms. */
const TIMEOUT_MS = 10_000;
/** The second try comes after this, in ms. */
const AGAIN_MS = 1_000;
/** A press that opens nothing for this long is answered in words, in ms. */
const SLOW_MS = 700;

/** @template T @param {() => Promise<T>} load @returns {Promise<T>} */
async function inTime(load) {
  /** @type {number|undefined} */
  let timer;
  const late = new Promise((_, refuse) => {
    timer = window.setTimeout(() => refuse(new Error("timeout")), TIMEOUT_MS);
  });
  try {
    return await /** @type {Promise<T>} */ (Promise.race([load(), late]));
  } finally {
    clearTimeout(timer);
  }
}

/** @template T @param {() => Promise<T>} load @returns {Promise<T>} */
async function twice(load) {
  try {
    return await inTime(load);
  } catch {
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
  try {
    return await inTime(load);
  } catch (error) {
    throw new Problem("not-loaded", String(error));
  }
}

/**
 * The way to a module, fetched at the first call. It rejects with the Problem `not-loaded`; the next call
 * tries anew.
 *
 * @template T @param {() => Promise<T>} load its `import()` @returns {() => Promise<T>}
 */
export function later(load) {
  /** @type {Promise<T>|null} */
  let coming = null;
  return () => {
    if (!coming) {
      coming = twice(load);
      coming.catch(() => (coming = null));
    }
    return coming;
  };
}

/**
 * What presses do with a module: nothing is opened twice, and of presses while it is on its way the
 * newest counts.
 *
 * @template T @param {() => Promise<T>} module @returns {(use: (module: T) => void) => Promise<void>}
 */
export function pressed(module) {
  /** @type {((module: T) => void)|null} */
  let wanted = null;
  return async (use) => {
    const waits = wanted !== null;
    wanted = use;
    if (waits) return;
    const slow = setTimeout(() => toast(t("common.opening")), SLOW_MS);
    const found = await module().catch((error) => toast(explain(error), "bad"));
    clearTimeout(slow);
    const act = wanted;
    wanted = null;
    if (found) act(found);
  };
}

/** Fetches modules one after the other while nothing else is to be done. @param {(() => Promise<unknown>)[]} modules */
export function whenIdle([module, ...others]) {
  if (!module) return;
  const bring = () => module().then(() => whenIdle(others), () => undefined); // a press tries anew
  if ("requestIdleCallback" in window) requestIdleCallback(bring);
  else setTimeout(bring, AGAIN_MS); // Safari
}
