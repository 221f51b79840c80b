"""
The server API: what an operator's own programs may do to channels and connections (`/api/*`).

Names and shapes are Centrifugo's. Errors of a command are numbers, as on the viewer socket; whoever
calls this holds the API key and has every right, but may not say what the server alone knows: on
built-in channels the server's own event types are refused.
"""

from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from liveserver.control import Control, Status
from liveserver.gateway import codes
from liveserver.gateway.options import HISTORY_BYTES
from liveserver.gateway.remote import Disconnect, Pattern, Refresh, Subscribe, Unsubscribe, summed
from liveserver.once import Once
from rooms import protocol
from rooms.bus import Position
from rooms.channels import CHANNEL_LENGTH_MAX, Rules, room_of, topic_of
from rooms.text import is_json

if TYPE_CHECKING:
    from liveserver.gateway.gateway import Gateway

#: what stands before the first dot of the server's own events
OWN_EVENTS = frozenset(
    {"room", "shelf", "flash_sale", "video", "chat", "danmaku", "moderation", "order"}
)
HISTORY_MAX = 1_000  # publications in one answer


class _Event(msgspec.Struct):
    type: str = ""


class Place(msgspec.Struct, omit_defaults=True):
    """Where a publication went; nothing in channels without history."""

    offset: int = 0
    epoch: str = ""


class ServerApi:
    """
    The commands. Raises `codes.Fail`, and the refusals of rooms and bus.
    """

    def __init__(self, gateway: "Gateway", control: Control) -> None:
        self._gateway = gateway
        self._control = control
        self._bus = gateway.hub.bus
        self._once: Once[Place] = Once(gateway.clock)

    async def publish(
        self, channel: str, data: bytes, *, skip_history: bool = False, key: str = ""
    ) -> Place:
        """
        Publish JSON into a channel, past the rights of clients. Under an idempotency `key` that was
        used in this channel before, nothing is published, and the first place answered.
        """
        if not key:
            return await self._publish(channel, data, skip_history)
        work = partial(self._publish, channel, data, skip_history)
        return await self._once.do(channel, key, work)

    async def _publish(self, channel: str, data: bytes, skip_history: bool) -> Place:
        rules = self._rules(channel)
        if not is_json(data):
            raise codes.Fail(codes.BAD_COMMAND)
        if rules.built_in:
            await self._check_built_in(channel, data)
        if skip_history:
            rules = msgspec.structs.replace(rules, history_size=0)
        outcome = await self._gateway.rooms.publish(channel, data, b"", rules)
        position = outcome.position
        return Place(position.offset, position.epoch) if position else Place()

    async def history(
        self, channel: str, *, since: Position | None, limit: int, reverse: bool
    ) -> protocol.HistoryResult:
        """
        Kept publications; `limit` 0 asks for the position alone, negative for all. As on the viewer
        socket they end after `HISTORY_BYTES`, and the next page begins behind the last of them.
        """
        rules = self._rules(channel)
        if not rules.has_history:
            raise codes.Fail(codes.NOT_AVAILABLE)
        most = min(limit, HISTORY_MAX) if limit >= 0 else HISTORY_MAX
        read = await self._bus.history(
            topic_of(channel), channel, since=since, limit=most, reverse=reverse,
            most_bytes=HISTORY_BYTES,
        )  # fmt: skip
        if since is not None and since.epoch not in ("", read.position.epoch):
            raise codes.Fail(codes.UNRECOVERABLE)
        return protocol.HistoryResult(
            protocol.publications(read.publications), read.position.epoch, read.position.offset
        )

    async def history_remove(self, channel: str) -> None:
        """Forget the publications; the position stays, so that nobody is misled."""
        if not self._rules(channel).has_history:
            raise codes.Fail(codes.NOT_AVAILABLE)
        await self._bus.forget(topic_of(channel), channel)

    async def presence(self, channel: str) -> dict[str, Raw]:
        """Client -> ClientInfo, on all workers."""
        if not self._rules(channel).presence:
            raise codes.Fail(codes.NOT_AVAILABLE)
        infos = await self._gateway.presence.infos(channel)
        return {client: Raw(info) for client, info in infos.items()}

    async def presence_stats(self, channel: str) -> protocol.PresenceStats:
        """How many; in a room's channels as the room itself counts."""
        if not self._rules(channel).presence and room_of(channel) is None:
            raise codes.Fail(codes.NOT_AVAILABLE)
        return await self._gateway.speech.presence_stats(channel)

    async def channels(self, pattern: str) -> dict[str, int]:
        """Watched channels whose name matches (`*`, `?`, `[…]`), with their viewers."""
        return summed(await self._control.ask("channels", Pattern(pattern)))

    def info(self) -> list[Status]:
        """All workers that hold connections, as of a few seconds ago."""
        return self._control.nodes()

    async def disconnect(self, order: Disconnect) -> None:
        """Close connections, on all workers."""
        await self._control.ask("disconnect", order)

    async def subscribe(self, order: Subscribe) -> None:
        """Subscribe connections, on all workers, for as long as they last."""
        self._rules(order.channel)
        room = room_of(order.channel)
        if room is not None:
            await self._gateway.rooms.get(room)
        await self._control.ask("subscribe", order)

    async def refresh(self, order: Refresh) -> None:
        """Let connections expire at another time, or now, on all workers."""
        await self._control.ask("refresh", order)

    async def unsubscribe(self, order: Unsubscribe) -> None:
        """End subscriptions, on all workers."""
        if order.channel:
            self._rules(order.channel)
        await self._control.ask("unsubscribe", order)

    def _rules(self, channel: str) -> Rules:
        if not channel or len(channel) > CHANNEL_LENGTH_MAX or not channel.isprintable():
            raise codes.Fail(codes.BAD_COMMAND)
        rules = self._gateway.options.namespaces.rules_of(channel)
        if rules is None:
            raise codes.Fail(codes.UNKNOWN_CHANNEL)
        return rules

    async def _check_built_in(self, channel: str, data: bytes) -> None:
        """A room's event is an object with a type, and none that viewers take for its own."""
        room = room_of(channel)
        try:
            kind = msgspec.json.decode(data, type=_Event).type
        except msgspec.ValidationError:
            kind = ""
        if kind.partition(".")[0] in OWN_EVENTS:
            raise codes.Fail(codes.DENIED)
        if room is not None:
            if not kind:
                raise codes.Fail(codes.BAD_COMMAND)
            await self._gateway.rooms.get(room)
