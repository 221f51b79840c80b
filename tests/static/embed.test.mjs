// The messages between a room and the page of a shop around it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FROM_HOST, FROM_ROOM, ORDER_STEPS, VERSION, read, wrap } from "../../static/js/embed/messages.js";

const frame = {};
const origin = "https://live.example";
const expected = { origin, source: frame, types: FROM_ROOM };
const event = (more = {}) => ({ origin, source: frame, data: wrap("order.paid", { order: { id: "o" } }), ...more });

test("a message from the other side is read", () => {
  assert.deepEqual(read(event(), expected), { type: "order.paid", data: { order: { id: "o" } } });
  for (const step of ORDER_STEPS) assert.ok(read(event({ data: wrap(`order.${step}`, { order: {} }) }), expected), step);
});

test("another origin, another window and no window are not heard", () => {
  for (const bad of [{ origin: "https://live.example.evil" }, { origin: "null" }, { source: {} }, { source: null }]) {
    assert.equal(read(event(bad), expected), null);
  }
  assert.equal(read({ ...event(), source: undefined }, { ...expected, source: undefined }), null);
});

test("another version, form or type is no message", () => {
  const good = wrap("order.paid", { order: {} });
  for (const data of [null, 1, "order.paid", [], { ...good, version: VERSION + 1 }, { ...good, source: "x" }, { ...good, data: null }, { ...good, type: "toString" }, { ...good, type: "host.hello", data: { cart: true } }, { ...good, data: { order: [] } }]) {
    assert.equal(read(event({ data }), expected), null, JSON.stringify(data));
  }
});

test("what the shop's page says is checked too", () => {
  const said = (type, data) => read({ origin, source: frame, data: wrap(type, data) }, { ...expected, types: FROM_HOST });
  assert.ok(said("host.hello", { cart: false }));
  assert.ok(said("cart.answer", { request: "cart-1", ok: false, message: "no" }));
  for (const [type, data] of [["host.hello", {}], ["host.hello", { cart: true, token: "x".repeat(9_000) }], ["product.open", { product: "" }], ["session.token", { token: 7 }], ["cart.answer", { request: "cart-1" }], ["order.paid", { order: {} }]]) {
    assert.equal(said(type, data), null, type);
  }
});
