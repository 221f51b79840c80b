"""The messages of the Centrifuge protocol: which fields are there, and how frames are made."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from rooms import frames, protocol
from rooms.bus import Position, Publication
from rooms.commands import BadCommand, Connect, read_commands
from rooms.protocol import Reply, SubscribeResult


def as_json(line: bytes) -> object:
    assert b"\n" not in line
    return json.loads(line)


def test_a_frame_holds_several_commands_in_order() -> None:
    """SDKs send connect and all subscribes in one frame, joined by newlines."""
    commands = read_commands(
        b'{"id":1,"connect":{"token":"t"}}\n{"id":2,"subscribe":{"channel":"a"}}\n{}\n'
    )
    assert [command.id for command in commands] == [1, 2, 0]
    assert isinstance(commands[0].request, Connect)
    assert commands[2].is_pong


@pytest.mark.parametrize(
    "frame",
    [
        b"", b"\n", b"  \n ", b"[]", b"null", b"1", b'{"id":1', b'{"id":-1}', b'{"id":4294967296}',
        b'{"id":"1"}', b'{"id":1,"connect":[]}', b'{"id":1,"publish":{"channel":1}}', b"\xff\xfe",
        b'{"id":1,"rpc":{"data":' + b"[" * 30_000 + b"]" * 30_000 + b"}}",
        b'{"id":1,"rpc":{"data":{"a":NaN}}}', b'{"id":1,"subscribe":{"offset":-1}}',
    ],
)  # fmt: skip
def test_what_is_not_a_command_is_refused(frame: bytes) -> None:
    """Broken JSON, wrong types, numbers out of range, nesting without end, nothing at all."""
    with pytest.raises(BadCommand):
        read_commands(frame)


def test_fields_are_left_out_when_zero_except_where_sdks_read_them() -> None:
    """The exact shapes of replies."""
    assert as_json(protocol.reply(Reply(id=3, unsubscribe=protocol.Empty()))) == {
        "id": 3,
        "unsubscribe": {},
    }
    assert as_json(protocol.reply(Reply(id=1, subscribe=SubscribeResult()))) == {
        "id": 1,
        "subscribe": {},
    }
    history = protocol.HistoryResult([], "", 0)
    assert as_json(protocol.reply(Reply(id=1, history=history))) == {
        "id": 1,
        "history": {"publications": [], "epoch": "", "offset": 0},
    }
    stats = protocol.PresenceStats(0, 0)
    assert as_json(protocol.reply(Reply(id=1, presence_stats=stats))) == {
        "id": 1,
        "presence_stats": {"num_clients": 0, "num_users": 0},
    }
    error = protocol.Error(100, "internal server error", True)
    assert as_json(protocol.reply(Reply(id=1, error=error))) == {
        "id": 1,
        "error": {"code": 100, "message": "internal server error", "temporary": True},
    }
    assert as_json(protocol.client_info("", "c")) == {"user": "", "client": "c"}


def test_a_recovered_subscription_names_the_offset_that_was_asked_for() -> None:
    """The SDK counts on from there while it reads the publications; otherwise from the top."""
    here, asked = Position("ep", 9), Position("ep", 7)
    missed = [Publication(channel="c", data=b"%d" % n, epoch="ep", offset=n) for n in (8, 9)]
    recovered = protocol.subscribed(here, requested=asked, recovered=True, missed=missed)
    assert as_json(protocol.reply(Reply(id=1, subscribe=recovered))) == {
        "id": 1,
        "subscribe": {
            "recoverable": True, "positioned": True, "epoch": "ep", "offset": 7,
            "recovered": True, "was_recovering": True,
            "publications": [{"data": 8, "offset": 8}, {"data": 9, "offset": 9}],
        },
    }  # fmt: skip
    lost = protocol.subscribed(here, requested=asked)
    assert as_json(protocol.reply(Reply(id=1, subscribe=lost))) == {
        "id": 1,
        "subscribe": {
            "recoverable": True, "positioned": True, "epoch": "ep", "offset": 9,
            "was_recovering": True,
        },
    }  # fmt: skip


def test_raw_newlines_in_a_payload_do_not_split_a_frame() -> None:
    """Pretty-printed JSON loses its line breaks; a string keeps its escaped ones."""
    item = Publication(channel="c", data=b'{\n "a":\n "x\\ny"\n}', info=b'{"user":\n"u"}')
    line = protocol.push(protocol.channel_head("c"), item)
    assert as_json(line) == {
        "push": {"channel": "c", "pub": {"data": {"a": "x\ny"}, "info": {"user": "u"}}}
    }


def test_joins_and_leaves_travel_hidden_and_arrive_as_pushes() -> None:
    """Their channel's name cannot be typed by a client; viewers see the channel itself."""
    for prefix, kind in ((protocol.JOIN, "join"), (protocol.LEAVE, "leave")):
        item = Publication(channel=prefix + "c:1", data=protocol.client_info("u", "id"))
        assert protocol.watched(item.channel) == "c:1"
        assert as_json(protocol.push(protocol.channel_head(item.channel), item)) == {
            "push": {"channel": "c:1", kind: {"info": {"user": "u", "client": "id"}}}
        }


def _read_frames(data: bytes) -> list[Frame]:
    """Parse unmasked frames with the library's own reader."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    found = []
    while True:
        ended = reader.at_eof()
        try:
            next(ended)
        except StopIteration as stop:
            if stop.value:
                return found
        parser = Frame.parse(reader.read_exact, mask=False, max_size=None)
        try:
            next(parser)
        except StopIteration as stop:
            found.append(stop.value)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_finished_frame_is_what_a_websocket_library_reads(size: int) -> None:
    """All three lengths of the header."""
    [frame] = _read_frames(frames.text_frame(b"x" * size))
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.TEXT, True, b"x" * size)


@given(
    lines=st.lists(
        st.binary(min_size=1, max_size=40).filter(lambda b: b"\n" not in b), max_size=20
    ),
    most=st.integers(1, 100),
)
def test_lines_are_split_into_frames_without_loss(lines: list[bytes], most: int) -> None:
    """Whatever the bound, all lines arrive in order, and only a single line may be longer."""
    found = [bytes(frame.data) for frame in _read_frames(frames.text_frames(lines, most))]
    assert [line for frame in found for line in frame.split(b"\n")] == lines
    assert all(
        len(frame) <= most + len(frame.split(b"\n")) or b"\n" not in frame for frame in found
    )
