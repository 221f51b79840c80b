// @ts-check
/**
 * The console's tools for the chat: its rules at a glance, and the ways to word lists, to what waits
 * for staff, to people who may not speak, and to the record of what staff did.
 *
 * testids: talk-slow, talk-mute-all, talk-links, talk-words, talk-queue (data-waiting), talk-people,
 * talk-log
 */

import { explain } from "../api.js";
import { busy } from "../components/product-bits.js";
import { toast } from "../components/toast.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { moderationOf } from "./api.js";
import { openLog } from "./log.js";
import { openPeople } from "./people.js";
import { openQueue } from "./queue.js";
import { openWords } from "./words.js";

/** Slow modes that are offered, in seconds; 0 is off. */
const SLOW = [0, 3, 5, 10, 30, 60, 120];

export class TalkTools {
  /** @param {import("../room-store.js").RoomStore} store */
  constructor(store) {
    this.store = store;
    this.api = moderationOf(store.id);
    this.waiting = 0;
    this.slow = h("select", { class: "talk-slow", testid: "talk-slow", "aria-label": t("talk.slow") }, ...SLOW.map((seconds) => slowOption(seconds)));
    this.slow.addEventListener("change", () => this.change({ slow_mode_seconds: Number(this.slow.value) }));
    this.muteAll = this.toggle("talk-mute-all", t("talk.mute_all"), () => ({ muted_all: !store.state.chat_rules.muted_all }));
    this.links = this.toggle("talk-links", t("talk.no_links"), () => ({ links: !store.state.chat_rules.links }));
    this.queue = this.way("talk-queue", t("talk.queue"), () => openQueue(this.api, () => this.count()));
    this.element = h(
      "div",
      { class: "talk-tools", role: "toolbar", "aria-label": t("talk.tools") },
      this.slow,
      this.muteAll,
      this.links,
      this.queue,
      this.way("talk-words", t("talk.words"), () => openWords(this.api)),
      this.way("talk-people", t("talk.people"), () => openPeople(this.api)),
      this.way("talk-log", t("talk.log"), () => openLog(this.api)),
    );
    store.addEventListener("state", () => this.draw());
    this.draw();
  }

  /** Counts what waits, now and whenever the staff's channel says that it changed. @param {import("centrifuge").Subscription} channel */
  follow(channel) {
    channel.on("publication", ({ data }) => ["moderation.report", "moderation.held"].includes(data.type) && this.count());
    channel.on("subscribed", () => this.count());
  }

  async count() {
    try {
      const [reports, held] = await Promise.all([this.api.reports(), this.api.held()]);
      this.waiting = reports.length + held.length;
    } catch {
      return; // the number stays as it was; the sheet itself says what is wrong
    }
    this.queue.dataset.waiting = String(this.waiting);
    fill(this.queue, t("talk.queue"), this.waiting ? h("span", { class: "talk-count digits" }, String(this.waiting)) : null);
  }

  draw() {
    const rules = this.store.state.chat_rules;
    const known = SLOW.includes(rules.slow_mode_seconds);
    if (!known && !this.slow.querySelector(`option[value="${rules.slow_mode_seconds}"]`)) this.slow.append(slowOption(rules.slow_mode_seconds));
    this.slow.value = String(rules.slow_mode_seconds);
    this.muteAll.setAttribute("aria-pressed", String(rules.muted_all));
    this.links.setAttribute("aria-pressed", String(!rules.links));
  }

  /** @param {Partial<import("../types.js").ChatRules>} changes */
  async change(changes) {
    try {
      await this.api.rules(changes);
    } catch (error) {
      toast(explain(error), "bad");
      this.draw();
    }
  }

  /** @param {string} testid @param {string} words @param {() => Partial<import("../types.js").ChatRules>} changes */
  toggle(testid, words, changes) {
    const button = h("button", { type: "button", class: "talk-button", testid, "aria-pressed": "false" }, words);
    button.addEventListener("click", () => busy(button, () => this.change(changes()), () => undefined));
    return button;
  }

  /** @param {string} testid @param {string} words @param {() => void} open */
  way(testid, words, open) {
    return h("button", { type: "button", class: "talk-button", testid, on: { click: open } }, words);
  }
}

/** @param {number} seconds */
const slowOption = (seconds) => h("option", { value: String(seconds) }, seconds ? t("talk.slow_seconds", { n: seconds }) : t("talk.slow_off"));
