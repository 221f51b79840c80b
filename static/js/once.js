// @ts-check
/**
 * What staff add or take away, done once however often it is pressed: the same wish keeps its
 * Idempotency-Key until the server has answered it for good. A second click on the way, and another
 * try after "not available", are the first one again. Edits need none of this: they say how it shall
 * be, not what to add.
 */

import { asProblem, post } from "./api.js";
import { newKey } from "./pending.js";

/** The same wish later than this is meant anew: by then its sender has looked. In ms. */
const LIFE_MS = 120_000;

/** Wishes without an answer for good, by path and body. @type {Map<string, {key: string, at: number}>} */
const open = new Map();

/**
 * A POST that is done once.
 *
 * @param {string} path @param {unknown} [body]
 * @returns {Promise<any>} the answered object
 * @throws {import("./api.js").Problem}
 */
export async function once(path, body = {}) {
  const now = Date.now();
  for (const [wish, { at }] of open) if (now - at > LIFE_MS) open.delete(wish);
  const wish = JSON.stringify([path, body]);
  const mine = open.get(wish) || { key: newKey(), at: now };
  open.set(wish, mine);
  const settle = () => open.get(wish) === mine && open.delete(wish);
  try {
    const answer = await post(path, body, mine.key);
    settle();
    return answer;
  } catch (error) {
    if (!asProblem(error).temporary) settle();
    throw error;
  }
}
