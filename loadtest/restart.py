"""
`kill -9` of the media process: chat goes on, and the picture comes back without anybody's help.

A whole demo server with its clip. A viewer does as a page does: after three seconds without a
packet it asks anew until it is answered. Somebody talks all the while over one socket, and every
message is timed until it comes back from the room.
"""

import asyncio
import itertools
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from loadtest.rtc import H264, OPUS, Identity, Line, Peer
from loadtest.server import Server
from loadtest.shop import Shop
from loadtest.socket_client import SocketClient, connect

BACK_SECONDS = 10.0  # promised, from the kill to a packet of a new picture
SILENT_SECONDS = 3.0  # then a viewer asks anew, as static/js/video/whep.js does
PAUSE_SECONDS = 0.5  # between two tries
TALK_SECONDS = 0.25  # between two messages
LIMIT_SECONDS = 60.0  # for anything: then the row breaks off
CHANNELS = ("room:demo", "chat:demo")


class Talker:
    """Says something four times a second. `waits`: seconds until each message came back."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.said: dict[str, float] = {}
        self.refused: list[str] = []

    async def run(self, base: str, token: str) -> None:
        """Until cancelled. Raises ConnectionError when the socket is lost."""
        socket = await connect(base, token, self._take)
        try:
            for id, channel in enumerate(CHANNELS, 2):
                socket.send({"id": id, "subscribe": {"channel": channel}})
            for number in itertools.count(10):
                if socket.closed:
                    raise ConnectionError("the socket of chat was lost")
                text = f"message {number}"
                self.said[text] = time.monotonic()
                data = {"text": text}
                socket.send({"id": number, "publish": {"channel": "chat:demo", "data": data}})
                await asyncio.sleep(TALK_SECONDS)
        finally:
            socket.transport.close()

    def _take(self, socket: SocketClient, line: bytes) -> None:
        told = json.loads(line)
        if "error" in told:
            self.refused.append(str(told["error"]))
        data = told.get("push", {}).get("pub", {}).get("data", {})
        began = self.said.pop(data.get("text", ""), None)
        if began is not None:
            self.waits.append(time.monotonic() - began)

    @property
    def slowest(self) -> float:
        """Seconds; what is still on its way counts as long as it has taken so far."""
        now = time.monotonic()
        return max([*self.waits, *(now - began for began in self.said.values())], default=0.0)


class Watcher:
    """A viewer of the demo that comes back by itself."""

    def __init__(self, base: str, http: aiohttp.ClientSession) -> None:
        self._url = f"{base}/whep/demo"
        self._http = http
        self._identity = Identity()
        self.newest = 0.0  # time of the newest video packet
        self.joined = 0.0  # when the connection that it came over was asked for

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            peer = Peer(self._identity, [Line("audio", [OPUS]), Line("video", [H264])])
            try:
                await self._watch(peer)
            except (aiohttp.ClientError, TimeoutError):
                pass  # the gateway answers for a media process that is not there; ask again
            finally:
                peer.close()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _watch(self, peer: Peer) -> None:
        """One connection, until nothing comes any more."""
        asked = time.monotonic()
        headers = {"Content-Type": "application/sdp"}
        async with self._http.post(self._url, data=peer.offer(), headers=headers) as answer:
            if answer.status != 201:
                return
            text = await answer.text()

        def take(data: bytes) -> None:
            if data[1] & 0x7F == video:
                self.newest, self.joined = time.monotonic(), asked

        peer.on_rtp = take
        peer.start(text)
        video = peer.payload_type("video")
        while time.monotonic() - max(asked, self.newest) < SILENT_SECONDS:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # silence is no event that could be waited for


async def until(check: Callable[[], bool], what: str) -> None:
    """Raises TimeoutError with `what`."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"never happened: {what}")
        await asyncio.sleep(0.01)


async def strike(server: Server) -> dict[str, Any]:
    """Kill the media process of a running demo, and time what follows."""
    async with Shop(server.base) as shop:
        watcher = Watcher(server.base, shop.session)
        talker = Talker()
        token = await shop.sign_in("streamer", "demo")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(watcher.run())]
            tasks.append(group.create_task(talker.run(server.base, token)))
            await until(lambda: watcher.newest > 0 and len(talker.waits) > 10, "a picture")
            talker.waits.clear()
            (media,) = [one for one in server.workers() if one.cmdline()[-1].startswith("media-")]
            os.kill(media.pid, signal.SIGKILL)
            killed = time.monotonic()
            await until(lambda: watcher.joined > killed, "a new picture")
            back = watcher.newest - killed
            for task in tasks:
                task.cancel()
    return {
        "row": "restart",
        "picture_back_seconds": round(back, 2),
        "most": BACK_SECONDS,
        "messages_meanwhile": len(talker.waits),
        "slowest_message_ms": round(talker.slowest * 1000),
        "refused": talker.refused,
        "met": back <= BACK_SECONDS and bool(talker.waits) and not talker.refused,
    }


async def measure() -> dict[str, Any]:
    """The row, from a demo of its own."""
    with tempfile.TemporaryDirectory(prefix="restart-") as folder:
        server = Server(Path(folder) / "data", {"LIVESERVER_MEDIA_UDP_PORT": "0"})
        await asyncio.to_thread(server.start)
        try:
            return await strike(server)
        finally:
            await asyncio.to_thread(server.stop)
