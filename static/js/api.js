// @ts-check
/**
 * HTTP to our own server: JSON in, JSON out, every refusal as a Problem that knows its words.
 */

import { bearer, framed } from "./bearer.js";
import { clock } from "./clock.js";
import { clockTime } from "./format.js";
import { has, t } from "./i18n.js";

/** An answer that takes longer than this is not waited for, in ms. */
const TIMEOUT_MS = 10_000;

/** RPC error code -> name of the problem; the same table as the server's. */
const RPC_NAMES = /** @type {Record<number, string>} */ ({
  1: "network",
  3: "network",
  2: "timeout",
  100: "unavailable",
  101: "unauthorized",
  103: "forbidden",
  106: "limit-exceeded",
  107: "bad-request",
  108: "not-available",
  109: "unauthorized",
  111: "rate-limited",
  1001: "sold-out",
  1002: "limit-exceeded",
  1003: "not-started",
  1004: "ended",
  1006: "idempotency-conflict",
  1007: "not-found",
  1008: "forbidden",
  1009: "validation",
  1010: "in-flight",
  1011: "invalid-state",
  1012: "price-unconfirmed",
  1013: "too-large",
});

/** Problems after which the very same request may succeed; its outcome so far is not known. */
const TEMPORARY = new Set(["network", "timeout", "unavailable", "in-flight", "rate-limited", "internal"]);

/** Problems whose detail from the server says more than our words: which value, which limit. */
const DETAILED = new Set(["validation", "forbidden", "invalid-state", "bad-request", "not-found", "refund-amount"]);

/** Why a message was refused: `slow-mode: Slow mode is on; wait 4 s`, before the server's own words. */
const REASONED = /^([a-z]+(?:-[a-z]+)*): (.*)$/;

/** A refusal or a failure, named by its row of the contract's table. */
export class Problem extends Error {
  /** @param {string} name @param {string} [detail] @param {{status?: number, retryAfter?: number, facts?: any}} [more] */
  constructor(name, detail = "", more = {}) {
    super(detail || name);
    this.name = name;
    this.detail = detail;
    this.status = more.status || 0;
    /** Seconds after which the server asks to try again; 0 when it says nothing. */
    this.retryAfter = more.retryAfter || 0;
    this.facts = more.facts || {};
  }

  /** The stable name of the reason, where the server gave one that has words here. */
  get reason() {
    const name = this.facts?.reason || REASONED.exec(this.detail)?.[1] || "";
    return has(`reason.${name}`) ? name : "";
  }

  /** How long to wait, in seconds, where the server said it. */
  get seconds() {
    return this.retryAfter || Number(/wait (\d+) s/.exec(this.detail)?.[1]) || 0;
  }

  /** Until when, as the reader's clock says it. */
  get until() {
    const at = this.facts?.until || /until (\S+Z)/.exec(this.detail)?.[1];
    return at ? clockTime(at) : "";
  }

  get temporary() {
    return TEMPORARY.has(this.name);
  }

  /** What happened and what to do, in the reader's language. */
  get words() {
    if (this.reason) return t(`reason.${this.reason}`, { n: this.seconds, at: this.until });
    const key = `problem.${this.name}`;
    const words = has(key) ? t(key) : t("problem.internal");
    return DETAILED.has(this.name) && this.detail ? t("problem.with_detail", { words, detail: this.detail }) : words;
  }
}

/** A failure of any kind as a Problem. @param {any} error @returns {Problem} */
export function asProblem(error) {
  if (error instanceof Problem) return error;
  if (error && typeof error.code === "number") return new Problem(RPC_NAMES[error.code] || "internal", error.message);
  return new Problem("internal", String(error && error.message ? error.message : error));
}

/** The words for any failure. @param {any} error */
export const explain = (error) => asProblem(error).words;

/**
 * One request.
 *
 * @param {string} method @param {string} path
 * @param {{body?: unknown, key?: string, timeout?: number, token?: string}} [options] `key` =
 *   Idempotency-Key; a Blob is sent as it is; `token` in place of the one we hold, "" = none
 * @returns {Promise<any>} the answered object; null without one
 * @throws {Problem}
 */
export async function call(method, path, { body, key, timeout = TIMEOUT_MS, token = bearer() } = {}) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeout);
  const sentAt = Date.now();
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = body instanceof Blob ? body.type : "application/json";
  if (key) headers["Idempotency-Key"] = key;
  if (token) headers.Authorization = `Bearer ${token}`;
  try {
    const answer = await fetch(path, {
      method,
      headers,
      credentials: framed ? "omit" : "same-origin",
      signal: abort.signal,
      body: body === undefined || body instanceof Blob ? body : JSON.stringify(body),
    });
    clock.hint(answer.headers.get("Date"), sentAt, Date.now());
    return await read(answer);
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(abort.signal.aborted ? "timeout" : "network");
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Response} answer */
async function read(answer) {
  const text = await answer.text();
  /** @type {any} */
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    value = null;
  }
  if (answer.ok) return value;
  const name = String(value?.type || "").split("/").pop() || (answer.status >= 500 ? "unavailable" : "internal");
  throw new Problem(name, value?.detail || "", {
    status: answer.status,
    retryAfter: Number(answer.headers.get("Retry-After")) || 0,
    facts: value,
  });
}

export const get = (/** @type {string} */ path) => call("GET", path);
export const post = (/** @type {string} */ path, /** @type {unknown} */ body = {}, /** @type {string|undefined} */ key = undefined) =>
  call("POST", path, { body, key });
export const patch = (/** @type {string} */ path, /** @type {unknown} */ body) => call("PATCH", path, { body });
export const put = (/** @type {string} */ path, /** @type {unknown} */ body) => call("PUT", path, { body });
export const remove = (/** @type {string} */ path) => call("DELETE", path);

/** A path with its parts escaped: path`/v1/rooms/${id}`. @param {TemplateStringsArray} parts @param {...(string|number)} values */
export function path(parts, ...values) {
  return parts.reduce((whole, part, at) => whole + encodeURIComponent(String(values[at - 1])) + part);
}
