"""
The Centrifuge client protocol, version 2, in JSON: commands in, replies and pushes out, as bytes.

One WebSocket text frame holds one or more messages joined by a newline, in both directions. Which
fields are present matters to the official SDKs: a field is left out when it is zero, except in the
answers to presence, presence_stats and history, and `user` and `client` of a ClientInfo. A raw
newline inside a payload would split a frame, so payloads lose them (a JSON string cannot hold one).

Pure translation: nothing here knows connections, rights or time.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Raw

from rooms import bus, fossil
from rooms.bus import Position, Publication

MAX_ID = 2**32 - 1  # a command's id is a uint32
MAX_OFFSET = 2**53 - 1  # what every client can count, JavaScript included

Id = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=MAX_OFFSET)]

FLAG_REJECT_UNRECOVERED = 2  # subscribe.flag: answer error 112 instead of `recovered: false`

NESTED = 3  # levels of objects inside a command: its request, `subs`, one of them
PAYLOAD = "data"  # of a request: whatever JSON, null included

JOIN, LEAVE = bus.JOIN, bus.LEAVE  # prefixes of hidden channels


class BadCommand(ValueError):
    """A frame that is not a batch of commands. The connection cannot go on (close 3501)."""


# --- commands --------------------------------------------------------------------------------


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


# --- replies ---------------------------------------------------------------------------------


class Error(msgspec.Struct, omit_defaults=True):
    code: int
    message: str
    temporary: bool = False


class SubscribeResult(msgspec.Struct, omit_defaults=True, kw_only=True):
    expires: bool = False
    ttl: int = 0  # seconds
    recoverable: bool = False
    epoch: str = ""
    publications: list[Raw] = []
    recovered: bool = False
    offset: int = 0
    positioned: bool = False
    was_recovering: bool = False
    delta: bool = False


class ConnectResult(msgspec.Struct, omit_defaults=True, kw_only=True):
    client: str
    version: str
    expires: bool = False
    ttl: int = 0  # seconds
    subs: dict[str, SubscribeResult] = {}
    ping: int = 0  # seconds
    pong: bool = False
    session: str = ""  # of a stream: what names it in the client's further requests
    node: str = ""  # of a stream: the worker that holds it
    time: int = 0  # the server's clock, milliseconds


class RefreshResult(msgspec.Struct, omit_defaults=True, kw_only=True):
    client: str
    version: str
    expires: bool = False
    ttl: int = 0


class SubRefreshResult(msgspec.Struct, omit_defaults=True):
    expires: bool = False
    ttl: int = 0


class Empty(msgspec.Struct):
    """An answer without content; its key must be there all the same."""


class PresenceResult(msgspec.Struct):
    presence: dict[str, Raw]


class PresenceStats(msgspec.Struct):
    num_clients: int
    num_users: int


class HistoryResult(msgspec.Struct):
    publications: list[Raw]
    epoch: str
    offset: int


class RpcResult(msgspec.Struct):
    data: Raw


class Reply(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One reply: the id of its command and exactly one other field."""

    id: int
    error: Error | None = None
    connect: ConnectResult | None = None
    subscribe: SubscribeResult | None = None
    unsubscribe: Empty | None = None
    publish: Empty | None = None
    presence: PresenceResult | None = None
    presence_stats: PresenceStats | None = None
    history: HistoryResult | None = None
    rpc: RpcResult | None = None
    refresh: RefreshResult | None = None
    sub_refresh: SubRefreshResult | None = None


_encode = msgspec.json.Encoder().encode


def client_info(user: str, client: str, conn: bytes = b"", chan: bytes = b"") -> bytes:
    """ClientInfo JSON. `user` is present even when empty."""
    body = _encode({"user": user, "client": client})[:-1]
    if conn:
        body += b',"conn_info":' + one_line(conn)
    if chan:
        body += b',"chan_info":' + one_line(chan)
    return body + b"}"


def reply(message: Reply) -> bytes:
    """One reply as a line."""
    return _encode(message)


def published(id: int) -> bytes:
    """The reply to a publication, of which there are most."""
    return b'{"id":%d,"publish":{}}' % id


def rpc_reply(id: int, answer: bytes) -> bytes:
    """The reply to an RPC command, whose result is JSON already."""
    return b'{"id":%d,"rpc":{"data":%b}}' % (id, one_line(answer))


def one_line(payload: bytes) -> bytes:
    """Payload JSON without raw newlines. They can only be white space there."""
    return payload.replace(b"\n", b"") if b"\n" in payload else payload


def publication(item: Publication) -> bytes:
    """A Publication object, as pushes, recovery and history hold it."""
    data, info = one_line(item.data), one_line(item.info)
    if info and item.offset:  # a line of chat
        return b'{"data":%b,"info":%b,"offset":%d}' % (data, info, item.offset)
    more = b',"info":' + info if info else b',"offset":%d' % item.offset if item.offset else b""
    return b'{"data":%b%b}' % (data, more)


def delta_publication(item: Publication, patch: bytes | None) -> bytes:
    """
    The same for those who take differences: `data` is a text, the payload or what makes it from
    the one before.
    """
    text = one_line(item.data) if patch is None else patch
    whole = publication(msgspec.structs.replace(item, data=_encode(text.decode())))
    return whole if patch is None else whole[:-1] + b',"delta":true}'


def delta_publications(items: Iterable[Publication]) -> list[Raw]:
    """The first whole, each of the others as a difference to the one before."""
    out: list[Raw] = []
    before: bytes | None = None
    for item in items:
        text = one_line(item.data)
        patch = None if before is None else fossil.create(before, text)
        out.append(Raw(delta_publication(item, patch)))
        before = text
    return out


def publications(items: Iterable[Publication]) -> list[Raw]:
    return [Raw(publication(item)) for item in items]


def subscribed(
    position: Position | None,
    *,
    requested: Position | None = None,
    recovered: bool = False,
    missed: Iterable[Publication] = (),
    ttl: int | None = None,
    delta: bool = False,
) -> SubscribeResult:
    """
    The answer to a subscription at `position` (None: the channel keeps no positions).

    A recovered one names the offset that was asked for, and the SDK counts on from there while it
    reads the publications; every other names the offset from which on pushes follow.
    """
    result = SubscribeResult(was_recovering=requested is not None, delta=delta)
    if ttl is not None:
        result.expires, result.ttl = True, ttl
    if position is None:
        return result
    result.recoverable = result.positioned = True
    result.epoch = position.epoch
    result.offset = position.offset
    if requested is not None and recovered:
        result.recovered = True
        result.offset = requested.offset
        result.publications = (delta_publications if delta else publications)(missed)
    return result


# --- pushes ----------------------------------------------------------------------------------

PING = b"{}"


def channel_head(channel: str) -> bytes:
    """The part of every push of a channel that stands before its content; made once a channel."""
    if channel.startswith(JOIN):
        return _head(channel.removeprefix(JOIN)) + b'"join":'
    if channel.startswith(LEAVE):
        return _head(channel.removeprefix(LEAVE)) + b'"leave":'
    return _head(channel) + b'"pub":'


def _head(channel: str) -> bytes:
    return b'{"push":{"channel":' + _encode(channel) + b","


def push(head: bytes, item: Publication) -> bytes:
    """One pub, join or leave push as a line; `head` from `channel_head`."""
    if item.channel.startswith((JOIN, LEAVE)):
        return head + b'{"info":' + one_line(item.data) + b"}}}"
    return head + publication(item) + b"}}"


def watched(channel: str) -> str:
    """The channel whose subscribers get this publication."""
    return channel.removeprefix(JOIN).removeprefix(LEAVE)


class Subscribed(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a client is told of a subscription that it did not ask for."""

    recoverable: bool = False
    epoch: str = ""
    offset: int = 0
    positioned: bool = False
    data: Raw = Raw()


def server_subscribed(position: Position | None, data: bytes) -> Subscribed:
    """
    A subscription at `position` (None: the client is told none); `data` is the caller's JSON, or
    empty.
    """
    told = Subscribed()
    if data:  # an empty one is not left out by itself
        told.data = Raw(one_line(data))
    if position is not None:
        told.recoverable = told.positioned = True
        told.epoch, told.offset = position.epoch, position.offset
    return told


def push_subscribe(channel: str, told: Subscribed) -> bytes:
    """Tell a client that the server subscribed it."""
    return _encode({"push": {"channel": channel, "subscribe": told}})


def push_unsubscribe(channel: str, code: int, reason: str) -> bytes:
    """Tell a client that the server ended its subscription; from 2500 on it subscribes again."""
    body = {"push": {"channel": channel, "unsubscribe": {"code": code, "reason": reason}}}
    return _encode(body)


def push_disconnect(code: int, reason: str) -> bytes:
    """Tell a client on a transport without close frames why it is let go."""
    body = {"code": code, "reason": reason, "reconnect": comes_back(code)}
    return _encode({"push": {"disconnect": body}})


def comes_back(code: int) -> bool:
    """Whether clients connect again after this close code."""
    return not (3500 <= code <= 3999 or 4500 <= code <= 4999)
