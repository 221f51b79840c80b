"""
Keeps what the bus holds of a room equal to what is on record.

A change is recorded first and published after; the part's version makes late and repeated
publishing harmless. What could not be published is published again from the record.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec

from rooms import channels
from rooms import room as rules
from rooms.bus import Bus, Message
from rooms.bus import Snapshot as Found
from rooms.errors import NotFound, Unavailable
from rooms.outbox_service import Outbox
from rooms.source import ShowSource
from rooms.store import RoomStore

Change = tuple[dict[str, Any], int]  # an event without `at`, and the version of its part

_KEPT = {"room": channels.ROOM, "chat": channels.CHAT, "console": channels.CONSOLE}


class StateKeeper:
    """The rooms' state on the bus, from the record and the shop."""

    def __init__(self, bus: Bus, store: RoomStore, source: ShowSource) -> None:
        self._bus = bus
        self._store = store
        self._source = source
        self._restoring: dict[str, asyncio.Task[None]] = {}

    async def restore(self, room: str) -> None:
        """Put the room's state back if it is missing. Raises NotFound, Unavailable."""
        task = self._restoring.get(room)
        if task is None:
            task = self._restoring[room] = asyncio.create_task(self._restore(room))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            task.add_done_callback(lambda _: self._restoring.pop(room, None))
        await asyncio.shield(task)

    async def begin(self, room: str) -> None:
        """The state of a room that was just made, in place of what an earlier shop left there."""
        await self._bus.restore(room, await self._collect(room), anew=True)

    async def snapshot(self, room: str) -> Found:
        """The room's parts and position. Raises NotFound, Unavailable."""
        for _ in range(2):
            found = await self._bus.snapshot(room)
            if found is not None:
                return found
            await self.restore(room)
        raise Unavailable("The room's state does not stay on the message bus")

    async def recorded(self, room: str) -> list[Change]:
        """Everything on record, as events that say it again."""
        return [
            (rules.event_of(part, msgspec.json.decode(body)), version)
            for part, (body, version) in (await self._collect(room)).items()
        ]

    async def shelf(self, ids: list[str]) -> list[dict[str, Any]]:
        """The products as they stand on the shelf, numbered from 1."""
        products = await self._source.products(ids) if ids else []
        return [{**product, "number": n} for n, product in enumerate(products, start=1)]

    async def _restore(self, room: str) -> None:
        await self._bus.restore(room, await self._collect(room))

    async def _collect(self, room: str) -> dict[str, tuple[bytes, int]]:
        """part -> (JSON, version), from the record and the shop."""
        stored = await self._store.parts(room)
        if not stored:
            raise NotFound(f"There is no room {room}")
        parts = {name: (part.body, part.version) for name, part in stored.items()}
        if "shelf" in stored:
            items = await self.shelf(msgspec.json.decode(stored["shelf"].body, type=list[str]))
            parts["shelf"] = (msgspec.json.encode(items), stored["shelf"].version)
        for sale, known in (await self._source.sales(room)).items():
            parts[rules.SALE_PREFIX + sale] = known
        return parts


def numbered(channel: str, data: bytes, **more: Any) -> Message:
    """A message into a built-in or personal channel, kept as its namespace says."""
    namespace, _ = channels.split(channel)
    kept = _KEPT.get(namespace, channels.PERSONAL)
    return Message(
        channel=channel,
        data=data,
        history_size=kept.history_size,
        history_ttl_seconds=kept.history_ttl_seconds,
        **more,
    )


def change_messages(room: str, changes: Iterable[Change], at: int) -> list[Message]:
    """State events as messages that replace their parts; `at` in integer milliseconds."""
    messages = []
    for event, version in changes:
        change = rules.part_of(event)
        assert change is not None, f"{event['type']} has no part"
        part, value = change
        data = msgspec.json.encode({"type": event["type"], "at": at, **event})
        body = msgspec.json.encode(value)
        messages.append(numbered(f"room:{room}", data, part=part, body=body, version=version))
    return messages


def sale_message(room: str, sale: str, body: bytes, version: int, at: int) -> Message:
    """A `flash_sale.updated` whose body is passed on as it is."""
    data = b'{"type":"flash_sale.updated","at":%d,"flash_sale":%s}' % (at, body)
    part = rules.SALE_PREFIX + sale
    return numbered(f"room:{room}", data, part=part, body=body, version=version)


async def publish(outbox: Outbox, room: str, changes: Iterable[Change], at: int) -> None:
    """Number and send state events of one room together."""
    messages = change_messages(room, changes, at)
    for start in range(0, len(messages), 50):  # a room may keep many sales; calls stay small
        await outbox.send(room, messages[start : start + 50])
