// @ts-check
/**
 * The buyer's own orders: deadline, pay, cancel. A reservation whose answer never arrived is taken up
 * again with its key before the list is shown.
 *
 * testids: orders, order-card …, orders-more, empty, sign-in
 */

import { frame } from "../components/frame.js";
import { empty, failure } from "../components/product-bits.js";
import { orderCard } from "../components/order-card.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { resume } from "../buying.js";
import { list } from "../orders-api.js";
import { begin } from "../page.js";
import { find } from "../session.js";
import { Socket } from "../socket.js";
import { asProblem } from "../api.js";

/** @typedef {import("../types.js").Order} Order */

async function show() {
  const who = await find();
  const notes = h("div", { class: "stack" });
  const holder = h("div", { class: "order-grid", testid: "orders" });
  const more = h("button", { type: "button", class: "button block", hidden: true, testid: "orders-more" }, t("common.more"));
  frame({ title: t("orders.title"), lead: t("orders.lead") }, notes, holder, more);
  if (!who) {
    fill(holder, nothing());
    return;
  }
  const { refused } = await resume(who.user);
  fill(
    notes,
    refused.map(({ problem }) => failure(t("buy.resume_refused", { words: problem.words }), problem.temporary ? () => location.reload() : undefined)),
  );
  /** @type {string|null} */
  let cursor = null;
  const load = async () => {
    const page = await list(cursor);
    for (const order of page.items) take(holder, order, false);
    cursor = page.next_cursor;
    more.hidden = !cursor;
  };
  more.addEventListener("click", () => load().catch((error) => notes.append(failure(asProblem(error).words))));
  await load();
  if (!holder.children.length) fill(holder, nothing());
  followChanges(holder);
}

function nothing() {
  return empty(t("orders.none"), t("orders.none_text"), h("a", { href: "/", class: "button primary" }, t("orders.to_lobby")));
}

/** @param {HTMLElement} holder @param {Order} order @param {boolean} first whether a new one stands on top */
function take(holder, order, first) {
  const known = Array.from(holder.children).find((card) => card instanceof HTMLElement && card.dataset.order === order.id);
  if (known) {
    /** @type {any} */ (known).show(order);
    return;
  }
  holder.querySelector("[data-testid=empty]")?.remove();
  if (first) holder.prepend(orderCard(order));
  else holder.append(orderCard(order));
}

/** What changes elsewhere (another tab, the deadline) arrives on the personal channel. @param {HTMLElement} holder */
function followChanges(holder) {
  const socket = new Socket();
  socket.addEventListener("personal", (event) => {
    const { detail } = /** @type {CustomEvent} */ (event);
    if (detail.type === "order.updated") take(holder, detail.order, true);
  });
  socket.open();
}

void begin("orders.title", show);
