"""
What clients are told in the Centrifuge client protocol, version 2, in JSON: replies and pushes.

What they say is in `commands.py`. A text frame holds one or more messages, one a line. Which
fields are present matters to the official SDKs: a field is left out when it is zero, except in the
answers to presence, presence_stats and history, and `user` and `client` of a ClientInfo. A raw
newline inside a payload would split a frame, so payloads lose them (a JSON string cannot hold one).

Pure translation: nothing here knows connections, rights or time.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Raw

from rooms import bus, fossil
from rooms.bus import Position, Publication

JOIN, LEAVE = bus.JOIN, bus.LEAVE  # prefixes of hidden channels


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
