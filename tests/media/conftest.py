"""A stage in the loop of the test, with its signalling on a loopback port, and light peers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from liveserver.media.mux import Mux
from liveserver.media.outlet import Forwarder
from liveserver.media.signalling import Signalling
from liveserver.media.srtp import Sender
from liveserver.media.stage import Stage
from liveserver.settings_read import IceServer
from loadtest.rtc import H264, OPUS, Identity, Line, Peer

SECONDS = 10.0  # for anything that takes milliseconds on an idle machine
ICE = (IceServer(("turn:turn.example?transport=udp",), "u", 'p"'),)


async def until(check: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """Poll until `check` gives something true."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        await asyncio.sleep(0.01)
    return found


@dataclass
class Scene:
    """The stage and what it told rooms."""

    stage: Stage
    url: str
    http: aiohttp.ClientSession
    identity: Identity
    told: list[tuple[str, dict[str, Any] | None]] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)

    def peer(self, *lines: Line, **options: Any) -> Peer:
        peer = Peer(self.identity, list(lines), **options)
        self.peers.append(peer)
        return peer

    async def publisher(self, room: str = "r", *, who: str = "c", **options: Any) -> Peer:
        """A connected publisher of H.264 and Opus."""
        lines = (Line("audio", [OPUS]), Line("video", [H264]))
        peer = self.peer(*lines, direction="sendonly", **options)
        peer.start(self.stage.publish(room, who, peer.offer()).text)
        await asyncio.wait_for(peer.connected.wait(), SECONDS)
        return peer

    async def viewer(self, room: str = "r", *codecs: str, **options: Any) -> Peer:
        """A connected viewer; `drop` says which datagrams are lost on its way."""
        lines = [Line("audio", [OPUS]), Line("video", list(codecs) or [H264])]
        lines = lines if options.pop("audio", True) else lines[1:]
        drop = options.pop("drop", None)
        peer = self.peer(*lines, **options)
        peer.drop = drop or peer.drop
        peer.start(self.stage.watch(room, peer.offer()).text)
        await asyncio.wait_for(peer.connected.wait(), SECONDS)
        return peer


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with opened_scene() as opened:
        yield opened


class opened_scene:
    """`async with opened_scene(gso=…) as scene`."""

    def __init__(self, *, gso: bool = False) -> None:
        self._gso = gso

    async def __aenter__(self) -> Scene:
        mux = Mux()
        mux.open(["127.0.0.1"], 0)
        told: list[tuple[str, dict[str, Any] | None]] = []
        stage = Stage(
            mux,
            Forwarder(Sender(gso=self._gso)),
            ["127.0.0.1"],
            load_mark=50.0,
            report=lambda room, video: told.append((room, video)),
            now_ms=lambda: time.time_ns() // 1_000_000,
        )
        self._runner = web.AppRunner(Signalling(stage, ICE).app(), access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self._clock = asyncio.create_task(_clock(stage))
        self.scene = Scene(
            stage, f"http://127.0.0.1:{port}", aiohttp.ClientSession(), Identity(), told
        )
        return self.scene

    async def __aexit__(self, *_: object) -> None:
        self._clock.cancel()
        for peer in self.scene.peers:
            peer.close()
        self.scene.stage.close()
        await asyncio.sleep(0.05)
        await self.scene.http.close()
        await self._runner.cleanup()
        self.scene.stage.mux.close()


async def _clock(stage: Stage) -> None:
    """What the process runs as two tasks."""
    for turn in range(10**9):
        await asyncio.sleep(0.05)
        stage.flush()
        if turn % 20 == 19:
            stage.tick()
