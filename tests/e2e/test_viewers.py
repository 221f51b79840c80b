"""Viewers of several workers; and while the bus or a worker is killed: gap-free, or told."""

import asyncio
import gc
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psutil
import pytest
from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from loadtest.server import Server
from loadtest.shop import Shop
from loadtest.socket_client import SocketClient, connect

#: the SDK may leave a socket unclosed when the server dies in its opening handshake
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

VIEWERS = 12
PATIENCE_SECONDS = 30
PAUSE_SECONDS = 0.03  # between two changes of the room
CROWD = 16  # so many that each of two workers has some
LINES = 3  # of chat from each
LIKES = 5  # from each, twice
CUT_BYTES = 200  # of the end of the bus's log


@dataclass
class Seen(SubscriptionEventHandler):
    """What one subscription heard: `(offset, data)`, and None where it was told of a loss."""

    heard: list[tuple[int, Any] | None] = field(default_factory=list)
    losses: int = 0

    async def on_subscribed(self, context: Any) -> None:
        if context.was_recovering and not context.recovered:
            self.heard.append(None)
            self.losses += 1

    async def on_unsubscribed(self, context: Any) -> None:
        raise AssertionError(f"{context.channel} ended: {context.code} {context.reason}")

    async def on_publication(self, context: Any) -> None:
        if context.pub.offset:
            self.heard.append((context.pub.offset, context.pub.data))

    def gaps(self) -> list[str]:
        """Offsets that follow on nothing, and were not announced."""
        found, last = [], None
        for one in self.heard:
            if one is not None and last is not None and one[0] != last + 1:
                found.append(f"{one[0]} after {last}")
            last = one[0] if one is not None else None
        return found

    def texts(self) -> list[str]:
        """Of the notices, in order."""
        events = [one[1] for one in self.heard if one is not None]
        return [event["text"] for event in events if event["type"] == "room.notice"]


@asynccontextmanager
async def viewers(base: str, count: int) -> AsyncIterator[list[Seen]]:
    """Clients of the SDK in the demo's room."""
    address = base.replace("http", "ws", 1) + "/connection/websocket"
    clients, seats = [], []
    async with Shop(base) as shop:
        for n in range(count):
            token = (await shop.guest(f"viewer {n}"))["token"]
            client = Client(
                address, token=token, proxy=None, max_reconnect_delay=1,
                events=ClientEventHandler(),
            )  # fmt: skip
            seen = Seen()
            subscription = client.new_subscription(
                "room:demo", events=seen, recoverable=True, positioned=True
            )
            await client.connect()
            await subscription.subscribe()
            await subscription.ready(PATIENCE_SECONDS)
            clients.append(client)
            seats.append(seen)
    try:
        yield seats
    finally:
        await asyncio.gather(*(client.disconnect() for client in clients))
        clients.clear()
        gc.collect()  # what the SDK left behind is found here and in no other test


async def notices(shop: Shop, token: str, texts: list[str], done: Callable[[], bool]) -> None:
    """Change the room again and again; `texts` gets what was acknowledged."""
    number = 0
    while not done():
        number += 1
        text = f"notice {number}"
        try:
            await shop.call("POST", "/v1/rooms/demo/notice", token, {"text": text})
            texts.append(text)
        except (aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(0.2)
        await asyncio.sleep(PAUSE_SECONDS)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():  # noqa: ASYNC110 - other processes make it true
            await asyncio.sleep(0.05)


async def strike(server: Server, at: int, blow: Callable[[], None]) -> tuple[list[Seen], list[str]]:
    """The room changes all the time; after `at` changes comes the blow, then as many again."""
    texts: list[str] = []
    async with Shop(server.base) as shop, viewers(server.base, VIEWERS) as seats:
        token = await shop.sign_in("streamer", "demo")
        finished = asyncio.Event()
        work = asyncio.create_task(notices(shop, token, texts, finished.is_set))
        await until(lambda: len(texts) >= at)
        blow()
        struck = len(texts)
        await until(lambda: len(texts) >= struck + at)
        finished.set()
        await work
        last = texts[-1]
        await until(lambda: all(last in seen.texts() for seen in seats))
    return seats, texts


async def test_a_killed_bus_with_its_log_cut_off_is_recovered_from_or_told(demo: Server) -> None:
    """
    kill -9 of the bus under load, and the end of its log missing: every viewer has an unbroken row
    of offsets, or is told in between, and all see the newest state.
    """

    def blow() -> None:
        (bus,) = [p for p in demo.children() if "valkey" in p.name()]
        bus.suspend()
        logs = [path for path in demo.data.rglob("*.aof") if ".incr." in path.name]
        assert logs, "the bus keeps no log"
        newest = max(logs, key=lambda path: path.stat().st_mtime)
        size = newest.stat().st_size
        assert size > CUT_BYTES
        os.truncate(newest, size - CUT_BYTES)
        bus.send_signal(signal.SIGKILL)

    seats, _ = await strike(demo, 40, blow)
    assert [seen.gaps() for seen in seats] == [[] for _ in seats]
    assert sum(seen.losses for seen in seats) == len(seats)  # the log had lost something


async def test_viewers_of_a_killed_worker_have_every_event(
    make_server: Callable[..., Server],
) -> None:
    """kill -9 of one of two workers: its viewers come back and miss nothing, in the same order."""
    server = make_server("--demo", "--workers", "2")

    def blow() -> None:
        worker = max(server.workers(), key=lambda p: len(p.net_connections("tcp")))
        worker.kill()
        gone, _alive = psutil.wait_procs([worker], timeout=5)
        assert gone

    seats, texts = await strike(server, 40, blow)
    assert [seen.gaps() for seen in seats] == [[] for _ in seats]
    assert sum(seen.losses for seen in seats) == 0
    rows = [seen.texts() for seen in seats]
    assert all(row == rows[0] for row in rows)
    assert set(texts) <= set(rows[0])


class Seat:
    """One viewer by hand, for what is counted and in which order it comes."""

    def __init__(self) -> None:
        self.replies: dict[int, dict[str, Any]] = {}
        self.chat: list[tuple[int, str, str]] = []  # offset, who, text
        self.stats: list[tuple[int, int]] = []  # online, likes
        self._asked = 1

    async def sit(self, base: str, token: str) -> None:
        self.client = await connect(base, token, self._line)
        for channel in ("room:demo", "chat:demo"):
            await self.ask("subscribe", channel=channel)

    def _line(self, client: SocketClient, line: bytes) -> None:
        told = json.loads(line)
        if "id" in told:
            self.replies[told["id"]] = told
            return
        push = told["push"]
        data = push["pub"]["data"] if "pub" in push else {}
        if push.get("channel") == "chat:demo" and data:
            self.chat.append((push["pub"]["offset"], data["user"]["id"], data["text"]))
        elif data.get("type") == "room.stats":
            self.stats.append((data["online"], data["likes"]))

    async def ask(self, method: str, /, **request: Any) -> dict[str, Any]:
        self._asked += 1
        id = self._asked
        self.client.send({"id": id, method: request})
        await until(lambda: id in self.replies)
        assert "error" not in self.replies[id], self.replies[id]
        answer: dict[str, Any] = self.replies[id][method]
        return answer


async def test_two_workers_agree_on_order_and_counts(make_server: Callable[..., Server]) -> None:
    """
    Whoever looks at which worker: the same lines in the same order, each like counted once, each
    viewer too, and whoever left is counted no more.
    """
    server = make_server("--demo", "--workers", "2", LIVESERVER_CHAT_PER_SECOND="0")
    seats = [Seat() for _ in range(CROWD)]
    async with Shop(server.base) as shop:
        tokens = [(await shop.guest(f"viewer {n}"))["token"] for n in range(CROWD)]
    await asyncio.gather(
        *(seat.sit(server.base, token) for seat, token in zip(seats, tokens, strict=True))
    )
    assert len(busy_workers(server)) == 2

    async def speak(seat: Seat, name: int) -> None:
        for n in range(LINES):
            await seat.ask("publish", channel="chat:demo", data={"text": f"line {n} of {name}"})
        for _ in range(2):
            await seat.ask("rpc", method="like", data={"room": "demo", "count": LIKES})

    await asyncio.gather(*(speak(seat, name) for name, seat in enumerate(seats)))
    await until(lambda: all(len(seat.chat) == CROWD * LINES for seat in seats))
    assert all(seat.chat == seats[0].chat for seat in seats)
    assert [offset for offset, _, _ in seats[0].chat] == list(range(1, CROWD * LINES + 1))
    totals = (CROWD, CROWD * LIKES * 2)
    await until(lambda: all(totals in seat.stats for seat in seats))
    for seat in seats:
        assert (await seat.ask("presence_stats", channel="chat:demo"))["num_clients"] == CROWD
    for seat in seats[CROWD // 2 :]:
        seat.client.transport.close()
    left = (CROWD // 2, totals[1])
    await until(lambda: all(seat.stats[-1] == left for seat in seats[: CROWD // 2]))
    told = [stats for seat in seats for stats in seat.stats]
    assert max(online for online, _ in told) == CROWD
    assert max(likes for _, likes in told) == totals[1]
    for seat in seats[: CROWD // 2]:
        seat.client.transport.close()


def busy_workers(server: Server) -> list[psutil.Process]:
    """Workers to which somebody is connected."""
    return [
        worker
        for worker in server.workers()
        if any(
            one.status == psutil.CONN_ESTABLISHED and one.laddr.port == server.port
            for one in worker.net_connections("tcp")
        )
    ]
