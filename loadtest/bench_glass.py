"""
From glass to glass: numbered pictures sent to the server, read from the `<video>` of a Chromium.

The delay is from handing a picture's packets to the socket until the browser presents it, one clock
for both; drawing and encoding come before. The way between server and browser may lose datagrams,
with a seed. What froze is the browser's own count (`freezeCount`, `totalFreezesDuration`).
"""

import asyncio
import re
import shutil
import struct
import time
from typing import Any

import aiohttp

from loadtest.bars import BAR, BITS, FPS, HEIGHT, WIDTH, encoded
from loadtest.bench_video import Bench, Figures
from loadtest.lossy import LossyWay
from loadtest.rtc import H264, OPUS, Line, Peer

GOP = 30  # pictures: a keyframe a second
WARM_SECONDS = 3.0  # until the browser's buffer has found its length
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

PAGE = """
async ({width, middle, bits, bar}) => {
  const video = document.createElement("video");
  video.muted = video.autoplay = true;
  document.body.append(video);
  const peer = window.peer = new RTCPeerConnection();
  peer.addTransceiver("audio", {direction: "recvonly"});
  peer.addTransceiver("video", {direction: "recvonly"});
  peer.ontrack = ({track, streams}) => {
    if (track.kind === "video") video.srcObject = streams[0] || new MediaStream([track]);
  };
  await peer.setLocalDescription();
  await peer.setRemoteDescription({type: "answer", sdp: await whep(peer.localDescription.sdp)});
  const canvas = new OffscreenCanvas(width, 1);
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  window.seen = [];
  const look = () => {
    const at = Date.now();
    pen.drawImage(video, 0, middle, width, 1, 0, 0, width, 1);
    const row = pen.getImageData(0, 0, width, 1).data;
    let number = 0;
    for (let bit = 0; bit < bits; bit += 1)
      if (row[4 * Math.floor((bit + 2.5) * bar)] > 128) number |= 1 << bit;
    window.seen.push([number, at]);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}
"""
BARS = {"width": WIDTH, "middle": HEIGHT // 2, "bits": BITS, "bar": BAR}

STATS = """
async () => {
  let found = {};
  (await window.peer.getStats()).forEach((one) => {
    if (one.type === "inbound-rtp" && one.kind === "video") found = {...one};
  });
  return {found, seen: window.seen};
}
"""


class NumberedCamera:
    """Sends one numbered picture after the other at their time. `sent`: number -> when, in ms."""

    def __init__(self, peer: Peer, units: list[bytes]) -> None:
        self._peer = peer
        self._units = units
        self._number = peer.payload_type("video")
        self._seq = 0
        self.sent: dict[int, float] = {}

    async def run(self) -> None:
        """All of them, once."""
        from liveserver.media.clip import nal_units
        from liveserver.media.demo_publisher import packets_of

        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, unit in enumerate(self._units):
            await asyncio.sleep(max(0.0, began + number / FPS - loop.time()))
            self.sent[number] = time.time() * 1000
            for payload, last in packets_of(nal_units(unit)):
                second = self._number | (0x80 if last else 0)
                self._seq = (self._seq + 1) & 0xFFFF
                head = struct.pack("!BBHII", 0x80, second, self._seq, number * 90_000 // FPS, 1)
                self._peer.send_rtp(head + payload)


async def measure(port: int, lost: float, seconds: float, seed: int) -> Figures:
    """One row. `lost`: the part of datagrams between server and browser."""
    from playwright.async_api import async_playwright

    units = encoded(range(min(2**BITS, int((seconds + 2 * WARM_SECONDS) * FPS))), gop=GOP)
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        return {"glass_to_glass": "left out: no Chromium"}
    async with aiohttp.ClientSession() as http, async_playwright() as play:
        bench = Bench(f"http://127.0.0.1:{port}", http)
        browser = await play.chromium.launch(executable_path=program, args=FLAGS)
        page = await browser.new_page()
        ways: list[LossyWay] = []

        async def whep(offer: str) -> str:
            answer = await bench.post("/whep/bench", offer)
            answer, way = await _through(answer, lost, seed)
            ways.append(way)
            return answer

        await page.expose_function("whep", whep)
        camera = NumberedCamera(await _publisher(bench), units)
        sending = asyncio.create_task(camera.run())
        try:
            await asyncio.sleep(WARM_SECONDS / 2)
            await page.evaluate(PAGE, BARS)
            await asyncio.sleep(WARM_SECONDS)
            before: dict[str, Any] = await page.evaluate(STATS)
            await asyncio.sleep(seconds)
            after: dict[str, Any] = await page.evaluate(STATS)
        finally:
            sending.cancel()
            await browser.close()
            bench.close()
            for way in ways:
                way.close()
    return _row(camera, before, after, ways[0], lost, seed)


async def _publisher(bench: Bench) -> Peer:
    lines = [Line("audio", [OPUS]), Line("video", [H264])]
    peer = Peer(bench.identity, lines, direction="sendonly")
    bench.peers.append(peer)
    peer.start(await bench.post("/whip/bench", peer.offer()))
    await asyncio.wait_for(peer.connected.wait(), 10)
    return peer


async def _through(answer: str, lost: float, seed: int) -> tuple[str, LossyWay]:
    """The answer with the port of a lossy way in the place of the server's."""
    found = re.search(r"(a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 )(\d+)", answer)
    assert found is not None, "the answer has no candidate on loopback"
    way = LossyWay(("127.0.0.1", int(found[2])), lost, seed)
    port = await way.open()
    return answer.replace(found[0], f"{found[1]}{port}"), way


def _row(
    camera: NumberedCamera,
    before: dict[str, Any],
    after: dict[str, Any],
    way: LossyWay,
    lost: float,
    seed: int,
) -> Figures:
    shown = after["seen"][len(before["seen"]) :]
    delays = sorted(at - camera.sent[number] for number, at in shown if number in camera.sent)
    first, last = before["found"], after["found"]

    def since(name: str) -> float:
        return float(last.get(name, 0)) - float(first.get(name, 0))

    took = (last["timestamp"] - first["timestamp"]) / 1000
    return {
        "lost_percent": round(100 * lost, 1),
        "seed": seed,
        "datagrams_lost": way.lost,
        "seconds": round(took, 1),
        "pictures": len(delays),
        "glass_p50_ms": round(delays[len(delays) // 2]) if delays else None,
        "glass_p95_ms": round(delays[int(len(delays) * 0.95)]) if delays else None,
        "frozen_seconds": round(since("totalFreezesDuration"), 2),
        "freezes": round(since("freezeCount")),
        "asked_again": round(since("nackCount")),
        "keyframes_asked": round(since("pliCount")),
        "packets_missing": round(since("packetsLost")),
    }
