"""
What is on record about rooms, and the port through which it is kept.

Rooms, shelf and notice are on record in SQL; the bus only carries and remembers them. Every change
of a part raises the part's version in the same transaction, so that the newest change wins on the
bus whatever order the calls arrive in.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

import msgspec

from rooms.room import Room

ReadProducts = Callable[[list[str]], Awaitable[list[dict[str, object]]]]


class Part(msgspec.Struct, frozen=True):
    """One part of a room on record: its JSON and version. The shelf's JSON is the list of ids."""

    body: bytes
    version: int


class RoomStore(Protocol):
    """The port. `rooms_sql.py` is the adapter. Raises `rooms.errors.Unavailable`."""

    async def create(self, room: Room, parts: dict[str, bytes], *, at: int) -> None:
        """Record a new room with its first parts. Raises WrongState if the id is taken."""

    async def get(self, id: str) -> Room | None:
        """One room."""

    async def page(
        self, state: str | None, after: str, limit: int, rehearsing: Collection[str] | None = ()
    ) -> list[Room]:
        """
        Rooms in order of id, beginning after `after`. One that rehearses is left out unless its id
        is in `rehearsing` (None: all are shown).
        """

    async def change(
        self, id: str, change: Callable[[Room], Room], *, at: int
    ) -> tuple[Room, int | None]:
        """
        Change the room object and record begin or end of a show; the room and its new version, None
        where it is as it was.

        `change` is a pure rule that may refuse. Raises NotFound.
        """

    async def put(self, id: str, part: str, body: bytes) -> int:
        """Replace a part; its new version. Raises NotFound for an unknown room."""

    async def put_shelf(
        self, id: str, product_ids: Sequence[str] | None, read: ReadProducts
    ) -> tuple[list[dict[str, object]], int]:
        """
        Put these products on the shelf (None: those that are there) and read what they are now.

        The reading happens while the shelf is locked, so a higher version never shows older
        products. What `read` raises undoes the change.
        """

    async def parts(self, id: str) -> dict[str, Part]:
        """All parts on record."""

    async def with_part(self, part: str) -> dict[str, bytes]:
        """Rooms that have this part on record, with its JSON."""

    async def rooms_showing(self, product_id: str) -> list[str]:
        """Rooms that have the product on their shelf."""

    async def live(self) -> list[str]:
        """Ids of the rooms that are live."""
