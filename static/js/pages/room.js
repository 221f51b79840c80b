// @ts-check
/**
 * The live room. Phone first: everything lies over the stage; from 1024 px on, stage and chat stand
 * side by side. Watching asks for nothing.
 *
 * testids: room (data-state), room-title, room-state, online, notice, connection, stage, like-button,
 * likes, shelf-open, shelf-count, danmaku-toggle, pinned-card (data-product), pinned-open, flash-cards,
 * flash-card …, chat-… , not-found; see the components for theirs.
 */

import { asProblem, path } from "../api.js";
import { CaptionLane } from "../components/caption-lane.js";
import { ChatPanel } from "../components/chat-panel.js";
import { ConnectionBar } from "../components/connection-bar.js";
import { FlashCard } from "../components/flash-card.js";
import { openFlashSheet } from "../components/buy-flash.js";
import { openProductSheet } from "../components/buy-product.js";
import { openOrderSheet } from "../components/buy-sheet.js";
import { openShelfSheet, shelfList } from "../components/shelf-view.js";
import { toast } from "../components/sheet.js";
import { chip, empty, picture, priceBlock } from "../components/product-bits.js";
import { goSignIn, ordersWay, signInWay } from "../components/ways.js";
import { languageButton } from "../components/site-header.js";
import { blockUser, captionSwitch, openSettings, ownTaste, saverSwitch } from "../components/room-settings.js";
import { framed } from "../bearer.js";
import { clock } from "../clock.js";
import { DanmakuLayer } from "../danmaku/layer.js";
import { meetHost } from "../embed/host.js";
import { Wishes } from "../embed/wishes.js";
import { elderButton, isElder, phrases, readAloudButton } from "../elder.js";
import { count, money } from "../format.js";
import { fill, h, icon, keyed } from "../h.js";
import { t } from "../i18n.js";
import { list as listOrders, resume } from "../orders-api.js";
import { app, begin, entitle, frame } from "../page.js";
import { phase, pinnedProduct, salesOnStage } from "../room-state.js";
import { RoomStore } from "../room-store.js";
import { ensure, isAccount, me } from "../session.js";
import { saving } from "../saver.js";
import { Socket } from "../socket.js";
import { load, save } from "../storage.js";
import { onTick } from "../ticker.js";
import { StagePicture } from "../video/stage-picture.js";
import { Waitlists } from "../waitlists.js";

/** @typedef {import("../types.js").Order} Order */

/** Hearts in the air at once; more are counted, not drawn. */
const HEARTS = 8;

const roomId = decodeURIComponent(location.pathname.split("/")[2] || "");

class RoomPage {
  constructor() {
    /** The page of a shop that shows this room in a frame. */
    this.host = meetHost(roomId);
    this.socket = new Socket();
    this.store = new RoomStore(roomId, this.socket);
    /** My orders of this room, by flash sale. @type {Map<string, Order>} */
    this.orders = new Map();
    this.lines = new Waitlists();
    this.liked = 0;
    this.drawnPinned = "";
    this.openSales = "";
    this.title = h("h1", { class: "room-title", testid: "room-title" });
    this.stateChip = h("span", { class: "live-chip", testid: "room-state" });
    this.online = h("span", { class: "online digits", testid: "online" });
    this.notice = h("p", { class: "notice", testid: "notice", hidden: true });
    this.connection = /** @type {ConnectionBar} */ (h("connection-bar"));
    this.danmaku = /** @type {DanmakuLayer} */ (h("danmaku-layer"));
    this.captions = /** @type {CaptionLane} */ (h("caption-lane"));
    this.backdrop = h("div", { class: "backdrop", "aria-hidden": "true" });
    this.stageWords = h("div", { class: "stage-words" });
    this.camera = new StagePicture();
    this.flashes = h("div", { class: "flash-cards", testid: "flash-cards" });
    this.pinned = h("div", { class: "pinned", hidden: true });
    this.chat = /** @type {ChatPanel} */ (h("chat-panel"));
    this.likes = h("span", { class: "digits", testid: "likes" }, "0");
    this.bagCount = h("span", { class: "bag-count digits", testid: "shelf-count" }, "0");
    this.hearts = h("div", { class: "hearts", "aria-hidden": "true" });
    this.ways = { onSale: (/** @type {string} */ sale) => this.buy(sale), onProduct: (/** @type {string} */ product) => this.showProduct(product) };
    this.strip = shelfList(this.store, this.ways);
  }

  /** Draws the frame once; all else is updated in place. */
  layOut() {
    const bar = h("section", { class: "bar", "aria-label": t("room.actions") }, isElder() ? phrases((text) => this.chat.say(text)) : null, this.bag(), h("div", { class: "composer-place" }), this.danmakuToggle(), this.likeButton());
    const view = h(
      "div",
      { class: "room", testid: "room" },
      h(
        "main",
        { class: "stage", testid: "stage", id: "main" },
        this.backdrop,
        this.camera.element,
        this.stageWords,
        this.danmaku,
        this.topBar(),
        h("div", { class: "stage-cards" }, this.captions, this.pinned, this.flashes),
        this.hearts,
        this.camera.controls,
      ),
      h("section", { class: "chat-side", "aria-label": t("chat.title") }, h("h2", { class: "side-title" }, t("chat.title")), this.chat),
      h("section", { class: "strip", "aria-label": t("shelf.title") }, h("h2", { class: "side-title" }, t("shelf.title")), this.strip.element),
      bar,
    );
    fill(app(), view);
    this.view = view;
    this.camera.element.addEventListener("picture", (event) => {
      view.dataset.picture = /** @type {CustomEvent} */ (event).detail;
    });
    this.watchSaleHeight(view);
    this.chat.follow(this.store, { composerIn: /** @type {HTMLElement} */ (bar.querySelector(".composer-place")), onBlock: (user) => this.blockPerson(user) });
    this.suit(ownTaste());
  }

  /** On a phone the chat stands above the sales; how high they are is known only here. @param {HTMLElement} view */
  watchSaleHeight(view) {
    new ResizeObserver(() => {
      const height = this.flashes.offsetHeight;
      view.classList.toggle("has-sale", height > 0);
      view.style.setProperty("--sale-height", `${height}px`);
    }).observe(this.flashes);
  }

  topBar() {
    this.connection.follow(this.socket);
    return h(
      "header",
      { class: "top" },
      h(
        "div",
        { class: "top-row" },
        this.host ? null : h("a", { href: "/", class: "icon-button glass", "aria-label": t("room.back"), testid: "nav-lobby" }, icon("back")),
        h("div", { class: "host glass" }, h("div", { class: "host-words" }, this.title, h("p", { class: "host-line" }, this.stateChip, this.online))),
        h("div", { class: "top-ways" }, this.settingsButton(), languageButton(true), ordersWay({ class: "icon-button glass", "aria-label": t("site.orders"), testid: "nav-orders" }, icon("list"))),
      ),
      this.connection,
      this.notice,
    );
  }

  bag() {
    return h(
      "button",
      { type: "button", class: "icon-button bag", testid: "shelf-open", on: { click: () => openShelfSheet(this.store, this.ways) } },
      icon("bag"),
      h("span", { class: "sr" }, t("shelf.open")),
      this.bagCount,
    );
  }

  settingsButton() {
    const open = () =>
      openSettings({
        onTaste: (taste) => this.suit(taste),
        paused: this.danmaku.paused,
        onPause: (paused) => this.danmaku.pause(paused),
        more: [h("div", { class: "settings-row" }, elderButton()), captionSwitch(() => this.captions.suit()), saverSwitch(() => this.save())],
      });
    return h("button", { type: "button", class: "icon-button glass", testid: "settings-open", "aria-label": t("settings.open"), on: { click: open } }, icon("sliders"));
  }

  /** Begins or ends to save data: no moving picture, no danmaku, no small pictures. */
  save() {
    this.setDanmaku?.(!saving() && this.wantsDanmaku());
    this.drawnPinned = "";
    this.draw();
  }

  wantsDanmaku() {
    if (isElder()) return false;
    return load("danmaku") ?? !matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  /** Shows what this viewer wants to see. @param {import("../danmaku/taste.js").Taste} taste */
  suit(taste) {
    this.danmaku.suit(taste);
    this.chat.block(taste.users);
  }

  /** @param {import("../types.js").Speaker} user */
  blockPerson(user) {
    this.suit(blockUser(user.id, user.name));
    toast(t("message.blocked", { name: user.name || t("chat.nameless") }), "good");
  }

  likeButton() {
    const press = () => {
      this.store.like();
      this.liked += 1;
      this.heart();
      this.drawLikes();
    };
    return h("button", { type: "button", class: "icon-button like", testid: "like-button", on: { click: press } }, icon("heart"), h("span", { class: "sr" }, t("room.like")), this.likes);
  }

  danmakuToggle() {
    let on = this.wantsDanmaku() && !saving();
    const button = h("button", { type: "button", class: "icon-button barrage", testid: "danmaku-toggle", "aria-label": t("room.danmaku") }, icon("barrage"));
    const set = (/** @type {boolean} */ value) => {
      on = value;
      button.setAttribute("aria-pressed", String(on));
      show();
    };
    const show = () => {
      const seen = on && document.visibilityState !== "hidden";
      this.store.showDanmaku(seen);
      if (!seen) this.danmaku.clear();
    };
    document.addEventListener("visibilitychange", show);
    button.addEventListener("click", () => {
      set(!on);
      save("danmaku", on);
    });
    this.startDanmaku = () => set(on);
    this.setDanmaku = set;
    return button;
  }

  heart() {
    if (isElder() || this.hearts.children.length >= HEARTS || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const heart = h("span", { class: `heart drift-${Math.floor(Math.random() * 4)}` }, icon("heart"));
    heart.addEventListener("animationend", () => heart.remove());
    this.hearts.append(heart);
  }

  listen() {
    this.store.addEventListener("state", () => this.draw());
    this.store.addEventListener("danmaku", (event) => this.danmaku.add(/** @type {CustomEvent} */ (event).detail.items || [], me()?.user || ""));
    this.store.addEventListener("deleted", (event) => this.danmaku.drop(/** @type {CustomEvent} */ (event).detail));
    this.store.addEventListener("advice", (event) => {
      const { detail } = /** @type {CustomEvent} */ (event);
      if (detail.type === "caption") this.captions.say(detail.text);
    });
    this.socket.addEventListener("personal", (event) => {
      const { detail } = /** @type {CustomEvent} */ (event);
      if (detail.type === "order.updated") this.keepOrder(detail.order);
    });
    this.socket.addEventListener("connection", () => {
      if (this.view) this.view.dataset.connection = this.socket.connection.state;
    });
    this.lines.addEventListener("change", () => this.drawSales());
    onTick(() => this.drawSales());
  }

  draw() {
    const { state } = this.store;
    const { room } = state;
    if (!room || !this.view) return;
    entitle(room.title);
    if (this.title.textContent !== room.title) this.title.textContent = room.title;
    this.view.dataset.state = room.state;
    const video = saving() ? null : state.video;
    this.view.dataset.video = video ? "on" : "off";
    this.camera.show(video, room.state);
    this.stateChip.textContent = { live: t("room.live"), idle: t("room.idle"), ended: t("room.ended") }[room.state];
    this.stateChip.className = `live-chip ${room.state}`;
    this.online.textContent = t("room.online", { n: count(state.stats.online) });
    this.notice.hidden = !state.notice;
    if (state.notice !== this.notice.dataset.text) {
      this.notice.dataset.text = state.notice || "";
      fill(this.notice, icon("horn"), h("span", { class: "sr" }, t("room.notice")), h("bdi", null, state.notice));
    }
    this.bagCount.textContent = count(state.shelf.length);
    this.drawLikes();
    this.drawPinned();
    this.drawSales();
    this.strip.draw();
  }

  drawLikes() {
    const shown = Math.max(this.store.state.stats.likes, this.liked);
    this.likes.textContent = shown > 9_999 ? t("room.many", { n: count(Math.floor(shown / 1000)) }) : count(shown);
  }

  drawPinned() {
    const { state } = this.store;
    const product = pinnedProduct(state);
    const noPicture = saving() && state.video !== null;
    const key = JSON.stringify([product && { ...product, stock: 0 }, state.room?.state, state.room?.show, noPicture]);
    if (key === this.drawnPinned) return;
    this.drawnPinned = key;
    this.drawStage(product);
    this.pinned.hidden = !product;
    if (!product) return;
    fill(
      this.pinned,
      h(
        "button",
        { type: "button", class: "pinned-card", testid: "pinned-card", "data-product": product.id, on: { click: () => this.showProduct(product.id) } },
        h("span", { class: "pinned-picture" }, picture(product, "fill")),
        h("span", { class: "pinned-words" }, chip(t("shelf.explained_number", { number: product.number }), "hot"), h("span", { class: "pinned-title" }, product.title), priceBlock(product, "pinned-price")),
      ),
      isElder() ? this.bigWays(product) : null,
    );
  }

  /** Elder mode: what can be done, in words. @param {import("../types.js").ShelfItem} product */
  bigWays(product) {
    return h(
      "div",
      { class: "pinned-ways" },
      readAloudButton(() => [product.title, money(product.price_cents, product.currency), product.description].join(". ")),
      h("button", { type: "button", class: "button primary", testid: "pinned-buy", on: { click: () => this.showProduct(product.id) } }, t("shelf.buy")),
    );
  }

  /** Until a picture comes from the host's camera, the product being explained fills the stage. @param {import("../types.js").ShelfItem|null} product */
  drawStage(product) {
    const { room } = this.store.state;
    fill(this.backdrop, product ? picture(product, "cover") : null);
    const words = { live: saving() && this.store.state.video ? t("room.saver") : t("room.no_picture"), idle: t("room.idle_text"), ended: t("room.ended_text") }[room?.state || "idle"];
    fill(
      this.stageWords,
      product && room?.state === "live" ? h("div", { class: "stage-product" }, picture(product, "hero")) : null,
      h("p", { class: "stage-state", testid: "stage-words" }, words),
      room?.state === "ended" && room.show ? h("a", { class: "button stage-replay", href: path`/shows/${room.show}`, testid: "replay" }, t("room.replay")) : null,
    );
  }

  drawSales() {
    const { state } = this.store;
    const now = clock.now();
    const open = state.flash_sales.filter((sale) => phase(sale, now) === "open").map((sale) => sale.id).join();
    if (open !== this.openSales) this.strip.draw(); // what can be bought changes by the clock too
    this.openSales = open;
    const sales = salesOnStage(state, now).slice(0, isElder() ? 1 : 2);
    keyed(
      this.flashes,
      sales,
      (sale) => sale.id,
      () => this.newCard(),
    );
    sales.forEach((sale, at) => {
      const card = /** @type {FlashCard} */ (this.flashes.children[at]);
      const order = this.orders.get(sale.id) || null;
      if (me() && phase(sale, now) === "sold_out") void this.lines.follow(sale);
      const place = this.lines.of(sale.id);
      const mark = `${sale.version} ${order?.id} ${order?.sequence} ${state.shelf.length} ${place?.state} ${place?.position}`;
      if (card.dataset.mark === mark) return;
      card.dataset.mark = mark;
      card.show(sale, state.shelf.find((item) => item.id === sale.product_id) || null, order, place);
    });
  }

  newCard() {
    const card = /** @type {FlashCard} */ (h("flash-card"));
    card.addEventListener("buy", (event) => this.buy(/** @type {CustomEvent} */ (event).detail));
    card.addEventListener("order", (event) => {
      const order = Array.from(this.orders.values()).find((one) => one.id === /** @type {CustomEvent} */ (event).detail);
      if (order) openOrderSheet(order, (changed) => this.keepOrder(changed));
    });
    card.addEventListener("join", (event) => void this.lineUp(/** @type {CustomEvent} */ (event).detail));
    card.addEventListener("leave", (event) => void this.tryLine(() => this.lines.leave(/** @type {CustomEvent} */ (event).detail)));
    return card;
  }

  /** Waits for what comes back to a sold-out sale, as whoever may buy there. @param {string} id */
  async lineUp(id) {
    const sale = this.store.state.flash_sales.find((one) => one.id === id);
    if (sale?.buyers === "account" && !isAccount()) {
      goSignIn();
      return;
    }
    await this.tryLine(async () => {
      await ensure();
      await this.lines.join(id);
    });
  }

  /** @param {() => Promise<void>} work */
  async tryLine(work) {
    try {
      await work();
    } catch (error) {
      toast(asProblem(error).words, "bad");
    }
  }

  /** @param {string} sale */
  buy(sale) {
    openFlashSheet(this.store, sale, (order) => this.keepOrder(order));
  }

  /** @param {string} product */
  showProduct(product) {
    openProductSheet(this.store, product, { onOrder: (order) => this.keepOrder(order), onSale: (sale) => this.buy(sale) });
  }

  /** @param {Order} order @param {boolean} [past] one of an earlier visit */
  keepOrder(order, past = false) {
    this.host?.order(order, past);
    for (const card of Array.from(document.querySelectorAll("order-card"))) {
      if (card instanceof HTMLElement && card.dataset.order === order.id) /** @type {any} */ (card).show(order);
    }
    if (!order.flash_sale) return;
    const known = this.orders.get(order.flash_sale);
    if (known && known.id === order.id && known.sequence > order.sequence) return;
    this.orders.set(order.flash_sale, order);
    if (order.source === "waitlist" && order.state === "reserved" && known?.id !== order.id) toast(t("line.turn"), "good");
    this.drawSales();
  }

  /** Orders of before, and reservations that were never answered. */
  async takeUpOrders() {
    const who = me();
    if (!who) return;
    const { orders, refused } = await resume(who.user);
    for (const order of orders) {
      this.keepOrder(order);
      toast(t("buy.resumed"), "good");
    }
    for (const { problem } of refused) toast(t("buy.resume_refused", { words: problem.words }), "bad");
    for (const order of (await listOrders()).items.reverse()) this.keepOrder(order, true);
  }

  /** The page of the shop around this room signed somebody else in. */
  async becomeOther() {
    this.orders.clear();
    this.lines.forget();
    this.socket.reopen();
    await this.takeUpOrders().catch(() => undefined); // as at the beginning
    this.drawSales();
  }

  /** Opens a product of the shelf by its sku or id; one that is not there opens nothing. @param {string} name */
  openNamed(name) {
    const item = this.store.state.shelf.find((one) => one.sku === name || one.id === name);
    if (!item || document.querySelector("dialog[open]")) return;
    this.showProduct(item.id);
  }

  async run() {
    if (framed && !this.host) return; // the ordinary room is being opened instead
    const wishes = this.host ? new Wishes(this.host) : null;
    await wishes?.begin();
    const [, problem] = await Promise.all([
      ensure().catch(() => null),
      this.store.first().then(
        () => null,
        (error) => asProblem(error),
      ),
    ]);
    if (problem) {
      this.fail(problem);
      return;
    }
    this.layOut();
    this.listen();
    this.draw();
    this.store.subscribe();
    this.startDanmaku?.();
    this.socket.open();
    wishes?.follow({ onPerson: () => this.becomeOther(), onProduct: (name) => this.openNamed(name) });
    this.host?.follow(this.store);
    this.openNamed(new URLSearchParams(location.search).get("product") || "");
    await this.takeUpOrders().catch(() => undefined); // the room works without; /orders says what is wrong
  }

  /** @param {import("../api.js").Problem} problem */
  fail(problem) {
    const missing = problem.name === "not-found";
    const way = missing
      ? h("a", { href: "/", class: "button primary" }, t("room.to_lobby"))
      : h("button", { type: "button", class: "button primary", on: { click: () => location.reload() } }, t("common.retry"));
    const signIn = problem.name === "unauthorized" && !isAccount() ? signInWay({}, t("common.sign_in")) : null;
    const main = frame({ title: missing ? t("room.missing") : t("common.failed_title") }, empty(missing ? t("room.missing_text") : problem.words, "", way), signIn);
    main.dataset.testid = missing ? "not-found" : "failure";
  }
}

void begin("room.page", () => new RoomPage().run());
