"""Compressed frames: made once, read by everyone, and no way to blow up the server."""

import json
import struct
import zlib
from collections.abc import Iterable

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from rooms.bus import Message
from rooms.frames import JSON_DEFLATE, deflated_text_frames
from tests.gateway.conftest import Serve
from tests.gateway.support import Client, Place, eventually
from tests.gateway.test_sockets import TEXT, healthy, masked, upgraded

ODD = 0x9E3779B97F4A7C15F39CC
OFFER = "Sec-WebSocket-Extensions: permessage-deflate"


def inflated(frame: bytes) -> bytes:
    """The payload of one finished frame, read without any other."""
    first, second = frame[0], frame[1] & 127
    head = 2 if second < 126 else 4 if second == 126 else 10
    body = frame[head:]
    if first & 0x40:
        inflater = zlib.decompressobj(-15)
        return inflater.decompress(body + b"\0\0\xff\xff")
    return body


@given(st.lists(st.binary(max_size=600), min_size=1, max_size=5), st.binary(max_size=200))
def test_every_compressed_frame_can_be_read_alone(parts: list[bytes], common: bytes) -> None:
    """No frame depends on what came before, for a viewer may have come just now."""
    for part in parts:
        payload = common + part + common
        assert inflated(JSON_DEFLATE.frames([payload])) == payload


def test_a_batch_of_chat_shrinks_to_a_quarter() -> None:
    """Fifty lines of chat, each with ids of its own."""
    lines = [
        b'{"push":{"channel":"chat:demo","pub":{"data":{"type":"chat","id":"msg_%024x","user":'
        b'{"id":"g_%016x","name":"Viewer %d","badges":[]},"text":"how much is it? %d","at":%d},'
        b'"offset":%d}}}' % (n * ODD, n * ODD % 2**64, n, n, 10**12 + n, n)
        for n in range(50)
    ]  # fmt: skip
    frame = deflated_text_frames(lines)
    assert inflated(frame) == b"\n".join(lines)
    assert len(frame) < len(b"\n".join(lines)) / 4


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ("permessage-deflate; server_max_window_bits=15", True),
        ("permessage-deflate; server_max_window_bits=10", False),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        ("permessage-deflate; nonsense", False),
        ("x-webkit-deflate-frame", False),
    ],
)
async def test_only_the_shared_window_is_agreed_to(place: Place, offer: str, agreed: bool) -> None:
    """Who needs a smaller window gets plain frames; nobody is refused."""
    async with upgraded(place, f"Sec-WebSocket-Extensions: {offer}") as raw:
        answer = raw.reader.headers.get("sec-websocket-extensions", "")  # type: ignore[attr-defined]
        assert bool(answer) is agreed
        if agreed:
            assert "server_no_context_takeover" in answer
            assert "client_no_context_takeover" in answer
        raw.writer.write(masked(TEXT, b'{"id":1,"connect":{"token":"%s"}}' % token(place)))
        assert b'"connect"' in (await raw.frame())[1]


async def test_compression_can_be_switched_off(serve: Serve) -> None:
    """An offer is then left unanswered."""
    async with serve(compression=False) as place, upgraded(place, OFFER) as raw:
        assert "sec-websocket-extensions" not in raw.reader.headers  # type: ignore[attr-defined]


def token(place: Place) -> bytes:
    return place.token("u").encode()


async def test_unmodified_clients_read_compressed_frames(open_place: Place, unique: str) -> None:
    """`websockets` and aiohttp, beside a plain one, all in the same room."""
    lines = [json.dumps({"text": f"a line of chat {n} " * 8}).encode() for n in range(20)]
    url, name = open_place.url, f"kept:{unique}"
    async with (
        connect(url, proxy=None, compression="deflate") as first,
        connect(url, proxy=None, compression=None) as plain,
        connect(
            url,
            proxy=None,
            extensions=[ClientPerMessageDeflateFactory(server_max_window_bits=9)],
        ) as small,
        aiohttp.ClientSession() as session,
        session.ws_connect(url, compress=15) as second,
    ):
        assert first.protocol.extensions and not plain.protocol.extensions
        assert not small.protocol.extensions
        assert second.compress
        commands = json.dumps({"id": 1, "connect": {}}) + "\n"
        commands += json.dumps({"id": 2, "subscribe": {"channel": name}})
        clients = [Client(ws) for ws in (first, plain, small)]
        for client in clients:
            await client.ws.send(commands)
        await second.send_str(commands)
        hub = open_place.gateway.hub.hub

        async def all_there() -> bool:
            return hub.viewers_of(name, name) == 4

        await eventually(all_there)
        for _ in range(3):
            messages = [
                Message(channel=name, data=line, history_size=9, history_ttl_seconds=60)
                for line in lines
            ]
            await open_place.bus.publish(name, messages)
        wanted = [json.loads(line) for line in lines] * 3
        for client in clients:
            await client.until(lambda c=client: len(c.pubs(name)) == 60)
            assert client.pubs(name) == wanted
        assert [data async for data in _pubs(second, 60)] == wanted
        for client in clients:
            await client.close()


async def _pubs(ws: aiohttp.ClientWebSocketResponse, count: int):  # type: ignore[no-untyped-def]
    while count:
        for line in (await ws.receive_str(timeout=10)).split("\n"):
            if pub := json.loads(line).get("push", {}).get("pub"):
                count -= 1
                yield pub["data"]


def deflated(payload: bytes) -> bytes:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (squeezer.compress(payload) + squeezer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed(opcode: int, body: bytes, *, fin: bool = True) -> bytes:
    frame = masked(opcode, body, fin=fin)
    return bytes([frame[0] | 0x40]) + frame[1:]


def _bomb_in_parts() -> Iterable[bytes]:
    body = deflated(b" " * 10_000_000)
    yield compressed(TEXT, body[:500], fin=False)
    for at in range(500, len(body), 500):
        yield masked(0, body[at : at + 500], fin=at + 500 >= len(body))


BOMBS = {
    "a bomb": (compressed(TEXT, deflated(b" " * 50_000_000)), 1009),
    "a bomb in parts": (b"".join(_bomb_in_parts()), 1009),
    "just too long": (compressed(TEXT, deflated(b'{"id":1}' + b" " * 65_536)), 1009),
    "no deflate data": (compressed(TEXT, b"\xff" * 40), 1002),
    "a compressed ping": (compressed(9, b"x"), 1002),
    "not UTF-8": (compressed(TEXT, deflated(b"\xff\xfe")), 1007),
}


@pytest.mark.parametrize("what", BOMBS)
async def test_what_a_client_compresses_is_bounded(place: Place, what: str) -> None:
    """Inflating stops at the size of a message; what breaks the rules gets its code."""
    data, code = BOMBS[what]
    async with upgraded(place, OFFER) as raw:
        raw.writer.write(data)
        assert await raw.closed_with() == code
        raw.writer.write(masked(8, struct.pack("!H", 1000)))
        await raw.gone()
    await healthy(place)


async def test_compressed_commands_are_understood(place: Place) -> None:
    """In one frame and in parts, compressed or not."""
    line = b'{"id":1,"connect":{"token":"%s"}}' % token(place)
    async with upgraded(place, OFFER) as raw:
        body = deflated(line)
        raw.writer.write(compressed(TEXT, body[:9], fin=False) + masked(0, body[9:]))
        assert b'"connect"' in (await raw.frame())[1]
        raw.writer.write(compressed(TEXT, deflated(b'{"id":2,"rpc":{"method":"echo","data":7}}')))
        while b'"data":7' not in (await raw.frame())[1]:
            pass
