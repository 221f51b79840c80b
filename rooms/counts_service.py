"""Viewers and likes: counted here, summed on the bus once a second, told when changed."""

from collections.abc import Awaitable, Callable, Mapping

from rooms.bus import Bus, Tally, Totals
from rooms.errors import Invalid, TooFast, Unavailable
from rooms.room import Room

LIKES_PER_CALL_MAX = 100  # a page sends what gathered in a second; nobody taps faster
ROOMS_MAX = 10_000  # rooms with likes or viewers on one worker

Show = Callable[[str], Awaitable[Room | None]]


class Counts:
    """This worker's counts. `show_of(room)` gives the room object, from a cache."""

    def __init__(self, bus: Bus, show_of: Show) -> None:
        self._bus = bus
        self._show_of = show_of
        self._online: dict[str, int] = {}
        self._likes: dict[str, int] = {}

    def note_online(self, room: str, count: int) -> None:
        """This worker has so many viewers in the room now."""
        if room in self._online or len(self._online) < ROOMS_MAX:
            self._online[room] = count

    def like(self, room: str, count: int) -> None:
        """Add likes; they reach the room within a second."""
        if not 1 <= count <= LIKES_PER_CALL_MAX:
            raise Invalid(f"count is 1 to {LIKES_PER_CALL_MAX}")
        if room not in self._likes and len(self._likes) >= ROOMS_MAX:
            raise TooFast("Too many rooms are liked at once")
        self._likes[room] = self._likes.get(room, 0) + count

    async def tick(self) -> list[tuple[str, Totals]]:
        """Sum up; the rooms whose figures this worker should publish now."""
        likes, self._likes = self._likes, {}
        try:
            tallies = await self._tallies(likes)
            totals = await self._bus.tally(tallies)
        except Unavailable:
            for name, count in likes.items():
                self._likes[name] = self._likes.get(name, 0) + count
            raise
        for tally in tallies:
            if tally.online == 0 and self._online.get(tally.room) == 0:
                del self._online[tally.room]
        return [(t.room, total) for t, total in zip(tallies, totals, strict=True) if total.due]

    async def _tallies(self, likes: Mapping[str, int]) -> list[Tally]:
        found = []
        for name in self._online.keys() | likes.keys():
            room = await self._show_of(name)
            if room is not None:
                show, online = room.show or "", self._online.get(name, 0)
                found.append(Tally(room=name, show=show, online=online, likes=likes.get(name, 0)))
        return found
