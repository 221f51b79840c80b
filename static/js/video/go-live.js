// @ts-check
/**
 * The console's picture: how it is, and three screens to go live with camera or screen — choose and
 * see yourself, the preflight, live — or the keys for OBS and its like.
 *
 * testids: video-state, video-quality, go-camera, go-screen, go-keys, go-stop; sheet go-live with
 * go-preview, go-camera-select, go-mic-select, go-meter, go-next, go-again, preflight-row (data-name,
 * data-verdict), go-start, go-problem; key-url, key-value, key-make
 */

import { explain, path, post } from "../api.js";
import { busy, field } from "../components/product-bits.js";
import { makeSheet } from "../components/sheet.js";
import { toast } from "../components/toast.js";
import { fill, h } from "../h.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { LOOKS, preflight } from "./preflight.js";
import { Whip } from "./whip.js";

const METER_MS = 100;
/** Tall as a phone is held, and no more than its uplink bears. */
const CAMERA = { width: { ideal: 720 }, height: { ideal: 1280 }, frameRate: { ideal: 30, max: 30 } };

export class GoLivePanel {
  /** @param {import("../room-store.js").RoomStore} store @param {string} room @param {() => any[]} sellable */
  constructor(store, room, sellable) {
    this.store = store;
    this.room = room;
    this.sellable = sellable;
    this.whip = new Whip(path`/whip/${room}`);
    /** @type {MediaStream|null} */
    this.stream = null;
    /** @type {string|undefined} of the room's picture, when it was drawn last */
    this.roomState = undefined;
    this.state = h("p", { testid: "video-state", role: "status" });
    this.quality = h("p", { class: "soft digits", testid: "video-quality", hidden: true });
    const button = (/** @type {string} */ name, /** @type {string} */ words, /** @type {() => void} */ press) => h("button", { type: "button", class: "button", testid: name, on: { click: press } }, words);
    this.stop = h("button", { type: "button", class: "button danger", testid: "go-stop", hidden: true, on: { click: () => void this.end() } }, t("golive.stop"));
    this.ways = h("div", { class: "actions" }, button("go-camera", t("golive.camera"), () => void this.open("camera")), button("go-screen", t("golive.screen"), () => void this.open("screen")), button("go-keys", t("golive.keys"), () => this.showKeys()));
    this.element = h("div", { class: "stack" }, this.state, this.quality, this.ways, h("div", { class: "actions" }, this.stop));
    this.own = { state: "off", words: "" };
    this.whip.addEventListener("state", (event) => {
      this.own = /** @type {CustomEvent} */ (event).detail;
      this.draw();
    });
    this.whip.addEventListener("sending", (event) => {
      this.quality.hidden = false;
      this.quality.textContent = t("golive.sending", { kbps: /** @type {CustomEvent} */ (event).detail.kbps });
    });
    this.draw();
  }

  draw() {
    const { video } = /** @type {{video: any}} */ (this.store.state);
    if (this.roomState === "live" && video?.state === "waiting") this.whip.missed();
    this.roomState = video?.state;
    const own = { connecting: t("golive.connecting"), live: t("golive.live"), lost: t("golive.lost"), refused: t("golive.refused") }[this.own.state];
    const room = video ? (video.state === "live" ? t("golive.room_live") : t("golive.room_away")) : t("golive.room_none");
    const words = [own || room, this.own.words].filter(Boolean).join(" ");
    if (this.state.textContent !== words) this.state.textContent = words;
    const sending = this.own.state !== "off" && this.own.state !== "refused";
    this.stop.hidden = !sending;
    this.ways.hidden = sending;
    if (!video && !sending) this.quality.hidden = true;
  }

  /** What the server measures of any source. @param {any} event */
  onAdvice(event) {
    if (event.type !== "video.quality" || this.own.state === "live") return;
    this.quality.hidden = false;
    this.quality.textContent = t("golive.quality", { kbps: event.kbps, fps: event.fps, seconds: event.keyframe_seconds, lost: event.lost });
  }

  async end() {
    await this.whip.stop();
    this.release();
    this.quality.hidden = true;
  }

  release() {
    for (const track of this.stream ? this.stream.getTracks() : []) track.stop();
    this.stream = null;
  }

  /** The first screen. @param {"camera"|"screen"} kind */
  async open(kind) {
    let meter = 0;
    const sheet = makeSheet({
      title: kind === "camera" ? t("golive.camera") : t("golive.screen"),
      testid: "go-live",
      onClose: () => {
        clearInterval(meter);
        if (this.own.state === "off" || this.own.state === "refused") this.release();
      },
    });
    const preview = h("video", { class: "go-live-preview", testid: "go-preview", muted: true, autoplay: true, playsInline: true, "aria-label": t("golive.preview") });
    const loud = h("meter", { class: "mic-meter", testid: "go-meter", min: 0, max: 1, value: 0, "aria-label": t("golive.meter") });
    const problem = h("p", { class: "problem", role: "alert", testid: "go-problem", hidden: true });
    const level = field(t("golive.meter"), loud);
    const cameras = h("select", { testid: "go-camera-select" });
    const mics = h("select", { testid: "go-mic-select" });
    const next = h("button", { type: "button", class: "button primary block", testid: "go-next", disabled: true }, t("golive.next"));
    const again = h("button", { type: "button", class: "button block", testid: "go-again", hidden: true, on: { click: () => void take() } }, t("common.retry"));
    const choices = [kind === "camera" ? field(t("golive.which_camera"), cameras) : null, field(t("golive.which_mic"), mics)];
    /** Without a device there is nothing to choose or to hear. @param {boolean} there */
    const furnish = (there) => {
      for (const part of [...choices, level]) if (part) part.hidden = !there;
      problem.hidden = again.hidden = there;
      next.hidden = !there;
    };
    const take = async () => {
      next.disabled = true;
      furnish(true);
      clearInterval(meter);
      this.release();
      try {
        this.stream = await capture(kind, cameras.value, mics.value);
        preview.srcObject = this.stream;
        meter = meterOf(this.stream, loud);
        await listDevices(this.stream, cameras, mics);
        next.disabled = false;
      } catch (error) {
        furnish(false);
        const denied = /** @type {any} */ (error).name === "NotAllowedError";
        problem.textContent = denied ? t("golive.not_allowed") : t("golive.no_device");
      }
    };
    cameras.addEventListener("change", () => void take());
    mics.addEventListener("change", () => void take());
    next.addEventListener("click", () => this.check(sheet.body, sheet.retitle, sheet.close));
    fill(sheet.body, preview, level, ...choices, problem, again, next);
    sheet.open();
    await take();
  }

  /** The second screen: the preflight; its button is the third: live. @param {HTMLElement} body @param {(title: string) => void} retitle @param {() => void} close */
  check(body, retitle, close) {
    const rows = LOOKS.map((name) => h("li", { class: "preflight-row", testid: "preflight-row", "data-name": name, "data-verdict": "open" }, h("span", { class: "mark", "aria-hidden": "true" }, "…"), h("span", null, t(`preflight.${name}`))));
    const start = h("button", { type: "button", class: "button primary block", testid: "go-start" }, icon("camera"), t("golive.start"));
    start.addEventListener("click", () => {
      if (this.stream) this.whip.start(this.stream);
      close();
      this.draw();
    });
    retitle(t("golive.check"));
    fill(body, h("ul", { class: "preflight" }, rows), start);
    void preflight(this.room, this.sellable(), (finding) => {
      const row = rows[LOOKS.indexOf(finding.name)];
      row.dataset.verdict = finding.verdict;
      fill(row, h("span", { class: "mark", "aria-hidden": "true" }, { good: "✓", warn: "!", bad: "✕" }[finding.verdict]), h("span", null, finding.words));
    });
  }

  showKeys() {
    const sheet = makeSheet({ title: t("golive.keys"), testid: "stream-keys" });
    const place = h("div", { class: "stack" });
    const make = h("button", { type: "button", class: "button primary block", testid: "key-make" }, t("golive.key_make"));
    make.addEventListener("click", () =>
      busy(
        make,
        async () => {
          const made = await post(path`/v1/rooms/${this.room}/stream-key`);
          fill(place, field(t("golive.key_url"), h("output", { class: "key-box", testid: "key-url" }, made.whip_url)), field(t("golive.key_value"), h("output", { class: "key-box", testid: "key-value" }, made.key)), h("p", { class: "soft" }, t("golive.key_once")), h("p", { class: "soft" }, t("golive.key_obs")));
        },
        (error) => toast(explain(error), "bad"),
      ),
    );
    fill(sheet.body, h("p", { class: "soft" }, t("golive.key_text")), place, make);
    sheet.open();
  }
}

/** @param {"camera"|"screen"} kind @param {string} camera @param {string} mic */
async function capture(kind, camera, mic) {
  const audio = mic ? { deviceId: { exact: mic } } : true;
  if (kind === "camera") return navigator.mediaDevices.getUserMedia({ audio, video: camera ? { ...CAMERA, deviceId: { exact: camera } } : CAMERA });
  const screen = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 30 } } });
  const voice = await navigator.mediaDevices.getUserMedia({ audio }).catch(() => null);
  return new MediaStream([...screen.getVideoTracks(), ...(voice ? voice.getAudioTracks() : [])]);
}

/** Fills the choices; names are known only once a device may be used. @param {MediaStream} stream @param {HTMLSelectElement} cameras @param {HTMLSelectElement} mics */
async function listDevices(stream, cameras, mics) {
  const devices = await navigator.mediaDevices.enumerateDevices();
  for (const [select, kind, track] of /** @type {[HTMLSelectElement, string, MediaStreamTrack|undefined][]} */ ([
    [cameras, "videoinput", stream.getVideoTracks()[0]],
    [mics, "audioinput", stream.getAudioTracks()[0]],
  ])) {
    const used = track ? track.getSettings().deviceId : "";
    fill(
      select,
      devices.filter((one) => one.kind === kind).map((one) => h("option", { value: one.deviceId, selected: one.deviceId === used }, one.label || t("golive.unnamed"))),
    );
  }
}

/** Shows how loud the microphone is. @param {MediaStream} stream @param {HTMLMeterElement} meter @returns {number} its timer */
function meterOf(stream, meter) {
  if (!stream.getAudioTracks().length) return 0;
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Uint8Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getByteTimeDomainData(samples);
    let most = 0;
    for (const sample of samples) most = Math.max(most, Math.abs(sample - 128) / 128);
    meter.value = most;
    if (!stream.active) {
      clearInterval(timer);
      void context.close();
    }
  }, METER_MS);
  return timer;
}
