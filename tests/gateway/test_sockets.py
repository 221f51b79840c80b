"""What a client may do to the socket itself: frames, closes, silence; each with its own answer."""

import asyncio
import json
import os
import random
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from liveserver.addresses import parse_networks
from liveserver.gateway import gateway as gateway_module
from rooms.protobuf_wire import with_length
from tests.gateway.conftest import Serve
from tests.gateway.support import PATIENCE, Place, connected, dialled, eventually, raw_upgrade

METHODS = [
    "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "rpc", "send",
    "refresh", "sub_refresh", "ping", "connect", "nonsense",
]  # fmt: skip
FIELDS = [
    "channel", "token", "data", "limit", "since", "reverse", "recover", "offset", "epoch", "method",
    "flag",
]  # fmt: skip
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def masked(opcode: int, payload: bytes, *, fin: bool = True, size: int | None = None) -> bytes:
    """One frame as a client sends it; `size` lies about the length."""
    length = len(payload) if size is None else size
    head = bytes([opcode | (0x80 if fin else 0)])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65536:
        head += b"\xfe" + struct.pack("!H", length)
    else:
        head += b"\xff" + struct.pack("!Q", length)
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))


class Raw:
    """A socket after the upgrade, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def frame(self) -> tuple[int, bytes]:
        async with asyncio.timeout(PATIENCE):
            first, second = await self.reader.readexactly(2)
            size = second & 127
            if size == 126:
                [size] = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                [size] = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 15, await self.reader.readexactly(size)

    async def closed_with(self) -> int:
        """The code of the close frame; everything before it is skipped."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                assert len(payload) > 2, "a close without a reason is taken as temporary"
                code: int = struct.unpack("!H", payload[:2])[0]
                return code

    async def gone(self) -> None:
        """Wait for the end of the stream."""
        async with asyncio.timeout(PATIENCE):
            while await self.reader.read(65536):
                pass


@asynccontextmanager
async def upgraded(place: Place, *headers: str, query: str = "") -> AsyncIterator[Raw]:
    reader, writer, status = await raw_upgrade(place, *headers, query=query)
    assert status == 101
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


async def healthy(place: Place) -> None:
    """The worker still serves others."""
    async with connected(place, place.token("u")) as client:
        await client.ok("rpc", method="echo", data=1)


BROKEN = {
    "too long": (masked(TEXT, b"x" * 65_537), 1009),
    "too long in its head alone": (masked(TEXT, b"", size=2**40), 1009),
    "too long in parts": (
        masked(TEXT, b"x" * 40_000, fin=False) + masked(0, b"x" * 40_000), 1009,
    ),
    "not UTF-8": (masked(TEXT, b'{"id":1,"rpc":"\xff"}'), 1007),
    "half a character": (masked(TEXT, "é".encode()[:1]), 1007),
    "binary": (masked(BINARY, b"{}"), 1003),
    "not masked": (b"\x81\x02{}", 1002),
    "reserved bits": (b"\xf1" + masked(TEXT, b"{}")[1:], 1002),
    "unknown opcode": (masked(3, b"{}"), 1002),
    "a continuation of nothing": (masked(0, b"{}"), 1002),
    "a ping in parts": (masked(PING, b"", fin=False), 1002),
    "not JSON": (masked(TEXT, b"hello"), 3501),
    "no command": (masked(TEXT, b""), 3501),
    "an array": (masked(TEXT, b"[]"), 3501),
    "a pong that nobody asked for": (masked(TEXT, b"{}"), 3501),
    "nested without end": (masked(TEXT, b'{"id":1,"connect":{"data":' + b"[" * 60_000), 3501),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
async def test_what_breaks_the_rules_is_closed_with_its_code(place: Place, what: str) -> None:
    """Every violation has its close code and a reason, and harms nobody else."""
    data, code = BROKEN[what]
    async with upgraded(place) as raw:
        raw.writer.write(data)
        assert await raw.closed_with() == code
        raw.writer.write(masked(CLOSE, struct.pack("!H", 1000)))
        await raw.gone()
    await healthy(place)


WAYS = {
    "usual": lambda line: masked(TEXT, line),
    "with a length of two bytes": lambda line: masked(TEXT, line + b" " * 200),
    "fragments": lambda line: masked(TEXT, line[:9], fin=False) + masked(0, line[9:]),
    "an empty first fragment": lambda line: masked(TEXT, b"", fin=False) + masked(0, line),
    "a ping between fragments": lambda line: (
        masked(TEXT, line[:9], fin=False) + masked(PING, b"") + masked(0, line[9:])
    ),
}


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    ways=st.lists(st.sampled_from(sorted(WAYS)), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 700), max_size=6),
)
async def test_commands_are_answered_in_order_however_their_bytes_are_cut(
    open_place: Place, ways: list[str], cuts: list[int]
) -> None:
    """Whole in one read, byte by byte, in fragments: the same answers."""
    token = open_place.token("u")
    lines = [json.dumps({"id": 1, "connect": {"token": token}}).encode()]
    lines += [b'{"id":%d,"rpc":{"method":"echo","data":1}}' % id for id in range(2, 2 + len(ways))]
    data = b"".join(WAYS[way](line) for way, line in zip(["usual", *ways], lines, strict=True))
    async with upgraded(open_place) as raw:
        for begin, end in pairwise([0, *sorted({cut for cut in cuts if cut < len(data)}), None]):
            raw.writer.write(data[begin:end])
            await raw.writer.drain()
            await asyncio.sleep(0.001)
        answered: list[int] = []
        while len(answered) < len(lines):
            opcode, payload = await raw.frame()
            if opcode == TEXT:
                replies = [json.loads(line) for line in payload.splitlines()]
                answered += [
                    reply["id"] for reply in replies if "id" in reply
                ]  # else pings, pushes
    assert answered == list(range(1, 1 + len(lines)))


async def test_an_oversized_frame_still_learns_why(place: Place) -> None:
    """The close frame arrives although the client goes on sending megabytes."""
    async with upgraded(place) as raw:
        raw.writer.write(masked(TEXT, b"x" * 3_000_000))
        assert await raw.closed_with() == 1009


async def test_close_and_ping_frames_are_answered_at_once(place: Place) -> None:
    """Native pings get their pong, a close its echo and the end of the stream."""
    async with upgraded(place) as raw:
        raw.writer.write(masked(PING, b"abc"))
        assert await raw.frame() == (PONG, b"abc")
        raw.writer.write(masked(CLOSE, struct.pack("!H", 1000) + b"bye"))
        assert await raw.frame() == (CLOSE, struct.pack("!H", 1000) + b"bye")
        await raw.gone()


async def test_a_message_in_many_parts_is_one_message(place: Place) -> None:
    """Fragments, empty ones and pings in between."""
    line = b'{"id":1,"connect":{"token":"%s"}}' % place.token("u").encode()
    async with upgraded(place) as raw:
        raw.writer.write(masked(TEXT, line[:7], fin=False) + masked(0, b"", fin=False))
        raw.writer.write(masked(PING, b"!") + masked(0, line[7:20], fin=False))
        raw.writer.write(masked(0, line[20:]))
        assert await raw.frame() == (PONG, b"!")
        opcode, payload = await raw.frame()
        assert (opcode, b'"connect"' in payload) == (TEXT, True)


async def test_bytes_that_arrive_one_by_one_are_understood(place: Place) -> None:
    """The handshake and a frame, split at every byte."""
    async with upgraded(place) as raw:
        for byte in masked(TEXT, b'{"id":1,"connect":{}}'):
            raw.writer.write(bytes([byte]))
            await raw.writer.drain()
        assert b'"code":101' in (await raw.frame())[1]


async def test_the_empty_subprotocol_header_is_taken_as_none(place: Place) -> None:
    """One SDK sends it; so it is not answered with one either."""
    for header, answer in (
        ("Sec-WebSocket-Protocol: ", None),
        ("Sec-WebSocket-Protocol: centrifuge-json", "centrifuge-json"),
        ("Sec-WebSocket-Protocol: centrifuge-json, other", "centrifuge-json"),
        ("Sec-WebSocket-Protocol: other", None),
    ):
        async with upgraded(place, header) as raw:
            assert raw.reader.headers.get("sec-websocket-protocol") == answer  # type: ignore[attr-defined]
            raw.writer.write(masked(TEXT, b'{"id":1,"connect":{}}'))
            assert b'"code":101' in (await raw.frame())[1]


async def test_protobuf_is_chosen_by_subprotocol_or_query(place: Place) -> None:
    """Binary frames then; a text frame closes with 1003."""
    async with upgraded(place, "Sec-WebSocket-Protocol: centrifuge-protobuf") as raw:
        chosen = raw.reader.headers["sec-websocket-protocol"]  # type: ignore[attr-defined]
        assert chosen == "centrifuge-protobuf"
        raw.writer.write(masked(BINARY, with_length(b"\x08\x01\x22\x00")))  # connect, id 1
        opcode, payload = await raw.frame()
        assert opcode == BINARY
        assert b"unauthorized" in payload
        raw.writer.write(masked(TEXT, b"{}"))
        assert int.from_bytes((await raw.frame())[1][:2], "big") == 1003


async def test_foreign_pages_may_not_connect(serve: Serve) -> None:
    """403 for a foreign Origin; own, listed and missing ones are let in."""
    async with serve(
        allowed_origins=("https://shop.example",), public_url="https://live.example/"
    ) as place:
        for origin in (
            None, place.origin, "https://shop.example", "https://SHOP.example:443",
            "https://live.example",
        ):  # fmt: skip
            async with dialled(place, origin=origin):
                pass
        for origin in (
            "https://evil.example", "null", "http://shop.example", place.origin + "0",
            f"https://127.0.0.1:{place.port}", "http://[", "file://",
        ):  # fmt: skip
            with pytest.raises(InvalidStatus) as refused:
                await connect(place.url, origin=origin, proxy=None)
            assert refused.value.response.status_code == 403


async def test_the_origin_behind_a_proxy_counts_only_if_it_is_trusted(serve: Serve) -> None:
    """A spoofed forwarding header must not turn a foreign page into our own."""
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "live.example"}
    async with (
        serve(trusted_proxies=parse_networks(["127.0.0.1"])) as place,
        dialled(place, origin="https://live.example", additional_headers=forwarded),
    ):
        pass
    async with serve() as place:
        with pytest.raises(InvalidStatus):
            await connect(
                place.url, origin="https://live.example", additional_headers=forwarded, proxy=None
            )


async def test_limits_ask_for_the_address_of_the_client(serve: Serve) -> None:
    """What a trusted proxy says, else the peer; loopback is spared unless a proxy forwarded."""
    named = {"X-Forwarded-For": "203.0.113.9"}
    trusted = parse_networks(["127.0.0.1"])
    for options, headers, address in (
        ({}, {}, ""),
        ({}, named, "127.0.0.1"),
        ({"limit_loopback": True}, {}, "127.0.0.1"),
        ({"trusted_proxies": trusted}, named, "203.0.113.9"),
    ):
        async with (
            serve(**options) as place,
            connected(place, place.token("u1"), additional_headers=headers) as client,
        ):
            await client.ok("rpc", method="whoami")
            assert place.methods.addresses == [address]


async def test_not_an_upgrade_is_told_in_http(place: Place) -> None:
    """A browser that opens the address reads a sentence, not a broken socket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    writer.write(b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 426 ")
    writer.close()


async def test_who_does_not_connect_is_stale(serve: Serve) -> None:
    """Close 3502 when no connect command comes in time."""
    async with serve(connect_seconds=0.1, step_seconds=0.02) as place, dialled(place) as client:
        assert await client.until_closed() == (3502, "stale")


async def test_pings_are_answered_or_the_connection_ends(serve: Serve) -> None:
    """Who answers stays; who does not is closed with 3012; a second pong is one too many."""
    options = {"ping_seconds": 0.1, "pong_seconds": 0.2, "step_seconds": 0.02}
    async with serve(**options) as place:
        token = place.token("u")
        async with connected(place, token) as client:
            await client.until(lambda: client.pings >= 5)
        async with connected(place, token) as client:
            client.answer_pings = False
            assert await client.until_closed() == (3012, "no pong")
        async with connected(place, token) as client:
            client.answer_pings = False
            await client.until(lambda: client.pings)
            await client.ws.send("{}\n{}")
            assert await client.until_closed() == (3501, "bad request")


async def test_pings_may_be_those_of_websocket(serve: Serve) -> None:
    """No message asks for a pong then; who answers stays, who does not is closed with 3012."""
    options = {"ping_seconds": 0.1, "pong_seconds": 0.2, "step_seconds": 0.02}
    query = "?cf_ws_frame_ping_pong=true"
    async with serve(**options) as place:
        async with dialled(place, query=query) as client:
            result = await client.ok("connect", token=place.token("u"))
            assert not {"ping", "pong"} & set(result)
            await eventually(partial(_answered, place))
            assert client.pings == 0
            await client.ok("rpc", method="echo", data=1)
        line = b'{"id":1,"connect":{"token":"%s"}}' % place.token("u").encode()
        async with upgraded(place, query=query) as raw:
            raw.writer.write(masked(PONG, b"nobody asked") + masked(TEXT, line))
            while (got := await raw.frame())[0] == TEXT:  # the answer, the own join
                assert got[1] != b"{}"
            assert got == (PING, b"")
            assert await raw.closed_with() == 3012


async def _answered(place: Place) -> bool:
    return place.figure("client_ping_pong_duration_seconds_count") >= 3


async def test_first_pings_are_spread(place: Place) -> None:
    """A crowd that comes together is not pinged together."""
    random.seed(1)
    async with connected(place, place.token("u")), connected(place, place.token("u")):
        buckets = place.gateway.wheel._buckets
        pings = [
            step
            for step, calls in buckets.items()
            for call in calls
            if getattr(call, "__name__", "") == "_ping"
        ]
        assert len(pings) == 2
        assert all(12 <= step <= 30 for step in pings)


async def test_a_drain_closes_everyone_with_3001(serve: Serve) -> None:
    """What is being worked on is answered first; who does not react is cut off in time."""
    async with (
        serve() as place,
        connected(place, place.token("u1")) as client,
        upgraded(place) as silent,
    ):
        id, line = client.line("rpc", {"method": "wait"})
        await client.ws.send(line)
        await place.methods.called.wait()
        draining = asyncio.create_task(place.gateway.drain(0.0, leave_seconds=1.0))
        assert await silent.closed_with() == 3001
        place.methods.go_on.set()
        assert await client.until_closed() == (3001, "shutdown")
        assert client.replies[id]["rpc"] == {"data": "waited"}
        await draining
        assert not place.gateway.connections


async def nobody_is_busy(place: Place) -> bool:
    return not any(connection.session.busy for connection in place.gateway.connections)


async def test_a_drain_spreads_the_ends_of_a_crowd(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One slice after the other: the first goes at once, the last at the end of the time."""
    pauses, turn = list[float](), asyncio.Semaphore(0)
    draining: asyncio.Task[None] | None = None

    async def sleep(seconds: float) -> None:  # the test says how fast time passes for the drain
        if asyncio.current_task() is not draining:
            await asyncio.sleep(seconds)
            return
        pauses.append(seconds)
        await turn.acquire()

    paced = SimpleNamespace(**{**vars(asyncio), "sleep": sleep})
    monkeypatch.setattr(gateway_module, "asyncio", paced)
    monkeypatch.setattr(gateway_module, "CLOSES_AT_ONCE", 1)
    async with serve() as place, AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(connected(place, place.token("u")))
                 for _ in range(3)]  # fmt: skip
        # who is being answered leaves right after the answer, before its slice
        await eventually(partial(nobody_is_busy, place))
        ended = {asyncio.create_task(one.until_closed()) for one in crowd}
        draining = asyncio.create_task(place.gateway.drain(60.0))
        for left in (2, 1, 0):
            done, ended = await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
            assert [task.result() for task in done] == [(3001, "shutdown")]
            assert len(ended) == left
            turn.release()
        assert 0 < pauses[0] <= 30 < pauses[1] <= 60  # both are due by the drain's beginning
        await draining


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
async def test_no_bytes_and_no_commands_harm_the_worker(place: Place, data: st.DataObject) -> None:
    """Random frames and random commands: an answer or a close, and others are served."""
    names = st.sampled_from(["", "plain:a", "news:b", "room:x", "#u", "chat:", ":", "é" * 300])
    values = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=6,
    )
    method = st.sampled_from(METHODS)
    fields = st.dictionaries(st.sampled_from(FIELDS), names | values, max_size=5)
    command = st.fixed_dictionaries({"id": st.integers(0, 5)}, optional={"x": values})
    sent = data.draw(
        st.lists(
            st.one_of(
                st.tuples(command, method, fields | values).map(_command),
                st.binary(max_size=40).map(lambda body: masked(TEXT, body)),
                st.binary(max_size=60),
            ),
            max_size=6,
        )
    )
    async with upgraded(place) as raw:
        token = place.token("u")
        raw.writer.write(_command(({"id": 1}, "connect", {"token": token})))
        for item in sent:
            raw.writer.write(item)
        raw.writer.write(masked(CLOSE, struct.pack("!H", 1000)))
        raw.writer.write_eof()
        await raw.gone()
    await healthy(place)


def _command(parts: tuple[dict[str, object], str, object]) -> bytes:
    head, method, fields = parts
    return masked(TEXT, json.dumps({**head, method: fields}).encode())
