"""
Frame variants: how one kind of connection gets the same publications as finished bytes.

A variant is an encoding (what one message looks like) and a framing (how messages leave together).
The hub builds the bytes of a tick once for each variant and set of channels, when the first viewer
needs them, and writes the same bytes to all of them. There is one object of each variant in a
process: it is a key of the hub's groups, compared by identity.

To add a variant: an `Encoding` if the messages look different, a `Framing` if the envelope does.
"""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from rooms import commands, protobuf, protocol
from rooms.bus import Publication
from rooms.commands import Command
from rooms.protocol import Reply

FRAME_BYTES = 256 * 1024  # of one frame's payload; one SDK refuses more than 1 MiB
DEFLATE_BYTES = 128  # a smaller payload is not worth compressing
DEFLATE_LEVEL = 5  # 1 us a message; a tenth fewer bytes than 3, and 6 finds nothing more
TEXT = 0x81  # FIN, opcode 1
BINARY = 0x82  # FIN, opcode 2
RSV1 = 0x40  # marks a compressed message (RFC 7692)
_EMPTY_BLOCK = b"\x00\x00\xff\xff"  # every flush ends so; the receiver adds it again

Framing = Callable[[Iterable[bytes]], bytes]


class Encoding(Protocol):
    """What one message looks like."""

    ping: bytes  # one message

    def head(self, channel: str, /) -> bytes:
        """What every push of the channel begins with; the hub keeps it for each channel."""

    def push(self, head: bytes, item: Publication, /) -> bytes:
        """One pub, join or leave push; `head` is that of `item.channel`."""

    def commands(self, frame: bytes, /) -> list[Command]:
        """The commands of one message of the client. Raises `commands.BadCommand`."""

    def reply(self, message: Reply, /) -> bytes:
        """One reply."""

    def published(self, id: int, /) -> bytes:
        """The reply to a publication, of which there are most."""

    def rpc_reply(self, id: int, result: bytes, /) -> bytes:
        """The reply to an RPC whose result is JSON already."""

    def subscribe(self, channel: str, told: protocol.Subscribed, /) -> bytes:
        """The push that tells of a subscription by the server."""

    def unsubscribe(self, channel: str, code: int, reason: str, /) -> bytes:
        """The push that ends a subscription; from 2500 on the client subscribes again."""

    def disconnect(self, code: int, reason: str, /) -> bytes:
        """The push that ends a connection, for transports without close frames."""


class Variant:
    """One way to turn publications into bytes for a transport."""

    __slots__ = ("delta", "encoding", "frames", "name", "own_frames", "ping_frame", "then")

    def __init__(
        self,
        name: str,
        encoding: Encoding,
        own_frames: Framing,
        shared_frames: Framing | None = None,
    ) -> None:
        """
        `own_frames` frames what one client alone gets, `shared_frames` what many get and may thus
        cost more to make, as compressing does.
        """
        self.name = name  # for the metrics
        self.encoding = encoding
        self.own_frames = own_frames
        self.frames = shared_frames or own_frames
        self.ping_frame = own_frames([encoding.ping])
        self.delta: Variant | None = None  # for channels of which it takes differences
        self.then: Variant | None = None  # after the first publication, which is whole

    def __repr__(self) -> str:
        return f"<variant {self.name}>"


class JsonEncoding:
    """The JSON of the Centrifuge protocol."""

    ping = protocol.PING

    def head(self, channel: str) -> bytes:
        return protocol.channel_head(channel)

    def push(self, head: bytes, item: Publication) -> bytes:
        return protocol.push(head, item)

    def commands(self, frame: bytes) -> list[Command]:
        return commands.read_commands(frame)

    def reply(self, message: Reply) -> bytes:
        return protocol.reply(message)

    def published(self, id: int) -> bytes:
        return protocol.published(id)

    def rpc_reply(self, id: int, result: bytes) -> bytes:
        return protocol.rpc_reply(id, result)

    def subscribe(self, channel: str, told: protocol.Subscribed) -> bytes:
        return protocol.push_subscribe(channel, told)

    def unsubscribe(self, channel: str, code: int, reason: str) -> bytes:
        return protocol.push_unsubscribe(channel, code, reason)

    def disconnect(self, code: int, reason: str) -> bytes:
        return protocol.push_disconnect(code, reason)


def text_frame(payload: bytes) -> bytes:
    """A finished, unmasked WebSocket text frame: the same bytes for every receiver."""
    return frame(TEXT, payload)


def frame(first: int, payload: bytes) -> bytes:
    """A finished, unmasked WebSocket frame; `first` holds FIN, RSV1 and the opcode."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def batches(messages: Iterable[bytes], most: int) -> Iterable[list[bytes]]:
    """Messages in their order, together about `most` bytes a batch; a longer one stands alone."""
    batch: list[bytes] = []
    size = 0
    for message in messages:
        if batch and size + len(message) > most:
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += len(message) + 1
    if batch:
        yield batch


def text_frames(lines: Iterable[bytes], most: int = FRAME_BYTES) -> bytes:
    """Lines joined by newlines into text frames of about `most` bytes each, as one string."""
    if isinstance(lines, list) and len(lines) == 1:  # most replies
        return text_frame(lines[0])
    return b"".join(text_frame(b"\n".join(batch)) for batch in batches(lines, most))


class Deflater:
    """
    Compresses payloads so that each can be read without any other.

    One compressor for a process: a full flush after each payload forgets it, and is cheaper than a
    new compressor, which is a quarter of a megabyte.
    """

    def __init__(self) -> None:
        self._compressor = self._fresh()

    def __call__(self, payload: bytes) -> bytes:
        """The payload of a message with RSV1 (RFC 7692, 7.2.1)."""
        try:
            body = self._compressor.compress(payload)
            return (body + self._compressor.flush(zlib.Z_FULL_FLUSH)).removesuffix(_EMPTY_BLOCK)
        except BaseException:  # half a payload must not begin the next one
            self._compressor = self._fresh()
            raise

    def _fresh(self) -> "zlib._Compress":
        return zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL)


_deflate = Deflater()


def deflated_frame(first: int, payload: bytes) -> bytes:
    """A compressed frame, or a plain one where that is as short."""
    if len(payload) >= DEFLATE_BYTES:
        small = _deflate(payload)
        if len(small) < len(payload):
            return frame(first | RSV1, small)
    return frame(first, payload)


def deflated_text_frames(lines: Iterable[bytes], most: int = FRAME_BYTES) -> bytes:
    """The same as `text_frames` for those who negotiated permessage-deflate."""
    return b"".join(deflated_frame(TEXT, b"\n".join(batch)) for batch in batches(lines, most))


def binary_frames(messages: Iterable[bytes], most: int = FRAME_BYTES) -> bytes:
    """Messages with their lengths, in binary frames of about `most` bytes each."""
    return b"".join(frame(BINARY, b"".join(batch)) for batch in batches(messages, most))


def deflated_binary_frames(messages: Iterable[bytes], most: int = FRAME_BYTES) -> bytes:
    """The same for those who negotiated permessage-deflate."""
    return b"".join(deflated_frame(BINARY, b"".join(batch)) for batch in batches(messages, most))


def stream_lines(lines: Iterable[bytes]) -> bytes:
    """Lines of a body that never ends (`http_stream`)."""
    return b"".join(line + b"\n" for line in lines)


def stream_events(lines: Iterable[bytes]) -> bytes:
    """
    Events of a `text/event-stream` (`sse`). A CR ends a line there as LF does; in a message it can
    only be white space between JSON's tokens.
    """
    return b"".join(b"data: " + line.replace(b"\r", b"") + b"\n\n" for line in lines)


class DeltaEncoding(ABC):
    """
    For subscribers who take differences; while `fresh`, they have nothing to apply one to. The hub
    makes each difference once for all.
    """

    def __init__(self, *, fresh: bool) -> None:
        self.fresh = fresh

    @abstractmethod
    def push_after(self, head: bytes, item: Publication, patch: bytes | None) -> bytes:
        """One pub push; `patch` makes the payload from that of the pub before."""


class JsonDeltas(DeltaEncoding, JsonEncoding):
    """Publications have the data of a text."""

    def push_after(self, head: bytes, item: Publication, patch: bytes | None) -> bytes:
        return head + protocol.delta_publication(item, patch) + b"}}"


class ProtobufDeltas(DeltaEncoding, protobuf.ProtobufEncoding):
    """Payload and difference are bytes as they are."""

    def push_after(self, head: bytes, item: Publication, patch: bytes | None) -> bytes:
        return protobuf.delta_push(head, item, patch)


class Deltas(NamedTuple):
    """The encodings of a form for those who take differences."""

    fresh: Encoding
    later: Encoding


def _with_delta(variant: Variant, deltas: Deltas) -> Variant:
    first = Variant(f"{variant.name}_fresh", deltas.fresh, variant.own_frames, variant.frames)
    first.then = Variant(f"{variant.name}_delta", deltas.later, variant.own_frames, variant.frames)
    variant.delta = first
    return variant


JSON = JsonEncoding()
_JSON_DELTAS = Deltas(JsonDeltas(fresh=True), JsonDeltas(fresh=False))
JSON_TEXT = _with_delta(Variant("json", JSON, text_frames), _JSON_DELTAS)
JSON_DEFLATE = _with_delta(
    Variant("json_deflate", JSON, text_frames, deflated_text_frames), _JSON_DELTAS
)
JSON_STREAM = _with_delta(Variant("json_http_stream", JSON, stream_lines), _JSON_DELTAS)
JSON_EVENTS = _with_delta(Variant("json_sse", JSON, stream_events), _JSON_DELTAS)

PROTOBUF = protobuf.ProtobufEncoding()
_PROTOBUF_DELTAS = Deltas(ProtobufDeltas(fresh=True), ProtobufDeltas(fresh=False))
PROTOBUF_BINARY = _with_delta(Variant("protobuf", PROTOBUF, binary_frames), _PROTOBUF_DELTAS)
PROTOBUF_DEFLATE = _with_delta(
    Variant("protobuf_deflate", PROTOBUF, binary_frames, deflated_binary_frames), _PROTOBUF_DELTAS
)
PROTOBUF_STREAM = _with_delta(Variant("protobuf_http_stream", PROTOBUF, b"".join), _PROTOBUF_DELTAS)
