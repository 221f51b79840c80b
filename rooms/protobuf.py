"""
The Centrifuge client protocol, version 2, in Protobuf: the same commands, replies and pushes.

One binary message holds one or more of them, each with its length before it. Field numbers are
those of `client.proto` beside this file. Payloads stay JSON: whoever reads this server's channels
gets the bytes of the JSON that everybody else gets, and publishes such.

The wire format is small enough to be written here: `FIELDS` says what every struct of `protocol.py`
looks like, `Reader` and `encode` follow it. Pure translation, as `protocol.py`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from rooms import protocol
from rooms.bus import Publication
from rooms.protocol import JOIN, LEAVE, MAX_ID, MAX_OFFSET, BadCommand, Command, Reply

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
_FIXED = {FIXED64: 8, FIXED32: 4}
VARINT_BYTES = 10
_SIGN, _RANGE = 1 << 63, 1 << 64


class ClientInfo(msgspec.Struct):
    user: str = ""
    client: str = ""
    conn_info: Raw = Raw()
    chan_info: Raw = Raw()


class Published(msgspec.Struct):
    """A Publication in replies, read from the JSON in which they hold it."""

    data: Raw = Raw()
    info: ClientInfo | None = None
    offset: int = 0
    delta: bool = False


_read_info = msgspec.json.Decoder(ClientInfo).decode


class Field(NamedTuple):
    """
    `kind`: "uint", "int", "bool", "text", "bytes", or a struct; `many`: "", "list", or "map" from
    text to the kind.
    """

    number: int
    name: str
    kind: Any
    many: str = ""


_CHANNEL = (Field(1, "channel", "text"),)
_EXPIRY = (Field(1, "expires", "bool"), Field(2, "ttl", "uint"))

FIELDS: dict[type, tuple[Field, ...]] = {
    protocol.Command: (
        Field(1, "id", "uint"),
        Field(4, "connect", protocol.Connect),
        Field(5, "subscribe", protocol.Subscribe),
        Field(6, "unsubscribe", protocol.Unsubscribe),
        Field(7, "publish", protocol.Publish),
        Field(8, "presence", protocol.AskPresence),
        Field(9, "presence_stats", protocol.AskPresenceStats),
        Field(10, "history", protocol.HistoryRequest),
        Field(11, "ping", protocol.Ping),
        Field(12, "send", protocol.Send),
        Field(13, "rpc", protocol.Rpc),
        Field(14, "refresh", protocol.Refresh),
        Field(15, "sub_refresh", protocol.SubRefresh),
    ),
    protocol.Connect: (
        Field(1, "token", "text"),
        Field(2, "data", "bytes"),
        Field(3, "subs", protocol.Recovery, "map"),
        Field(4, "name", "text"),
        Field(5, "version", "text"),
    ),
    protocol.Recovery: (
        Field(3, "recover", "bool"),
        Field(6, "epoch", "text"),
        Field(7, "offset", "uint"),
    ),
    protocol.Subscribe: (
        Field(1, "channel", "text"),
        Field(2, "token", "text"),
        Field(3, "recover", "bool"),
        Field(6, "epoch", "text"),
        Field(7, "offset", "uint"),
        Field(9, "positioned", "bool"),
        Field(10, "recoverable", "bool"),
        Field(11, "join_leave", "bool"),
        Field(12, "delta", "text"),
        Field(13, "tf", "bytes"),
        Field(14, "flag", "int"),
        Field(15, "type", "int"),
    ),
    protocol.Unsubscribe: _CHANNEL,
    protocol.AskPresence: _CHANNEL,
    protocol.AskPresenceStats: _CHANNEL,
    protocol.Publish: (*_CHANNEL, Field(2, "data", "bytes")),
    protocol.Since: (Field(1, "offset", "uint"), Field(2, "epoch", "text")),
    protocol.HistoryRequest: (
        *_CHANNEL,
        Field(7, "limit", "int"),
        Field(8, "since", protocol.Since),
        Field(9, "reverse", "bool"),
    ),
    protocol.Rpc: (Field(1, "data", "bytes"), Field(2, "method", "text")),
    protocol.Send: (Field(1, "data", "bytes"),),
    protocol.Refresh: (Field(1, "token", "text"),),
    protocol.SubRefresh: (*_CHANNEL, Field(2, "token", "text")),
    protocol.Ping: (),
    protocol.Reply: (
        Field(1, "id", "uint"),
        Field(2, "error", protocol.Error),
        Field(5, "connect", protocol.ConnectResult),
        Field(6, "subscribe", protocol.SubscribeResult),
        Field(7, "unsubscribe", protocol.Empty),
        Field(8, "publish", protocol.Empty),
        Field(9, "presence", protocol.PresenceResult),
        Field(10, "presence_stats", protocol.PresenceStats),
        Field(11, "history", protocol.HistoryResult),
        Field(13, "rpc", protocol.RpcResult),
        Field(14, "refresh", protocol.RefreshResult),
        Field(15, "sub_refresh", protocol.SubRefreshResult),
    ),
    protocol.Error: (
        Field(1, "code", "uint"),
        Field(2, "message", "text"),
        Field(3, "temporary", "bool"),
    ),
    protocol.ConnectResult: (
        Field(1, "client", "text"),
        Field(2, "version", "text"),
        Field(3, "expires", "bool"),
        Field(4, "ttl", "uint"),
        Field(6, "subs", protocol.SubscribeResult, "map"),
        Field(7, "ping", "uint"),
        Field(8, "pong", "bool"),
        Field(9, "session", "text"),
        Field(10, "node", "text"),
        Field(11, "time", "int"),
    ),
    protocol.SubscribeResult: (
        *_EXPIRY,
        Field(3, "recoverable", "bool"),
        Field(6, "epoch", "text"),
        Field(7, "publications", Published, "list"),
        Field(8, "recovered", "bool"),
        Field(9, "offset", "uint"),
        Field(10, "positioned", "bool"),
        Field(12, "was_recovering", "bool"),
        Field(13, "delta", "bool"),
    ),
    protocol.Subscribed: (
        Field(1, "recoverable", "bool"),
        Field(4, "epoch", "text"),
        Field(5, "offset", "uint"),
        Field(6, "positioned", "bool"),
        Field(7, "data", "bytes"),
    ),
    protocol.RefreshResult: (
        Field(1, "client", "text"),
        Field(2, "version", "text"),
        Field(3, "expires", "bool"),
        Field(4, "ttl", "uint"),
    ),
    protocol.SubRefreshResult: _EXPIRY,
    protocol.Empty: (),
    protocol.PresenceResult: (Field(1, "presence", ClientInfo, "map"),),
    protocol.PresenceStats: (Field(1, "num_clients", "uint"), Field(2, "num_users", "uint")),
    protocol.HistoryResult: (
        Field(1, "publications", Published, "list"),
        Field(2, "epoch", "text"),
        Field(3, "offset", "uint"),
    ),
    protocol.RpcResult: (Field(1, "data", "bytes"),),
    Published: (
        Field(4, "data", "bytes"),
        Field(5, "info", ClientInfo),
        Field(6, "offset", "uint"),
        Field(8, "delta", "bool"),
    ),
    ClientInfo: (
        Field(1, "user", "text"),
        Field(2, "client", "text"),
        Field(3, "conn_info", "bytes"),
        Field(4, "chan_info", "bytes"),
    ),
}

_BY_NUMBER = {kind: {field.number: field for field in fields} for kind, fields in FIELDS.items()}


class Emulated(msgspec.Struct):
    """The body of a request to `/emulation`."""

    node: str = ""
    session: str = ""
    data: Raw = Raw()


_BY_NUMBER[Emulated] = {
    1: Field(1, "node", "text"),
    2: Field(2, "session", "text"),
    3: Field(3, "data", "bytes"),
}


# --- reading ---------------------------------------------------------------------------------


def varints(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends. Raises BadCommand."""
    number = shift = 0
    for end in range(at, min(at + VARINT_BYTES, len(data))):
        byte = data[end]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if number >= _RANGE:
                break
            return number, end + 1
        shift += 7
    raise BadCommand("bad request")


def delimited(data: bytes) -> Iterator[bytes]:
    """The messages of one frame, each without its length. Raises BadCommand."""
    at = 0
    while at < len(data):
        size, at = varints(data, at)
        if size > len(data) - at:
            raise BadCommand("bad request")
        yield data[at : at + size]
        at += size


def _wire(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Number, wire type, value and bytes of each field. Raises BadCommand."""
    at = 0
    while at < len(data):
        tag, at = varints(data, at)
        number, wire = tag >> 3, tag & 7
        value, content = 0, b""
        if wire == VARINT:
            value, at = varints(data, at)
        else:
            if wire == BYTES:
                size, at = varints(data, at)
            elif wire in _FIXED:
                size = _FIXED[wire]
            else:
                raise BadCommand("bad request")
            if size > len(data) - at:
                raise BadCommand("bad request")
            content = data[at : at + size]
            at += size
        if number == 0:
            raise BadCommand("bad request")
        yield number, wire, value, content


def read(kind: type, data: bytes) -> Any:
    """
    One message as its struct; unknown fields are passed over.

    Raises:
        BadCommand: Broken, or a field of another type than it should have.
    """
    fields = _BY_NUMBER[kind]
    found: dict[str, Any] = {}
    for number, wire, value, content in _wire(data):
        field = fields.get(number)
        if field is None:
            continue
        if wire != (VARINT if field.kind in ("uint", "int", "bool") else BYTES):
            raise BadCommand("bad request")
        if field.many:
            key, item = _entry(field, content)
            found.setdefault(field.name, {})[key] = item
        else:
            found[field.name] = _value(field.kind, value, content)
    return kind(**found)


def _entry(field: Field, content: bytes) -> tuple[str, Any]:
    """One entry of a map."""
    key, item = "", b""
    for number, wire, _, part in _wire(content):
        if number in (1, 2) and wire != BYTES:
            raise BadCommand("bad request")
        if number == 1:
            key = _text(part)
        elif number == 2:
            item = part
    return key, read(field.kind, item)


def _value(kind: Any, value: int, content: bytes) -> Any:
    if kind == "uint":
        return value
    if kind == "int":
        return value - _RANGE if value >= _SIGN else value
    if kind == "bool":
        return value != 0
    if kind == "text":
        return _text(content)
    if kind == "bytes":
        return Raw(content)
    return read(kind, content)


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadCommand("bad request") from error


def read_commands(frame: bytes) -> list[Command]:
    """The commands of one binary message, in order. Raises BadCommand."""
    commands = [_checked(read(Command, message)) for message in delimited(frame)]
    if not commands:
        raise BadCommand("bad request")
    return commands


def _checked(command: Command) -> Command:
    """Numbers within what JSON allows too; a publication that is no JSON counts as empty."""
    offsets = [command.subscribe.offset] if command.subscribe else []
    if command.connect:
        offsets += [sub.offset for sub in command.connect.subs.values()]
    if command.history and command.history.since:
        offsets.append(command.history.since.offset)
    if command.id > MAX_ID or any(offset > MAX_OFFSET for offset in offsets):
        raise BadCommand("bad request")
    if command.publish and not is_json(bytes(command.publish.data)):
        command.publish.data = Raw()
    return command


def is_json(data: bytes) -> bool:
    """Whether JSON clients could read this."""
    try:
        msgspec.json.decode(data, type=Raw)
        data.decode()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return True


# --- writing ---------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    """A number; a negative one as its two's complement."""
    if 0 <= number < 0x80:
        return bytes((number,))
    number %= _RANGE
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def block(number: int, content: bytes) -> bytes:
    """A field of bytes, text or a message."""
    size = len(content)
    if size < 0x80 and number < 16:
        return bytes((number << 3 | BYTES, size)) + content
    return varint(number << 3 | BYTES) + varint(size) + content


def with_length(message: bytes) -> bytes:
    """A message as it stands in a frame."""
    return varint(len(message)) + message


def encode(value: Any) -> bytes:
    """A struct of `FIELDS`. Zeros are left out, present messages are there even when empty."""
    out = []
    for field in FIELDS[type(value)]:
        content = getattr(value, field.name)
        if field.many == "list":
            if getattr(value, "delta", False):
                content = map(_bare, content)
            out += [block(field.number, _message(field.kind, item)) for item in content]
        elif field.many == "map":
            for key, item in content.items():
                entry = block(1, key.encode()) + block(2, _message(field.kind, item))
                out.append(block(field.number, entry))
        elif content is not None:
            out.append(_encoded(field, content))
    return b"".join(out)


def _encoded(field: Field, content: Any) -> bytes:
    if not isinstance(field.kind, str):
        return block(field.number, _message(field.kind, content))
    if field.kind in ("text", "bytes"):
        raw = content.encode() if field.kind == "text" else bytes(content)
        return block(field.number, raw) if raw else b""
    return varint(field.number << 3 | VARINT) + varint(int(content)) if content else b""


def _message(kind: type, value: Any) -> bytes:
    """A message that is a struct, or the JSON of one."""
    return encode(msgspec.json.decode(value, type=kind) if isinstance(value, Raw) else value)


def _bare(item: Raw) -> Published:
    """A publication for who takes differences: JSON has its data as a text, this as the bytes."""
    found = msgspec.json.decode(item, type=Published)
    found.data = Raw(msgspec.json.decode(found.data, type=str).encode())
    return found


def client_info(info: bytes) -> bytes:
    """ClientInfo from its JSON: what stands in every message of a viewer, so by hand."""
    who = _read_info(info)
    body = block(1, who.user.encode()) if who.user else b""
    if who.client:
        body += block(2, who.client.encode())
    if conn := bytes(who.conn_info):
        body += block(3, conn)
    if chan := bytes(who.chan_info):
        body += block(4, chan)
    return body


def publication(item: Publication) -> bytes:
    """A Publication, without its length."""
    body = block(4, item.data)
    if item.info:
        body += block(5, client_info(item.info))
    if item.offset:
        body += varint(6 << 3 | VARINT) + varint(item.offset)
    return body


def delta_publication(item: Publication, patch: bytes | None) -> bytes:
    """The same for who takes differences: `patch` makes the payload from the one before."""
    data = protocol.one_line(item.data) if patch is None else patch
    body = publication(msgspec.structs.replace(item, data=data))
    return body if patch is None else body + varint(8 << 3 | VARINT) + varint(1)


PUSH = 4  # field of Reply
_CHANNEL_OF_PUSH, _PUB, _JOIN, _LEAVE, _UNSUBSCRIBE, _SUBSCRIBE, _DISCONNECT = 2, 4, 5, 6, 7, 9, 11


class ProtobufEncoding:
    """See `rooms.frames.Encoding`. Every message has its length before it."""

    ping = with_length(b"")

    def head(self, channel: str) -> bytes:
        return block(_CHANNEL_OF_PUSH, protocol.watched(channel).encode())

    def push(self, head: bytes, item: Publication) -> bytes:
        if item.channel.startswith((JOIN, LEAVE)):
            number = _JOIN if item.channel.startswith(JOIN) else _LEAVE
            content = block(number, block(1, client_info(item.data)))
        else:
            content = block(_PUB, publication(item))
        return _push(head + content)

    def commands(self, frame: bytes) -> list[Command]:
        return read_commands(frame)

    def reply(self, message: Reply) -> bytes:
        return with_length(encode(message))

    def published(self, id: int) -> bytes:
        return self.reply(Reply(id=id, publish=protocol.Empty()))

    def rpc_reply(self, id: int, result: bytes) -> bytes:
        return self.reply(Reply(id=id, rpc=protocol.RpcResult(Raw(result))))

    def subscribe(self, channel: str, told: protocol.Subscribed) -> bytes:
        return _push(self.head(channel) + block(_SUBSCRIBE, encode(told)))

    def unsubscribe(self, channel: str, code: int, reason: str) -> bytes:
        body = varint(2 << 3) + varint(code) + block(3, reason.encode())
        return _push(self.head(channel) + block(_UNSUBSCRIBE, body))

    def disconnect(self, code: int, reason: str) -> bytes:
        body = varint(1 << 3) + varint(code) + block(2, reason.encode())
        if protocol.comes_back(code):
            body += varint(3 << 3) + varint(1)
        return _push(block(_DISCONNECT, body))


def delta_push(head: bytes, item: Publication, patch: bytes | None) -> bytes:
    """One pub push for who takes differences, with its length before it."""
    return _push(head + block(_PUB, delta_publication(item, patch)))


def _push(content: bytes) -> bytes:
    return with_length(block(PUSH, content))
