"""
What a room is, as everybody in it sees it, and the one function that folds events into it.

*An old snapshot and the events since make the room of now.* The pages fold with the same rules
(`static/js/room-state.js`); both read the golden files in `tests/wire/`.
"""

from typing import Literal

import msgspec

RoomState = Literal["idle", "live", "ended"]


class Room(msgspec.Struct, kw_only=True):
    """The room object of the contract, the same over HTTP, RPC, events and webhooks."""

    id: str
    title: str
    state: RoomState
    show: str | None
    started_at: str | None  # RFC 3339 UTC with milliseconds
    merchant_ids: list[str]


class ChatRules(msgspec.Struct, kw_only=True):
    """What chat allows right now."""

    slow_mode_seconds: int = 0
    muted_all: bool = False
    links: bool = True


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks, as others see it."""

    id: str
    name: str
    badges: list[str] = []
