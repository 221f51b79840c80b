"""
Sales whose host is away: those that were told to pause do, and go on when the picture is back.

It compares, every half second, what rooms have on record of their pictures with the writer's open
sales, and asks the writer for what differs. So nothing has to be remembered over a crash of either,
and while no sale is to pause it asks nobody. A picture that is gone for good (the host ended it, or
was away for ten minutes) decides nothing: staff do, or the end of the pause.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import orders.errors
import rooms.errors
from orders.requests import AnyRequest, Door, HostBack, HostLeft
from orders.rows import SaleRow

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5  # of the ten that a room may take to say that its host is gone
RETRY_SECONDS = 2.0  # after the database or the writer did not answer


class Pictures(Protocol):
    """What is asked of `rooms.service.RoomService`."""

    async def rooms_with_video(self) -> dict[str, dict[str, Any]]: ...


class HostWatch:
    """
    Args:
        open_sales: The writer's open sales as they are committed; none where it is no holder.
        pictures: What rooms have on record.
        door: The writer.
    """

    def __init__(
        self, open_sales: Callable[[], Iterable[SaleRow]], pictures: Pictures, door: Door
    ) -> None:
        self._open_sales = open_sales
        self._pictures = pictures
        self._door = door

    async def run(self) -> None:
        """Look and ask until cancelled."""
        while True:
            try:
                await self.look()
            except (rooms.errors.Refusal, orders.errors.Refusal) as problem:
                log.warning("hosts that are away: %s; trying again", problem)
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """One comparison. Raises a Refusal of the rooms' store or the writer."""
        if not any(_may_change(row) for row in self._open_sales()):
            return
        pictures = await self._pictures.rooms_with_video()
        for row in list(self._open_sales()):
            request = needed(row, (pictures.get(row.room) or {}).get("state"))
            if request is not None:
                await self._door.ask(request)
                what = "pauses" if isinstance(request, HostLeft) else "goes on"
                log.info("the host of %s: sale %s %s", row.room, row.id, what)


def needed(row: SaleRow, picture: str | None) -> AnyRequest | None:
    """What the writer is to be asked, where the room's picture is live, waiting or none."""
    if picture == "waiting" and row.state == "running" and row.host_away == "pause":
        return HostLeft(flash_sale=row.id)
    if picture == "live" and row.paused_at is not None:
        return HostBack(flash_sale=row.id)
    return None


def _may_change(row: SaleRow) -> bool:
    return row.paused_at is not None or (row.state == "running" and row.host_away == "pause")
