// @ts-check
/**
 * Who this browser is. The session itself is an HttpOnly cookie; scripts know only name and role. In the
 * page of a shop it is a token instead (bearer.js).
 *
 * Watching asks for nothing: a visitor without a session becomes a guest silently.
 */

import { asProblem, get, post } from "./api.js";
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

/** From now on this page is whom the server answered. @param {any} answer @returns {Session} */
export function remember(answer) {
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
      forget();
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

/** The session, or a new guest's. @returns {Promise<Session>} */
export async function ensure() {
  return (await find()) || remember(await post("/v1/session", {}));
}

/** From now on this page is nobody. */
export function forget() {
  known = null;
  save("session", null);
}

/** Where to sign in so that one comes back here. */
export function signInAddress() {
  return `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
}
