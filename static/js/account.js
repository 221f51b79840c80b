// @ts-check
/** Becoming somebody: a guest's name, a token of the shop's page, signing in and out. */

import { Problem, call, post } from "./api.js";
import { hold } from "./bearer.js";
import { forget, remember } from "./session.js";

/** Gives a guest a name; the guest stays the same person. @param {string} name */
export async function rename(name) {
  return remember(await post("/v1/session", { name }));
}

/** @param {string} user @param {string} password */
export async function signIn(user, password) {
  return remember(await post("/v1/session", { user, password }));
}

export async function signOut() {
  try {
    await call("DELETE", "/v1/session");
  } catch (error) {
    if (!(error instanceof Problem) || error.name !== "unauthorized") throw error;
  }
  forget();
}

/** Becomes whom a token of the shop's page names. @param {string} token @throws {Problem} where it is not good */
export async function become(token) {
  const answer = await call("GET", "/v1/session", { token });
  hold(token, false);
  return remember(answer);
}

/**
 * The address to go to after signing in: a page of this site, or null. Browsers read `/\x`, `/<tab>/x` and
 * `/.//x` in ways of their own, so it is they who say where an address leads.
 *
 * @param {string} asked @param {string} origin @returns {string|null}
 */
export function wayBack(asked, origin) {
  if (!asked.startsWith("/")) return null;
  try {
    const address = new URL(asked, origin);
    return address.origin === origin && !address.pathname.startsWith("/login") ? address.href : null;
  } catch {
    return null;
  }
}
