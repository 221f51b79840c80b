"""
The bus in memory, with the contract of the real one: for the simulation, where time is virtual.

A `MemoryServer` is what all nodes share; each node has a `MemoryBus` on it. `restart` and `lose`
are the faults that the simulation plants.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from rooms import bus
from rooms.bus import Delivery, History, Message, Outcome, Position, Publication, Snapshot
from rooms.channels import topic_of
from rooms.errors import Unavailable

ONLINE_TTL_SECONDS = 10.0
STATS_EVERY_SECONDS = 1.0


class _Channel(msgspec.Struct):
    epoch: str
    run: int
    top: int = 0
    stated: bool = False  # a state was restored under this epoch
    kept: list[Publication] = []
    expires: float = 0.0


class _Topic(msgspec.Struct):
    channels: dict[str, _Channel] = {}
    parts: dict[str, bytes] = {}
    versions: dict[str, int] = {}
    state_run: int = 0
    buckets: dict[str, tuple[float, float]] = {}  # name -> (tokens, at)
    online: dict[str, tuple[int, float]] = {}  # node -> (viewers, expires)
    show: str = ""
    likes: int = 0
    told: tuple[int, int] = (0, 0)
    told_at: float = float("-inf")
    present: dict[str, dict[str, tuple[bytes, float]]] = {}


class MemoryServer:
    """What Redis is to the real bus. `clock` gives seconds; the default is the running loop's."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] | None = None,
        danmaku_per_second: float = 20,
        chat_per_second: float = 10,
        chat_burst: float = 30,
    ) -> None:
        self._clock = clock
        self.rates = {
            "d": (danmaku_per_second, danmaku_per_second),
            "c": (chat_per_second, chat_burst),
        }
        self.run = 1
        self.up = True
        self.topics: dict[str, _Topic] = {}
        self.nodes: list[MemoryBus] = []
        self._epochs = 0

    def now(self) -> float:
        return self._clock() if self._clock else asyncio.get_running_loop().time()

    def restart(self, *, lose: bool = False) -> None:
        """A new run of the server, with or without what it held. Subscriptions come back."""
        self.run += 1
        if lose:
            self.topics.clear()
        for node in self.nodes:
            node.reconnected()

    def lose(self) -> None:
        """FLUSHALL: everything is gone, the run goes on."""
        self.topics.clear()

    def topic(self, name: str) -> _Topic:
        return self.topics.setdefault(name, _Topic())

    def channel(self, topic: str, name: str) -> _Channel:
        """The channel with its position; it begins anew when missing or of another run."""
        channels = self.topic(topic).channels
        known = channels.get(name)
        if known is None or known.run != self.run:
            known = channels[name] = self.begin()
        return known

    def begin(self) -> _Channel:
        self._epochs += 1
        return _Channel(epoch=f"m{self.run}e{self._epochs}", run=self.run)

    def take(self, topic: str, name: str) -> bool:
        """One token of a bucket, if there is one."""
        rate, burst = self.rates[name]
        now = self.now()
        tokens, at = self.topic(topic).buckets.get(name, (burst, now))
        tokens = min(burst, tokens + max(0.0, now - at) * rate)
        free = tokens >= 1
        self.topic(topic).buckets[name] = (tokens - free, now)
        return free

    def viewers(self, topic: str) -> int:
        now = self.now()
        return sum(n for n, expires in self.topic(topic).online.values() if expires > now)


class MemoryBus:
    """One node's view of a `MemoryServer`: the port `rooms.bus.Bus`."""

    def __init__(self, server: MemoryServer, node: str) -> None:
        self._server = server
        self._node = node
        self._attached: set[str] = set()
        self.sent: Counter[str] = Counter()
        self._delivery_listeners: list[Callable[[Delivery], None]] = []
        self._reconnect_listeners: list[Callable[[], None]] = []

    async def start(self) -> None:
        self._server.nodes.append(self)

    async def close(self) -> None:
        if self in self._server.nodes:
            self._server.nodes.remove(self)

    def on_delivery(self, listener: Callable[[Delivery], None]) -> None:
        self._delivery_listeners.append(listener)

    def on_reconnect(self, listener: Callable[[], None]) -> None:
        self._reconnect_listeners.append(listener)

    def reconnected(self) -> None:
        for listener in self._reconnect_listeners:
            asyncio.get_running_loop().call_soon(listener)

    def receive(self, delivery: Delivery) -> None:
        if delivery.topic in self._attached:
            for listener in self._delivery_listeners:
                asyncio.get_running_loop().call_soon(listener, delivery)

    async def attach(self, topic: str) -> None:
        self._reach()
        self._attached.add(topic)

    async def detach(self, topic: str) -> None:
        self._attached.discard(topic)

    async def publish(self, topic: str, messages: Sequence[Message]) -> list[Outcome]:
        self._reach()
        if any(message.part for message in messages) and not self._has_state(topic):
            raise bus.StateMissing
        out: list[Publication] = []
        outcomes = [self._number(topic, message, out) for message in messages]
        self.sent.update(bus.kind_of(topic, message.channel) for message in messages)
        if out:
            for node in list(self._server.nodes):
                node.receive(Delivery(topic, out))
        return outcomes

    async def publish_many(
        self, batches: Sequence[tuple[str, Sequence[Message]]]
    ) -> list[list[Outcome]]:
        return [await self.publish(topic, messages) for topic, messages in batches]

    def _number(self, topic: str, message: Message, out: list[Publication]) -> Outcome:
        dropped = self._is_dropped(topic, message)
        epoch, offset = "", 0
        if message.numbered:
            channel = self._server.channel(topic, message.channel)
            channel.top += not dropped
            epoch, offset = channel.epoch, channel.top
        outcome = Outcome(dropped, offset, epoch)
        if dropped:
            return outcome
        if message.part:
            self._replace(topic, message)
        publication = Publication(
            channel=message.channel,
            data=message.data,
            info=message.info,
            epoch=epoch,
            offset=offset,
        )
        if message.numbered and message.history_size and message.history_ttl_seconds:
            channel.kept = [*self._kept(channel), publication][-message.history_size :]
            channel.expires = self._server.now() + message.history_ttl_seconds
        if message.data:
            out.append(publication)
        return outcome

    def _is_dropped(self, topic: str, message: Message) -> bool:
        if message.part:
            stored = self._server.topic(topic).versions.get(message.part)
            return stored is not None and message.version <= stored
        if message.droppable:
            return not self._server.take(topic, "d")
        return message.capped and not self._server.take(topic, "c")

    def _replace(self, topic: str, message: Message) -> None:
        held = self._server.topic(topic)
        held.versions[message.part] = message.version
        if message.body == b"null":
            held.parts.pop(message.part, None)
        else:
            held.parts[message.part] = message.body

    def _kept(self, channel: _Channel) -> list[Publication]:
        return channel.kept if self._server.now() < channel.expires else []

    async def history(
        self,
        topic: str,
        channel: str,
        *,
        since: Position | None,
        limit: int,
        reverse: bool = False,
        most_bytes: int = 0,
    ) -> History:
        self._reach()
        known = self._server.channel(topic, channel)
        found = list(self._kept(known))
        if reverse:
            found.reverse()
        if since is not None:
            found = [
                p
                for p in found
                if (p.offset < since.offset if reverse else p.offset > since.offset)
            ]
        found = found if limit < 0 else found[:limit]
        return History(_within(found, most_bytes), Position(known.epoch, known.top))

    async def forget(self, topic: str, channel: str) -> None:
        self._reach()
        self._server.channel(topic, channel).kept = []

    async def amend(self, topic: str, channel: str, epoch: str, data: Mapping[int, bytes]) -> None:
        self._reach()
        known = self._server.channel(topic, channel)
        if known.epoch == epoch:
            known.kept = [
                msgspec.structs.replace(item, data=data[item.offset], info=b"")
                if item.offset in data
                else item
                for item in known.kept
            ]

    async def snapshot(self, room: str) -> Snapshot | None:
        self._reach()
        if not self._has_state(room):
            return None
        held = self._server.topic(room)
        known = self._server.channel(room, f"room:{room}")
        return Snapshot(
            parts=dict(held.parts),
            position=Position(known.epoch, known.top),
            online=self._server.viewers(room),
            likes=held.likes,
        )

    async def restore(
        self, room: str, parts: Mapping[str, tuple[bytes, int]], *, anew: bool = False
    ) -> bool:
        self._reach()
        if self._has_state(room) and not anew:
            return False
        held = self._server.topic(room)
        known = self._server.channel(room, f"room:{room}")
        if known.stated or known.top:
            known = held.channels[f"room:{room}"] = self._server.begin()
        known.stated = True
        held.parts = {part: body for part, (body, _) in parts.items() if body != b"null"}
        held.versions = {part: version for part, (_, version) in parts.items()}
        held.state_run = self._server.run
        return True

    async def tally(self, counts: Sequence[bus.Tally]) -> list[bus.Totals]:
        self._reach()
        return [self._tally(one) for one in counts]

    def _tally(self, one: bus.Tally) -> bus.Totals:
        held, now = self._server.topic(one.room), self._server.now()
        if one.show > held.show:
            held.show, held.likes, held.told, held.told_at = one.show, 0, (0, 0), float("-inf")
        if one.show == held.show:
            held.likes += one.likes
        held.online[self._node] = (one.online, now + ONLINE_TTL_SECONDS)
        figures = (self._server.viewers(one.room), held.likes)
        due = figures != held.told and now - held.told_at >= STATS_EVERY_SECONDS
        if due:
            held.told, held.told_at = figures, now
        return bus.Totals(*figures, due)

    async def positions(self, topics: dict[str, list[str]]) -> dict[str, Position]:
        self._reach()
        found = {}
        for topic, channels in topics.items():
            for name in channels:
                known = self._server.channel(topic, name)
                found[name] = Position(known.epoch, known.top)
        return found

    async def set_presence(self, channel: str, client: str, info: bytes, ttl_seconds: int) -> None:
        self._reach()
        present = self._server.topic(topic_of(channel)).present.setdefault(channel, {})
        present[client] = (info, self._server.now() + ttl_seconds)

    async def clear_presence(self, channel: str, client: str) -> None:
        self._reach()
        self._server.topic(topic_of(channel)).present.get(channel, {}).pop(client, None)

    async def presence(self, channel: str) -> dict[str, bytes]:
        self._reach()
        present = self._server.topic(topic_of(channel)).present.get(channel, {})
        now = self._server.now()
        return {client: info for client, (info, expires) in present.items() if expires > now}

    def _reach(self) -> None:
        if not self._server.up:
            raise Unavailable("The message bus does not answer")

    def _has_state(self, room: str) -> bool:
        return self._server.topic(room).state_run == self._server.run


def _within(found: list[Publication], most_bytes: int) -> list[Publication]:
    """As many as have these bytes together, at least one; 0 = all."""
    size = 0
    for count, item in enumerate(found):
        size += len(item.data) + len(item.info)
        if most_bytes and count and size > most_bytes:
            return found[:count]
    return found
