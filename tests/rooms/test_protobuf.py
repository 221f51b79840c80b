"""The Protobuf of the protocol: the same as the JSON, by the published field numbers."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from centrifuge.protocol import client_pb2 as published
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from rooms import frames, protobuf, protocol
from rooms.bus import Publication
from rooms.commands import BadCommand, read_commands
from rooms.protobuf_fields import FIELDS, Emulated, Field
from rooms.protobuf_wire import block, delimited, varint, varints, with_length
from rooms.protocol import JOIN, LEAVE, Reply

PROTO = Path(protobuf.__file__).with_name("client.proto")

#: our struct -> the published messages that it is read from or written as
NAMES = {
    "Command": ["Command"],
    "Connect": ["ConnectRequest"],
    "Recovery": ["SubscribeRequest"],
    "Subscribe": ["SubscribeRequest"],
    "Unsubscribe": ["UnsubscribeRequest"],
    "AskPresence": ["PresenceRequest"],
    "AskPresenceStats": ["PresenceStatsRequest"],
    "Publish": ["PublishRequest"],
    "Since": ["StreamPosition"],
    "HistoryRequest": ["HistoryRequest"],
    "Rpc": ["RPCRequest"],
    "Send": ["SendRequest"],
    "Refresh": ["RefreshRequest"],
    "SubRefresh": ["SubRefreshRequest"],
    "Ping": ["PingRequest"],
    "Reply": ["Reply"],
    "Error": ["Error"],
    "ConnectResult": ["ConnectResult"],
    "SubscribeResult": ["SubscribeResult"],
    "Subscribed": ["Subscribe"],
    "RefreshResult": ["RefreshResult"],
    "SubRefreshResult": ["SubRefreshResult"],
    "Empty": ["UnsubscribeResult", "PublishResult"],
    "PresenceResult": ["PresenceResult"],
    "PresenceStats": ["PresenceStatsResult"],
    "HistoryResult": ["HistoryResult"],
    "RpcResult": ["RPCResult"],
    "Published": ["Publication"],
    "ClientInfo": ["ClientInfo"],
    "Emulated": ["EmulationRequest"],
}
TYPES = {
    "uint32": "uint", "uint64": "uint", "int32": "int", "int64": "int", "bool": "bool",
    "string": "text", "bytes": "bytes",
}  # fmt: skip


NEWER = {("Subscribe", 15)}  # that the JavaScript SDK writes and the Python SDK does not know yet


def file_fields() -> dict[str, dict[int, tuple[str, str, str]]]:
    """Message -> number -> (name, kind, many), as `client.proto` says."""
    found: dict[str, dict[int, tuple[str, str, str]]] = {}
    for name, body in re.findall(r"message (\w+) \{(.*?)\n\}", PROTO.read_text(), re.S):
        fields = found[name] = {}
        for many, kind, field, number in re.findall(
            r"^  (repeated |map<string, )?(\w+)>? (\w+) = (\d+);", body, re.M
        ):
            word = {"repeated ": "list", "map<string, ": "map", "": ""}[many]
            fields[int(number)] = (field, TYPES.get(kind, kind), word)
    return found


def test_the_file_says_what_the_code_does() -> None:
    """Every field of the table stands in `client.proto` with number and type; no other does."""
    stated = file_fields()

    def shape(field: Field) -> tuple[str, str, str]:
        kind = field.kind if isinstance(field.kind, str) else field.kind.__name__
        return field.name, kind, field.many

    for kind, fields in FIELDS.items():
        own = stated.pop(kind.__name__)
        if kind is Reply:
            assert own.pop(4) == ("push", "Push", "")
        assert own == {field.number: shape(field) for field in fields}, kind
    assert stated.keys() == {"Push", "Coming", "Unsubscribed", "Disconnected"}


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_the_published_ones(name: str) -> None:
    """Against the messages that the official Python SDK is made with."""
    for theirs in NAMES[name]:
        descriptor = published.DESCRIPTOR.message_types_by_name[theirs]
        by_number = {field.number: field for field in descriptor.fields}
        for number, (field, kind, _) in file_fields()[name].items():
            if (name, number) in NEWER:
                continue
            their = by_number[number]
            assert their.name == field
            word = {
                value: key[5:].lower()
                for key, value in vars(FieldDescriptor).items()
                if key.startswith("TYPE_")
            }[their.type]
            assert TYPES.get(word, "message") == kind or word == "message"


# --- commands --------------------------------------------------------------------------------

texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
offsets = st.integers(0, 2**53 - 1)
channel = st.fixed_dictionaries({"channel": texts})
requests = st.one_of(
    st.fixed_dictionaries(
        {"token": texts, "name": texts},
        optional={
            "subs": st.dictionaries(
                texts,
                st.fixed_dictionaries({"recover": st.booleans(), "offset": offsets}),
                max_size=2,
            ),
            "data": payloads,
        },
    ).map(lambda body: ("connect", body)),
    st.fixed_dictionaries(
        {"channel": texts, "recover": st.booleans(), "offset": offsets, "epoch": texts},
        optional={"flag": st.integers(0, 3), "join_leave": st.booleans()},
    ).map(lambda body: ("subscribe", body)),
    st.sampled_from(["unsubscribe", "presence", "presence_stats"]).flatmap(
        lambda name: channel.map(lambda body: (name, body))
    ),
    st.fixed_dictionaries({"channel": texts, "data": payloads}).map(lambda body: ("publish", body)),
    st.fixed_dictionaries(
        {"channel": texts, "limit": st.integers(-1, 100), "reverse": st.booleans()},
        optional={"since": st.fixed_dictionaries({"offset": offsets, "epoch": texts})},
    ).map(lambda body: ("history", body)),
    st.fixed_dictionaries({"method": texts, "data": payloads}).map(lambda body: ("rpc", body)),
    st.fixed_dictionaries({"token": texts}).map(lambda body: ("refresh", body)),
    st.fixed_dictionaries({"channel": texts, "token": texts}).map(
        lambda body: ("sub_refresh", body)
    ),
    st.just(("ping", {})),
)
commands = st.tuples(st.integers(1, 2**32 - 1), requests).map(
    lambda pair: {"id": pair[0], pair[1][0]: pair[1][1]}
)


def line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def with_bytes(value: Any, name: str = "") -> Any:
    """The same command as the JSON form of the published messages: payloads are bytes."""
    if name == "data":
        return base64.b64encode(line(value)).decode()
    if isinstance(value, dict):
        return {key: with_bytes(item, key) for key, item in value.items()}
    return value


@settings(max_examples=60)
@given(st.lists(commands, min_size=1, max_size=3))
def test_commands_are_read_as_from_json(given_commands: list[dict[str, Any]]) -> None:
    """What another implementation writes is the command that JSON would have been."""
    frame = b"".join(
        with_length(ParseDict(with_bytes(one), published.Command()).SerializeToString())
        for one in given_commands
    )
    expected = read_commands(b"\n".join(map(line, given_commands)))
    in_order = msgspec.json.Encoder(order="sorted").encode  # entries of a map have none
    assert list(map(in_order, protobuf.read_commands(frame))) == list(map(in_order, expected))


def test_an_empty_command_is_a_pong_and_no_command_is_none() -> None:
    """A pong is a single zero byte; an empty frame is a mistake."""
    [pong] = protobuf.read_commands(b"\x00")
    assert pong.is_pong
    with pytest.raises(BadCommand):
        protobuf.read_commands(b"")


@given(st.binary(max_size=60))
def test_rubbish_is_refused_and_nothing_else_happens(data: bytes) -> None:
    """Whatever the bytes are: commands, or BadCommand."""
    for frame in (data, with_length(data), with_length(block(5, data))):
        try:
            protobuf.read_commands(frame)
        except BadCommand:
            continue


@pytest.mark.parametrize(
    "frame",
    [
        b"\x05\x08",  # shorter than it says
        b"\x80" * 11,  # a number without end
        with_length(b"\x08" + b"\xff" * 9 + b"\x7f"),  # above 64 bits
        with_length(b"\x08" + varint(2**32)),  # an id above 32
        with_length(b"\x0b\x0c"),  # a group
        with_length(b"\x0a\x01x"),  # an id that is text
        with_length(block(5, b"\x0a\x01\xff")),  # no UTF-8
        with_length(block(5, b"\x38" + varint(2**60))),  # an offset above 2^53
        with_length(block(4, block(3, b"\x08\x01"))),  # a map without keys
        with_length(b"\x00\x00"),  # field 0
    ],
)
def test_violations_are_refused(frame: bytes) -> None:
    """Broken lengths, types, numbers and text end the connection."""
    with pytest.raises(BadCommand):
        protobuf.read_commands(frame)


def test_unknown_fields_are_passed_over() -> None:
    """What a newer client says besides does no harm: numbers, fixed ones, texts."""
    extra = b"\xa0\x06\x01" + b"\xa1\x06" + bytes(8) + b"\xa5\x06" + bytes(4) + b"\xa2\x06\x01x"
    [command] = protobuf.read_commands(with_length(b"\x08\x07" + extra + b"\x5a\x00"))
    assert (command.id, command.method) == (7, "ping")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"no json", b"1 2"])
def test_a_publication_that_is_no_json_counts_as_empty(data: bytes) -> None:
    """Others read the channel as JSON; the command is refused, not the connection."""
    body = block(1, b"news") + block(2, data)
    [command] = protobuf.read_commands(with_length(block(7, body)))
    assert command.publish is not None
    assert bytes(command.publish.data) == b""


def test_a_kind_of_subscription_that_is_not_offered_is_seen() -> None:
    """Passed over as unknown, it would become a plain stream."""
    body = block(1, b"news") + b"\x78\x01"  # `type`, as the JavaScript SDK writes it
    [command] = protobuf.read_commands(with_length(block(5, body)))
    assert command.subscribe is not None
    assert command.subscribe.type == 1


@given(st.integers(0, 2**64 - 1))
def test_numbers_come_back(number: int) -> None:
    """Varints of all sizes."""
    assert varints(varint(number), 0) == (number, len(varint(number)))


# --- replies and pushes ----------------------------------------------------------------------

infos = st.builds(
    lambda user, client, conn: protocol.client_info(user, client, line(conn)),
    texts,
    texts,
    payloads,
)
items = st.builds(
    lambda data, info, offset: Publication(
        channel="news", data=line(data), info=info, offset=offset
    ),
    payloads,
    infos | st.just(b""),
    offsets,
)
kept = st.lists(items, max_size=3).map(protocol.publications)
seconds = st.integers(0, 2**31)
subscribed = st.builds(
    protocol.SubscribeResult,
    expires=st.booleans(), ttl=seconds, recoverable=st.booleans(), epoch=texts, publications=kept,
    recovered=st.booleans(), offset=offsets, positioned=st.booleans(), was_recovering=st.booleans(),
)  # fmt: skip
results = st.one_of(
    st.builds(protocol.Error, st.integers(1, 2000), texts, st.booleans()).map(
        lambda one: {"error": one}
    ),
    st.builds(
        protocol.ConnectResult,
        client=texts, version=texts, ttl=seconds, ping=seconds,
        subs=st.dictionaries(texts, subscribed, max_size=2),
        pong=st.booleans(), session=texts, node=texts, time=offsets,
    ).map(lambda one: {"connect": one}),
    subscribed.map(lambda one: {"subscribe": one}),
    st.just({"publish": protocol.Empty()}),
    st.dictionaries(texts, infos.map(Raw), max_size=2).map(
        lambda one: {"presence": protocol.PresenceResult(one)}
    ),
    st.builds(protocol.PresenceStats, seconds, seconds).map(lambda one: {"presence_stats": one}),
    st.builds(protocol.HistoryResult, kept, texts, offsets).map(lambda one: {"history": one}),
    payloads.map(lambda one: {"rpc": protocol.RpcResult(Raw(line(one)))}),
    st.builds(protocol.SubRefreshResult, st.booleans(), seconds).map(
        lambda one: {"sub_refresh": one}
    ),
)  # fmt: skip


def plain(value: Any, name: str = "", *, decode: bool = False) -> Any:
    """Payloads as JSON values, numbers as numbers, zeros left out: comparable in both forms."""
    if name in ("data", "conn_info", "chan_info"):
        return json.loads(base64.b64decode(value)) if decode else value
    if isinstance(value, dict):
        found = {key: plain(item, key, decode=decode) for key, item in value.items()}
        return {
            key: item
            for key, item in found.items()
            if item or key in ("data", "conn_info", "chan_info")
        }
    if isinstance(value, list):
        return [plain(item, decode=decode) for item in value]
    return int(value) if name in ("offset", "time", "id") else value


def theirs(message: Any) -> Any:
    return plain(MessageToDict(message, preserving_proto_field_name=True), decode=True)


@settings(max_examples=60)
@given(st.integers(1, 2**32 - 1), results)
def test_replies_say_the_same_in_both_forms(id: int, result: dict[str, Any]) -> None:
    """Another implementation reads from the bytes what the JSON says."""
    reply = Reply(id=id, **result)
    [message] = delimited(frames.PROTOBUF.reply(reply))
    told = published.Reply.FromString(message)
    assert theirs(told) == plain(json.loads(protocol.reply(reply)))
    [name] = result
    assert told.HasField(name)


@given(items, st.sampled_from(["", JOIN, LEAVE]), infos)
def test_pushes_say_the_same_in_both_forms(item: Publication, hidden: str, info: bytes) -> None:
    """Publications, joins, leaves."""
    if hidden:
        item = Publication(channel=hidden + item.channel, data=info)
    told = {}
    for encoding in (frames.JSON, frames.PROTOBUF):
        told[encoding] = encoding.push(encoding.head(item.channel), item)
    [message] = delimited(told[frames.PROTOBUF])
    assert theirs(published.Reply.FromString(message)) == plain(json.loads(told[frames.JSON]))


def test_other_pushes_say_the_same_in_both_forms() -> None:
    """The end of a subscription, of a connection, and the ping."""
    for call in (
        lambda encoding: encoding.unsubscribe("news", 2500, "insufficient state"),
        lambda encoding: encoding.disconnect(3001, "shutdown"),
        lambda encoding: encoding.disconnect(3500, "invalid token"),
        lambda encoding: encoding.rpc_reply(3, b'{"a":1}'),
        lambda encoding: encoding.ping,
    ):
        [message] = delimited(call(frames.PROTOBUF))
        told = plain(json.loads(call(frames.JSON)))
        assert theirs(published.Reply.FromString(message)) == told


def test_the_body_of_an_emulation_request_is_read() -> None:
    """Its node comes first in this form."""
    body = published.EmulationRequest(node="n", session="s", data=b"\x00").SerializeToString()
    read: Emulated = protobuf.read(Emulated, body)
    assert (read.node, read.session, bytes(read.data)) == ("n", "s", b"\x00")
