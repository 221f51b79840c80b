// @ts-check
/**
 * The console in one hand: the picture fills the screen, the chat lies over it, what is pressed most
 * stands in a row under the thumb, and the rest rises in sheets.
 *
 * testids: phone-row, phone-pin-next, phone-flash, phone-mute, phone-ways, phone-way (data-panel),
 * sheet-… of each panel
 */

import { makeSheet } from "../components/sheet.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";

/** @typedef {{title: string, nodes: Node[]}} Panel */

export class Phone {
  /**
   * @param {import("./pinning.js").Pinning} pinning @param {HTMLElement} control start or end of the show
   * @param {Record<string, Panel>} panels @param {() => MediaStream|null} sent what this page sends
   */
  constructor(pinning, control, panels, sent) {
    this.pinning = pinning;
    this.panels = panels;
    this.sent = sent;
    /** @type {ReturnType<typeof makeSheet>|null} */
    this.sheet = null;
    this.nextWords = h("span");
    this.next = thumb("phone-pin-next", "pin", this.nextWords);
    this.next.addEventListener("click", () => this.pinNext());
    this.flash = thumb("phone-flash", "bolt", h("span", null, t("phone.flash")));
    this.flash.addEventListener("click", () => this.open("sale"));
    this.muteWords = h("span");
    this.mute = thumb("phone-mute", "sound", this.muteWords);
    this.mute.addEventListener("click", () => this.switchMicrophone());
    this.control = control;
    this.thumbs = h("div", { class: "thumbs", testid: "phone-row", role: "toolbar", "aria-label": t("phone.row") }, this.next, this.flash, this.mute);
    this.ways = h("nav", { class: "phone-ways", testid: "phone-ways", "aria-label": t("phone.ways") }, Object.keys(panels).filter((name) => name !== "sale").map((name) => this.way(name)));
    this.element = h("div", { class: "phone-foot" }, this.ways, this.thumbs);
  }

  /** @param {string} name */
  way(name) {
    return h("button", { type: "button", class: "phone-way", testid: "phone-way", "data-panel": name, on: { click: () => this.open(name) } }, this.panels[name].title);
  }

  /** The start or end stands here for as long as the screen is small. */
  show() {
    this.thumbs.append(this.control);
    this.draw();
  }

  /** @param {string} name */
  open(name) {
    const { title, nodes } = this.panels[name];
    this.close();
    this.sheet = makeSheet({ title, testid: `sheet-${name}`, wide: true });
    fill(this.sheet.body, nodes);
    this.sheet.open();
  }

  close() {
    if (this.sheet) this.sheet.close();
    this.sheet = null;
  }

  pinNext() {
    const item = this.pinning.next();
    if (item) void this.pinning.pin(this.next, item.id);
  }

  switchMicrophone() {
    const tracks = this.microphones();
    const on = tracks.some((track) => track.enabled);
    for (const track of tracks) track.enabled = !on;
    this.draw();
  }

  /** The microphones that are being sent. */
  microphones() {
    const stream = this.sent();
    return stream ? stream.getAudioTracks() : [];
  }

  draw() {
    const item = this.pinning.next();
    this.next.disabled = !item;
    fill(this.nextWords, item ? t("phone.pin_next", { number: item.number }) : t("phone.pin_none"));
    const tracks = this.microphones();
    const on = tracks.some((track) => track.enabled);
    this.mute.hidden = !tracks.length;
    this.mute.setAttribute("aria-pressed", String(tracks.length > 0 && !on));
    fill(this.muteWords, on ? t("phone.mute") : t("phone.unmute"));
  }
}

/** @param {string} testid @param {"pin"|"bolt"|"sound"} name @param {HTMLElement} words */
const thumb = (testid, name, words) => h("button", { type: "button", class: "thumb", testid }, icon(name), words);
