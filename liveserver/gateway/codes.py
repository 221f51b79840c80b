"""
The protocol's numbers: errors answer a command, closes end a connection, both with a reason.

The official SDKs reconnect after every close code except 3500–3999 and 4500–4999. They look at the
code only when there is a reason, so every close has one, in plain text of at most 123 bytes.
"""

from typing import NamedTuple

from liveserver.problems import PROBLEMS, Refusal
from rooms.protocol import Error


class Close(NamedTuple):
    code: int
    reason: str


SHUTDOWN = Close(3001, "shutdown")
EXPIRED = Close(3005, "connection expired")
SLOW = Close(3008, "slow")
INSUFFICIENT_STATE = Close(3010, "insufficient state")
NO_PONG = Close(3012, "no pong")
TOO_MANY = Close(3013, "too many requests")
INVALID_TOKEN = Close(3500, "invalid token")
BAD_REQUEST = Close(3501, "bad request")
STALE = Close(3502, "stale")
NOT_TEXT = Close(1003, "send text frames")
NOT_BINARY = Close(1003, "send binary frames")
NOT_UTF8 = Close(1007, "invalid UTF-8")


class Unsubscribe(NamedTuple):
    code: int
    reason: str


SERVER_UNSUBSCRIBE = Unsubscribe(2000, "server unsubscribe")
LOST_STATE = Unsubscribe(2500, "insufficient state")
SUBSCRIPTION_EXPIRED = Unsubscribe(2501, "subscription expired")

INTERNAL = Error(100, "internal server error", True)
KEY_PENDING = Error(100, "the key of this token is being looked for", True)
UNAUTHORIZED = Error(101, "unauthorized")
UNKNOWN_CHANNEL = Error(102, "unknown channel")
DENIED = Error(103, "permission denied")
ALREADY_SUBSCRIBED = Error(105, "already subscribed")
LIMIT_EXCEEDED = Error(106, "limit exceeded")
BAD_COMMAND = Error(107, "bad request")
NOT_AVAILABLE = Error(108, "not available")
TOKEN_EXPIRED = Error(109, "token expired")
UNRECOVERABLE = Error(112, "unrecoverable position")


class Fail(Exception):
    """Answer the command with this error."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


class Hangup(Exception):
    """End the connection with this code."""

    def __init__(self, close: Close) -> None:
        super().__init__(close.reason)
        self.close = close


def error_of(refusal: Refusal) -> Error:
    """
    The error of an RPC or a publication that the rules refused. Where several reasons share a code,
    the message begins with the stable name of the reason: `slow-mode: Slow mode is on; wait 4 s`.
    """
    row = PROBLEMS[refusal.problem]
    reason = refusal.facts.get("reason")
    message = f"{reason}: {refusal.detail}" if reason else refusal.detail
    return Error(row.code, message, row.temporary)


#: refusals that have an own number where the command is about a channel
_OF_CHANNELS = {"forbidden": DENIED.code, "not-found": UNKNOWN_CHANNEL.code}


def channel_error_of(refusal: Refusal) -> Error:
    """The error of a command about a channel."""
    error = error_of(refusal)
    error.code = _OF_CHANNELS.get(refusal.problem, error.code)
    return error
