// What of the danmaku somebody sees.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BLOCKED_MAX, USUAL, asTaste, fold, isShown, isWelcome } from "../../static/js/danmaku/taste.js";

const item = (more) => ({ id: "d1", user: { id: "u1" }, text: "Buy IT now", mode: "scroll", ...more });

test("whatever was stored becomes a taste that can be used", () => {
  for (const stored of [null, 7, "x", [], {}, { words: "no list", users: [null, {}, 3], opacity: "dark" }]) {
    assert.deepEqual(asTaste(stored), { ...USUAL });
  }
  const taste = asTaste({ opacity: 0, size: 99, speed: -3, area: 0.1, density: "0.5", merge: false, top: "yes" });
  assert.deepEqual([taste.opacity, taste.size, taste.speed, taste.area, taste.density], [1, 1.6, 1, 0.25, 0.5]);
  assert.deepEqual([taste.merge, taste.top], [false, true]);
});

test("blocked words are found whatever their width, case and spaces", () => {
  const taste = asTaste({ words: ["ＢＵＹ　it", "  "] });
  assert.deepEqual(taste.words, ["buy it"]);
  assert.equal(isWelcome(taste, item({})), false);
  assert.equal(isWelcome(taste, item({ text: "ｂｕｙ   it" })), false);
  assert.equal(isWelcome(taste, item({ text: "by it" })), true);
  assert.equal(fold("Ａ\t B"), "a b");
});

test("blocked people and hidden modes are not shown", () => {
  assert.equal(isShown(asTaste({ users: [{ id: "u1", name: "Li" }] }), item({})), false);
  assert.equal(isShown(asTaste({ top: false }), item({ mode: "top" })), false);
  assert.equal(isShown(asTaste({ bottom: false }), item({ mode: "bottom" })), false);
  assert.equal(isShown(asTaste({ top: false, bottom: false }), item({})), true);
});

test("what is blocked is bounded, the newest people stay", () => {
  const many = Array.from({ length: BLOCKED_MAX + 50 }, (_, at) => ({ id: `u${at}`, name: "" }));
  const taste = asTaste({ users: many, words: many.map(({ id }) => `word ${id}`) });
  assert.equal(taste.users.length, BLOCKED_MAX);
  assert.equal(taste.users[BLOCKED_MAX - 1].id, `u${BLOCKED_MAX + 49}`);
  assert.equal(taste.words.length, BLOCKED_MAX);
});
