"""
What clients say in the Centrifuge client protocol, version 2: its commands, read from JSON.

A text frame holds one or more of them, one a line; official clients send their first ones together.
What they are answered is in `protocol.py`, the same commands in Protobuf in `protobuf.py`.
"""

from typing import Annotated

import msgspec
from msgspec import Raw

MAX_ID = 2**32 - 1  # a command's id is a uint32
MAX_OFFSET = 2**53 - 1  # what every client can count, JavaScript included

Id = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=MAX_OFFSET)]

FLAG_REJECT_UNRECOVERED = 2  # subscribe.flag: answer error 112 instead of `recovered: false`

NESTED = 3  # levels of objects inside a command: its request, `subs`, one of them
PAYLOAD = "data"  # of a request: whatever JSON, null included

_encode = msgspec.json.Encoder().encode


class BadCommand(ValueError):
    """A frame that is not a batch of commands. The connection cannot go on (close 3501)."""


class Recovery(msgspec.Struct):
    """Where a returning client left a server-side subscription."""

    recover: bool = False
    offset: Offset = 0
    epoch: str = ""


class Connect(msgspec.Struct):
    token: str = ""
    data: Raw = Raw()
    subs: dict[str, Recovery] = {}
    name: str = ""
    version: str = ""


class Subscribe(msgspec.Struct):
    channel: str = ""
    token: str = ""
    recover: bool = False
    offset: Offset = 0
    epoch: str = ""
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    delta: str = ""
    flag: int = 0
    type: int = 0  # 0 = a plain stream; the others (map, shared poll) are not offered
    tf: Raw = Raw()  # a filter by publication tags; not offered


class Unsubscribe(msgspec.Struct):
    channel: str = ""


class AskPresence(msgspec.Struct):
    channel: str = ""


class AskPresenceStats(msgspec.Struct):
    channel: str = ""


class Publish(msgspec.Struct):
    channel: str = ""
    data: Raw = Raw()


class Since(msgspec.Struct):
    offset: Offset = 0
    epoch: str = ""


class HistoryRequest(msgspec.Struct):
    channel: str = ""
    limit: int = 0
    since: Since | None = None
    reverse: bool = False


class Rpc(msgspec.Struct):
    method: str = ""
    data: Raw = Raw()


class Send(msgspec.Struct):
    data: Raw = Raw()


class Refresh(msgspec.Struct):
    token: str = ""


class SubRefresh(msgspec.Struct):
    channel: str = ""  # one SDK leaves it out; the token names it too
    token: str = ""


class Ping(msgspec.Struct):
    pass


class Command(msgspec.Struct):
    """One command; the first request that is present counts. All absent = the client's pong."""

    id: Id = 0
    connect: Connect | None = None
    subscribe: Subscribe | None = None
    unsubscribe: Unsubscribe | None = None
    publish: Publish | None = None
    presence: AskPresence | None = None
    presence_stats: AskPresenceStats | None = None
    history: HistoryRequest | None = None
    rpc: Rpc | None = None
    send: Send | None = None
    refresh: Refresh | None = None
    sub_refresh: SubRefresh | None = None
    ping: Ping | None = None

    @property
    def is_pong(self) -> bool:
        """A command without an id is a pong, whatever it holds, unless it is a `send`."""
        return self.id == 0 and self.send is None

    @property
    def method(self) -> str:
        """The name of the request that counts; "" if there is none."""
        return METHODS.get(type(self.request), "")

    @property
    def request(self) -> "Request | None":
        """The request that counts."""
        return (
            self.connect
            or self.subscribe
            or self.unsubscribe
            or self.publish
            or self.presence
            or self.presence_stats
            or self.history
            or self.rpc
            or self.send
            or self.refresh
            or self.sub_refresh
            or self.ping
        )


Request = (
    Connect
    | Subscribe
    | Unsubscribe
    | Publish
    | AskPresence
    | AskPresenceStats
    | HistoryRequest
    | Rpc
    | Send
    | Refresh
    | SubRefresh
    | Ping
)
#: the field of each request
METHODS: dict[type, str] = {
    Connect: "connect",
    Subscribe: "subscribe",
    Unsubscribe: "unsubscribe",
    Publish: "publish",
    AskPresence: "presence",
    AskPresenceStats: "presence_stats",
    HistoryRequest: "history",
    Rpc: "rpc",
    Send: "send",
    Refresh: "refresh",
    SubRefresh: "sub_refresh",
    Ping: "ping",
}

_read_command = msgspec.json.Decoder(Command).decode


def read_commands(frame: bytes) -> list[Command]:
    """
    The commands of one text frame, in order. A field that is null is as good as none.

    Raises:
        BadCommand: Not valid JSON, wrong types, or an empty frame.
    """
    try:
        if b"\n" not in frame:  # as nearly always
            return [_read_command(frame)]
        commands = [_read_command(line) for line in frame.split(b"\n") if line.strip()]
    except msgspec.ValidationError as error:
        if b"null" not in frame:
            raise BadCommand("bad request") from error
        commands = _read_with_nulls(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadCommand("bad request") from error
    if not commands:
        raise BadCommand("bad request")
    return commands


def _read_with_nulls(frame: bytes) -> list[Command]:
    """The same for clients that write down what they do not say; official ones never do."""
    try:
        lines = [line for line in frame.split(b"\n") if line.strip()]
        return [_read_command(_encode(_without_nulls(line, NESTED))) for line in lines]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadCommand("bad request") from error


def _without_nulls(text: bytes, levels: int) -> dict[str, Raw]:
    """The fields of an object that are not null, those inside them too; payloads as they are."""
    fields = msgspec.json.decode(text, type=dict[str, Raw])
    kept: dict[str, Raw] = {}
    for name, value in fields.items():
        inner = bytes(value)
        if name != PAYLOAD and levels and inner.startswith(b"{"):
            kept[name] = Raw(_encode(_without_nulls(inner, levels - 1)))
        elif name == PAYLOAD or inner != b"null":
            kept[name] = value
    return kept
