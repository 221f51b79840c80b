"""News of the shop on their way into rooms: the newest of each thing, and not too often."""

from collections.abc import Callable

from rooms import snapshot
from rooms.bus import Message
from rooms.errors import TooFast, Unavailable
from rooms.outbox_service import Outbox
from rooms.pacing_service import Conflator
from rooms.state_service import Change, StateKeeper, publish, sale_message
from rooms.store import RoomStore

SALE_SECONDS = 0.05  # a room hears of its sales at most this often: one tick
SHELF_SECONDS = 0.5  # a shelf is up to 50 kB; stock on it is a hint


class ShopNews:
    """Flash sales, shelves, and what of them can go."""

    def __init__(
        self, outbox: Outbox, state: StateKeeper, store: RoomStore, *, now: Callable[[], int]
    ) -> None:
        self._outbox = outbox
        self._state = state
        self._store = store
        self._now = now
        self._sales: dict[str, dict[str, tuple[bytes, int]]] = {}  # room -> sale -> newest
        self._sale_news = Conflator(self._publish_sales, SALE_SECONDS)
        self._shelf_news = Conflator(self._publish_shelf, SHELF_SECONDS)

    def sale_changed(self, room: str, sale: str, body: bytes, version: int) -> None:
        """Show this version of a sale unless a newer one comes before the room's next turn."""
        waiting = self._sales.setdefault(room, {})
        if sale not in waiting or waiting[sale][1] < version:
            waiting[sale] = (body, version)
        self._sale_news.mark(room)

    def shelf_changed(self, room: str) -> None:
        """Read the products of the shelf again and show them at the room's next turn."""
        self._shelf_news.mark(room)

    async def close(self) -> None:
        await self._sale_news.close()
        await self._shelf_news.close()

    async def tidy(self, room: str) -> None:
        """Take away the parts of sales that were over before this show."""
        over = snapshot.sales_over(await self._state.snapshot(room))
        messages = [
            Message(
                channel=f"room:{room}",
                data=b"",
                numbered=False,
                part=part,
                body=b"null",
                version=version + 1,
            )
            for part, version in over
        ]
        if messages:
            await self._outbox.send(room, messages)

    async def _publish_sales(self, room: str) -> None:
        waiting = self._sales.pop(room, {})
        messages = [
            sale_message(room, sale, body, version, self._now())
            for sale, (body, version) in waiting.items()
        ]
        try:
            if messages:
                await self._outbox.send(room, messages)
        except (Unavailable, TooFast):
            self._sales[room] = {**waiting, **self._sales.get(room, {})}
            raise

    async def _publish_shelf(self, room: str) -> None:
        items, version = await self._store.put_shelf(room, None, self._state.shelf)
        change: Change = ({"type": "shelf.updated", "items": items}, version)
        await publish(self._outbox, room, [change], self._now())
