// Words, money and times.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { wayBack } from "../../static/js/account.js";
import { isSafeUrl } from "../../static/js/h.js";
import { whyNot } from "../../static/js/desk/delivery-words.js";
import { count, countdown, money, percentOff } from "../../static/js/format.js";
import { cents, elapsed, plainPrice } from "../../static/js/format-more.js";
import { choose, t, use } from "../../static/js/i18n.js";

const words = (locale) => JSON.parse(readFileSync(new URL(`../../static/js/i18n/${locale}.json`, import.meta.url), "utf8"));

test("the language is the asked, then the saved, then the shop's, then the browser's", () => {
  assert.equal(choose("en", "zh-CN", "zh-CN", ["zh-CN"]), "en");
  assert.equal(choose(null, "zh-CN", "en", ["en"]), "zh-CN");
  assert.equal(choose(null, null, "zh-CN", ["en"]), "zh-CN");
  assert.equal(choose(null, null, "auto", ["fr", "zh-TW", "en"]), "zh-CN");
  assert.equal(choose("xx", null, "auto", ["fr"]), "en");
});

test("plurals follow the language and values stand where the text wants them", () => {
  use("en", words("en"));
  assert.equal(t("chat.new", { n: 1 }), "1 new message");
  assert.equal(t("chat.new", { n: 5 }), "5 new messages");
  use("zh-CN", words("zh-CN"));
  assert.equal(t("chat.new", { n: 1 }), "1 条新消息");
});

test("a value is text: braces and markup in it are not looked at again", () => {
  use("en", words("en"));
  assert.equal(t("console.of", { room: "{n} <b>$&" }), "Console: {n} <b>$&");
});

test("an unknown key shows itself", () => assert.equal(t("no.such.key"), "no.such.key"));

test("money is written in the minor unit of its currency", () => {
  use("zh-CN", {});
  assert.equal(money(990, "CNY"), "¥9.90");
  use("en", {});
  assert.equal(money(123456, "USD"), "$1,234.56");
  assert.equal(money(500, "JPY"), "¥500");
  assert.equal(count(1234567), "1,234,567");
});

test("a price is read as people type it", () => {
  const typed = { "9.9": 990, "9": 900, "0.01": 1, "¥1,299.00": 129900, "９９．５": 9950, "": null, "9.999": null, "-1": null, "9e3": null, abc: null };
  for (const [text, expected] of Object.entries(typed)) assert.equal(cents(text), expected, text);
  for (const minor of [1, 99, 100, 123456]) assert.equal(cents(plainPrice(minor)), minor);
});

test("a countdown shows zero only at the end", () => {
  assert.equal(countdown(1), "00:01");
  assert.equal(countdown(60_000), "01:00");
  assert.equal(countdown(3_600_000), "1:00:00");
  assert.equal(countdown(0), "00:00");
  assert.equal(countdown(-5_000), "00:00");
  assert.equal(elapsed(3_661_900), "01:01:01");
});

test("a discount is never rounded up", () => {
  assert.equal(percentOff(1, 3), 66);
  assert.equal(percentOff(300, 300), 0);
  assert.equal(percentOff(300, null), 0);
});

test("why a delivery did not arrive is said in the reader's language", () => {
  use("zh-CN", words("zh-CN"));
  assert.equal(whyNot(null, "the connection was refused"), "对方拒绝连接");
  assert.equal(whyNot(410, "answered 410 Gone: the endpoint was disabled"), "HTTP 410 · 对方说地址已停用，不再推送");
  assert.equal(whyNot(500, "answered 500"), "HTTP 500");
  assert.equal(whyNot(null, "[Errno 104] Connection reset by peer"), "对方中断了连接");
  assert.equal(whyNot(null, "Server disconnected"), "对方中断了连接");
  assert.equal(whyNot(null, "[Errno 113] No route to host"), "连接不上");
  assert.equal(whyNot(null, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "没能建立安全连接（TLS）");
  assert.equal(whyNot(null, "something new"), "没有送达（技术信息：something new）");
  assert.equal(whyNot(null, null), "–");
});

test("nobody is led to another site after signing in", () => {
  const here = "https://live.example";
  for (const asked of ["", "https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", "/\n/evil.example", "\t//evil.example", "javascript:alert(1)", "/login?next=/login", "/%0a/../login", "http://["])
    assert.equal(wayBack(asked, here), null, JSON.stringify(asked));
  assert.equal(wayBack("/rooms/demo?product=1#x", here), "https://live.example/rooms/demo?product=1#x");
  for (const asked of ["/.//evil.example", "/x/..//evil.example"]) assert.equal(new URL(wayBack(asked, here)).host, "live.example");
});

test("an address from elsewhere names its site or is a path of ours", () => {
  for (const good of ["https://shop.example/a.png", "/static/a.png", "#x", "?a=1", "data:image/png;base64,AA"]) assert.ok(isSafeUrl(good), good);
  for (const bad of ["javascript:alert(1)", "//evil.example", "/\\evil.example", "/\t/evil.example", " javascript:x", "data:text/html,x", null]) assert.ok(!isSafeUrl(bad), String(bad));
});
