// @ts-check
/**
 * A viewer's side of WHEP: one peer connection that comes back by itself.
 *
 * It starts again when the server says so, when the connection fails, and when packets stop for a
 * few seconds while there should be some: a server that died says nothing.
 */

/** Without a byte for this long the picture is asked for anew, in ms. */
const SILENT_MS = 3_000;
/** Pauses between two tries, in ms; each a little random, so that a crowd does not come at once. */
const PAUSES_MS = [300, 800, 1_500, 3_000, 5_000];
/** An answer that takes longer is not waited for, in ms. */
const TIMEOUT_MS = 6_000;
const LOOK_MS = 1_000;

/** Seconds a refusal asks us to wait, in ms; 0 when it says nothing. @param {Response} answer */
const retryAfter = (answer) => 1_000 * (Number(answer.headers.get("Retry-After")) || 0);

/** STUN and TURN servers of an answer's Link headers (RFC 9725, 4.6). @param {string|null} header @returns {RTCIceServer[]} */
export function iceServers(header) {
  const found = [];
  for (const [, urls, rest] of (header || "").matchAll(/<([^>]*)>((?:[^,"]|"(?:[^"\\]|\\.)*")*)/g)) {
    if (!/rel="?ice-server"?/.test(rest)) continue;
    const value = (/** @type {string} */ name) => (new RegExp(`${name}="((?:[^"\\\\]|\\\\.)*)"`).exec(rest) || [])[1]?.replace(/\\(.)/g, "$1");
    found.push({ urls, username: value("username"), credential: value("credential") });
  }
  return found;
}

/** Events: `state` ("connecting" | "playing" | "waiting" | "full"), `delay` (ms). */
export class Whep extends EventTarget {
  /** @param {HTMLVideoElement} video */
  constructor(video) {
    super();
    this.video = video;
    this.url = "";
    /** Whether somebody is sending, as far as the room knows. */
    this.expected = true;
    /** @type {RTCPeerConnection|null} */
    this.peer = null;
    this.location = "";
    this.tries = 0;
    this.state = "";
    this.bytes = 0;
    this.movedAt = 0;
    this.timer = 0;
    this.look = 0;
  }

  /** Begin, or begin anew. @param {string} url */
  open(url) {
    this.close();
    this.url = url;
    this.tries = 0;
    void this.connect();
  }

  /** Let go of everything. */
  close() {
    this.url = "";
    this.drop();
    this.video.srcObject = null;
  }

  /** Before the page goes: the server need not wait for a sign of life. */
  farewell() {
    if (this.location) void fetch(this.location, { method: "DELETE", keepalive: true }).catch(() => undefined);
    this.location = "";
  }

  drop() {
    clearTimeout(this.timer);
    clearInterval(this.look);
    this.farewell();
    const { peer } = this;
    this.peer = null;
    if (peer) peer.close();
  }

  /** @param {string} state */
  tell(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }

  /** Try again, after a pause that grows. @param {number} [least] ms */
  again(least = 0) {
    this.drop();
    if (!this.url) return;
    const pause = PAUSES_MS[Math.min(this.tries, PAUSES_MS.length - 1)] * (0.75 + Math.random() / 2);
    this.tries += 1;
    this.timer = setTimeout(() => void this.connect(), Math.max(least, pause));
  }

  async connect() {
    const { url } = this;
    this.tell("connecting");
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.peer = peer;
    try {
      peer.addTransceiver("audio", { direction: "recvonly" });
      peer.addTransceiver("video", { direction: "recvonly" });
      const stream = new MediaStream();
      peer.addEventListener("track", (event) => {
        stream.addTrack(event.track);
        if (this.video.srcObject !== stream) this.video.srcObject = stream;
      });
      peer.addEventListener("connectionstatechange", () => {
        if (peer === this.peer && (peer.connectionState === "failed" || peer.connectionState === "closed")) this.again();
      });
      const offer = await peer.createOffer();
      const answer = await this.ask(url, offer.sdp || "");
      if (peer !== this.peer) return;
      if (!answer.ok) {
        this.tell(answer.status === 503 ? "full" : "waiting");
        this.again(retryAfter(answer));
        return;
      }
      this.location = new URL(answer.headers.get("Location") || "", location.href).href;
      const servers = iceServers(answer.headers.get("Link"));
      if (servers.length) peer.setConfiguration({ iceServers: servers, bundlePolicy: "max-bundle" });
      await peer.setLocalDescription(offer);
      await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
      this.watch(peer);
    } catch {
      if (peer === this.peer) this.again();
    }
  }

  /** @param {string} url @param {string} sdp */
  async ask(url, sdp) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
    try {
      return await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, credentials: "same-origin", body: sdp, signal: abort.signal });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Looks every second whether packets come, and how late they are. @param {RTCPeerConnection} peer */
  watch(peer) {
    this.bytes = 0;
    this.movedAt = Date.now();
    let held = 0;
    let emitted = 0;
    const look = async () => {
      const found = await peer.getStats();
      if (peer !== this.peer) return;
      let bytes = 0;
      let trip = 0;
      let delay = 0;
      found.forEach((one) => {
        if (one.type === "inbound-rtp") bytes += one.bytesReceived;
        if (one.type === "candidate-pair" && one.nominated) trip = one.currentRoundTripTime || 0;
        if (one.type === "inbound-rtp" && one.kind === "video") {
          const frames = one.jitterBufferEmittedCount - emitted;
          if (frames > 0) delay = (one.jitterBufferDelay - held) / frames;
          held = one.jitterBufferDelay;
          emitted = one.jitterBufferEmittedCount;
        }
      });
      if (bytes > this.bytes) {
        this.bytes = bytes;
        this.movedAt = Date.now();
        this.tries = 0;
        this.tell("playing");
        if (delay) this.dispatchEvent(new CustomEvent("delay", { detail: Math.round(1_000 * (delay + trip / 2)) }));
      } else if (this.expected && Date.now() - this.movedAt > SILENT_MS) {
        this.again();
      }
    };
    this.look = setInterval(() => void look().catch(() => undefined), LOOK_MS);
    void look().catch(() => undefined);
  }
}
