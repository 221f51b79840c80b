"""
The Centrifuge client protocol, version 2, in Protobuf: the same commands, replies and pushes.

One binary message holds one or more of them, each with its length before it. Field numbers are
those of `client.proto` beside this file. Payloads stay JSON: whoever reads this server's channels
gets the bytes of the JSON that everybody else gets, and publishes such.

`FIELDS` (`protobuf_fields.py`) says what every struct of the protocol looks like; `read` and
`encode` follow it in the wire format (`protobuf_wire.py`). Pure translation, as `protocol.py`.
"""

from typing import Any

import msgspec
from msgspec import Raw

from rooms import protocol
from rooms.bus import Publication
from rooms.commands import MAX_ID, MAX_OFFSET, BadCommand, Command
from rooms.protobuf_fields import FIELDS, ClientInfo, Field, Published
from rooms.protobuf_wire import (
    BYTES,
    RANGE,
    SIGN,
    VARINT,
    block,
    delimited,
    fields_of,
    varint,
    with_length,
)
from rooms.protocol import JOIN, LEAVE, Reply
from rooms.text import is_json

_BY_NUMBER = {kind: {field.number: field for field in fields} for kind, fields in FIELDS.items()}
_read_info = msgspec.json.Decoder(ClientInfo).decode

# --- reading ---------------------------------------------------------------------------------


def read(kind: type, data: bytes) -> Any:
    """
    One message as its struct; unknown fields are passed over.

    Raises:
        BadCommand: Broken, or a field of another type than it should have.
    """
    fields = _BY_NUMBER[kind]
    found: dict[str, Any] = {}
    for number, wire, value, content in fields_of(data):
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
    for number, wire, _, part in fields_of(content):
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
        return value - RANGE if value >= SIGN else value
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


# --- writing ---------------------------------------------------------------------------------


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
