// libdatachannel, the stack of OBS: `URL FILE` sends the access units of FILE (each with its length
// as four bytes before it) by WHIP, thirty a second, over and over until killed.
import { readFileSync } from "node:fs";
import rtc from "node-datachannel";

const [url, file] = process.argv.slice(2);
const raw = readFileSync(file);
const units = [];
for (let at = 0; at < raw.length; ) {
  const size = raw.readUInt32BE(at);
  units.push(raw.subarray(at + 4, at + 4 + size));
  at += 4 + size;
}
const SSRC = 42, TYPE = 96;
const peer = new rtc.PeerConnection("obs", { iceServers: [], bindAddress: "127.0.0.1", disableAutoNegotiation: true });
const video = new rtc.Video("1", "SendOnly");
video.addH264Codec(TYPE, "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1");
video.addSSRC(SSRC, "obs", "live", "video");
const track = peer.addTrack(video);
const config = new rtc.RtpPacketizationConfig(SSRC, "obs", TYPE, 90000);
const packetizer = new rtc.H264RtpPacketizer("StartSequence", config, 1200);
packetizer.addToChain(new rtc.RtcpSrReporter(config));
packetizer.addToChain(new rtc.RtcpNackResponder());
track.setMediaHandler(packetizer);
let n = 0;
track.onOpen(() =>
  setInterval(() => {
    config.timestamp = (config.timestamp + 3000) >>> 0;
    track.sendMessageBinary(units[n++ % units.length]);
  }, 33),
);
peer.onLocalDescription(async (sdp, type) => {
  if (type !== "offer" || n) return;
  const answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: sdp });
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
  peer.setRemoteDescription(await answer.text(), "answer");
});
peer.setLocalDescription("offer");
