// Reservations on their way, the clock, the connection, the lanes.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Problem, asProblem, path } from "../../static/js/api.js";
import { ServerClock } from "../../static/js/clock.js";
import { pickLane, speedBehind } from "../../static/js/danmaku/lanes.js";
import { PENDING_LIFE_MS, RETRY_WAITS_MS, newKey, pendingOf, settle, take } from "../../static/js/pending.js";
import { isAuthCode, nextConnection } from "../../static/js/socket.js";

class Storage {
  constructor() {
    this.kept = new Map();
  }
  getItem(name) {
    return this.kept.has(name) ? this.kept.get(name) : null;
  }
  setItem(name, value) {
    this.kept.set(name, value);
  }
  removeItem(name) {
    this.kept.delete(name);
  }
}

beforeEach(() => {
  Object.defineProperty(globalThis, "localStorage", { value: new Storage(), configurable: true });
});

const wish = { sale: "fs_1", quantity: 1, user: "guest_1", room: "demo" };
const instantly = async () => {};

test("the key is kept before the request leaves, and a page that is killed takes it up again", async () => {
  const entry = take(wish, 1_000);
  assert.equal(pendingOf("guest_1", 1_000)[0].key, entry.key);
  const killed = new Promise(() => {}); // the answer that never comes
  void settle(entry, () => killed, instantly);
  assert.equal(take(wish, 2_000).key, entry.key);
});

test("an order or a final refusal ends it; the next press is a new one", async () => {
  const first = take(wish, 1_000);
  assert.deepEqual(await settle(first, async () => ({ id: "ord_1" }), instantly), { id: "ord_1" });
  assert.deepEqual(pendingOf("guest_1", 1_000), []);
  const second = take(wish, 1_000);
  assert.notEqual(second.key, first.key);
  await assert.rejects(settle(second, async () => { throw new Problem("sold-out"); }, instantly), { name: "sold-out" });
  assert.deepEqual(pendingOf("guest_1", 1_000), []);
});

test("an unknown outcome is asked again with the same key, then stays for the next visit", async () => {
  const entry = take(wish, 1_000);
  const keys = [];
  const send = async (sent) => {
    keys.push(sent.key);
    throw new Problem("unavailable");
  };
  await assert.rejects(settle(entry, send, instantly), { name: "unavailable" });
  assert.equal(keys.length, RETRY_WAITS_MS.length + 1);
  assert.deepEqual(new Set(keys), new Set([entry.key]));
  assert.equal(pendingOf("guest_1", 1_000).length, 1);
});

test("somebody else's reservations and very old ones are not taken up", () => {
  take(wish, 1_000);
  assert.deepEqual(pendingOf("guest_2", 1_000), []);
  assert.deepEqual(pendingOf("guest_1", 1_000 + PENDING_LIFE_MS), []);
});

test("another quantity is another wish", () => {
  assert.notEqual(take(wish, 1_000).key, take({ ...wish, quantity: 2 }, 1_000).key);
});

test("a product of the shelf is a wish of its own, and so is another coupon", () => {
  const shelf = { product: "prd_1", quantity: 1, user: "guest_1", room: "demo" };
  const first = take(shelf, 1_000);
  assert.equal(take(shelf, 1_000).key, first.key);
  assert.notEqual(take(wish, 1_000).key, first.key);
  assert.notEqual(take({ ...shelf, product: "prd_2" }, 1_000).key, first.key);
  assert.equal(pendingOf("guest_1", 1_000).length, 3);
  assert.notEqual(take({ ...shelf, coupon: "TEA" }, 1_000).key, first.key);
  assert.equal(pendingOf("guest_1", 1_000).length, 3);
});

test("a storage that refuses loses the memory, not the purchase", () => {
  localStorage.setItem = () => {
    throw new Error("full");
  };
  assert.match(take(wish, 1_000).key, /^web-[0-9a-f]{32}$/);
});

test("keys differ", () => assert.equal(new Set(Array.from({ length: 100 }, newKey)).size, 100));

test("RPC errors and HTTP problems are one table", () => {
  assert.equal(asProblem({ code: 1001, message: "x" }).name, "sold-out");
  assert.equal(asProblem({ code: 111, message: "x" }).temporary, true);
  assert.equal(asProblem({ code: 2, message: "timeout" }).temporary, true);
  assert.equal(asProblem({ code: 1004, message: "x" }).temporary, false);
});

test("a path escapes what stands in it", () => assert.equal(path`/v1/rooms/${"a/b?c"}/pin`, "/v1/rooms/a%2Fb%3Fc/pin"));

test("the clock believes the sample with the shortest way", () => {
  const clock = new ServerClock(() => 10_000);
  clock.sample(15_100, 10_000, 10_200);
  assert.equal(clock.now(), 15_000);
  clock.sample(99_000, 10_000, 14_000);
  assert.equal(clock.now(), 15_000, "a slower sample changes nothing");
  clock.sample(16_010, 10_000, 10_020);
  assert.equal(clock.now(), 16_000);
  clock.sample(20_100, 10_000 + 700_000, 10_200 + 700_000);
  assert.notEqual(clock.now(), 16_000, "an old sample gives way");
});

test("a date header corrects only a clock that is plainly wrong", () => {
  const clock = new ServerClock(() => 1_767_261_600_000);
  clock.hint(new Date(1_767_261_600_000).toUTCString(), 1_767_261_600_000, 1_767_261_600_100);
  assert.equal(clock.offset, 0);
  clock.hint(new Date(1_767_261_660_000).toUTCString(), 1_767_261_600_000, 1_767_261_600_100);
  assert.ok(Math.abs(clock.offset - 60_450) < 1);
});

const fresh = { state: "joining", attempt: 0, wasLive: false };

test("the first connecting is joining, a later one is a loss that counts its tries", () => {
  let now = nextConnection(fresh, { type: "connecting", online: true });
  assert.equal(now.state, "joining");
  now = nextConnection(now, { type: "connected" });
  assert.equal(now.state, "live");
  now = nextConnection(now, { type: "connecting", online: true });
  now = nextConnection(now, { type: "connecting", online: true });
  assert.deepEqual([now.state, now.attempt], ["trying", 2]);
  now = nextConnection(now, { type: "connected" });
  assert.equal(now.state, "back");
  assert.equal(nextConnection(now, { type: "settled" }).state, "live");
});

test("without a network the device is offline, with a lost session one is asked to sign in", () => {
  assert.equal(nextConnection({ ...fresh, wasLive: true }, { type: "connecting", online: false }).state, "offline");
  assert.equal(nextConnection(fresh, { type: "disconnected", code: 101, account: true }).state, "expired");
  assert.equal(nextConnection(fresh, { type: "disconnected", code: 3503, account: true }).state, "closed");
  assert.equal(isAuthCode(3500), true);
});

test("a lane takes an item when the one before has entered", () => {
  const train = (gone) => ({ speed: 0.1, gone, tail: 100 });
  assert.equal(pickLane([undefined]), 0);
  assert.equal(pickLane([train(50)]), -1, "still entering");
  assert.equal(pickLane([train(50), train(100), undefined]), 1, "the first that is free");
  assert.equal(pickLane(new Array(2)), 0, "lanes nobody used yet");
  assert.equal(pickLane([train(20), train(90), train(50)], true), 1, "what must be shown overlaps least");
});

test("a train never catches the one before it", () => {
  const area = 400;
  const last = { speed: 0.05, gone: 150, tail: 150 };
  assert.equal(speedBehind(undefined, area, 0.2), 0.2);
  assert.equal(speedBehind(last, area, 0.04), 0.04);
  assert.equal(speedBehind(last, area, 0.2), 0.05, "right behind it, no faster");
  const later = { ...last, gone: 350 }; // 200 px until its tail is out of sight, in 4 s
  assert.equal(speedBehind(later, area, 0.2), 0.1, "at the far side when the last one has left");
  assert.equal(speedBehind({ ...last, gone: 600 }, area, 0.2), 0.2);
});
