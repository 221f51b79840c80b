// @ts-check
/**
 * Who this browser is. The session itself is an HttpOnly cookie; scripts know only name and role.
 *
 * Watching asks for nothing: a visitor without a session becomes a guest silently.
 */

import { Problem, asProblem, call, get, post } from "./api.js";
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
  save("session", known);
  return known;
}

/** The session that the cookie stands for, or null. @returns {Promise<Session|null>} */
export async function find() {
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
