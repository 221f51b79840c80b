"""One line of the archive, and what of a room's traffic becomes one: pure rules."""

from collections.abc import Iterator
from typing import Any

import msgspec

from rooms.bus import Publication

STATS_MS = 10_000  # one sample of viewers and likes in this time is enough for a curve
KEPT_ADVICE = frozenset({"room.stats", "order.ticker", "caption"})  # advisory events worth keeping
SNAPSHOT = "archive.snapshot"  # the room's state where the archive of a show begins
ENDED = "room.ended"  # what the archive of a show ends with
GAP = "archive.gap"  # lines that were lost before the archive got them
CHANNELS = ("room", "chat", "danmaku")  # what the console says is in the audit log


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    One event of a show. `offset` is 0 where the bus numbered nothing, then `epoch` is empty; `at`
    in milliseconds; `message` the id of what a person said, by which it can be erased.
    """

    show: str
    room: str
    channel: str
    epoch: str
    offset: int
    at: int
    type: str
    message: str = ""
    json: str


class Show(msgspec.Struct, frozen=True, kw_only=True):
    """
    A show on record, milliseconds. `open`: whether anybody may read its archive; that of a
    rehearsal is its staff's.
    """

    id: str
    room: str
    started_at: int
    ended_at: int | None
    open: bool = True
    rehearsal: bool = False


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it is read back; `n` is its place in the archive."""

    n: int
    channel: str
    epoch: str
    offset: int
    at: int
    type: str
    json: str


class Head(msgspec.Struct, frozen=True):
    """What the archive has to know of an event; most are chat, and not read any further."""

    type: str = ""
    id: Any = ""
    at: Any = None


_HEAD = msgspec.json.Decoder(Head)


def head_of(data: bytes) -> Head:
    """Raises msgspec.DecodeError."""
    return _HEAD.decode(data)


def entries_of(
    publication: Publication, head: Head, show: str, room: str, now: int
) -> Iterator[Entry]:
    """
    The entries of one publication: danmaku one an item, since each can be deleted by itself.

    Args:
        head: Of the publication's event.
        now: Milliseconds, for events that do not say when they were.
    """
    kind = head.type
    if not publication.offset and kind != "danmaku" and kind not in KEPT_ADVICE:
        return
    parts = [(head, publication.data)] if kind != "danmaku" else _items(publication.data)
    for said, body in parts:
        yield Entry(
            show=show,
            room=room,
            channel=publication.channel,
            epoch=publication.epoch if publication.offset else "",
            offset=publication.offset,
            at=_moment(said.at, now),
            type=kind,
            message=str(said.id) if kind in ("chat", "danmaku") else "",
            json=body.decode(),
        )


def _items(data: bytes) -> Iterator[tuple[Head, bytes]]:
    event = msgspec.json.decode(data)
    for item in event["items"]:
        part = {**event, "items": [item]}
        yield Head(event["type"], item.get("id", ""), item.get("at")), msgspec.json.encode(part)


def _moment(at: Any, now: int) -> int:
    return at if isinstance(at, int) else now


def note(show: str, room: str, kind: str, channel: str, at: int, **fields: Any) -> Entry:
    """A line of the archive's own: where a show's state began, or what is missing."""
    body = {"type": kind, "at": at, "channel": channel, **fields}
    return Entry(
        show=show, room=room, channel=f"archive:{room}", epoch="", offset=0, at=at, type=kind,
        json=msgspec.json.encode(body).decode(),
    )  # fmt: skip
