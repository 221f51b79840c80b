// @ts-check
/**
 * The console of one room: everything a streamer does while selling, on one screen.
 *
 * testids: console (data-state), connection, console-state, console-clock, console-online,
 * console-likes, console-orders, start-show, end-show (hold), open-room;
 * notice-input, notice-save, notice-clear; shelf-row (data-product), shelf-up, shelf-down,
 * shelf-remove, pin, unpin, shelf-add-select, shelf-add;
 * sale-form, sale-product, sale-price, sale-units, sale-more, sale-limit, sale-buyers,
 * sale-countdown, sale-duration, sale-hold, sale-preview, sale-low-price, sale-confirm-low,
 * sale-problem, sale-start; sale-row (data-sale, data-phase, data-left), sale-left, sale-cancel,
 * cancel-honour, cancel-void; ticker-row; chat-…; talk-… (moderation/tools.js)
 */

import { asProblem, explain, get, path, post, put } from "../api.js";
import { ChatPanel } from "../components/chat-panel.js";
import { ConnectionBar } from "../components/connection-bar.js";
import { countDown } from "../components/count-down.js";
import { FlashCard } from "../components/flash-card.js";
import { busy, chip, empty, failure, field, picture, priceBlock } from "../components/product-bits.js";
import { makeSheet, toast } from "../components/sheet.js";
import { showStock } from "../components/shelf-view.js";
import { siteHeader } from "../components/site-header.js";
import { clock } from "../clock.js";
import { cents, count, elapsed, money, plainPrice } from "../format.js";
import { append, fill, h, icon, keyed } from "../h.js";
import { t } from "../i18n.js";
import { app, begin, entitle, frame } from "../page.js";
import { phase } from "../room-state.js";
import { RoomStore } from "../room-store.js";
import { find, isAccount, me, signInAddress } from "../session.js";
import { Socket } from "../socket.js";
import { TalkTools } from "../moderation/tools.js";
import { onTick } from "../ticker.js";
import { GoLivePanel } from "../video/go-live.js";

/** @typedef {import("../types.js").Product} Product */
/** @typedef {import("../types.js").ShelfItem} ShelfItem */
/** @typedef {import("../types.js").FlashSale} FlashSale */
/** @typedef {Product & {grant: {min_price_cents: number|null, units_max: number|null, used: number}}} Sellable */

/** The end of a show hurts, so its button is held for this long, in ms. */
const HOLD_MS = 1_500;

const roomId = decodeURIComponent(location.pathname.split("/")[2] || "");

/** Says a failure of an action. @param {unknown} error */
const complain = (error) => toast(explain(error), "bad");

class ConsolePage {
  constructor() {
    this.socket = new Socket();
    this.store = new RoomStore(roomId, this.socket);
    /** What the room may sell. @type {Sellable[]} */
    this.sellable = [];
    this.ordersSeen = 0;
    this.head = new Head(this.store);
    this.shelf = new ShelfPanel(this);
    this.sale = new SaleForm(this);
    this.sales = h("ul", { class: "sale-list" });
    this.salesHolder = h("div");
    this.chat = /** @type {ChatPanel} */ (h("chat-panel"));
    this.talk = new TalkTools(this.store);
    this.ticker = h("ol", { class: "ticker-list" });
    this.tickerHolder = h("div");
    this.notice = new NoticePanel(this.store);
    this.picture = new GoLivePanel(this.store, roomId, () => this.sellable);
  }

  layOut() {
    const panel = (/** @type {string} */ title, /** @type {string} */ name, /** @type {Node[]} */ ...children) =>
      h("section", { class: `card panel ${name}`, "aria-label": title }, h("h2", null, title), ...children);
    const view = h(
      "div",
      { class: "console", testid: "console", id: "main" },
      h("div", { class: "console-left" }, panel(t("console.shelf"), "panel-shelf", this.shelf.element)),
      h(
        "div",
        { class: "console-mid" },
        panel(t("sale.title"), "panel-sale", this.sale.element),
        panel(t("console.sales"), "panel-sales", this.salesHolder),
        panel(t("golive.title"), "panel-picture", this.picture.element),
        panel(t("console.notice"), "panel-notice", this.notice.element),
      ),
      h("div", { class: "console-right" }, panel(t("console.ticker"), "panel-ticker", this.tickerHolder), panel(t("chat.title"), "panel-chat", this.talk.element, this.chat)),
    );
    this.view = view;
    fill(app(), h("a", { href: "#main", class: "skip" }, t("common.skip")), siteHeader(), h("main", { class: "console-page" }, this.head.element, view));
    this.chat.follow(this.store, { staff: true, danmaku: false });
  }

  async run() {
    const who = await find();
    if (!who || !mayRun()) {
      refuse(Boolean(who && !who.guest));
      return;
    }
    await Promise.all([this.store.first(), this.loadSellable()]);
    this.layOut();
    this.head.follow(this.socket);
    this.store.addEventListener("state", () => this.draw());
    this.store.addEventListener("advice", (event) => this.onAdvice(/** @type {CustomEvent} */ (event).detail));
    onTick(() => this.drawSales());
    this.draw();
    this.store.subscribe();
    this.talk.follow();
    this.socket.open();
  }

  async loadSellable() {
    this.sellable = (await get(path`/v1/rooms/${roomId}/products?limit=200`)).items;
  }

  draw() {
    const { room } = this.store.state;
    if (!room || !this.view) return;
    entitle(t("console.of", { room: room.title }));
    this.view.dataset.state = room.state;
    this.head.draw();
    this.notice.draw();
    this.picture.draw();
    this.shelf.draw();
    this.sale.drawChoice();
    this.drawSales();
    if (!this.ticker.children.length) fill(this.tickerHolder, h("p", { class: "soft" }, t("console.no_orders")));
  }

  drawSales() {
    const now = clock.now();
    const sales = [...this.store.state.flash_sales].reverse();
    if (!sales.length) {
      if (!this.salesHolder.querySelector("p")) fill(this.salesHolder, h("p", { class: "soft" }, t("console.no_sales")));
      return;
    }
    if (this.sales.parentElement !== this.salesHolder) fill(this.salesHolder, this.sales);
    keyed(this.sales, sales, (sale) => sale.id, () => h("li", { class: "sale-row", testid: "sale-row" }));
    sales.forEach((sale, place) => {
      const row = /** @type {HTMLElement} */ (this.sales.children[place]);
      const at = phase(sale, now);
      const mark = `${at} ${sale.ends_at} ${sale.units_total} ${sale.title}`;
      if (row.dataset.mark !== mark) drawSaleRow(row, sale, at);
      row.dataset.mark = mark;
      row.dataset.left = String(sale.units_left); // the rest stays, so that "cancel" can be pressed
      const left = row.querySelector("[data-units]");
      if (left && left.textContent !== count(sale.units_left)) left.textContent = count(sale.units_left);
    });
  }

  /** @param {any} event */
  onAdvice(event) {
    this.picture.onAdvice(event);
    if (event.type !== "order.ticker") return;
    if (this.ticker.parentElement !== this.tickerHolder) fill(this.tickerHolder, this.ticker);
    this.ticker.prepend(
      h("li", { testid: "ticker-row" }, icon("bag"), h("span", null, t("chat.ticker", { name: event.name, title: event.title, n: event.quantity }))),
    );
    while (this.ticker.children.length > 20) this.ticker.lastElementChild?.remove();
  }
}

/** Whether the signed-in person may run this room. */
function mayRun() {
  const who = me();
  return Boolean(who && isAccount() && (who.role === "admin" || (["streamer", "moderator"].includes(who.role) && who.rooms.includes(roomId))));
}

/** @param {boolean} signedIn */
function refuse(signedIn) {
  const way = h("a", { href: signInAddress(), class: "button primary", testid: "sign-in-here" }, t("common.sign_in"));
  frame({ title: t("console.page") }, empty(signedIn ? t("console.not_yours") : t("console.sign_in"), t("console.who_may"), way));
}

/** Title, state, clock, figures, start and end. */
class Head {
  /** @param {RoomStore} store */
  constructor(store) {
    this.store = store;
    this.title = h("h1", { class: "console-title" });
    this.state = h("span", { class: "live-chip", testid: "console-state" });
    this.clock = h("span", { class: "digits", testid: "console-clock" });
    this.online = h("strong", { class: "digits", testid: "console-online" });
    this.likes = h("strong", { class: "digits", testid: "console-likes" });
    this.sold = h("strong", { class: "digits", testid: "console-orders" });
    this.actions = h("div", { class: "head-actions" });
    this.connection = /** @type {ConnectionBar} */ (h("connection-bar"));
    this.drawn = "";
    const figure = (/** @type {string} */ name, /** @type {HTMLElement} */ value) => h("div", { class: "figure" }, value, h("span", null, name));
    this.element = h(
      "header",
      { class: "console-head" },
      h("div", { class: "console-name" }, this.title, h("p", { class: "console-line" }, this.state, this.clock)),
      h("div", { class: "figures" }, figure(t("console.online"), this.online), figure(t("console.likes"), this.likes), figure(t("console.units_sold"), this.sold)),
      this.actions,
      this.connection,
    );
  }

  /** @param {Socket} socket */
  follow(socket) {
    this.connection.follow(socket);
    onTick(() => this.drawClock());
  }

  drawClock() {
    const { room } = this.store.state;
    const text = room?.state === "live" && room.started_at ? elapsed(clock.now() - Date.parse(room.started_at)) : "";
    if (this.clock.textContent !== text) this.clock.textContent = text;
  }

  draw() {
    const { room, stats, flash_sales: sales } = this.store.state;
    if (!room) return;
    this.title.textContent = room.title;
    this.state.textContent = { live: t("room.live"), idle: t("room.idle"), ended: t("room.ended") }[room.state];
    this.state.className = `live-chip ${room.state}`;
    this.online.textContent = count(stats.online);
    this.likes.textContent = count(stats.likes);
    this.sold.textContent = count(sales.filter((sale) => sale.show === room.show).reduce((sum, sale) => sum + sale.units_total - sale.units_left, 0));
    this.drawClock();
    if (this.drawn === room.state) return;
    this.drawn = room.state;
    const look = h("a", { href: path`/rooms/${room.id}`, class: "button", target: "_blank", rel: "noopener", testid: "open-room" }, icon("eye"), t("console.look"));
    const moderates = me()?.role === "moderator";
    fill(this.actions, look, moderates ? null : room.state === "live" ? endButton() : startButton());
  }
}

function startButton() {
  const button = h("button", { type: "button", class: "button primary", testid: "start-show" }, t("console.start"));
  button.addEventListener("click", () => busy(button, () => post(path`/v1/rooms/${roomId}/start`), complain));
  return button;
}

/** A button to be held: pointer or key. A short press says so. */
function endButton() {
  const button = h("button", { type: "button", class: "button danger hold", testid: "end-show" }, h("span", { class: "hold-fill", "aria-hidden": "true" }), h("span", { class: "hold-words" }, t("console.end")));
  let timer = 0;
  const start = () => {
    if (timer || button.disabled) return;
    button.classList.add("held");
    timer = window.setTimeout(() => {
      timer = 0;
      button.classList.remove("held");
      void busy(button, () => post(path`/v1/rooms/${roomId}/end`), complain);
    }, HOLD_MS);
  };
  const stop = () => {
    if (!timer) return;
    clearTimeout(timer);
    timer = 0;
    button.classList.remove("held");
    toast(t("console.end_hint"));
  };
  button.addEventListener("pointerdown", start);
  for (const type of ["pointerup", "pointerleave", "pointercancel", "keyup", "blur"]) button.addEventListener(type, stop);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("keydown", (event) => {
    if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      start();
    }
  });
  return button;
}

/** The notice over the stage. */
class NoticePanel {
  /** @param {RoomStore} store */
  constructor(store) {
    this.store = store;
    this.shown = /** @type {string|null|undefined} */ (undefined);
    this.input = h("input", { type: "text", maxLength: 200, testid: "notice-input" });
    this.save = h("button", { type: "submit", class: "button", testid: "notice-save" }, t("console.notice_save"));
    this.clear = h("button", { type: "button", class: "button", testid: "notice-clear" }, t("console.notice_clear"));
    this.clear.addEventListener("click", () => busy(this.clear, () => this.send(null), complain));
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      void busy(this.save, () => this.send(this.input.value.trim() || null), complain);
    };
    this.element = h("form", { class: "inline-form", on: { submit } }, field(t("console.notice_label"), this.input), this.save, this.clear);
  }

  /** @param {string|null} text */
  send(text) {
    return post(path`/v1/rooms/${roomId}/notice`, { text });
  }

  draw() {
    const { notice } = this.store.state;
    if (notice === this.shown) return;
    this.shown = notice;
    this.input.value = notice || "";
    this.clear.hidden = !notice;
  }
}

/** What stands on the shelf, in which order, and what is being explained. */
class ShelfPanel {
  /** @param {ConsolePage} page */
  constructor(page) {
    this.page = page;
    this.list = h("ol", { class: "run-list" });
    this.none = h("div");
    this.select = h("select", { testid: "shelf-add-select" });
    this.add = h("button", { type: "submit", class: "button", testid: "shelf-add" }, icon("plus"), t("console.shelf_add"));
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      if (this.select.value) void busy(this.add, () => this.put([...this.ids(), this.select.value]), complain);
    };
    this.form = h("form", { class: "inline-form", on: { submit } }, field(t("console.shelf_choose"), this.select), this.add);
    this.element = h("div", { class: "stack" }, this.none, this.list, this.form);
    this.drawn = "";
  }

  ids() {
    return this.page.store.state.shelf.map((item) => item.id);
  }

  /** @param {string[]} ids */
  put(ids) {
    return put(path`/v1/rooms/${roomId}/shelf`, { product_ids: ids });
  }

  draw() {
    const { shelf, pinned } = this.page.store.state;
    const drawn = JSON.stringify([shelf, pinned]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    fill(this.none, shelf.length ? null : h("p", { class: "soft" }, t("console.shelf_empty")));
    keyed(this.list, shelf, (item) => item.id, (item) => h("li", { class: "run-row", testid: "shelf-row", "data-product": item.id }));
    shelf.forEach((item, at) => this.fillRow(/** @type {HTMLElement} */ (this.list.children[at]), item, at, pinned === item.id));
    const free = this.page.sellable.filter((product) => !shelf.some((item) => item.id === product.id));
    fill(this.select, free.map((product) => h("option", { value: product.id }, product.title)));
    this.form.hidden = !free.length;
    if (!this.page.sellable.length) fill(this.none, h("p", { class: "soft" }, t("console.nothing_granted")));
  }

  /** @param {HTMLElement} row @param {ShelfItem} item @param {number} at @param {boolean} pinned */
  fillRow(row, item, at, pinned) {
    const mark = JSON.stringify([{ ...item, stock: 0 }, at, pinned, this.ids().length]);
    if (row.dataset.mark === mark) {
      showStock(row, item); // changes often; the buttons beside it stay as they are
      return;
    }
    const focused = row.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.testid : null;
    row.dataset.mark = mark;
    row.classList.toggle("pinned-row", pinned);
    fill(
      row,
      h("span", { class: "number digits" }, String(item.number)),
      picture(item, "small"),
      h("div", { class: "run-about" }, h("p", { class: "run-title" }, item.title), h("p", { class: "run-line" }, priceBlock(item), h("span", { class: "soft small", "data-stock": "" }))),
      h(
        "div",
        { class: "run-actions" },
        this.pinButton(item, pinned),
        this.tool("up", t("console.shelf_up", { title: item.title }), "shelf-up", at === 0, () => this.put(moved(this.ids(), at, at - 1))),
        this.tool("down", t("console.shelf_down", { title: item.title }), "shelf-down", at === this.ids().length - 1, () => this.put(moved(this.ids(), at, at + 1))),
        this.tool("close", t("console.shelf_remove", { title: item.title }), "shelf-remove", false, () => this.put(this.ids().filter((id) => id !== item.id))),
      ),
    );
    showStock(row, item);
    if (focused) /** @type {HTMLElement|null} */ (row.querySelector(`[data-testid="${focused}"]`))?.focus();
  }

  /** @param {ShelfItem} item @param {boolean} pinned */
  pinButton(item, pinned) {
    const button = h(
      "button",
      { type: "button", class: pinned ? "button small primary" : "button small", testid: pinned ? "unpin" : "pin", "aria-pressed": String(pinned) },
      icon("pin"),
      pinned ? t("console.unpin") : t("console.pin"),
    );
    button.addEventListener("click", () => busy(button, () => post(path`/v1/rooms/${roomId}/pin`, { product_id: pinned ? null : item.id }), complain));
    return button;
  }

  /** @param {"up"|"down"|"close"} name @param {string} label @param {string} testid @param {boolean} off @param {() => Promise<unknown>} action */
  tool(name, label, testid, off, action) {
    const button = h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, testid, disabled: off }, icon(name));
    button.addEventListener("click", () => busy(button, action, complain));
    return button;
  }
}

/** @param {string[]} ids @param {number} from @param {number} to */
function moved(ids, from, to) {
  const next = [...ids];
  const [id] = next.splice(from, 1);
  next.splice(to, 0, id);
  return next;
}

/** A flash sale in three inputs, with what viewers will see. */
class SaleForm {
  /** @param {ConsolePage} page */
  constructor(page) {
    this.page = page;
    this.product = h("select", { testid: "sale-product", required: true });
    this.price = h("input", { type: "text", inputmode: "decimal", required: true, autocomplete: "off", testid: "sale-price" });
    this.units = h("input", { type: "number", min: "1", max: "1000000", value: "10", required: true, inputmode: "numeric", testid: "sale-units" });
    this.limit = h("input", { type: "number", min: "1", max: "100", value: "1", required: true, inputmode: "numeric", testid: "sale-limit" });
    this.buyers = h("select", { testid: "sale-buyers" }, h("option", { value: "" }, t("sale.buyers_default")), h("option", { value: "account" }, t("sale.buyers_account")), h("option", { value: "guest" }, t("sale.buyers_guest")));
    this.countdown = h("input", { type: "number", min: "0", max: "300", value: "10", required: true, inputmode: "numeric", testid: "sale-countdown" });
    this.startsAt = h("input", { type: "datetime-local", step: "1", autocomplete: "off", testid: "sale-starts-at" });
    this.duration = h("input", { type: "number", min: "10", max: "86400", value: "300", required: true, inputmode: "numeric", testid: "sale-duration" });
    this.hold = h("input", { type: "number", min: "10", max: "86400", value: "300", required: true, inputmode: "numeric", testid: "sale-hold" });
    this.lowBox = h("input", { type: "checkbox", testid: "sale-confirm-low" });
    this.lowWords = h("span");
    this.low = h("label", { class: "low-price", hidden: true, testid: "sale-low-price" }, this.lowBox, this.lowWords);
    this.problem = h("p", { class: "problem", role: "alert", hidden: true, testid: "sale-problem" });
    this.preview = /** @type {FlashCard} */ (h("flash-card"));
    this.start = h("button", { type: "submit", class: "button primary big", testid: "sale-start" }, icon("bolt"), t("sale.start"));
    this.drawnChoice = "";
    this.element = this.layOut();
  }

  layOut() {
    const more = h(
      "details",
      { class: "more", testid: "sale-more" },
      h("summary", null, t("sale.more")),
      h(
        "div",
        { class: "field-grid" },
        field(t("sale.limit"), this.limit),
        field(t("sale.countdown"), this.countdown),
        field(t("sale.starts_at"), this.startsAt),
        field(t("sale.duration"), this.duration),
        field(t("sale.hold"), this.hold),
        field(t("sale.buyers"), this.buyers),
      ),
    );
    const form = h(
      "form",
      { class: "sale-form", testid: "sale-form", on: { submit: (/** @type {Event} */ event) => this.submit(event), input: () => this.drawPreview() } },
      h("div", { class: "three" }, field(t("sale.product"), this.product), field(t("sale.price"), this.price), field(t("sale.units"), this.units)),
      more,
      this.low,
      this.problem,
      h("div", { class: "preview", testid: "sale-preview" }, h("p", { class: "soft small" }, t("sale.preview")), this.preview),
      this.start,
    );
    this.product.addEventListener("change", () => this.suggestPrice());
    this.preview.setAttribute("inert", "");
    return form;
  }

  /** @returns {Sellable|undefined} */
  get chosen() {
    return this.page.sellable.find((product) => product.id === this.product.value);
  }

  drawChoice() {
    const { shelf, pinned } = this.page.store.state;
    const order = new Map(shelf.map((item) => [item.id, item.number]));
    const choice = [...this.page.sellable].sort((a, b) => (order.get(a.id) || 999) - (order.get(b.id) || 999));
    const key = JSON.stringify(choice.map((product) => [product.id, product.title, order.get(product.id)]));
    if (key === this.drawnChoice) return;
    this.drawnChoice = key;
    const before = this.product.value;
    fill(
      this.product,
      choice.map((product) => h("option", { value: product.id }, order.has(product.id) ? t("sale.numbered", { number: Number(order.get(product.id)), title: product.title }) : product.title)),
    );
    this.product.value = before || pinned || choice[0]?.id || "";
    if (!before) this.suggestPrice();
    this.start.disabled = !choice.length;
  }

  /** A first price to change: the product's own. */
  suggestPrice() {
    if (this.chosen) this.price.value = plainPrice(this.chosen.price_cents);
    this.drawPreview();
  }

  drawPreview() {
    const product = this.chosen;
    const price = cents(this.price.value);
    this.price.setCustomValidity(price ? "" : t("sale.price_wrong"));
    if (!product || !price) return;
    const list = product.list_price_cents ?? product.price_cents;
    const isLow = price * 2 < list;
    this.low.hidden = !isLow;
    if (!isLow) this.lowBox.checked = false;
    fill(this.lowWords, t("sale.low_price", { price: money(price, product.currency), list: money(list, product.currency) }));
    const now = clock.now();
    const units = Number(this.units.value) || 1;
    this.preview.show(
      {
        id: "preview",
        room: roomId,
        show: null,
        product_id: product.id,
        sku: product.sku,
        title: product.title,
        price_cents: price,
        list_price_cents: product.list_price_cents ?? (price < product.price_cents ? product.price_cents : null),
        currency: product.currency,
        units_total: units,
        units_left: units,
        per_buyer_limit: 1,
        buyers: "guest",
        hold_seconds: 300,
        starts_at: new Date(now - 1).toISOString(),
        ends_at: new Date(now + (Number(this.duration.value) || 300) * 1000).toISOString(),
        state: "running",
        version: now,
      },
      product,
      null,
    );
  }

  /** @param {Event} event */
  submit(event) {
    event.preventDefault();
    const product = this.chosen;
    const price = cents(this.price.value);
    if (!product || !price) return;
    this.problem.hidden = true;
    if (!this.low.hidden && !this.lowBox.checked) {
      this.say(t("problem.price-unconfirmed"));
      this.lowBox.focus();
      return;
    }
    const body = {
      sku: product.sku,
      price_cents: price,
      units: Number(this.units.value),
      per_buyer_limit: Number(this.limit.value),
      ...this.whenToStart(),
      duration_seconds: Number(this.duration.value),
      hold_seconds: Number(this.hold.value),
      ...(this.buyers.value ? { buyers: this.buyers.value } : {}),
      ...(this.lowBox.checked ? { confirm_low_price: true } : {}),
    };
    const create = async () => {
      await post(path`/v1/rooms/${roomId}/flash-sales`, body);
      this.lowBox.checked = false;
      toast(this.startsAt.value ? t("sale.planned") : t("sale.started"), "good");
      this.startsAt.value = "";
    };
    void busy(this.start, create, (error) => {
      const problem = asProblem(error);
      if (problem.name === "price-unconfirmed") this.low.hidden = false;
      this.say(problem.words);
    });
  }

  /** At a moment that was chosen, in this device's zone, or after the countdown. */
  whenToStart() {
    if (!this.startsAt.value) return { countdown_seconds: Number(this.countdown.value) };
    return { starts_at: new Date(this.startsAt.value).toISOString() };
  }

  /** @param {string} words */
  say(words) {
    this.problem.hidden = false;
    fill(this.problem, words);
  }
}

/** @param {HTMLElement} row @param {FlashSale} sale @param {ReturnType<typeof phase>} at */
function drawSaleRow(row, sale, at) {
  row.dataset.sale = sale.id;
  row.dataset.phase = at;
  const words = {
    upcoming: t("flash.starts_in"),
    open: t("flash.ends_in"),
    sold_out: t("flash.gone"),
    ended: t("flash.over"),
    cancelled: t("sale.cancelled"),
  }[at];
  const until = at === "upcoming" ? sale.starts_at : at === "open" ? sale.ends_at : null;
  const running = at === "upcoming" || at === "open" || at === "sold_out";
  fill(
    row,
    h("div", { class: "sale-about" }, h("p", { class: "run-title" }, sale.title), h("p", { class: "run-line" }, priceBlock(sale), chip(words, at === "open" ? "hot" : ""), until ? countDown(Date.parse(until)) : null)),
    h("p", { class: "sale-left digits", testid: "sale-left" }, h("strong", { "data-units": "" }), h("span", { class: "soft small" }, t("sale.left_of", { n: count(sale.units_total) }))),
    running ? h("button", { type: "button", class: "button small", testid: "sale-cancel", on: { click: () => askCancel(sale) } }, t("sale.cancel")) : null,
  );
}

/** @param {FlashSale} sale */
function askCancel(sale) {
  const sheet = makeSheet({ title: t("sale.cancel_sure", { title: sale.title }), testid: "cancel-sheet" });
  const choice = (/** @type {"honour"|"void"} */ orders, /** @type {string} */ text) => {
    const button = h("button", { type: "button", class: orders === "void" ? "button danger block" : "button primary block", testid: `cancel-${orders}` }, text);
    const cancel = async () => {
      await post(path`/v1/flash-sales/${sale.id}/cancel`, { orders });
      sheet.close();
    };
    button.addEventListener("click", () => busy(button, cancel, complain));
    return button;
  };
  append(sheet.body, [
    h("p", { class: "soft" }, t("sale.cancel_text")),
    choice("honour", t("sale.cancel_honour")),
    choice("void", t("sale.cancel_void")),
    h("button", { type: "button", class: "button block", on: { click: () => sheet.close() } }, t("common.back")),
  ]);
  sheet.open();
}

void begin("console.page", async () => {
  try {
    await new ConsolePage().run();
  } catch (error) {
    const problem = asProblem(error);
    if (problem.name !== "not-found") throw error;
    frame({ title: t("room.missing") }, failure(t("room.missing_text")));
  }
});
