"""Rubbish in Protobuf, in streams and past them: its own close code, and nobody else suffers."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from centrifuge.protocol import client_pb2 as published
from google.protobuf.json_format import ParseDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liveserver.emulation import Emulation
from rooms.commands import Unsubscribe
from rooms.protobuf_wire import block, varint, with_length
from tests.gateway.support import PATIENCE, Client, Place, connected
from tests.gateway.test_commands import subscription_tokens
from tests.gateway.test_sockets import BINARY, CLOSE, TEXT, healthy, masked, upgraded
from tests.gateway.test_streams import BOTH, stream

PROTOBUF = "Sec-WebSocket-Protocol: centrifuge-protobuf"
FUZZ = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def command(**fields: object) -> bytes:
    """One command as another implementation writes it, with its length."""
    return with_length(ParseDict(fields, published.Command()).SerializeToString())


@asynccontextmanager
async def bystander(place: Place, channel: str) -> AsyncIterator[Client]:
    """A viewer who has nothing to do with it, and must get what is published meanwhile."""
    async with connected(place, place.token("bystander")) as client:
        await client.ok("subscribe", channel=channel)
        yield client
        await place.publish(channel, "after all")
        await client.until(lambda: "after all" in client.pubs(channel))


BROKEN = {
    "a length beyond the frame": (masked(BINARY, b"\x09\x08\x01"), 3501),
    "a length without end": (masked(BINARY, b"\x80" * 12), 3501),
    "a group": (masked(BINARY, with_length(b"\x0b\x0c")), 3501),
    "text for a number": (masked(BINARY, with_length(b"\x0a\x01x")), 3501),
    "no UTF-8": (masked(BINARY, with_length(block(5, b"\x0a\x01\xff"))), 3501),
    "an id above 32 bits": (masked(BINARY, with_length(b"\x08" + varint(2**40))), 3501),
    "no command": (masked(BINARY, b""), 3501),
    "a pong that nobody asked for": (masked(BINARY, b"\x00"), 3501),
    "a command before connect": (
        masked(BINARY, command(id=1, subscribe={"channel": "news:a"})), 3501,
    ),
    "a wrong token": (masked(BINARY, command(id=1, connect={"token": "x.y.z"})), 3500),
    "text": (masked(TEXT, b"{}"), 1003),
    "too long": (masked(BINARY, b"x" * 65_537), 1009),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
async def test_what_breaks_the_rules_in_protobuf_has_its_code(place: Place, what: str) -> None:
    """The same codes as for JSON."""
    data, code = BROKEN[what]
    async with upgraded(place, PROTOBUF) as raw:
        raw.writer.write(data)
        assert await raw.closed_with() == code
    await healthy(place)


@FUZZ
@given(data=st.data())
async def test_no_protobuf_harms_the_worker(open_place: Place, data: st.DataObject) -> None:
    """Random fields in random commands, and random bytes: an answer or a close."""
    place = open_place
    wires = st.tuples(
        st.integers(0, 16), st.sampled_from([0, 1, 2, 3, 5]), st.binary(max_size=12)
    ).map(lambda parts: varint(parts[0] << 3 | parts[1]) + parts[2])
    blocks = st.tuples(st.integers(1, 16), st.binary(max_size=20)).map(lambda one: block(*one))
    bodies = st.lists(wires | blocks, max_size=4).map(b"".join)
    ids = st.integers(0, 2**33).map(lambda id: b"\x08" + varint(id))
    commands = st.tuples(ids, st.integers(4, 16), bodies).map(
        lambda parts: with_length(parts[0] + block(parts[1], parts[2]))
    )
    sent = data.draw(st.lists(commands | st.binary(max_size=30), max_size=5))
    async with bystander(place, "news:fuzz"), upgraded(place, PROTOBUF) as raw:
        raw.writer.write(masked(BINARY, command(id=1, connect={})))
        for item in sent:
            raw.writer.write(masked(BINARY, item))
        raw.writer.write(masked(CLOSE, struct.pack("!H", 1000)))
        raw.writer.write_eof()
        await raw.gone()


@FUZZ
@given(body=st.binary(max_size=60), line=st.binary(max_size=60))
async def test_no_request_for_a_stream_harms_the_worker(
    open_place: Place, body: bytes, line: bytes
) -> None:
    """Whatever follows the path, and whatever the body holds, is answered or cut off."""
    place = open_place
    async with bystander(place, "news:fuzz"):
        for head in (
            b"POST /connection/http_stream HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body),
            b"POST /connection/http_stream HTTP/1.1\r\n" + line + b"\r\n\r\n",
            b"GET /connection/sse?cf_connect=" + line + b" HTTP/1.1\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            writer.write(head + body)
            writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                await reader.read()
            writer.close()
            await writer.wait_closed()


@BOTH
@FUZZ
@given(data=st.binary(max_size=60) | st.lists(st.dictionaries(
    st.sampled_from(["id", "subscribe", "publish", "rpc", "x"]),
    st.integers(0, 9) | st.dictionaries(st.sampled_from(["channel", "data"]), st.text(max_size=5)),
)).map(lambda lines: "\n".join(map(json.dumps, lines)).encode()))  # fmt: skip
async def test_no_commands_past_a_stream_harm_the_worker(
    open_place: Place, kind: str, data: bytes
) -> None:
    """A mistake ends the stream with a reason; for unknown sessions nothing happens at all."""
    place = open_place
    emulation = Emulation(place.gateway)
    async with bystander(place, "news:fuzz"), stream(place, kind, {}) as client:
        hello = await client.connected()
        await emulation.send(hello["node"], hello["session"], data)
        await emulation.send(hello["node"], hello["session"] + "x", data)
        try:
            await client.send({"id": 77, "rpc": {"method": "echo", "data": 1}})
            await client.until(lambda: client.ended or _has(client.messages, 77))
        finally:
            closed = client.pushes("disconnect")
        assert not client.ended or [one["code"] for one in closed] == [3501]


def _has(messages: list[dict[str, object]], id: int) -> bool:
    return any(one.get("id") == id for one in messages)


async def test_a_stream_that_nobody_reads_is_cut_off(open_place: Place) -> None:
    """Past the hard mark it is closed with 3008, as a socket is; the others get everything."""
    place = open_place
    async with bystander(place, "kept:slow") as other:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port, limit=1)
        line = json.dumps({"id": 1, "connect": {}}).encode()
        writer.write(
            b"POST /connection/http_stream HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(line)
        )
        writer.write(line)
        async with asyncio.timeout(PATIENCE):
            while not place.gateway.streams:  # noqa: ASYNC110 - another protocol makes it
                await asyncio.sleep(0.01)
        [session] = place.gateway.streams
        subscribe = {"id": 2, "subscribe": {"channel": "kept:slow"}}
        await Emulation(place.gateway).send(
            place.gateway.node, session, json.dumps(subscribe).encode()
        )
        count = 0
        async with asyncio.timeout(PATIENCE * 3):
            while place.gateway.closes[3008] == 0:
                await place.publish("kept:slow", "x" * 60_000)
                count += 1
        await other.until(lambda: len(other.pubs("kept:slow")) == count)
        writer.close()
        del reader


async def test_a_command_whose_connection_has_just_ended_does_nothing(
    place: Place, unique: str
) -> None:
    """The channel was left with the connection; there is nobody to answer."""
    async with connected(place, place.token("u")) as client:
        token = subscription_tokens(place, unique)("u")
        await client.ok("subscribe", channel=unique, token=token)
        [connection] = place.gateway.connections
        waiting = place.gateway.commands.start(connection.session, 9, Unsubscribe(unique))
        assert waiting is not None
        connection.failed()
        await waiting
        assert not connection.session.subscriptions
