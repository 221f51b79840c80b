// @ts-check
/**
 * The live room. Phone first: everything lies over the stage; from 1024 px on side by side. What a press opens comes later (room/later.js).
 *
 * testids: room (data-state, data-connection, data-picture, data-video), shelf-open, shelf-count,
 * not-found, failure; see room/.
 */

import { asProblem } from "../api.js";
import { framed } from "../bearer.js";
import { ChatPanel } from "../components/chat-panel.js";
import { blockUser, ownTaste } from "../components/own-taste.js";
import { empty } from "../components/product-bits.js";
import { shelfList } from "../components/shelf-view.js";
import { toast } from "../components/toast.js";
import { signInWay } from "../components/ways.js";
import { isElder } from "../elder.js";
import { count } from "../format.js";
import { append, fill, h, icon } from "../h.js";
import { t } from "../i18n.js";
import { app, begin } from "../page.js";
import { RoomStore } from "../room-store.js";
import { Barrage } from "../room/barrage.js";
import { Clearing } from "../room/clearing.js";
import { Head } from "../room/head.js";
import { captionLane, elderAids, fetchWhenLive, followKeys, siteHead, withSettings, withShare, withShelf } from "../room/later.js";
import { Likes } from "../room/likes.js";
import { Sales } from "../room/sales.js";
import { Stage } from "../room/stage.js";
import { Trade } from "../room/trade.js";
import { saving } from "../saver.js";
import { ensure, isAccount } from "../session.js";
import { Socket } from "../socket.js";

/** @typedef {import("../room/stage.js").Aids} Aids */
/** @typedef {import("../embed/frame.js").Frame} Frame */

const roomId = decodeURIComponent(location.pathname.split("/")[2] || "");

class RoomPage {
  /** @param {RoomStore} store its state is there @param {Frame|null} frame the page of a shop around it @param {Aids|null} aids of elder mode */
  constructor(store, frame, aids) {
    this.store = store;
    this.frame = frame;
    this.aids = aids;
    this.trade = new Trade(store, frame?.host || null);
    this.sales = new Sales(this.trade, () => this.strip.draw());
    this.stage = new Stage(this.trade, aids);
    this.barrage = new Barrage(store);
    this.likes = new Likes(store);
    this.head = new Head(store.socket, !frame, { onSettings: () => this.openSettings(), onShare: () => this.openShare() });
    this.captions = /** @type {import("../components/caption-lane.js").CaptionLane} */ (h("caption-lane")); // a lane from its first words on
    this.chat = /** @type {ChatPanel} */ (h("chat-panel"));
    this.bagCount = h("span", { class: "bag-count digits", testid: "shelf-count" }, "0");
    this.ways = { onSale: (/** @type {string} */ sale) => this.trade.buy(sale), onProduct: (/** @type {string} */ product) => this.trade.show(product) };
    this.strip = shelfList(store, this.ways);
    this.composerPlace = h("div", { class: "composer-place" });
    this.view = h("div", { class: "room", testid: "room" });
    this.clearing = new Clearing(this.view);
  }

  /** Draws the frame once; all else is updated in place. */
  layOut() {
    append(this.view, [
      this.stageView(),
      h("section", { class: "chat-side", "aria-label": t("chat.title") }, h("h2", { class: "side-title" }, t("chat.title")), this.chat),
      h("section", { class: "strip", "aria-label": t("shelf.title") }, h("h2", { class: "side-title" }, t("shelf.title")), this.strip.element),
      h("section", { class: "bar", "aria-label": t("room.actions") }, this.aids?.phrases((text) => this.chat.say(text)), this.bag(), this.composerPlace, this.barrage.button, this.likes.button),
    ]);
    fill(app(), this.view);
    this.watchSaleHeight();
    this.chat.follow(this.store, { composerIn: this.composerPlace, onBlock: (user) => this.blockPerson(user) });
    this.chat.block(ownTaste().users);
  }

  stageView() {
    const { element, backdrop, words, pinned } = this.stage;
    this.likes.alsoOn(element);
    this.clearing.byTapOn(element);
    element.addEventListener("picture", (event) => {
      this.view.dataset.picture = /** @type {CustomEvent} */ (event).detail;
    });
    append(element, [backdrop, words, this.barrage.layer, this.head.element, h("div", { class: "stage-cards" }, this.captions, pinned, this.sales.element), this.likes.hearts]);
    return element;
  }

  /** On a phone the chat stands above the sales; how high they are is known only here. */
  watchSaleHeight() {
    new ResizeObserver(() => {
      const height = this.sales.element.offsetHeight;
      this.view.classList.toggle("has-sale", height > 0);
      this.view.style.setProperty("--sale-height", `${height}px`);
    }).observe(this.sales.element);
  }

  bag() {
    const open = () => void withShelf((sheet) => sheet.openShelfSheet(this.store, this.ways));
    return h("button", { type: "button", class: "icon-button bag", testid: "shelf-open", on: { click: open } }, icon("bag"), h("span", { class: "sr" }, t("shelf.open")), this.bagCount);
  }

  openShare() {
    const { room } = this.store.state;
    if (room) void withShare((sheet) => sheet.openShare(room));
  }

  openSettings() {
    const { layer } = this.barrage;
    void withSettings((sheet) =>
      sheet.openSettings({
        onTaste: (taste) => this.suit(taste),
        paused: Boolean(layer.paused),
        onPause: (paused) => layer.pause?.(paused),
        onCaptions: () => this.captions.suit?.(),
        onSaver: () => (this.barrage.begun(), this.draw()),
        clearing: this.clearing,
      }),
    );
  }

  /** Shows what this viewer wants to see. @param {import("../danmaku/taste.js").Taste} taste */
  suit(taste) {
    this.barrage.layer.suit?.(taste);
    this.chat.block(taste.users);
  }

  /** @param {import("../types.js").Speaker} user */
  blockPerson(user) {
    this.suit(blockUser(user.id, user.name));
    toast(t("message.blocked", { name: user.name || t("chat.nameless") }), "good");
  }

  listen() {
    const { store } = this;
    store.addEventListener("state", () => this.draw());
    store.addEventListener("advice", (event) => {
      const { detail } = /** @type {CustomEvent} */ (event);
      if (detail.type === "caption") void captionLane().then(() => this.captions.say(detail.text), () => undefined); // the next words try again
    });
    store.socket.addEventListener("connection", () => {
      this.view.dataset.connection = store.socket.connection.state;
    });
    this.sales.begin();
    followKeys(this);
  }

  draw() {
    const { state } = this.store;
    const { room } = state;
    if (!room) return;
    this.view.dataset.state = room.state;
    this.view.dataset.video = state.video && !saving() ? "on" : "off";
    this.bagCount.textContent = count(state.shelf.length);
    this.head.draw(state, room);
    this.likes.draw();
    this.stage.draw();
    this.sales.draw();
    this.strip.draw();
  }

  /** The page of the shop around this room signed somebody else in. */
  async becomeOther() {
    this.sales.lines?.forget();
    this.store.socket.reopen();
    await this.trade.forget();
  }

  async run() {
    this.layOut();
    this.listen();
    this.draw();
    this.store.subscribe();
    this.barrage.begin();
    fetchWhenLive(this.store.socket);
    this.store.socket.open();
    this.frame?.follow(this.store, { onPerson: () => this.becomeOther(), onProduct: (name) => this.trade.showNamed(name) });
    this.trade.showNamed(new URLSearchParams(location.search).get("product") || "");
    await this.trade.takeUp();
  }
}

/** A room that cannot be shown. @param {import("../api.js").Problem} problem */
async function fail(problem) {
  const missing = problem.name === "not-found";
  const way = missing
    ? h("a", { href: "/", class: "button primary" }, t("room.to_lobby"))
    : h("button", { type: "button", class: "button primary", on: { click: () => location.reload() } }, t("common.retry"));
  const signIn = problem.name === "unauthorized" && !isAccount() ? signInWay({}, t("common.sign_in")) : null;
  const title = missing ? t("room.missing") : t("common.failed_title");
  const main = h("main", { class: "column", id: "main", testid: missing ? "not-found" : "failure" }, h("h1", null, title), empty(missing ? t("room.missing_text") : problem.words, "", way), signIn);
  fill(app(), main);
  await siteHead().then(({ siteHeader }) => main.before(siteHeader()), () => undefined); // its ways need the network too
}

async function open() {
  const frame = framed ? (await import("../embed/frame.js")).meet(roomId) : null;
  if (framed && !frame) return; // the ordinary room is being opened instead
  await frame?.begin();
  const store = new RoomStore(roomId, new Socket());
  const none = () => null;
  const [aids, problem] = await Promise.all([isElder() ? elderAids().catch(none) : null, store.first().then(none, asProblem), ensure().catch(none)]);
  await (problem ? fail(problem) : new RoomPage(store, frame, aids).run());
}

void begin("room.page", open);
