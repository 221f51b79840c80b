// @ts-check
/**
 * The host's picture on the stage: the picture itself, one clear way to its sound, how late it is,
 * and words for every state without one.
 *
 * testids: video (data-picture: none, connecting, playing, away, full), video-element, video-unmute,
 * video-mute, video-delay, video-words
 */

import { h, icon } from "../h.js";
import { t } from "../i18n.js";
import { Whep } from "./whep.js";

/** @typedef {{state: "live"|"waiting", whep_url: string, stream: string, kinds: string[]}} Video */

/** A delay below this is not worth a number's flicker, in ms. */
const DELAY_STEP_MS = 100;

export class StagePicture {
  constructor() {
    this.video = h("video", { class: "stage-video", testid: "video-element", muted: true, autoplay: true, playsInline: true, "aria-label": t("video.picture") });
    this.whep = new Whep(this.video);
    this.words = h("p", { class: "stage-state video-words", role: "status", testid: "video-words", hidden: true });
    this.delay = h("span", { class: "video-delay digits", testid: "video-delay", hidden: true });
    this.unmute = h("button", { type: "button", class: "button primary video-unmute", testid: "video-unmute", hidden: true, on: { click: () => this.sound(true) } }, icon("sound"), t("video.unmute"));
    this.mute = h("button", { type: "button", class: "icon-button glass video-mute", testid: "video-mute", hidden: true, "aria-label": t("video.mute"), on: { click: () => this.sound(false) } }, icon("sound"));
    this.element = h("div", { class: "stage-picture", testid: "video", "data-picture": "none" }, this.video);
    this.controls = h("div", { class: "video-controls" }, this.words, this.unmute, h("div", { class: "video-corner" }, this.delay, this.mute));
    this.stream = "";
    /** @type {Video|null} */
    this.known = null;
    this.whep.addEventListener("state", () => this.draw());
    this.whep.addEventListener("delay", (event) => this.drawDelay(/** @type {CustomEvent} */ (event).detail));
    this.video.addEventListener("playing", () => this.draw());
    this.video.addEventListener("resize", () => {
      this.element.dataset.shape = this.video.videoWidth > this.video.videoHeight ? "wide" : "tall";
    });
    addEventListener("pagehide", () => this.whep.farewell());
  }

  /** What the room says of its picture now. @param {any} video @param {string|undefined} room state of the room */
  show(video, room) {
    if (room !== "live") video = null; // before and after the show the stage speaks for itself
    this.known = video;
    this.whep.expected = Boolean(video && video.state === "live");
    if (!video) {
      if (this.stream) this.whep.close();
      this.stream = "";
    } else if (video.stream !== this.stream && video.state === "live") {
      this.stream = video.stream;
      this.whep.open(video.whep_url);
    }
    this.draw();
  }

  /** Which state the stage is in. */
  get picture() {
    if (!this.known) return "none";
    if (this.known.state !== "live") return "away";
    if (this.whep.state === "full") return "full";
    return this.whep.state === "playing" && this.video.readyState >= 2 ? "playing" : "connecting";
  }

  draw() {
    const { picture } = this;
    this.element.dataset.picture = picture;
    const words = { none: "", connecting: t("video.connecting"), playing: "", away: t("video.away"), full: t("video.full") }[picture];
    this.words.hidden = !words;
    if (words && this.words.textContent !== words) this.words.textContent = words;
    const heard = Boolean(this.known && this.known.kinds.includes("audio")) && picture === "playing";
    this.unmute.hidden = !heard || !this.video.muted;
    this.mute.hidden = !heard || this.video.muted;
    if (picture !== "playing") this.delay.hidden = true;
    this.element.dispatchEvent(new CustomEvent("picture", { detail: picture }));
  }

  /** @param {number} delay ms */
  drawDelay(delay) {
    const seconds = (Math.max(DELAY_STEP_MS, Math.round(delay / DELAY_STEP_MS) * DELAY_STEP_MS) / 1_000).toFixed(1);
    this.delay.hidden = this.picture !== "playing";
    this.delay.textContent = t("video.delay", { seconds });
  }

  /** @param {boolean} on */
  sound(on) {
    this.video.muted = !on;
    void this.video.play().catch(() => {
      this.video.muted = true; // the browser wants another press first
      this.draw();
    });
    this.draw();
    (on ? this.mute : this.unmute).focus();
  }
}
