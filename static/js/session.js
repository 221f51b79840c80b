// @ts-check
/**
 * Who this browser is. The session itself is an HttpOnly cookie; scripts know only name and role. In the
 * page of a shop it is a token instead (bearer.js).
 *
 * Watching asks for nothing: a visitor without a session becomes a guest silently.
 */

import { Problem, asProblem, call, get, post } from "./api.js";
import { bearer, framed, hold } from "./bearer.js";
import { config } from "./config.js";
import { load, save } from "./storage.js";

/** @typedef {import("./types.js").Session} Session */

/** @type {Session|null} */
let known = null;

/** The session of this page, once `find` or `ensure` found one. */
export const me = () => known;

/** Whether somebody signed in with an account. */
export const isAccount = () => Boolean(known && !known.guest);

/** @param {any} answer @returns {Session} */
function remember(answer) {
  known = {
    user: answer.user,
    name: answer.name || "",
    role: answer.role || "viewer",
    guest: answer.guest ?? String(answer.user).startsWith("guest_"),
    rooms: answer.rooms || [],
    merchant: answer.merchant ?? null,
  };
  if (framed) {
    if (answer.token) hold(answer.token, known.guest);
    return known;
  }
  save("session", known);
  return known;
}

/**
 * The session that the cookie, or in a frame the token, stands for, or null. In a frame the end of an
 * account's token is a Problem: only the page around can help.
 *
 * @returns {Promise<Session|null>}
 */
export async function find() {
  if (framed) return findInFrame();
  if (!known && config().session === false) {
    save("session", null);
    return null; // nothing to ask about: a first visit
  }
  try {
    return remember(await get("/v1/session"));
  } catch (error) {
    const problem = asProblem(error);
    if (problem.name === "unauthorized") {
      known = null;
      save("session", null);
      return null;
    }
    if (problem.status === 404 || problem.status === 405) return (known = load("session"));
    throw problem;
  }
}

/** @returns {Promise<Session|null>} */
async function findInFrame() {
  if (!bearer()) return null;
  try {
    return remember(await get("/v1/session"));
  } catch (error) {
    if (asProblem(error).name !== "unauthorized" || isAccount()) throw error;
    known = null;
    hold("", true);
    return null;
  }
}

/** Becomes whom a token of the shop's page names. @param {string} token @throws {Problem} where it is not good */
export async function become(token) {
  const answer = await call("GET", "/v1/session", { token });
  hold(token, false);
  return remember(answer);
}

/** The session, or a new guest's. @returns {Promise<Session>} */
export async function ensure() {
  return (await find()) || remember(await post("/v1/session", {}));
}

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
  known = null;
  save("session", null);
}

/** Where to sign in so that one comes back here. */
export function signInAddress() {
  return `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
}
