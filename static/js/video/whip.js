// @ts-check
/**
 * A publisher's side of WHIP: camera or screen to the server, H.264 where the browser has it, and
 * again by itself whenever the connection is lost.
 */

import { Problem } from "../api.js";
import { iceServers } from "./whep.js";

const RETRY_MS = 1_500;
const TIMEOUT_MS = 8_000;
const LOOK_MS = 1_000;
/** Without a byte leaving for this long the connection is made anew, in ms. */
const STUCK_MS = 4_000;
/** What a phone's uplink can bear, in bit/s. */
const BITRATE = 2_500_000;

/**
 * The house's codec first: H.264 that every device plays, so that nothing has to be transcoded.
 *
 * @param {{mimeType: string, clockRate: number, sdpFmtpLine?: string}[]} codecs
 */
export function houseFirst(codecs) {
  const rank = (/** @type {{mimeType: string, clockRate: number, sdpFmtpLine?: string}} */ codec) => {
    const line = codec.sdpFmtpLine || "";
    if (!/h264$/i.test(codec.mimeType) || !line.includes("packetization-mode=1")) return 2;
    return /profile-level-id=42e0/i.test(line) ? 0 : 1;
  };
  return [...codecs].sort((one, other) => rank(one) - rank(other));
}

/** Events: `state` ("connecting" | "live" | "lost" | "refused" | "off", with the answer's words), `sending` ({kbps}). */
export class Whip extends EventTarget {
  /** @param {string} url */
  constructor(url) {
    super();
    this.url = url;
    /** @type {RTCPeerConnection|null} */
    this.peer = null;
    /** @type {MediaStream|null} */
    this.stream = null;
    this.location = "";
    this.timer = 0;
    this.look = 0;
    this.state = "off";
  }

  /** @param {MediaStream} stream */
  start(stream) {
    this.stream = stream;
    void this.connect();
  }

  /** Ends the stream for good. */
  async stop() {
    const { location: session } = this;
    this.stream = null;
    this.drop();
    this.tell("off");
    if (session) await fetch(session, { method: "DELETE", keepalive: true }).catch(() => undefined);
  }

  drop() {
    clearTimeout(this.timer);
    clearInterval(this.look);
    this.location = "";
    const { peer } = this;
    this.peer = null;
    if (peer) peer.close();
  }

  /** @param {string} state @param {string} [words] */
  tell(state, words = "") {
    if (state === this.state && !words) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, words } }));
  }

  /** No answer to our checks for seconds: a server that was restarted knows nothing of us. @param {RTCPeerConnection} peer */
  giveUp(peer) {
    if (peer === this.peer && peer.connectionState === "disconnected") this.again(0);
  }

  /** The room says that its picture has gone, though ours is sent: nobody takes it any more. */
  missed() {
    if (this.state === "live") this.again(0);
  }

  /** @param {number} [pause] ms */
  again(pause = RETRY_MS) {
    this.drop();
    if (!this.stream) return;
    this.tell("lost");
    this.timer = setTimeout(() => void this.connect(), pause);
  }

  async connect() {
    if (!this.stream) return;
    if (this.state !== "lost") this.tell("connecting");
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.peer = peer;
    try {
      for (const track of this.stream.getTracks()) this.add(peer, track, this.stream);
      peer.addEventListener("connectionstatechange", () => {
        if (peer !== this.peer) return;
        if (peer.connectionState === "connected") this.tell("live");
        if (peer.connectionState === "failed" || peer.connectionState === "closed") this.again();
        if (peer.connectionState === "disconnected") this.timer = setTimeout(() => this.giveUp(peer), RETRY_MS);
      });
      const offer = await peer.createOffer();
      const answer = await this.ask(offer.sdp || "");
      if (peer !== this.peer) return;
      if (!answer.ok) {
        await this.refused(answer);
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

  /** @param {RTCPeerConnection} peer @param {MediaStreamTrack} track @param {MediaStream} stream */
  add(peer, track, stream) {
    const options = track.kind === "video" ? { sendEncodings: [{ maxBitrate: BITRATE }] } : {};
    const transceiver = peer.addTransceiver(track, { direction: "sendonly", streams: [stream], ...options });
    const known = track.kind === "video" && RTCRtpSender.getCapabilities && RTCRtpSender.getCapabilities("video");
    if (known && transceiver.setCodecPreferences) transceiver.setCodecPreferences(houseFirst(known.codecs));
  }

  /** @param {string} sdp */
  async ask(sdp) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
    try {
      return await fetch(this.url, { method: "POST", headers: { "Content-Type": "application/sdp" }, credentials: "same-origin", body: sdp, signal: abort.signal });
    } finally {
      clearTimeout(timer);
    }
  }

  /** What time may heal is tried again; the rest is said and left. @param {Response} answer */
  async refused(answer) {
    const problem = await answer.json().catch(() => ({}));
    if (answer.status >= 500 || answer.status === 409 || answer.status === 429) {
      this.again();
      this.tell("lost");
      return;
    }
    this.drop();
    const name = String(problem.type || "").split("/").pop() || "internal";
    this.tell("refused", new Problem(name, problem.detail).words);
  }

  /** @param {RTCPeerConnection} peer */
  watch(peer) {
    let bytes = 0;
    let movedAt = Date.now();
    this.look = setInterval(async () => {
      const found = await peer.getStats().catch(() => null);
      if (!found || peer !== this.peer) return;
      let sent = 0;
      found.forEach((one) => {
        if (one.type === "outbound-rtp") sent += one.bytesSent;
      });
      const kbps = Math.max(0, Math.round(((sent - bytes) * 8) / LOOK_MS));
      if (sent > bytes) movedAt = Date.now();
      bytes = sent;
      this.dispatchEvent(new CustomEvent("sending", { detail: { kbps } }));
      if (Date.now() - movedAt > STUCK_MS) this.again();
    }, LOOK_MS);
  }
}
