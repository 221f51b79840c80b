"""
Writes what happens in live rooms into the archive, off the hot path.

It listens like any worker: deliveries first, and once a second a look at the positions of all live
rooms in one call, so that a delivery that got lost is read from history. What history does not have
any more becomes a line that says so. Deliveries are written once a second in one transaction; a
crash loses danmaku of that second, everything numbered is read again from where the archive ends.

A show that begins calls for a look at once. One that ended before anybody looked (it was that
short, or the recorder was away) is read from history afterwards, all but its danmaku.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from liveserver.archive.entry import (
    CHANNELS,
    ENDED,
    GAP,
    SNAPSHOT,
    STATS_MS,
    Entry,
    Show,
    entries_of,
    head_of,
    note,
)
from rooms.bus import Bus, Delivery, History, Position, Publication
from rooms.channels import split
from rooms.errors import Refusal
from rooms.service import SHOWS_TOPIC

ROUND_SECONDS = 1.0  # between two looks: what a crash may lose of danmaku
PENDING_MAX = 20_000  # entries that wait for the database, about 10 MB; then danmaku are dropped
#: and numbered events are read again later from history
LATELY_MS = 3_600_000  # a show that ended longer ago is not looked for; no writer is away so long
NUMBERED = ("chat", "room")  # the room last: with its end nothing more is of the show

log = logging.getLogger(__name__)


class Store(Protocol):
    """Where lines go. Raises `rooms.errors.Unavailable`."""

    async def add(self, entries: Sequence[Entry]) -> None:
        """Write them, once each."""

    async def erase(self, room: str, channel: str, ids: Sequence[str], at: int) -> None:
        """Put tombstones in place of messages."""

    async def tops(self, show: str) -> dict[str, Position]:
        """How far each channel of a show is written."""

    async def has_end(self, show: str) -> bool:
        """Whether a show is written up to its end."""


class Following:
    """One room with a show as the recorder sees it."""

    def __init__(self, show: Show) -> None:
        self.room = show.room
        self.first = show
        self.show: str | None = show.id  # None after the end of the show
        self.positions: dict[str, Position] = {}  # of the channels that are followed already
        self.broken: set[str] = set()  # channels of which something is missing
        self.stateless = True  # the room's whole state has to be written (again)
        self.stats_at = 0  # of the last sample that was kept
        self.over = False


class Recorder:
    """
    Args:
        bus: A connection of its own, since topics are attached for it alone.
        shows: Those that are live or ended at a moment (milliseconds) or later, from the record.
    """

    def __init__(
        self,
        bus: Bus,
        store: Store,
        *,
        shows: Callable[[int], Awaitable[Sequence[Show]]],
        now: Callable[[], int],
    ) -> None:
        self._bus = bus
        self._store = store
        self._shows = shows
        self._now = now
        self._settled: set[str] = set()  # shows that ended lately and are written
        self._rooms: dict[str, Following] = {}
        self._pending: list[Entry] = []
        self._graves: list[tuple[str, str, str]] = []  # room, channel, id to erase after writing
        self._again = asyncio.Event()
        self.listening = False  # whether the begin of a show is heard at once
        self.dropped = 0  # danmaku that found the database too slow, for the metrics
        bus.on_delivery(self._take)
        bus.on_reconnect(self._again.set)

    @property
    def rooms(self) -> frozenset[str]:
        """Those that are followed now."""
        return frozenset(self._rooms)

    @property
    def waiting(self) -> int:
        """How many entries wait for the database."""
        return len(self._pending)

    async def run(self) -> None:
        """Follow for ever. What fails is tried again with the next round."""
        try:
            while True:
                self._again.clear()
                await self._try(self._listen)
                await self._try(self.look)
                await self._try(self.flush)
                try:
                    async with asyncio.timeout(ROUND_SECONDS):
                        await self._again.wait()
                except TimeoutError:
                    pass
        finally:
            await self._try(self.flush)

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except Refusal as refusal:
            log.warning("archive: %s", refusal.detail)

    # --- what to follow ------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Hear of shows that begin. Asked again, the bus has nothing to do."""
        await self._bus.attach(SHOWS_TOPIC)
        self.listening = True

    async def look(self) -> None:
        """Follow rooms that went live, fill what is missing, let rooms go that ended."""
        shows = await self._shows(self._now() - LATELY_MS)
        self._settled &= {show.id for show in shows}
        live = {show.room for show in shows if show.ended_at is None}
        for show in shows:
            if show.room in self._rooms or show.id in self._settled:
                continue
            if show.ended_at is not None:
                await self._catch_up(show)
            else:
                await self._begin(show)
        await self._check()
        for following in [one for one in self._rooms.values() if one.room not in live]:
            if following.over or following.show is None:
                del self._rooms[following.room]
                await self._bus.detach(following.room)
            else:
                following.over = True  # one more round, for what is still on its way

    async def _begin(self, show: Show) -> None:
        following = self._rooms[show.room] = Following(show)
        try:
            await self._bus.attach(show.room)
            await self._fill_all(following)
        except BaseException:
            self._rooms.pop(show.room, None)
            raise

    async def _catch_up(self, show: Show) -> None:
        """Read what history kept of a show that is over, unless its end is written."""
        if not await self._store.has_end(show.id):
            following = Following(show)
            await self._fill_all(following)
            if len(following.positions) < len(NUMBERED):
                return  # too much waits for the database; the next look tries again
        self._settled.add(show.id)

    async def _fill_all(self, following: Following) -> None:
        written = await self._store.tops(following.first.id)
        following.stateless = not written
        for namespace in NUMBERED:
            channel = f"{namespace}:{following.room}"
            await self._fill(following, channel, written.get(channel))

    async def _note_state(self, following: Following) -> None:
        """The room as it is now: with the events after its position, the room of any moment."""
        snapshot = await self._bus.snapshot(following.room)
        if snapshot is None:
            return  # it is being put back, under a new epoch: the next round sees it
        following.stateless = False
        parts = {name: msgspec.Raw(body) for name, body in snapshot.parts.items()}
        position = msgspec.to_builtins(snapshot.position)
        show, room = following.show or "", following.room
        self._put(
            note(show, room, SNAPSHOT, f"room:{room}", self._now(), parts=parts, position=position)
        )

    async def _check(self) -> None:
        topics = {one.room: list(one.positions) for one in self._rooms.values()}
        tops = await self._bus.positions(topics) if topics else {}
        for following in list(self._rooms.values()):
            for channel, here in list(following.positions.items()):
                top = tops.get(channel, here)
                if (
                    channel in following.broken
                    or top.epoch != here.epoch
                    or top.offset > here.offset
                ):
                    await self._fill(following, channel, here)
            if following.stateless and following.show is not None:
                await self._note_state(following)

    async def _fill(self, following: Following, channel: str, since: Position | None) -> None:
        """Read what history has after `since` (None: of this show) and go on from there."""
        if len(self._pending) >= PENDING_MAX:
            return
        read = await self._bus.history(following.room, channel, since=since, limit=-1)
        if since is not None and since.epoch != read.position.epoch:
            read = await self._bus.history(following.room, channel, since=None, limit=-1)
        if following.positions.get(channel) != since and channel in following.positions:
            return  # deliveries went on meanwhile: the next round sees whether anything is missing
        holes = since is not None and self._note_holes(following, channel, since, read)
        following.positions[channel] = read.position
        following.broken.discard(channel)
        over = following.first.ended_at is not None
        for publication in read.publications:
            if not (since is None or over) or _is_of(publication, following.first):
                self._record(following, publication)
        if holes and channel == f"room:{following.room}":
            following.stateless = True

    def _note_holes(
        self, following: Following, channel: str, since: Position, read: History
    ) -> bool:
        """Say what history does not have any more of what follows `since`, if anything."""
        found, top = read.publications, read.position
        if since.epoch != top.epoch:
            self._note_gap(following, channel, since.offset + 1, None)
            return True
        first = found[0].offset if found else top.offset + 1
        if first > since.offset + 1:
            self._note_gap(following, channel, since.offset + 1, first - 1)
            return True
        return False

    def _note_gap(self, following: Following, channel: str, first: int, last: int | None) -> None:
        """`last` is None where nobody knows: the bus lost its history."""
        show = following.show or ""
        self._put(note(show, following.room, GAP, channel, self._now(), first=first, last=last))

    # --- what happens --------------------------------------------------------------------------

    def _take(self, delivery: Delivery) -> None:
        """A delivery of the bus; never waits."""
        if delivery.topic == SHOWS_TOPIC:
            self._again.set()
        following = self._rooms.get(delivery.topic)
        if following is None:
            return
        for publication in delivery.publications:
            if publication.offset:
                if self._follows(following, publication):
                    self._record(following, publication)
            else:
                self._record(following, publication)

    def _follows(self, following: Following, publication: Publication) -> bool:
        """Whether this is the very next of its channel; if so, count it."""
        here = following.positions.get(publication.channel)
        if here is None or publication.channel in following.broken:
            return False  # history will bring it
        if publication.epoch == here.epoch and publication.offset <= here.offset:
            return False
        full = len(self._pending) >= PENDING_MAX
        if full or publication.epoch != here.epoch or publication.offset != here.offset + 1:
            following.broken.add(publication.channel)
            return False
        following.positions[publication.channel] = Position(here.epoch, publication.offset)
        return True

    def _record(self, following: Following, publication: Publication) -> None:
        if split(publication.channel)[0] not in CHANNELS or not publication.data:
            return
        try:
            entries = list(self._entries(following, publication))
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            log.exception("archive: %s cannot be read", publication.channel)
            return
        for entry in entries:
            if entry.type == "danmaku" and len(self._pending) >= PENDING_MAX:
                self.dropped += 1
            else:
                self._put(entry)

    def _entries(self, following: Following, publication: Publication) -> list[Entry]:
        """The entries of a publication; the events of begin and end say which show it is."""
        now = self._now()
        head = head_of(publication.data)
        kind = head.type
        if kind == "room.started":
            following.show = msgspec.json.decode(publication.data)["room"]["show"]
        if kind == "room.stats":
            if now - following.stats_at < STATS_MS:
                return []
            following.stats_at = now
        if following.show is None:
            return []
        if kind == "moderation.message_deleted":
            channel = msgspec.json.decode(publication.data)["channel"]
            self._graves.append((following.room, channel, head.id))
        entries = list(entries_of(publication, head, following.show, following.room, now))
        if kind == ENDED:
            following.show = None
        return entries

    def _put(self, entry: Entry) -> None:
        self._pending.append(entry)

    async def flush(self) -> None:
        """Write what waits. What cannot be written now waits on."""
        batch, graves = list(self._pending), list(self._graves)
        if batch:
            await self._store.add(batch)
            del self._pending[: len(batch)]
        for room, channel, id in graves:  # a message may have been deleted before it was written
            await self._store.erase(room, channel, [id], self._now())
        del self._graves[: len(graves)]


def _is_of(publication: Publication, show: Show) -> bool:
    """Whether something that history kept belongs to the show and not to another of the room."""
    try:
        event = msgspec.json.decode(publication.data)
        if event.get("type") in ("room.started", ENDED):
            return bool(event["room"]["show"] == show.id)
        at = event.get("at", 0)
        return bool(show.started_at <= at and (show.ended_at is None or at <= show.ended_at))
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError):
        return False
