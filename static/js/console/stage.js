// @ts-check
/**
 * The picture at the console: one's own camera as it is sent, or what viewers see, with its delay.
 *
 * testids: console-stage (data-picture: own, none, connecting, playing, away, full), own-picture
 */

import { h } from "../h.js";
import { t } from "../i18n.js";
import { StagePicture } from "../video/stage-picture.js";

/** What this page sends, and what is to be said of it. @typedef {{stream: MediaStream|null, sending: boolean, words: string}} Own */

export class ConsoleStage {
  /** @param {import("../room-store.js").RoomStore} store @param {() => Own} own */
  constructor(store, own) {
    this.store = store;
    this.own = own;
    this.picture = new StagePicture();
    this.mirror = h("video", { class: "stage-video own", testid: "own-picture", muted: true, autoplay: true, playsInline: true, hidden: true, "aria-label": t("stage_desk.own") });
    this.none = h("p", { class: "stage-none" }, t("stage_desk.none"));
    this.said = h("p", { class: "stage-said", role: "status", hidden: true });
    this.element = h("div", { class: "console-stage", testid: "console-stage", "data-picture": "none" }, this.none, this.picture.element, this.mirror, this.said, this.picture.controls);
    this.picture.element.addEventListener("picture", () => this.mark());
  }

  draw() {
    const { room, video } = this.store.state;
    const { stream, sending, words } = this.own();
    const mirrored = sending && stream ? stream : null;
    if (this.mirror.srcObject !== mirrored) this.mirror.srcObject = mirrored;
    this.mirror.hidden = !mirrored;
    this.picture.show(mirrored ? null : video, room?.state);
    this.said.hidden = !words;
    if (words && this.said.textContent !== words) this.said.textContent = words;
    this.mark();
  }

  mark() {
    const picture = this.mirror.hidden ? this.picture.picture : "own";
    this.element.dataset.picture = picture;
    this.none.hidden = picture !== "none" || !this.said.hidden;
  }
}
