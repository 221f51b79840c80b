"""A crowd at once before a real server: below the rate nobody fails, above it all are told."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtest.server import Server
from loadtest.shop import Shop
from loadtest.socket_client import SocketClient, connect

PATIENCE_SECONDS = 60.0  # a bound on hanging; 5,000 connects take two cores some seconds
#: connects a second, of which five times as many may come at once; how many come; how many then
CROWDS = (
    pytest.param(20, 100, 300, id="100"),
    pytest.param(1_000, 5_000, 0, id="5,000", marks=pytest.mark.nightly),
    pytest.param(100, 500, 4_500, id="5,000 above the rate", marks=pytest.mark.nightly),
)
SPARE_FILES = 500  # of a process, beside the crowd's sockets


class Crowd:
    """Viewers who connect and subscribe to the chat, and what became of them."""

    def __init__(self, base: str, token: str) -> None:
        self.base = base
        self.token = token
        self.seated: set[SocketClient] = set()
        self.heard: dict[SocketClient, list[str]] = {}
        self.sent_away: list[str] = []  # heads of the answers
        self.wrong: list[str] = []

    def _line(self, client: SocketClient, line: bytes) -> None:
        told = json.loads(line)
        if "error" in told:
            self.wrong.append(line.decode())
        elif told.get("id") == 1:
            client.send({"id": 2, "subscribe": {"channel": "chat:demo"}})
        elif told.get("id") == 2:
            self.seated.add(client)
        elif "pub" in told.get("push", {}):
            self.heard.setdefault(client, []).append(told["push"]["pub"]["data"]["text"])

    async def come(self) -> SocketClient | None:
        """One viewer more; None if it was sent away."""
        try:
            return await connect(self.base, self.token, self._line)
        except ConnectionError as refusal:
            self.sent_away.append(str(refusal))
            return None

    async def until_seated(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.seated) < count:
                assert not self.wrong, self.wrong[:3]
                await asyncio.sleep(0.05)

    async def all_hear(self, text: str) -> None:
        """One says something; everybody gets it once."""
        speaker = next(iter(self.seated))
        speaker.send({"id": 3, "publish": {"channel": "chat:demo", "data": {"text": text}}})
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.heard) < len(self.seated):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert all(texts == [text] for texts in self.heard.values())
        self.heard.clear()
        assert not any(client.closed for client in self.seated)

    def go(self) -> None:
        for client in self.seated:
            client.transport.abort()


@pytest.mark.parametrize(("rate", "crowd", "more"), CROWDS)
async def test_a_crowd_is_let_in_whole_or_told_when_to_come_back(
    make_server: Callable[..., Server], tmp_path: Path, rate: int, crowd: int, more: int
) -> None:
    """
    As many as may come at once are all seated and hear the chat. Of those above, each gets a seat
    or 503 with Retry-After, and who comes back gets a seat too; nobody loses one.
    """
    resource = pytest.importorskip("resource")  # not on Windows
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > crowd + SPARE_FILES, "raise ulimit -n"
    (tmp_path / "rate.toml").write_text(f"[client]\nconnects_per_second = {rate}\n")
    server = make_server("--demo", "--config", str(tmp_path / "rate.toml"))
    async with Shop(server.base) as shop:
        people = Crowd(server.base, (await shop.guest("one of many"))["token"])
        found = await asyncio.gather(*(people.come() for _ in range(crowd)))
        assert not people.sent_away, people.sent_away[:3]
        assert None not in found
        await people.until_seated(crowd)
        await people.all_hear("we are all here")
        if more:
            await _come_above_the_rate(people, more)
            async with shop.session.get(f"{server.base}/livez") as answer:  # not in the queue
                assert answer.status == 200
    people.go()


async def _come_above_the_rate(people: Crowd, more: int) -> None:
    seated = len(people.seated)
    found = await asyncio.gather(*(people.come() for _ in range(more)))
    seated += sum(one is not None for one in found)
    assert people.sent_away
    for head in people.sent_away:
        assert head.startswith("HTTP/1.1 503 ")
        assert re.search(r"\r\nRetry-After: [1-9]\d*\r\n", head), head
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await people.come() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    await people.until_seated(seated + 1)
    await people.all_hear("and some more")
