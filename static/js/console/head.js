// @ts-check
/**
 * Title, state, clock and figures of the show, and its start and end.
 *
 * testids: console-state, console-clock, console-online, console-likes, console-orders, start-show,
 * start-rehearsal, rehearsal-note, end-show (hold), open-room, open-prompter, console-cut
 */

import { asProblem, explain, path, post } from "../api.js";
import { clock } from "../clock.js";
import { ConnectionBar } from "../components/connection-bar.js";
import { ask } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { count, stateWords } from "../format.js";
import { elapsed } from "../format-more.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { isRehearsing } from "../room-state.js";
import { me } from "../session.js";
import { onTick } from "../ticker.js";
import { HOLD_MS, holdButton } from "./hold.js";

export class Head {
  /**
   * @param {import("../room-store.js").RoomStore} store @param {import("./act.js").Actions} actions
   * @param {() => Promise<unknown>} stopPicture ends what this page sends
   */
  constructor(store, actions, stopPicture) {
    this.store = store;
    this.actions = actions;
    this.stopPicture = stopPicture;
    this.title = h("h1", { class: "console-title" });
    this.state = h("span", { class: "live-chip", testid: "console-state" });
    this.clock = h("span", { class: "digits", testid: "console-clock" });
    this.online = h("strong", { class: "digits", testid: "console-online" });
    this.likes = h("strong", { class: "digits", testid: "console-likes" });
    this.sold = h("strong", { class: "digits", testid: "console-orders" });
    this.ways = h("div", { class: "head-ways" });
    /** The start or the end of the show; a phone has it at its lower edge. */
    this.control = h("div", { class: "head-control" });
    this.actionsHolder = h("div", { class: "head-actions" }, this.ways, this.control);
    this.connection = /** @type {ConnectionBar} */ (h("connection-bar"));
    this.cut = h("p", { class: "console-cut", role: "alert", testid: "console-cut", hidden: true }, t("act.cut"));
    this.rehearsal = h("p", { class: "rehearsal-note", testid: "rehearsal-note", hidden: true }, t("rehearsal.text"));
    this.drawn = "";
    this.element = h(
      "header",
      { class: "console-head" },
      h("div", { class: "console-name" }, this.title, h("p", { class: "console-line" }, this.state, this.clock)),
      h("div", { class: "figures" }, figure(t("console.online"), this.online), figure(t("console.likes"), this.likes), figure(t("console.units_sold"), this.sold)),
      this.actionsHolder,
      this.rehearsal,
      this.connection,
      this.cut,
    );
  }

  /** @param {import("../socket.js").Socket} socket */
  follow(socket) {
    this.connection.follow(socket);
    onTick(() => this.drawClock());
  }

  drawClock() {
    const { room } = this.store.state;
    const text = room?.state === "live" && room.started_at ? elapsed(clock.now() - Date.parse(room.started_at)) : "";
    if (this.clock.textContent !== text) this.clock.textContent = text;
    const quiet = !this.actions.cut || this.connection.hidden;
    if (this.cut.hidden !== quiet) this.cut.hidden = quiet;
  }

  draw() {
    const { room, stats, flash_sales: sales } = this.store.state;
    if (!room) return;
    this.title.textContent = room.title;
    this.state.textContent = stateWords(room);
    this.state.className = `live-chip ${room.state} ${isRehearsing(this.store.state) ? "rehearsal" : ""}`;
    this.rehearsal.hidden = !isRehearsing(this.store.state);
    this.online.textContent = count(stats.online);
    this.likes.textContent = count(stats.likes);
    this.sold.textContent = count(sales.filter((sale) => sale.show === room.show).reduce((sum, sale) => sum + sale.units_total - sale.units_left, 0));
    this.drawClock();
    const drawn = `${room.state} ${room.rehearsal}`;
    if (this.drawn === drawn) return;
    this.drawn = drawn;
    const live = room.state === "live";
    const moderates = me()?.role === "moderator";
    fill(
      this.ways,
      away(path`/rooms/${room.id}`, "open-room", icon("eye"), t("console.look")),
      away(path`/console/${room.id}` + "?view=prompter", "open-prompter", icon("list"), t("prompter.open")),
      live || moderates ? null : this.rehearsalButton(),
    );
    fill(this.control, moderates ? null : live ? this.endButton(room.rehearsal === true) : this.startButton());
  }

  startButton() {
    const button = h("button", { type: "button", class: "button primary", testid: "start-show" }, t("console.start"));
    button.addEventListener("click", () => void this.actions.press(button, () => post(path`/v1/rooms/${this.store.id}/start`), t("act.started")));
    return button;
  }

  /** Everything as in a show, for those with the link, and without buyers and merchants. */
  rehearsalButton() {
    const button = h("button", { type: "button", class: "button", testid: "start-rehearsal" }, t("rehearsal.start"));
    const begin = () => post(path`/v1/rooms/${this.store.id}/start`, { rehearsal: true });
    const complain = (/** @type {unknown} */ error) => toast(asProblem(error).name === "invalid-state" ? t("rehearsal.refused") : explain(error), "bad");
    button.addEventListener("click", async () => {
      if (!(await ask({ title: t("rehearsal.start"), text: t("rehearsal.text"), yes: t("rehearsal.begin") }))) return;
      await this.actions.press(button, begin, t("act.rehearsal"), complain);
    });
    return button;
  }

  /** Ends the show and what this page sends of it, then shows what came of it. @param {boolean} rehearsal */
  endButton(rehearsal) {
    const end = async (/** @type {HTMLButtonElement} */ button) => {
      const show = this.store.state.room?.show;
      if (!(await this.actions.press(button, () => post(path`/v1/rooms/${this.store.id}/end`), t("act.ended")))) return;
      await this.stopPicture();
      if (show) location.assign(path`/shows/${show}`);
    };
    return holdButton({ testid: "end-show", words: rehearsal ? t("rehearsal.end") : t("console.end"), hint: t("console.end_hint", { n: HOLD_MS / 1000 }), action: end });
  }
}

/** @param {string} name @param {HTMLElement} value */
const figure = (name, value) => h("div", { class: "figure" }, value, h("span", null, name));

/** @param {string} href @param {string} testid @param {...import("../h.js").Child} words */
const away = (href, testid, ...words) => h("a", { href, class: "button", target: "_blank", rel: "noopener", testid }, ...words);
