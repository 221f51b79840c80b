// libwebrtc in Node: `publish URL` sends numbered pictures by WHIP until killed, `watch URL` prints
// the number of every picture it gets by WHEP.
import wrtc from "@roamhq/wrtc";

const [mode, url] = process.argv.slice(2);
const WIDTH = 320, HEIGHT = 240, BITS = 12, BAR = 20;
const { RTCPeerConnection, nonstandard } = wrtc;

/** The same drawing as tests/media/pictures.py. */
function drawn(number) {
  const data = new Uint8ClampedArray((WIDTH * HEIGHT * 3) / 2).fill(128);
  const bars = [1, 0, ...Array.from({ length: BITS }, (_, bit) => (number >> bit) & 1), 0, 1];
  for (let y = 0; y < HEIGHT; y++) for (let x = 0; x < WIDTH; x++) data[y * WIDTH + x] = bars[Math.floor(x / BAR)] ? 215 : 40;
  return data;
}

function numberOf({ width, height, data }) {
  const bars = Array.from({ length: BITS + 4 }, (_, n) => data[width * (height >> 1) + Math.floor(((n + 0.5) * BAR * width) / WIDTH)] > 128);
  if (!bars[0] || bars[1] || bars[BITS + 2] || !bars[BITS + 3]) return null;
  return bars.slice(2, BITS + 2).reduce((sum, bar, bit) => sum + (bar ? 1 << bit : 0), 0);
}

const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
if (mode === "publish") {
  const source = new nonstandard.RTCVideoSource();
  const stream = new wrtc.MediaStream();
  const track = source.createTrack();
  stream.addTrack(track);
  peer.addTransceiver(track, { direction: "sendonly", streams: [stream] });
  let number = 0;
  setInterval(() => source.onFrame({ width: WIDTH, height: HEIGHT, data: drawn(number++ % (1 << BITS)) }), 33);
} else {
  peer.addTransceiver("video", { direction: "recvonly" });
  peer.ontrack = ({ track }) => {
    const sink = new nonstandard.RTCVideoSink(track);
    sink.onframe = ({ frame }) => {
      const number = numberOf(frame);
      if (number !== null) console.log(number);
    };
  };
}
await peer.setLocalDescription(await peer.createOffer());
const answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
