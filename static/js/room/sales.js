// @ts-check
/**
 * The flash sales on the stage, each with my order or my place in its line.
 *
 * testids: flash-cards; see flash-card.js
 */

import { asProblem } from "../api.js";
import { clock } from "../clock.js";
import { FlashCard } from "../components/flash-card.js";
import { toast } from "../components/toast.js";
import { goSignIn } from "../components/ways.js";
import { isElder } from "../elder.js";
import { h, keyed } from "../h.js";
import { phase, salesOnStage } from "../room-state.js";
import { ensure, isAccount, me } from "../session.js";
import { onTick } from "../ticker.js";
import { waitlists } from "./later.js";

/** @typedef {import("../types.js").FlashSale} FlashSale */
/** @typedef {import("../waitlists.js").Waitlists} Waitlists */

/** Lines that could not be loaded are tried again after this, in ms. */
const LINES_AGAIN_MS = 10_000;

export class Sales {
  /** @param {import("./trade.js").Trade} trade @param {() => void} onOpen what can be bought changed */
  constructor(trade, onOpen) {
    this.trade = trade;
    this.store = trade.store;
    this.onOpen = onOpen;
    /** Comes with the first sold-out sale. @type {Waitlists|null} */
    this.lines = null;
    this.linesAt = -LINES_AGAIN_MS;
    this.open = "";
    this.element = h("div", { class: "flash-cards", testid: "flash-cards" });
  }

  /** Follows the clock and the orders. */
  begin() {
    this.trade.addEventListener("change", () => this.draw());
    onTick(() => this.draw());
  }

  draw() {
    const { state } = this.store;
    const now = clock.now();
    const open = state.flash_sales.filter((sale) => phase(sale, now) === "open").map((sale) => sale.id).join();
    if (open !== this.open) this.onOpen(); // by the clock too
    this.open = open;
    const sales = salesOnStage(state, now).slice(0, isElder() ? 1 : 2);
    keyed(this.element, sales, (sale) => sale.id, () => this.newCard());
    sales.forEach((sale, at) => this.drawCard(/** @type {FlashCard} */ (this.element.children[at]), sale, now));
  }

  /** @param {FlashCard} card @param {FlashSale} sale @param {number} now server ms */
  drawCard(card, sale, now) {
    const { shelf } = this.store.state;
    const order = this.trade.orders.get(sale.id) || null;
    if (me() && phase(sale, now) === "sold_out") this.followLine(sale);
    const place = this.lines?.of(sale.id) || null;
    const mark = `${sale.version} ${order?.id} ${order?.sequence} ${shelf.length} ${place?.state} ${place?.position}`;
    if (card.dataset.mark === mark) return;
    card.dataset.mark = mark;
    card.show(sale, shelf.find((item) => item.id === sale.product_id) || null, order, place);
  }

  newCard() {
    const card = /** @type {FlashCard} */ (h("flash-card"));
    const on = (/** @type {string} */ type, /** @type {(id: string) => void} */ act) => card.addEventListener(type, (event) => act(/** @type {CustomEvent} */ (event).detail));
    on("buy", (sale) => this.trade.buy(sale));
    on("order", (order) => this.trade.showOrder(order));
    on("join", (sale) => void this.join(sale));
    on("leave", (sale) => void this.tell(async () => (await this.queues()).leave(sale)));
    return card;
  }

  /** Waits for what comes back to a sold-out sale, as whoever may buy there. @param {string} id */
  async join(id) {
    const sale = this.store.state.flash_sales.find((one) => one.id === id);
    if (sale?.buyers === "account" && !isAccount()) {
      goSignIn();
      return;
    }
    await this.tell(async () => {
      await ensure();
      await (await this.queues()).join(id);
    });
  }

  /** The lines of this viewer. @throws {import("../api.js").Problem} where they do not load */
  async queues() {
    const { Waitlists } = await waitlists();
    if (!this.lines) {
      this.lines = new Waitlists();
      this.lines.addEventListener("change", () => this.draw());
    }
    return this.lines;
  }

  /** Called with every tick. @param {FlashSale} sale */
  followLine(sale) {
    if (this.lines) void this.lines.follow(sale);
    else if (performance.now() - this.linesAt > LINES_AGAIN_MS) {
      this.linesAt = performance.now();
      this.queues().then((lines) => lines.follow(sale), () => undefined); // joining says why not
    }
  }

  /** Does it, or says why not. @param {() => Promise<void>} work */
  async tell(work) {
    try {
      await work();
    } catch (error) {
      toast(asProblem(error).words, "bad");
    }
  }
}
