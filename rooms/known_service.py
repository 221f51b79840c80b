"""Room objects from memory, for checks that are not of record and that every message needs."""

from collections.abc import Callable

from rooms.errors import NotFound
from rooms.pacing_service import FreshReads
from rooms.room import Room
from rooms.store import RoomStore

KNOWN_MS = 2_000  # how long a room object may be out of date for checks that are not of record
KNOWN_MAX = 10_000  # room objects remembered

_NEVER: tuple[Room | None, int] = (None, 0)


class KnownRooms:
    """What this worker read of the record, or wrote to it. `now` is in milliseconds."""

    def __init__(self, store: RoomStore, now: Callable[[], int]) -> None:
        self._store = store
        self._now = now
        self._known: dict[str, tuple[Room | None, int]] = {}
        self._reads = FreshReads()

    def exists(self, room: str) -> bool:
        """Whether it was seen once: rooms do not go away."""
        return self._known.get(room, _NEVER)[0] is not None

    async def must_exist(self, room: str) -> None:
        """Raises NotFound."""
        if not self.exists(room) and await self.recent(room) is None:
            raise NotFound(f"There is no room {room}")

    async def recent(self, room: str) -> Room | None:
        """The room object, at most two seconds old."""
        known = self._known.get(room)
        if known is not None and known[1] > self._now():
            return known[0]
        return await self.read(room)

    async def read(self, room: str) -> Room | None:
        """The room on record; a crowd that asks in the same moment shares the reading."""

        async def read() -> Room | None:
            found = await self._store.get(room)
            self.remember(room, found)
            return found

        return await self._reads.get(room, read)

    def remember(self, id: str, room: Room | None) -> None:
        """What the record says of it now."""
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()  # rare, and costs one read a room
        self._known[id] = (room, self._now() + KNOWN_MS)
