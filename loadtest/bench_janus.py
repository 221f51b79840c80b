"""
The server against Debian's `janus`, in one run: the same publisher, the same viewers, taking turns.

Each turn starts one of them on the first core; publisher and viewers are this process, on the last
one. All viewers decrypt until their first picture and read every packet, and what they read is
counted: delivered packets for a second of CPU time that the system charged to the server's process.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
import uvloop

from loadtest import janus
from loadtest.bench_video import (
    AUDIO_PACKETS,
    SETTLE_SECONDS,
    VIDEO_PACKETS,
    Bench,
    Figures,
    Source,
    start_server,
)
from loadtest.machine import DISTURBED_CORES, Machine, cpu_seconds
from loadtest.rtc import Identity, Peer

RATIO_LEAST = 0.5
VIEWERS = 100
ROUNDS = 3
JOINS_AT_ONCE = 10
PICTURE_SECONDS = 20.0  # until a viewer's first one

Join = Callable[[], Awaitable[Peer]]


@dataclass
class Turn:
    """One server, measured once. `delivered` is a part of what was sent to all viewers."""

    packets: int
    cpu: float
    delivered: float
    disturbed: bool

    @property
    def rate(self) -> float:
        """Packets for a second of CPU time."""
        return self.packets / self.cpu


@contextlib.asynccontextmanager
async def ours(gso: bool) -> AsyncIterator[tuple[psutil.Process, Source, Join]]:
    """A media process with a publisher, and what brings a viewer."""
    server, port = start_server(gso)
    try:
        async with aiohttp.ClientSession() as http:
            bench = Bench(f"http://127.0.0.1:{port}", http)

            async def join() -> Peer:
                return await bench.join(drains=False)

            yield psutil.Process(server.pid), await bench.publish(), join
            bench.close()
    finally:
        server.terminate()
        server.wait(10)


@contextlib.asynccontextmanager
async def theirs() -> AsyncIterator[tuple[psutil.Process, Source, Join]]:
    """The same with janus."""
    identity, peers = Identity(), []
    with janus.Janus() as server:
        apart(server.pid)
        async with (
            aiohttp.ClientSession() as http,
            janus.VideoRoom(server.port, http) as room,
        ):

            async def join() -> Peer:
                first = asyncio.Event()
                peer = Peer(identity, [])
                peers.append(peer)
                await room.watch(peer)
                picture = peer.payload_type("video")
                peer.on_rtp = lambda data: first.set() if data[1] & 0x7F == picture else None
                await asyncio.wait_for(first.wait(), PICTURE_SECONDS)
                peer.decrypts = False
                return peer

            publisher = await room.publish(identity)
            peers.append(publisher)
            yield psutil.Process(server.pid), Source(publisher), join
            for peer in peers:
                peer.close()


def apart(pid: int) -> None:
    """All threads of a process on the first core, as `start_server` does."""
    cores = range(os.cpu_count() or 1)
    if len(cores) > 1:
        for thread in psutil.Process(pid).threads():
            os.sched_setaffinity(thread.id, {min(cores)})
        os.sched_setaffinity(0, {max(cores)})


async def turn(
    server: contextlib.AbstractAsyncContextManager[tuple[psutil.Process, Source, Join]],
    viewers: int,
    seconds: float,
) -> Turn:
    """One measurement; ends the server."""
    async with server as (process, publisher, join):
        source = asyncio.create_task(publisher.run())
        peers = await joined(join, viewers)
        await asyncio.sleep(SETTLE_SECONDS)
        machine = Machine()
        received, cpu = sum(peer.received for peer in peers), cpu_seconds(process)
        began = time.monotonic()
        await asyncio.sleep(seconds)
        received = sum(peer.received for peer in peers) - received
        cpu, took = cpu_seconds(process) - cpu, time.monotonic() - began
        used = machine.end()
        source.cancel()
    expected = viewers * (VIDEO_PACKETS + AUDIO_PACKETS) * took
    disturbed = used.others - cpu > DISTURBED_CORES * took
    return Turn(received, cpu, received / expected, disturbed)


async def joined(join: Join, viewers: int) -> list[Peer]:
    """That many viewers, some at a time: janus misses a first DTLS message, 1 s each."""
    peers: list[Peer] = []
    while len(peers) < viewers:
        more = min(JOINS_AT_ONCE, viewers - len(peers))
        peers += await asyncio.gather(*(join() for _ in range(more)))
    return peers


def run(viewers: int, seconds: float, rounds: int, gso: bool) -> Figures:
    """Ours and theirs by turns; medians, and the ratio of each pair's rates."""
    pairs = []
    for _ in range(rounds):
        pair = []
        for server in (ours(gso), theirs()):
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                pair.append(runner.run(turn(server, viewers, seconds)))
        pairs.append((pair[0], pair[1]))
    ratio = statistics.median(own.rate / other.rate for own, other in pairs)
    return {
        "row": "janus",
        "viewers": viewers,
        "gso": gso,
        "own_packets_per_cpu_second": round(statistics.median(own.rate for own, _ in pairs)),
        "janus_packets_per_cpu_second": round(statistics.median(one.rate for _, one in pairs)),
        "ratio": round(ratio, 2),
        "ratios": [round(own.rate / other.rate, 2) for own, other in pairs],
        "least": RATIO_LEAST,
        "met": ratio >= RATIO_LEAST,
        "delivered": [[round(own.delivered, 3), round(one.delivered, 3)] for own, one in pairs],
        "disturbed": any(one.disturbed for pair in pairs for one in pair),
    }


def row(viewers: int, seconds: float, rounds: int, gso: bool) -> Figures:
    """The row, measured in a network of its own; or one line that says why there is none."""
    reason = janus.missing()
    if reason:
        return {"row": "janus", "skipped": reason}
    command = [sys.executable, "-m", "loadtest.bench_janus", *(["--gso"] if gso else [])]
    command += ["--viewers", str(viewers), "--seconds", str(seconds), "--rounds", str(rounds)]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([*janus.INSIDE, *command], stdout=subprocess.PIPE, check=True, cwd=root)
    figures: Figures = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--viewers", type=int, default=VIEWERS)
    arguments.add_argument("--seconds", type=float, default=8.0)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--gso", action="store_true")
    parsed = arguments.parse_args()
    print(json.dumps(run(parsed.viewers, parsed.seconds, parsed.rounds, parsed.gso)))
