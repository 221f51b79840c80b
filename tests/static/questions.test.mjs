// Which lines of a chat are questions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { asks } from "../../static/js/questions.js";

test("a question mark or a Chinese particle asks", () => {
  for (const text of ["how big is it?", "多大？", "还有货吗", "这个能洗吗。", "哪一个好呢~", "really?! yes"]) assert.ok(asks(text), text);
});

test("a statement, a shout and an address ask nothing", () => {
  for (const text of ["nice", "好看！", "呢子大衣", "https://shop.example/?page=2", "吗 is a particle", ""]) assert.ok(!asks(text), text);
});
