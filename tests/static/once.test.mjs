// A wish of staff is done once: its key lives until the server has answered it for good.
import assert from "node:assert/strict";
import { test } from "node:test";
import { once } from "../../static/js/once.js";

/** Answers each request with the next of these statuses. @param {number[]} statuses */
function server(statuses) {
  /** @type {string[]} */
  const keys = [];
  globalThis.fetch = /** @type {any} */ (
    async (/** @type {string} */ _path, /** @type {any} */ { headers }) => {
      keys.push(headers["Idempotency-Key"]);
      const status = statuses.shift() || 200;
      const type = { 503: "/problems/unavailable", 504: "/problems/outcome-unknown", 422: "/problems/validation" }[status];
      return new Response(JSON.stringify(type ? { type } : {}), { status });
    }
  );
  return keys;
}

test("two clicks and a try after 503 have one key, the next wish has another", async () => {
  const keys = server([503, 200, 200]);
  await assert.rejects(once("/stock", { delta: 5 }));
  await Promise.all([once("/stock", { delta: 5 }), once("/stock", { delta: 5 })]);
  await once("/stock", { delta: 5 });
  assert.deepEqual([keys[1], keys[2]], [keys[0], keys[0]]);
  assert.notEqual(keys[3], keys[0]);
});

test("another body is another wish, and a refusal ends one", async () => {
  const keys = server([503, 200, 422, 200]);
  await assert.rejects(once("/stock", { delta: 6 }));
  await once("/stock", { delta: 7 });
  await assert.rejects(once("/stock", { delta: 6 }));
  await once("/stock", { delta: 6 });
  assert.equal(keys[2], keys[0]);
  assert.equal(new Set(keys).size, 3);
});

test("what is tried again much later is meant anew", async (context) => {
  context.mock.timers.enable({ apis: ["Date"], now: 1_000 });
  const keys = server([503]);
  await assert.rejects(once("/stock", { delta: 8 }));
  context.mock.timers.setTime(1_000_000);
  await once("/stock", { delta: 8 });
  assert.notEqual(keys[1], keys[0]);
});
