"""
Which field of which message has which number in Protobuf: those of `client.proto` beside this file.

`FIELDS` says it of every struct of `commands.py` and `protocol.py`; a test compares it with the
file and with the messages that an official SDK is made with.
"""

from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from rooms import commands, protocol


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


class Emulated(msgspec.Struct):
    """The body of a request to `/emulation`."""

    node: str = ""
    session: str = ""
    data: Raw = Raw()


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
    commands.Command: (
        Field(1, "id", "uint"),
        Field(4, "connect", commands.Connect),
        Field(5, "subscribe", commands.Subscribe),
        Field(6, "unsubscribe", commands.Unsubscribe),
        Field(7, "publish", commands.Publish),
        Field(8, "presence", commands.AskPresence),
        Field(9, "presence_stats", commands.AskPresenceStats),
        Field(10, "history", commands.HistoryRequest),
        Field(11, "ping", commands.Ping),
        Field(12, "send", commands.Send),
        Field(13, "rpc", commands.Rpc),
        Field(14, "refresh", commands.Refresh),
        Field(15, "sub_refresh", commands.SubRefresh),
    ),
    commands.Connect: (
        Field(1, "token", "text"),
        Field(2, "data", "bytes"),
        Field(3, "subs", commands.Recovery, "map"),
        Field(4, "name", "text"),
        Field(5, "version", "text"),
    ),
    commands.Recovery: (
        Field(3, "recover", "bool"),
        Field(6, "epoch", "text"),
        Field(7, "offset", "uint"),
    ),
    commands.Subscribe: (
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
    commands.Unsubscribe: _CHANNEL,
    commands.AskPresence: _CHANNEL,
    commands.AskPresenceStats: _CHANNEL,
    commands.Publish: (*_CHANNEL, Field(2, "data", "bytes")),
    commands.Since: (Field(1, "offset", "uint"), Field(2, "epoch", "text")),
    commands.HistoryRequest: (
        *_CHANNEL,
        Field(7, "limit", "int"),
        Field(8, "since", commands.Since),
        Field(9, "reverse", "bool"),
    ),
    commands.Rpc: (Field(1, "data", "bytes"), Field(2, "method", "text")),
    commands.Send: (Field(1, "data", "bytes"),),
    commands.Refresh: (Field(1, "token", "text"),),
    commands.SubRefresh: (*_CHANNEL, Field(2, "token", "text")),
    commands.Ping: (),
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
    Emulated: (
        Field(1, "node", "text"),
        Field(2, "session", "text"),
        Field(3, "data", "bytes"),
    ),
}
