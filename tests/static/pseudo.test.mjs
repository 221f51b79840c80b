// The language that nobody speaks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pseudo, strange } from "../../static/js/pseudo.js";

test("letters are foreign, places stay, and it is longer", () => {
  assert.equal(strange("Buy {n} of {title}"), "[Ɓúý {n} óƒ {title}···]");
  assert.ok(!/[a-z]/i.test(strange("The quick brown fox jumps over the lazy dog ABCDEFGHIJKLMNOPQRSTUVWXYZ")));
});

test("plural forms are kept", () => {
  assert.deepEqual(pseudo({ a: { one: "x", other: "xx" }, b: "y" }), { a: { one: "[ẋ·]", other: "[ẋẋ·]" }, b: "[ý·]" });
});
