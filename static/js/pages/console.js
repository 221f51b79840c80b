// @ts-check
/**
 * The console of one room: everything a streamer does while selling, on one screen, on a phone in one
 * hand, and as a prompter (`?view=prompter`). The parts stand in ../console/.
 *
 * testids: console (data-state, data-layout)
 */

import { asProblem, get, path } from "../api.js";
import { Activity, Ticker, staffChannel } from "../console/activity.js";
import { Actions } from "../console/act.js";
import { keepAwake } from "../console/awake.js";
import { Head } from "../console/head.js";
import { Metrics } from "../console/metrics.js";
import { NoticePanel } from "../console/notice.js";
import { Phone } from "../console/phone.js";
import { Pinning } from "../console/pinning.js";
import { Prompter } from "../console/prompter.js";
import { Questions } from "../console/questions.js";
import { SaleForm } from "../console/sale-form.js";
import { SaleList } from "../console/sales.js";
import { ShelfPanel } from "../console/shelf.js";
import { ConsoleStage } from "../console/stage.js";
import { ChatPanel } from "../components/chat-panel.js";
import { frame } from "../components/frame.js";
import { empty, failure } from "../components/product-bits.js";
import { siteHeader } from "../components/site-header.js";
import { append, fill, h } from "../h.js";
import { t } from "../i18n.js";
import { TalkTools } from "../moderation/tools.js";
import { app, begin, entitle } from "../page.js";
import { RoomStore } from "../room-store.js";
import { find, isAccount, me, signInAddress } from "../session.js";
import { Socket } from "../socket.js";
import { onTick } from "../ticker.js";
import { GoLivePanel } from "../video/go-live.js";

/** @typedef {import("../console/sale-form.js").Sellable} Sellable */

/** From here on down the console is held in one hand. */
const PHONE = "(max-width: 719px)";

const roomId = decodeURIComponent(location.pathname.split("/")[2] || "");

class ConsolePage {
  /** @param {RoomStore} store */
  constructor(store) {
    this.store = store;
    /** What the room may sell. @type {Sellable[]} */
    this.sellable = [];
    const sellable = () => this.sellable;
    this.actions = new Actions(store.socket);
    this.picture = new GoLivePanel(store, roomId, sellable);
    this.stage = new ConsoleStage(store, () => this.own());
    this.head = new Head(store, this.actions, async () => this.sending && this.picture.end());
    this.pinning = new Pinning(store, this.actions);
    this.shelf = new ShelfPanel(store, this.actions, this.pinning, sellable);
    this.sale = new SaleForm(store, this.actions, sellable);
    this.sales = new SaleList(store, this.actions);
    this.notice = new NoticePanel(store, this.actions);
    this.metrics = new Metrics(store);
    this.activity = new Activity(store);
    this.ticker = new Ticker();
    this.chat = /** @type {ChatPanel} */ (h("chat-panel"));
    this.questions = new Questions(this.chat);
    this.talk = new TalkTools(store);
    this.phone = new Phone(this.pinning, this.head.control, this.phonePanels(), () => (this.sending ? this.picture.stream : null));
    this.awake = keepAwake(() => this.store.state.room?.state === "live");
    this.view = h("div", { class: "console", testid: "console", id: "main" });
    this.small = matchMedia(PHONE);
  }

  /** What this page sends. While it does not arrive, the stage says why. */
  own() {
    const words = this.sending && this.picture.own.state !== "live" ? this.picture.state.textContent || "" : "";
    return { stream: this.picture.stream, sending: this.sending, words };
  }

  /** Whether this page sends the picture. */
  get sending() {
    return !["off", "refused"].includes(this.picture.own.state);
  }

  /** What rises in sheets on a phone. */
  phonePanels() {
    return {
      sale: { title: t("sale.title"), nodes: [this.sale.element, h("h3", null, t("console.sales")), this.sales.element] },
      shelf: { title: t("console.shelf"), nodes: [this.shelf.element] },
      picture: { title: t("golive.title"), nodes: [this.picture.element] },
      notice: { title: t("console.notice"), nodes: [this.notice.element] },
      talk: { title: t("phone.talk"), nodes: [this.talk.element] },
      metrics: { title: t("metrics.title"), nodes: [this.metrics.element, h("h3", null, t("console.ticker")), this.ticker.element] },
      more: { title: t("phone.more"), nodes: [this.head.ways, h("h3", null, t("activity.title")), this.activity.element, h("a", { href: "/", class: "button" }, t("phone.leave"))] },
    };
  }

  layOut() {
    const phone = this.small.matches;
    this.phone.close();
    this.view.dataset.layout = phone ? "phone" : "desk";
    document.body.classList.toggle("one-hand", phone);
    (phone ? this.questions.element : this.talk.element).prepend(this.questions.button);
    fill(this.view, phone ? this.onPhone() : this.onDesk());
    if (phone) this.phone.show();
    else append(this.head.actionsHolder, [this.head.ways, this.head.control]);
    const skip = h("a", { href: "#main", class: "skip" }, t("common.skip"));
    const main = h("main", { class: "console-page" }, this.head.element, this.view);
    fill(app(), skip, phone ? null : siteHeader(), main);
  }

  onPhone() {
    const chat = h("section", { class: "phone-chat", "aria-label": t("chat.title") }, this.questions.element, this.chat);
    return [this.stage.element, chat, this.phone.element];
  }

  onDesk() {
    return [
      h("div", { class: "console-left" }, panel(t("console.shelf"), "panel-shelf", this.shelf.element), panel(t("activity.title"), "panel-activity", this.activity.element)),
      h(
        "div",
        { class: "console-mid" },
        panel(t("sale.title"), "panel-sale", this.sale.element),
        panel(t("console.sales"), "panel-sales", this.sales.element),
        panel(t("golive.title"), "panel-picture", this.stage.element, this.picture.element),
        panel(t("console.notice"), "panel-notice", this.notice.element),
      ),
      h(
        "div",
        { class: "console-right" },
        panel(t("chat.title"), "panel-chat", this.talk.element, this.questions.element, this.chat),
        panel(t("console.ticker"), "panel-ticker", this.ticker.element),
        panel(t("metrics.title"), "panel-metrics", this.metrics.element),
      ),
    ];
  }

  async run() {
    this.sellable = (await get(path`/v1/rooms/${roomId}/products?limit=200`)).items;
    this.layOut();
    this.small.addEventListener("change", () => this.layOut());
    this.chat.follow(this.store, { staff: true, danmaku: false });
    this.head.follow(this.store.socket);
    this.metrics.follow();
    this.store.addEventListener("state", () => this.draw());
    this.store.addEventListener("advice", (event) => this.onAdvice(/** @type {CustomEvent} */ (event).detail));
    this.picture.whip.addEventListener("state", () => this.onSending());
    onTick(() => this.sales.draw());
    this.draw();
    const channel = staffChannel(this.store);
    this.talk.follow(channel);
    this.activity.follow(channel);
    channel.subscribe();
    this.store.subscribe();
  }

  draw() {
    const { room } = this.store.state;
    if (!room) return;
    entitle(t("console.of", { room: room.title }));
    this.view.dataset.state = room.state;
    for (const part of [this.head, this.notice, this.picture, this.stage, this.shelf, this.sales, this.phone]) part.draw();
    this.sale.drawChoice();
    void this.awake();
  }

  /** On a phone the sheet makes room for the picture once it is sent. */
  onSending() {
    if (this.picture.own.state === "live") this.phone.close();
    this.draw();
  }

  /** @param {any} event */
  onAdvice(event) {
    for (const part of [this.picture, this.metrics, this.ticker]) part.onAdvice(event);
  }
}

/** @param {string} title @param {string} name @param {...Node} children */
const panel = (title, name, ...children) => h("section", { class: `card panel ${name}`, "aria-label": title }, h("h2", null, title), ...children);

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

async function open() {
  const who = await find();
  if (!who || !mayRun()) {
    refuse(Boolean(who && !who.guest));
    return;
  }
  const store = new RoomStore(roomId, new Socket());
  await store.first();
  if (new URLSearchParams(location.search).get("view") === "prompter") prompt(store);
  else await new ConsolePage(store).run();
  store.socket.open();
}

/** @param {RoomStore} store */
function prompt(store) {
  const prompter = new Prompter(store);
  entitle(t("prompter.of", { room: store.state.room ? store.state.room.title : "" }));
  fill(app(), prompter.element);
  prompter.follow();
  const awake = keepAwake(() => store.state.room?.state === "live");
  store.addEventListener("state", () => void awake());
  store.subscribe();
}

void begin("console.page", async () => {
  try {
    await open();
  } catch (error) {
    const problem = asProblem(error);
    if (problem.name !== "not-found") throw error;
    frame({ title: t("room.missing") }, failure(t("room.missing_text")));
  }
});
