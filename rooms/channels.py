"""
Channels: which namespace a name belongs to, what that namespace allows, and which topic carries it.

The namespace is the text before the first `:`. `room`, `chat`, `danmaku` and `console` are built
in; operators add others, and `""` for names without a namespace. `#<user>` is one user's own.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Lane = Literal["must_arrive", "chat", "droppable"]
Publisher = Literal["nobody", "server", "speaker", "subscriber", "anyone"]

CHANNEL_LENGTH_MAX = 255  # characters, as in Centrifugo
DAY_SECONDS = 24 * 3600
SHOW_HISTORY_SECONDS = DAY_SECONDS  # a show lasts hours; recovery never needs yesterday's
PERSONAL_HISTORY_SECONDS = 7 * DAY_SECONDS  # news of an order wait for a buyer over a weekend
RECOVERY_MAX = 300  # publications that one recovery may return, as in Centrifugo
ROOM_RECOVERY_MAX = 1_000  # must-arrive events are worth a longer reach

BUILT_IN = ("room", "chat", "danmaku", "console")


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What one namespace allows and keeps."""

    history_size: int = 0  # publications kept; 0 = no history
    history_ttl_seconds: int = 0
    recovery: bool = False
    recovery_max: int = RECOVERY_MAX
    presence: bool = False
    join_leave: bool = False
    publish: Publisher = "nobody"
    delta: tuple[str, ...] = ()
    tick_ms: int = 0
    lane: Lane = "must_arrive"
    built_in: bool = False

    @property
    def has_history(self) -> bool:
        return self.history_size > 0 and self.history_ttl_seconds > 0


ROOM = Rules(
    history_size=1_000,
    history_ttl_seconds=SHOW_HISTORY_SECONDS,
    recovery=True,
    recovery_max=ROOM_RECOVERY_MAX,
    publish="server",
    built_in=True,
)
CHAT = Rules(
    history_size=200,
    history_ttl_seconds=SHOW_HISTORY_SECONDS,
    recovery=True,
    publish="speaker",
    tick_ms=20,  # of numbering; the frames of a room have a tick of their own (`rooms.pace`)
    lane="chat",
    built_in=True,
)
DANMAKU = Rules(publish="speaker", tick_ms=50, lane="droppable", built_in=True)
CONSOLE = Rules(
    history_size=200,
    history_ttl_seconds=SHOW_HISTORY_SECONDS,
    recovery=True,
    publish="server",
    built_in=True,
)
PERSONAL = Rules(
    history_size=100,
    history_ttl_seconds=PERSONAL_HISTORY_SECONDS,
    recovery=True,
    publish="server",
    built_in=True,
)
_BUILT_IN_RULES = {"room": ROOM, "chat": CHAT, "danmaku": DANMAKU, "console": CONSOLE}


class _Configured(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One `[namespaces.…]` table of the settings file."""

    history_size: int = 0
    history_ttl_seconds: int = 0
    recovery: bool = False
    presence: bool = False
    join_leave: bool = False
    publish: Literal["nobody", "subscriber", "anyone"] = "nobody"
    delta: list[Literal["fossil"]] = []
    tick_ms: int = 0


def split(channel: str) -> tuple[str, str]:
    """`(namespace, rest)`; a name without `:` or of a user (`#auth0:7`) has the namespace `""`."""
    namespace, colon, rest = channel.partition(":")
    return (namespace, rest) if colon and not channel.startswith("#") else ("", channel)


def topic_of(channel: str) -> str:
    """
    What the bus carries the channel under: the room for built-in ones, else the channel alone. One
    without a namespace may have a room's name, so a colon, which no room's has, stands before it.
    """
    namespace, rest = split(channel)
    if namespace in BUILT_IN:
        return rest
    return channel if namespace or channel.startswith("#") else f":{channel}"


def room_of(channel: str) -> str | None:
    """The room of a built-in channel; None for all others."""
    namespace, rest = split(channel)
    return rest if namespace in BUILT_IN else None


def personal(user: str) -> str:
    """The user's own channel."""
    return f"#{user}"


def is_open_to(channel: str, user: str) -> bool:
    """Whether the text after a `#` names this user; True for channels without `#`."""
    _, mark, names = channel.partition("#")
    return not mark or (user != "" and (user == names or user in names.split(",")))


class Namespaces:
    """The rules of every channel: built-in namespaces and the operator's."""

    def __init__(self, configured: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """`configured` is the settings' `namespaces`. Raises ValueError that names all mistakes."""
        self._rules: dict[str, Rules] = dict(_BUILT_IN_RULES)
        mistakes = []
        for name, table in (configured or {}).items():
            try:
                self._rules[name] = _configured_rules(name, table)
            except ValueError as problem:
                mistakes.append(f'[namespaces."{name}"] {problem}')
        if mistakes:
            raise ValueError("; ".join(mistakes))

    def rules_of(self, channel: str) -> Rules | None:
        """What holds in this channel; None for an unknown namespace (error 102)."""
        namespace, rest = split(channel)
        if namespace == "" and rest.startswith("#"):
            return self._rules.get("", PERSONAL)
        return self._rules.get(namespace)


def _configured_rules(name: str, table: Mapping[str, Any]) -> Rules:
    """One operator's namespace. Raises ValueError in words."""
    if name in BUILT_IN:
        raise ValueError("is built in and cannot be changed")
    if any(mark in name for mark in ":#") or len(name) > CHANNEL_LENGTH_MAX // 2:
        raise ValueError("is not a usable name")
    try:
        wanted = msgspec.convert(dict(table), _Configured)
    except msgspec.ValidationError as problem:
        raise ValueError(str(problem)) from None
    if min(wanted.history_size, wanted.history_ttl_seconds, wanted.tick_ms) < 0:
        raise ValueError("sizes and times cannot be negative")
    if wanted.recovery and not (wanted.history_size and wanted.history_ttl_seconds):
        raise ValueError("recovery needs history_size and history_ttl_seconds")
    return Rules(**{**msgspec.to_builtins(wanted), "delta": tuple(wanted.delta)})
