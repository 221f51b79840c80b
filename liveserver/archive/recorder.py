"""
Writes what happens in live rooms into the archive, off the hot path.

It listens like any worker: deliveries first, and once a second a look at the positions of all live
rooms in one call, so that a delivery that got lost is read from history. What history does not have
any more becomes a line that says so. Deliveries are written once a second in one transaction; a
crash loses danmaku of that second, everything numbered is read again from where the archive ends.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from liveserver.archive.entry import CHANNELS, GAP, SNAPSHOT, STATS_MS, Entry, entries_of, note
from rooms.bus import Bus, Delivery, Position, Publication
from rooms.channels import split
from rooms.errors import NotFound, Refusal
from rooms.room import Room

ROUND_SECONDS = 1.0  # between two looks: what a crash may lose of danmaku
PENDING_MAX = 20_000  # entries that wait for the database, about 10 MB; then danmaku are dropped
#: and numbered events are read again later from history
NUMBERED = ("room", "chat")

log = logging.getLogger(__name__)


class Store(Protocol):
    """Where lines go. Raises `rooms.errors.Unavailable`."""

    async def add(self, entries: Sequence[Entry]) -> None:
        """Write them, once each."""

    async def erase(self, room: str, channel: str, ids: Sequence[str], at: int) -> None:
        """Put tombstones in place of messages."""

    async def tops(self, show: str) -> dict[str, Position]:
        """How far each channel of a show is written."""


class Following:
    """One live room as the recorder sees it."""

    def __init__(self, room: str, show: str, since_ms: int) -> None:
        self.room = room
        self.since_ms = since_ms
        self.show: str | None = show  # None after the end of the show
        self.positions: dict[str, Position] = {}  # of the channels that are followed already
        self.broken: set[str] = set()  # channels of which something is missing
        self.stateless = True  # the room's whole state has to be written (again)
        self.stats_at = 0  # of the last sample that was kept
        self.over = False


class Recorder:
    """
    Args:
        bus: A connection of its own, since topics are attached for it alone.
        live: Ids of the rooms that are live, from the record.
        room: One room from the record.
    """

    def __init__(
        self,
        bus: Bus,
        store: Store,
        *,
        live: Callable[[], Awaitable[Sequence[str]]],
        room: Callable[[str], Awaitable[Room]],
        now: Callable[[], int],
    ) -> None:
        self._bus = bus
        self._store = store
        self._live = live
        self._room = room
        self._now = now
        self._rooms: dict[str, Following] = {}
        self._pending: list[Entry] = []
        self._graves: list[tuple[str, str, str]] = []  # room, channel, id to erase after writing
        self._again = asyncio.Event()
        self.dropped = 0  # danmaku that found the database too slow, for the metrics
        bus.on_delivery(self._take)
        bus.on_reconnect(self._again.set)

    async def run(self) -> None:
        """Follow for ever. What fails is tried again with the next round."""
        try:
            while True:
                await self._try(self.look)
                await self._try(self.flush)
                self._again.clear()
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

    async def look(self) -> None:
        """Follow rooms that went live, fill what is missing, let rooms go that ended."""
        live = set(await self._live())
        for room in live - self._rooms.keys():
            await self._begin(room)
        await self._check()
        for following in [one for one in self._rooms.values() if one.room not in live]:
            if following.over or following.show is None:
                del self._rooms[following.room]
                await self._bus.detach(following.room)
            else:
                following.over = True  # one more round, for what is still on its way

    async def _begin(self, room: str) -> None:
        try:
            known = await self._room(room)
        except NotFound:
            return
        if known.show is None or known.state != "live":
            return
        following = self._rooms[room] = Following(room, known.show, _ms(known.started_at))
        try:
            await self._bus.attach(room)
            written = await self._store.tops(known.show)
            following.stateless = not written
            for namespace in NUMBERED:
                channel = f"{namespace}:{room}"
                await self._fill(following, channel, written.get(channel))
        except BaseException:
            self._rooms.pop(room, None)
            raise

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
        lost_epoch = since is not None and since.epoch != read.position.epoch
        if lost_epoch:
            read = await self._bus.history(following.room, channel, since=None, limit=-1)
        if following.positions.get(channel) != since and channel in following.positions:
            return  # deliveries went on meanwhile: the next round sees whether anything is missing
        found, holes = read.publications, False
        if since is None:
            found = [one for one in found if _is_of(one, following)]
        elif lost_epoch:
            self._note_gap(following, channel, since.offset + 1, None)
            holes = True
        else:
            first = found[0].offset if found else read.position.offset + 1
            if first > since.offset + 1:
                self._note_gap(following, channel, since.offset + 1, first - 1)
                holes = True
        following.positions[channel] = read.position
        following.broken.discard(channel)
        for publication in found:
            self._record(following, publication)
        if holes and channel == f"room:{following.room}":
            following.stateless = True

    def _note_gap(self, following: Following, channel: str, first: int, last: int | None) -> None:
        """`last` is None where nobody knows: the bus lost its history."""
        show = following.show or ""
        self._put(note(show, following.room, GAP, channel, self._now(), first=first, last=last))

    # --- what happens --------------------------------------------------------------------------

    def _take(self, delivery: Delivery) -> None:
        """A delivery of the bus; never waits."""
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
        event = msgspec.json.decode(publication.data)
        kind = event.get("type")
        if kind == "room.started":
            following.show = event["room"]["show"]
        if kind == "room.stats":
            if now - following.stats_at < STATS_MS:
                return []
            following.stats_at = now
        if following.show is None:
            return []
        if kind == "moderation.message_deleted":
            self._graves.append((following.room, event["channel"], event["id"]))
        entries = list(entries_of(publication, following.show, following.room, now))
        if kind == "room.ended":
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


def _is_of(publication: Publication, following: Following) -> bool:
    """Whether something that history kept belongs to the present show and not to an older one."""
    try:
        event = msgspec.json.decode(publication.data)
        begins = event.get("type") == "room.started" and event["room"]["show"] == following.show
        return bool(begins or event.get("at", 0) >= following.since_ms)
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError):
        return False


def _ms(moment: str | None) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000) if moment else 0
