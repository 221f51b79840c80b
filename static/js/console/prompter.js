// @ts-check
/**
 * What the host reads from afar on a second screen: the product being explained, the running sale,
 * what comes next, and what viewers ask.
 *
 * testids: prompter (data-product), prompter-number, prompter-title, prompter-sale (data-sale),
 * prompter-left, prompter-next, prompter-question, prompter-mark
 */

import { clock } from "../clock.js";
import { ConnectionBar } from "../components/connection-bar.js";
import { countDown } from "../components/count-down.js";
import { priceBlock } from "../components/product-bits.js";
import { count } from "../format.js";
import { elapsed } from "../format-more.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { asks } from "../questions.js";
import { isRehearsing, phase, pinnedProduct, salesOnStage } from "../room-state.js";
import { onTick } from "../ticker.js";

/** Questions that stand on the screen. */
const QUESTIONS = 4;

export class Prompter {
  /** @param {import("../room-store.js").RoomStore} store */
  constructor(store) {
    this.store = store;
    this.connection = /** @type {ConnectionBar} */ (h("connection-bar"));
    this.line = h("p", { class: "prompter-line digits" });
    this.product = h("section", { class: "prompter-product", "aria-label": t("prompter.now") });
    this.sale = h("section", { class: "prompter-sale", testid: "prompter-sale", "aria-label": t("flash.label"), hidden: true });
    this.left = h("strong", { class: "digits", testid: "prompter-left" });
    this.next = h("p", { class: "prompter-next", testid: "prompter-next" });
    this.questions = h("ol", { class: "prompter-questions" });
    this.notice = h("p", { class: "prompter-notice" });
    this.title = h("h1", { class: "prompter-room" });
    this.mark = h("strong", { class: "prompter-mark", testid: "prompter-mark", hidden: true }, t("rehearsal.on"));
    this.element = h("main", { class: "prompter", testid: "prompter", id: "main" }, h("header", { class: "prompter-head" }, this.title, this.mark, this.line), this.connection, this.notice, h("div", { class: "prompter-goods" }, this.product, this.sale), this.next, this.questions);
    this.drawn = "";
  }

  follow() {
    this.connection.follow(this.store.socket);
    this.store.addEventListener("state", () => this.draw());
    this.store.addEventListener("chat", (event) => this.ask(/** @type {CustomEvent} */ (event).detail));
    this.store.addEventListener("chat.past", (event) => /** @type {CustomEvent} */ (event).detail.forEach((/** @type {any} */ message) => this.ask(message)));
    this.store.addEventListener("deleted", (event) => this.questions.querySelector(`[data-id="${CSS.escape(/** @type {CustomEvent} */ (event).detail)}"]`)?.remove());
    onTick(() => this.tick());
    this.draw();
  }

  draw() {
    const { room, notice, shelf, pinned } = this.store.state;
    this.title.textContent = room ? room.title : "";
    this.mark.hidden = !isRehearsing(this.store.state);
    this.notice.textContent = notice || "";
    this.notice.hidden = !notice;
    const now = pinnedProduct(this.store.state);
    const key = JSON.stringify(now);
    if (key !== this.drawn) {
      this.drawn = key;
      this.element.dataset.product = now ? now.id : "";
      fill(this.product, now ? [h("p", { class: "prompter-number digits", testid: "prompter-number" }, t("prompter.number", { number: now.number })), h("p", { class: "prompter-title", testid: "prompter-title" }, now.title), h("p", { class: "prompter-price" }, priceBlock(now)), h("p", { class: "prompter-stock digits" }, t("product.stock", { n: count(now.stock) }))] : h("p", { class: "prompter-title" }, t("prompter.nothing")));
    }
    const next = shelf[(shelf.findIndex((item) => item.id === pinned) + 1) % Math.max(1, shelf.length)];
    this.next.textContent = next && next.id !== pinned ? t("prompter.next", { number: next.number, title: next.title }) : "";
    this.tick();
  }

  tick() {
    const { room, stats } = this.store.state;
    const since = room?.state === "live" && room.started_at ? elapsed(clock.now() - Date.parse(room.started_at)) : "";
    const words = [since, t("prompter.online", { n: count(stats.online) })].filter(Boolean).join(" · ");
    if (this.line.textContent !== words) this.line.textContent = words;
    this.drawSale();
  }

  drawSale() {
    const now = clock.now();
    const sale = salesOnStage(this.store.state, now).find((one) => ["open", "paused", "upcoming", "sold_out"].includes(phase(one, now)));
    this.sale.hidden = !sale;
    if (!sale) return;
    const at = phase(sale, now);
    const mark = `${sale.id} ${at} ${sale.ends_at} ${sale.units_total}`;
    if (this.sale.dataset.mark !== mark) {
      Object.assign(this.sale.dataset, { mark, sale: sale.id });
      const until = at === "upcoming" ? sale.starts_at : at === "open" ? sale.ends_at : null;
      const words = at === "upcoming" ? t("flash.starts_in") : at === "open" ? t("flash.ends_in") : at === "paused" ? t("sale.pauses") : t("flash.gone");
      fill(this.sale, h("p", { class: "prompter-title" }, sale.title), h("p", { class: "prompter-price" }, priceBlock(sale)), h("p", { class: "prompter-clock digits" }, words, " ", until ? countDown(Date.parse(until)) : null), h("p", { class: "prompter-stock" }, this.left, " ", t("sale.left_of", { n: count(sale.units_total) })));
    }
    const left = count(sale.units_left);
    if (this.left.textContent !== left) this.left.textContent = left;
  }

  /** @param {any} message */
  ask(message) {
    if (message.type !== "chat" || !asks(message.text)) return;
    this.questions.prepend(h("li", { testid: "prompter-question", "data-id": message.id }, h("bdi", { class: "prompter-name" }, message.user.name || t("chat.nameless")), h("bdi", null, message.text)));
    while (this.questions.children.length > QUESTIONS) this.questions.lastElementChild?.remove();
  }
}
