"""
What is on record is told to the room: at once, or from the record when the bus is back.

A change counts when SQL has it. What the bus then did not take, or lost by a restart, is read from
the record again; the bus drops by version what is not new.
"""

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from rooms.bus import Message
from rooms.errors import NotFound, Unavailable
from rooms.outbox_service import Outbox
from rooms.shop_service import ShopNews
from rooms.state_service import Change, StateKeeper, change_messages, numbered, publish
from rooms.store import RoomStore

TOLD_TO_STAFF = ("product_id", "text")  # of an event: small, and enough to say what was done

log = logging.getLogger(__name__)


class RecordNews:
    """Changes of rooms on their way to those who watch. `now` is in milliseconds."""

    def __init__(
        self,
        outbox: Outbox,
        state: StateKeeper,
        store: RoomStore,
        shop: ShopNews,
        now: Callable[[], int],
    ) -> None:
        self._outbox = outbox
        self._state = state
        self._store = store
        self._shop = shop
        self._now = now
        self.unpublished: set[str] = set()  # rooms whose record is ahead of the bus
        self.doubtful = False  # the bus was away and may have lost what it had

    async def tell(self, room: str, change: Change, actor: str) -> None:
        """Tell a recorded change; if the bus does not answer it is told later, from the record."""
        event, _ = change
        messages = change_messages(room, [change], self._now())
        told = {name: event[name] for name in TOLD_TO_STAFF if name in event}
        if event["type"] in ("room.started", "room.ended"):
            told["rehearsal"] = event["room"]["rehearsal"]
        about = {"type": event["type"], "actor": actor, **told}
        messages.append(console_message(room, about, self._now()))
        try:
            await self._outbox.send(room, messages)
        except Unavailable as problem:
            self.postpone(room, problem)

    def postpone(self, room: str, problem: Unavailable) -> None:
        """Tell the room's record later."""
        log.warning("%s: recorded, to be published later: %s", room, problem)
        self.unpublished.add(room)

    async def say_again(self, room: str) -> None:
        """Tell all that is on record of a room."""
        await publish(self._outbox, room, await self._state.recorded(room), self._now())

    async def republish_live_rooms(self) -> None:
        """Say again what is on record of all live rooms; the bus drops what is not new."""
        for room in await self._store.live():
            await self.say_again(room)
            self._shop.shelf_changed(room)

    def reconnected(self) -> None:
        """The bus is back."""
        self.doubtful = True

    async def after_reconnect(self) -> None:
        """Say everything again, once, if the bus was away."""
        if self.doubtful:
            self.doubtful = False
            try:
                await self.republish_live_rooms()
            except BaseException:
                self.doubtful = True
                raise

    async def catch_up(self) -> None:
        """Tell what was recorded while the bus did not answer."""
        for room in list(self.unpublished):
            try:
                await self.say_again(room)
            except NotFound as problem:
                log.warning("%s: nothing to publish: %s", room, problem)
            self.unpublished.discard(room)


def console_message(room: str, event: dict[str, Any], at: int) -> Message:
    """What the staff of a room are told."""
    data = msgspec.json.encode({"type": event["type"], "at": at, **event})
    return numbered(f"console:{room}", data)
