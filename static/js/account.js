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
