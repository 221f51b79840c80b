"""
What forwarding video costs: one publisher, many viewers, real ICE, DTLS and SRTP on loopback.

The media process runs by itself (`python -m loadtest.bench_video --serve`); publisher and viewers
are one more process, this one. The server's cost is its CPU time over the packets that it sent.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from loadtest.bench_aiortc import PICTURES, sender_cost
from loadtest.rtc import H264, OPUS, Identity, Line, Peer

Figures = dict[str, Any]

VIDEO_PACKETS = 150  # a second: 1.5 Mbit/s
AUDIO_PACKETS = 50
FPS = 25
VIDEO_BYTES = 1_200
AUDIO_BYTES = 240
SETTLE_SECONDS = 3.0
LAG_STEP_SECONDS = 0.005


async def serve(gso: bool) -> None:
    """A stage and its signalling on a free loopback port, which is printed."""
    from aiohttp import web

    from liveserver.media.mux import Mux
    from liveserver.media.outlet import Forwarder
    from liveserver.media.signalling import Signalling
    from liveserver.media.srtp import Sender
    from liveserver.media.stage import Stage

    mux = Mux()
    mux.open(["127.0.0.1"], 0)
    stage = Stage(
        mux, Forwarder(Sender(gso=gso)), ["127.0.0.1"], load_mark=99.0,
        report=lambda room, video: None, now_ms=lambda: time.time_ns() // 1_000_000,
    )  # fmt: skip
    lags: list[float] = []

    async def figures(request: web.Request) -> web.Response:
        taken, lags[:] = sorted(lags), []
        p99 = taken[int(len(taken) * 0.99)] if taken else 0.0
        sender = stage.forwarder.sender
        return web.json_response(
            {
                "cpu": time.process_time(),
                "sent": sender.sent,
                "dropped": sender.dropped,
                "overflows": stage.forwarder.overflows,
                "lag_p99_ms": round(p99 * 1000, 1),
            }
        )

    async def clock() -> None:
        turn = 0
        while True:
            began = time.monotonic()
            await asyncio.sleep(LAG_STEP_SECONDS)
            lags.append(time.monotonic() - began - LAG_STEP_SECONDS)
            turn += 1
            if turn % 10 == 0:
                stage.flush()
            if turn % 200 == 0:
                stage.tick()

    app = Signalling(stage, ()).app()
    app.router.add_get("/figures", figures)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"serving {runner.addresses[0][1]}", flush=True)
    await clock()


class Source:
    """Sends 1.5 Mbit/s of H.264-like packets with a keyframe a second, and 50 sounds a second."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._video, self._audio = peer.payload_type("video"), peer.payload_type("audio")
        self._seqs = {"video": 0, "audio": 0}

    def _send(self, kind: str, number: int, at: int, marker: bool, payload: bytes) -> None:
        seq = self._seqs[kind] = self._seqs[kind] + 1
        second = number | (0x80 if marker else 0)
        ssrc = 1 if kind == "video" else 2
        self._peer.send_rtp(
            struct.pack("!BBHII", 0x80, second, seq & 0xFFFF, at & 0xFFFFFFFF, ssrc) + payload
        )

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        began, frame, sound = loop.time(), 0, 0
        a_frame = VIDEO_PACKETS // FPS
        while True:
            now = loop.time() - began
            while frame / FPS <= now:
                kind = b"\x65" if frame % FPS == 0 else b"\x41"
                for n in range(a_frame):
                    stamp = struct.pack("!d", time.time())
                    payload = kind + stamp + bytes(VIDEO_BYTES - 9)
                    self._send("video", self._video, frame * 3600, n == a_frame - 1, payload)
                frame += 1
            while sound / AUDIO_PACKETS <= now:
                self._send("audio", self._audio, sound * 960, False, bytes(AUDIO_BYTES))
                sound += 1
            await asyncio.sleep(0.005)


class Bench:
    """One run against one server."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http
        self.identity = Identity()
        self.peers: list[Peer] = []
        self.joins: list[float] = []

    async def post(self, path: str, offer: str) -> str:
        headers = {"Content-Type": "application/sdp"}
        while True:
            async with self._http.post(self._url + path, data=offer, headers=headers) as answer:
                if answer.status == 201:
                    return await answer.text()
                await asyncio.sleep(float(answer.headers.get("Retry-After", 1)) / 2)

    async def publish(self) -> Source:
        lines = [Line("audio", [OPUS]), Line("video", [H264])]
        peer = Peer(self.identity, lines, direction="sendonly")
        self.peers.append(peer)
        peer.start(await self.post("/whip/bench", peer.offer()))
        await asyncio.wait_for(peer.connected.wait(), 10)
        return Source(peer)

    async def join(self, *, drains: bool) -> Peer:
        """A viewer, from its request to its first picture; then its packets only count."""
        first = asyncio.Event()
        lines = [Line("audio", [OPUS]), Line("video", [H264])]

        def take(data: bytes) -> None:
            if data[1] & 0x7F == 96:
                first.set()

        peer = Peer(self.identity, lines, on_rtp=take)
        self.peers.append(peer)
        began = time.monotonic()
        peer.start(await self.post("/whep/bench", peer.offer()))
        await asyncio.wait_for(first.wait(), 20)
        self.joins.append(time.monotonic() - began)
        peer.decrypts = False
        if drains:
            peer.drain_in_kernel()
        return peer

    async def figures(self) -> dict[str, Any]:
        async with self._http.get(self._url + "/figures") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    def close(self) -> None:
        for peer in self.peers:
            peer.close()


def start_server(gso: bool) -> tuple[subprocess.Popen[bytes], int]:
    """The media process and its port; on a core of its own where there are two."""
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "loadtest.bench_video", "--serve", *(["--gso"] if gso else [])]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root)
    assert server.stdout is not None
    cores = set(range(os.cpu_count() or 1))
    if len(cores) > 1:
        os.sched_setaffinity(server.pid, {min(cores)})
        os.sched_setaffinity(0, {max(cores)})
    return server, int(server.stdout.readline().split()[1])


async def run(server: subprocess.Popen[bytes], port: int, viewers: int, seconds: float) -> Figures:
    """One measurement; ends the server."""
    try:
        async with aiohttp.ClientSession() as http:
            bench = Bench(f"http://127.0.0.1:{port}", http)
            source = asyncio.create_task((await bench.publish()).run())
            await asyncio.sleep(1.2)
            for _ in range(viewers):
                await bench.join(drains=len(bench.peers) > 20)
            await asyncio.sleep(SETTLE_SECONDS)
            before, began = await bench.figures(), time.monotonic()
            await asyncio.sleep(seconds)
            after, took = await bench.figures(), time.monotonic() - began
            source.cancel()
            bench.close()
    finally:
        server.terminate()
        server.wait(10)
    sent = after["sent"] - before["sent"]
    cpu = after["cpu"] - before["cpu"]
    joins = sorted(bench.joins)
    return {
        "viewers": viewers,
        "packets_per_second": round(sent / took),
        "us_per_packet": round(cpu / max(1, sent) * 1e6, 2),
        "busy": round(cpu / took, 3),
        "lag_p99_ms": after["lag_p99_ms"],
        "expected": round(sent / took / (viewers * (VIDEO_PACKETS + AUDIO_PACKETS)), 3),
        "dropped": after["dropped"] - before["dropped"],
        "overflows": after["overflows"] - before["overflows"],
        "join_p50_ms": round(statistics.median(joins) * 1000),
        "join_p95_ms": round(joins[int(len(joins) * 0.95)] * 1000),
    }


def own_cost(gso: bool) -> float:
    """Microseconds of our sender for a packet, under the conditions of `sender_cost`."""
    import pylibsrtp

    from liveserver.media.srtp import Sender, context

    session = pylibsrtp.Session(pylibsrtp.Policy(bytes(30), pylibsrtp.Policy.SSRC_ANY_OUTBOUND))
    sender, key = Sender(gso=gso), context(session)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out,
    ):
        sink.bind(("127.0.0.1", 0))
        to, began = sink.getsockname(), time.process_time()
        for picture in range(PICTURES):
            head = [
                struct.pack("!BBHII", 0x80, 96, (6 * picture + n) & 0xFFFF, picture, 1)
                for n in range(6)
            ]
            sender.send([one + bytes(1_250) for one in head], key, out, to)
        return (time.process_time() - began) / sender.sent * 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", nargs="*", choices=tuple(ROWS), help="these rows alone")
    parser.add_argument("--viewers", type=int, nargs="*", default=[100, 200, 300])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument(
        "--loss", type=float, nargs="*", default=[0, 1, 5],
        help="percent lost before a Chromium that reads numbered pictures; none: leave it out",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of what is lost")
    parser.add_argument("--gso", action="store_true", help="hand packets to the kernel in runs")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(go=go)


def go(parsed: argparse.Namespace) -> int:
    """A line of JSON for each measurement of the rows that are wanted."""
    if parsed.serve:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(parsed.gso))  # as the server itself
        return 0
    cores = os.sched_getaffinity(0)
    for name in parsed.only or ROWS:
        for figures in ROWS[name](parsed):
            print(json.dumps(figures), flush=True)
        os.sched_setaffinity(0, cores)  # a row may keep to one of them
    return 0


def senders(parsed: argparse.Namespace) -> Iterator[Figures]:
    """Our sender alone and aiortc's own."""
    theirs = asyncio.run(sender_cost())
    ours = own_cost(parsed.gso)
    costs = {"aiortc_sender_us": theirs, "own_sender_us": ours, "ratio": theirs / ours}
    yield {name: round(value, 2) for name, value in costs.items()}


def capacity(parsed: argparse.Namespace) -> Iterator[Figures]:
    """One line a number of viewers."""
    for viewers in parsed.viewers:
        server, port = start_server(parsed.gso)
        yield {"gso": parsed.gso, **asyncio.run(run(server, port, viewers, parsed.seconds))}


def against_janus(parsed: argparse.Namespace) -> Iterator[Figures]:
    """Debian's `janus` and ours by turns."""
    from loadtest.bench_janus import ROUNDS, VIEWERS, row

    yield row(VIEWERS, parsed.seconds, ROUNDS, parsed.gso)


def restarted(parsed: argparse.Namespace) -> Iterator[Figures]:
    """`kill -9` of the media process of a whole server."""
    from loadtest.restart import measure

    yield asyncio.run(measure())


def lossy(parsed: argparse.Namespace) -> Iterator[Figures]:
    """One line a part that is lost."""
    for percent in parsed.loss:
        yield glass(parsed, percent)


ROWS: dict[str, Callable[[argparse.Namespace], Iterator[Figures]]] = {
    "senders": senders,
    "viewers": capacity,
    "janus": against_janus,
    "restart": restarted,
    "loss": lossy,
}


def glass(parsed: argparse.Namespace, percent: float) -> Figures:
    """A row of numbered pictures in a browser."""
    from loadtest.bench_glass import measure

    cores = os.sched_getaffinity(0)
    server, port = start_server(parsed.gso)
    os.sched_setaffinity(0, cores)  # a browser takes what there is
    try:
        return asyncio.run(measure(port, percent / 100, parsed.seconds, parsed.seed))
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    add_arguments(arguments)
    sys.exit(go(arguments.parse_args()))
