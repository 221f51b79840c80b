"""Viewers without WebSocket: streams, and commands in requests of their own."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveserver import control as control_module
from liveserver.control import TOPIC, Control
from liveserver.emulation import Emulation
from liveserver.gateway import codes
from liveserver.gateway.http_head import BadRequest, read_head
from liveserver.gateway.stream import EVENTS_BEGIN
from liveserver.problems import Refused
from liveserver.tokens import COOKIE
from rooms.bus import Publication
from rooms.frames import JSON, stream_events
from tests.gateway.conftest import Serve
from tests.gateway.events import read_events
from tests.gateway.support import PATIENCE, Place, eventually

HTTP_STREAM, SSE = "http_stream", "sse"
BOTH = pytest.mark.parametrize("kind", [HTTP_STREAM, SSE])


class StreamClient:
    """A client by hand: one response that is read, commands sent past it."""

    def __init__(self, answer: aiohttp.ClientResponse, emulation: Emulation) -> None:
        self.answer = answer
        self.messages: list[dict[str, Any]] = []
        self.raw = b""
        self.ended = False
        self._emulation = emulation
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with suppress(aiohttp.ClientError):
            async for chunk in self.answer.content.iter_any():
                self.raw += chunk
                *lines, self._rest = self.raw.split(b"\n")
                self.messages = [
                    json.loads(line.removeprefix(b"data: ")) for line in lines if line.strip()
                ]
                self._news.set()
        self.ended = True
        self._news.set()

    async def until(self, true: Callable[[], Any]) -> Any:
        async with asyncio.timeout(PATIENCE):
            while not (value := true()):
                self._news.clear()
                await self._news.wait()
        return value

    async def reply(self, id: int) -> dict[str, Any]:
        found: list[dict[str, Any]] = await self.until(
            lambda: [one for one in self.messages if one.get("id") == id]
        )
        return found[0]

    async def connected(self) -> dict[str, Any]:
        reply: dict[str, Any] = (await self.reply(1))["connect"]
        return reply

    async def send(self, *commands: dict[str, Any]) -> None:
        hello = await self.connected()
        data = "\n".join(map(json.dumps, commands)).encode()
        await self._emulation.send(hello["node"], hello["session"], data)

    def pushes(self, kind: str) -> list[Any]:
        return [one["push"][kind] for one in self.messages if kind in one.get("push", {})]


@asynccontextmanager
async def stream(
    place: Place, kind: str, connect: dict[str, Any], *, emulation: Emulation | None = None,
    **headers: str,
) -> AsyncIterator[StreamClient]:  # fmt: skip
    line = json.dumps({"id": 1, "connect": connect})
    url = f"{place.origin}/connection/{kind}"
    async with aiohttp.ClientSession() as http:
        if kind == SSE:
            asking = http.get(f"{url}?cf_connect={quote(line)}", headers=headers)
        else:
            asking = http.post(url, data=line, headers=headers)
        async with asking as answer:
            client = StreamClient(answer, emulation or Emulation(place.gateway))
            try:
                yield client
            finally:
                client._reader.cancel()
                answer.close()


@BOTH
async def test_a_stream_carries_what_a_socket_does(place: Place, kind: str) -> None:
    """Connect with a token, subscribe, publish, history, RPC; answers and pushes in order."""
    async with stream(place, kind, {"token": place.token("u1")}) as client:
        hello = await client.connected()
        assert (hello["node"], len(hello["session"])) == (place.gateway.node, 24)
        assert client.answer.headers["X-Accel-Buffering"] == "no"
        await client.send({"id": 2, "rpc": {"method": "whoami"}})
        assert (await client.reply(2))["rpc"]["data"] == {"user": "u1"}
        await client.send({"id": 3, "subscribe": {"channel": "#u1"}})
        assert (await client.reply(3))["error"]["code"] == 105
        await place.rooms.tell_user("u1", {"type": "order.updated", "text": "多行\n"})
        [pub] = await client.until(lambda: client.pushes("pub"))
        assert pub["data"]["text"] == "多行\n"
        assert place.figure("client_connections_inflight", transport=kind) == 1
    assert client.raw.startswith(b"\n" if kind == SSE else b"{")
    if kind == SSE:
        assert b"\r" not in client.raw
        assert [json.loads(one) for one in read_events(client.raw)] == client.messages
    await eventually(lambda: _gone(place))


@given(
    values=st.lists(st.recursive(st.text() | st.integers(), st.lists), max_size=5),
    breaks=st.sampled_from(["\r", "\n", "\r\n", "\t"]),
)
def test_every_message_is_one_event(values: list[Any], breaks: str) -> None:
    """However the JSON of a publication was laid out; lines end in LF alone."""
    laid_out = [json.dumps(one, indent=breaks, ensure_ascii=False).encode() for one in values]
    lines = [JSON.push(JSON.head("x"), Publication(channel="x", data=one)) for one in laid_out]
    written = EVENTS_BEGIN + stream_events(lines)
    assert b"\r" not in written
    got = [json.loads(event)["push"]["pub"]["data"] for event in read_events(written)]
    assert got == values


async def _gone(place: Place) -> bool:
    return not place.gateway.streams and not place.gateway.connections


@BOTH
async def test_the_server_ends_a_stream_with_its_reason(place: Place, kind: str) -> None:
    """There is no close frame, so the code comes as a push; whether to come back stands in it."""
    async with stream(place, kind, {"token": place.token("u1")}) as client:
        await client.connected()
        for connection in list(place.gateway.connections):
            connection.close(codes.SHUTDOWN)
        await client.until(lambda: client.ended)
        assert client.pushes("disconnect") == [
            {"code": 3001, "reason": "shutdown", "reconnect": True}
        ]
    async with stream(place, kind, {"token": "x"}) as client:
        await client.until(lambda: client.ended)
        [why] = client.pushes("disconnect")
        assert (why["code"], why["reconnect"]) == (3500, False)
    assert not place.gateway.streams


@BOTH
async def test_pings_and_pongs(serve: Serve, kind: str) -> None:
    """A ping is an empty message; who does not answer is let go with 3012."""
    async with (
        serve(ping_seconds=0.2, pong_seconds=0.2, step_seconds=0.02) as place,
        stream(place, kind, {"token": place.token("u1")}) as client,
    ):
        for count in (1, 2):
            await client.until(lambda n=count: client.messages.count({}) >= n)  # type: ignore[misc]
            await client.send({})
        await client.until(lambda: client.ended)
        assert client.pushes("disconnect")[0]["code"] == 3012
        assert place.figure("client_ping_pong_duration_seconds_count") >= 2


async def test_missed_publications_are_recovered(open_place: Place, channel: str) -> None:
    """A stream that comes back asks for what it missed, as a socket does."""
    place, channel = open_place, f"kept:{channel}"
    await place.publish(channel, 1)
    async with stream(place, HTTP_STREAM, {}) as client:
        await client.send({"id": 2, "subscribe": {"channel": channel}})
        epoch = (await client.reply(2))["subscribe"]["epoch"]
    await place.publish(channel, 2)
    async with stream(place, SSE, {}) as client:
        since = {"recover": True, "offset": 1, "epoch": epoch}
        await client.send({"id": 2, "subscribe": {"channel": channel, **since}})
        result = (await client.reply(2))["subscribe"]
        assert result["recovered"]
        assert [one["data"] for one in result["publications"]] == [2]


async def test_pages_of_other_origins_are_refused_unless_listed(serve: Serve) -> None:
    """Foreign: 403. Listed: CORS headers, no cookie. Our own page: the cookie counts."""
    async with serve(allowed_origins=("https://shop.example",)) as place:
        cookie = {"Cookie": f"{COOKIE}={place.token('u1')}"}
        for origin, status in (("https://evil.example", 403), ("https://shop.example", 200)):
            async with stream(place, HTTP_STREAM, {}, Origin=origin, **cookie) as client:
                assert client.answer.status == status
                if status == 200:
                    assert client.answer.headers["Access-Control-Allow-Origin"] == origin
                    assert (await client.reply(1))["error"]["code"] == 101
        async with stream(place, HTTP_STREAM, {}, Origin=place.origin, **cookie) as client:
            await client.connected()
        fetched = {**cookie, "Sec-Fetch-Site": "same-origin"}  # a browser names no Origin here
        async with stream(place, SSE, {}, **fetched) as client:
            await client.connected()
        async with stream(place, SSE, {}, **cookie) as client:
            assert (await client.reply(1))["error"]["code"] == 101
        async with aiohttp.ClientSession() as http:
            url = f"{place.origin}/connection/{HTTP_STREAM}"
            asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
            async with http.options(url, headers=asked) as answer:
                assert answer.status == 204
                assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type"


async def test_what_is_no_stream_is_refused(place: Place) -> None:
    """Wrong method, no length, too much, rubbish: a status, or a disconnect with 3501."""
    url = f"{place.origin}/connection/{HTTP_STREAM}"
    async with aiohttp.ClientSession() as http:
        async with http.get(url) as answer:
            assert answer.status == 405
        async with http.post(url, data=b"x" * 70_000) as answer:
            assert answer.status == 413

        async def chunks() -> AsyncIterator[bytes]:
            yield b"{}"

        async with http.post(url, data=chunks()) as answer:
            assert answer.status == 411
        async with http.post(url, data="rubbish") as answer:
            assert b'"code":3501' in await answer.read()
        async with http.post(url, data=b"octets are Protobuf") as answer:
            assert answer.content_type == "application/octet-stream"
            assert b"bad request" in await answer.read()
        async with http.get(f"{place.origin}/connection/{SSE}") as answer:
            assert b'"code":3501' in await answer.read()
    for head in (
        b"POST /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nno field\r\n\r\n",
        b"POST /x HTTP/1.1\r\n folded: x\r\n\r\n",
        b"POST x HTTP/1.1\r\n\r\n",
        b"\x00 / HTTP/2\r\n\r\n",
    ):
        with pytest.raises(BadRequest):
            read_head(head)


async def test_commands_find_the_worker_that_has_the_stream(
    serve: Serve, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the bus, in order; an unknown worker is told, a session that is gone is not."""
    monkeypatch.setattr(control_module, "TOPIC", TOPIC + unique)  # other tests share the bus
    async with serve(insecure=True) as here, serve(insecure=True) as there:
        emulations, tasks = [], []
        for place in (here, there):
            emulation = Emulation(place.gateway)
            emulation.control = control = Control(
                place.bus, place.gateway.node, None, emulation.work, clock=time.monotonic
            )
            emulations.append(emulation)
            tasks.append(asyncio.create_task(control.run()))
        try:

            async def met() -> bool:
                return all(one.control.has_others for one in emulations)  # type: ignore[union-attr]

            await eventually(met)
            async with stream(here, HTTP_STREAM, {}, emulation=emulations[1]) as client:
                await client.connected()
                for id in range(2, 30):
                    await client.send({"id": id, "rpc": {"method": "echo", "data": id}})
                await client.reply(29)
                assert [one["id"] for one in client.messages] == list(range(1, 30))
            with pytest.raises(Refused) as refused:
                await emulations[1].send("nowhere", "x", b"{}")
            assert refused.value.problem == "not-found"
            await emulations[1].send(here.gateway.node, "gone", b"{}")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
