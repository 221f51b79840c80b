// The browser's half of the room: the same golden files as the Python half.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { FINISHED_SHOWN_MS, apply, emptyRoom, fromSnapshot, phase, pinnedProduct, salesOnStage } from "../../static/js/room-state.js";

const WIRE = new URL("../wire/", import.meta.url);

for (const name of readdirSync(WIRE).filter((file) => file.endsWith(".json"))) {
  const golden = JSON.parse(readFileSync(new URL(name, WIRE), "utf8"));
  if (!("before" in golden && "event" in golden && "after" in golden)) continue;
  test(`golden file ${name}: ${golden.why ?? ""}`, () => {
    const before = structuredClone(golden.before);
    assert.deepEqual(apply(before, golden.event), golden.after);
    assert.deepEqual(before, golden.before, "the old state does not change");
  });
}

const sale = (changes = {}) => ({
  id: "fs_1",
  product_id: "prd_1",
  units_left: 3,
  units_total: 3,
  starts_at: "2026-01-01T10:00:00.000Z",
  ends_at: "2026-01-01T10:05:00.000Z",
  state: "running",
  version: 1,
  ...changes,
});
const at = (text) => Date.parse(`2026-01-01T${text}Z`);

test("a sale opens and ends by the clock between two words of the server", () => {
  const scheduled = sale({ state: "scheduled" });
  assert.equal(phase(scheduled, at("09:59:59")), "upcoming");
  assert.equal(phase(scheduled, at("10:00:00")), "open");
  assert.equal(phase(scheduled, at("10:05:00")), "ended");
});

test("the server's word ends a sale before its clock does", () => {
  assert.equal(phase(sale({ state: "ended" }), at("10:01:00")), "ended");
  assert.equal(phase(sale({ state: "cancelled" }), at("10:01:00")), "cancelled");
  assert.equal(phase(sale({ units_left: 0 }), at("10:01:00")), "sold_out");
  assert.equal(phase(sale({ state: "sold_out", units_left: 0 }), at("10:01:00")), "sold_out");
});

test("the stage shows what can be bought first, and finished sales only for a while and alone", () => {
  const sales = [
    sale({ id: "late", starts_at: "2026-01-01T10:03:00.000Z", ends_at: "2026-01-01T10:09:00.000Z" }),
    sale({ id: "gone", units_left: 0 }),
    sale({ id: "open" }),
    sale({ id: "over", state: "cancelled" }),
  ];
  const shown = (now) => salesOnStage({ ...emptyRoom(), flash_sales: sales }, now).map((one) => one.id);
  assert.deepEqual(shown(at("10:01:00")), ["open", "late", "gone"]);
  const over = (now) => salesOnStage({ ...emptyRoom(), flash_sales: [sale()] }, now).map((one) => one.id);
  assert.deepEqual(over(at("10:05:30")), ["fs_1"]);
  assert.deepEqual(over(at("10:05:00") + FINISHED_SHOWN_MS), []);
});

test("a snapshot of an older server leaves new parts empty", () => {
  const state = fromSnapshot({ room: null, shelf: [{ id: "prd_1" }], pinned: "prd_1", server_time: 1 });
  assert.deepEqual(state.stats, { online: 0, likes: 0 });
  assert.equal(pinnedProduct(state).id, "prd_1");
  assert.equal(pinnedProduct({ ...state, pinned: "prd_9" }), null);
});

test("an event named like an inherited property changes nothing", () => {
  const state = emptyRoom();
  assert.equal(apply(state, { type: "constructor" }), state);
  assert.equal(apply(state, { type: "__proto__" }), state);
});
