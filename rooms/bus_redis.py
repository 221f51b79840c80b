"""
The bus on Redis or Valkey (7 or newer): one function call numbers, stores, and publishes.

The functions are in `bus_redis.lua`. They live in the server as a library named after their own
text, so versions can run side by side; a server that lost it gets it again on the next call.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from importlib import resources
from itertools import count, islice
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import msgspec
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError, ResponseError

from rooms import bus
from rooms.bus import Delivery, History, Message, Outcome, Position, Publication, Snapshot
from rooms.channels import topic_of
from rooms.errors import Unavailable
from rooms.subscriber_redis import Subscriber

CALL_SECONDS = 4.0  # SDKs give up on a command after 5 s
SOCKET_SECONDS = 2.0  # for one answer; then the call is repeated on a new connection
RETRIES = 3  # repeats are harmless: the functions know (node, sequence)
CALLS_MAX = 16  # at once; the server is single-threaded, more would only queue there
TOPICS_A_CALL = 500  # whose positions are read in one: a millisecond or two inside the server
ONLINE_TTL_MS = 10_000  # a killed worker's viewers fade from the count after this
DANMAKU_PER_SECOND = 20
CHAT_PER_SECOND = 10
CHAT_BURST_SECONDS = 3  # of lines that may come at once

_DELIVERY = msgspec.msgpack.Decoder(tuple[int, list[tuple[str, str, str, str, int]]])
_ANY_DELIVERY = msgspec.msgpack.Decoder(
    tuple[int, list[tuple[str, msgspec.Raw, msgspec.Raw, str, int]]]
)
_OUTCOMES = msgspec.msgpack.Decoder(tuple[int, list[Outcome]])
_HEAD_BYTES = {0xD9: 2, 0xDA: 3, 0xDB: 5}  # of strings (MessagePack, str family); else one

T = TypeVar("T")
log = logging.getLogger(__name__)


class RedisBus:
    """The port `rooms.bus.Bus` on a server. `node` is random per process start."""

    def __init__(
        self,
        redis_url: str,
        node: str,
        *,
        danmaku_per_second: float = DANMAKU_PER_SECOND,
        chat_per_second: float = CHAT_PER_SECOND,
    ) -> None:
        """Rates are of one room over all workers; 0 = no limit."""
        self._node = node
        self._redis = Redis(
            connection_pool=ConnectionPool.from_url(
                redis_url,
                protocol=2,
                decode_responses=False,
                retry=Retry(ExponentialBackoff(cap=0.5, base=0.01), RETRIES),
                socket_timeout=SOCKET_SECONDS,
                socket_connect_timeout=SOCKET_SECONDS,
            )
        )
        chat_burst = chat_per_second * CHAT_BURST_SECONDS
        self._rates = (danmaku_per_second, chat_per_second, chat_burst)
        self._sequence = count(1)
        self._calls = asyncio.Semaphore(CALLS_MAX)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.sent: Counter[str] = Counter()
        self._delivery_listeners: list[Callable[[Delivery], None]] = []
        self._reconnect_listeners: list[Callable[[], None]] = []
        self._subscriber = Subscriber(redis_url, self._on_message, self._on_resubscribed)
        source = resources.files("rooms").joinpath("bus_redis.lua").read_text(encoding="utf-8")
        digest = hashlib.blake2b(source.encode(), digest_size=6).hexdigest()
        self._library = f"liveserver_{digest}"
        self._source = f"#!lua name={self._library}\n" + source.replace("@_", f"{self._library}_")

    async def start(self) -> None:
        await self._guarded(self._load)
        self._subscriber.start()

    async def close(self) -> None:
        await self._subscriber.close()
        await self._redis.aclose(close_connection_pool=True)

    def on_delivery(self, listener: Callable[[Delivery], None]) -> None:
        self._delivery_listeners.append(listener)

    def on_reconnect(self, listener: Callable[[], None]) -> None:
        self._reconnect_listeners.append(listener)

    async def attach(self, topic: str) -> None:
        await self._subscriber.add(_key(topic).encode())

    async def detach(self, topic: str) -> None:
        self._subscriber.remove(_key(topic).encode())

    async def publish(self, topic: str, messages: Sequence[Message]) -> list[Outcome]:
        if not messages:
            return []
        [outcomes] = await self.publish_many([(topic, messages)])
        return outcomes

    async def publish_many(
        self, batches: Sequence[tuple[str, Sequence[Message]]]
    ) -> list[list[Outcome]]:
        topics = sorted({topic for topic, _ in batches})
        assert len(topics) == len(batches), "a topic may have one batch"
        held: list[asyncio.Lock] = []
        try:
            # one call a topic in flight, so that sequences arrive in their order
            for topic in topics:
                lock = self._locks.get(topic)
                if lock is None:
                    lock = self._locks[topic] = asyncio.Lock()
                await lock.acquire()
                held.append(lock)
            calls = [(topic, self._numbering(messages)) for topic, messages in batches]
            replies = await self._publish_calls(calls)
            for topic, messages in batches:
                self.sent.update(bus.kind_of(topic, message.channel) for message in messages)
        finally:
            for lock in held:
                lock.release()
        return [
            _outcomes(arguments[1], reply)
            for (_, arguments), reply in zip(calls, replies, strict=True)
        ]

    async def _publish_calls(self, calls: Sequence[tuple[str, list[Any]]]) -> list[bytes]:
        if len(calls) == 1:
            [(topic, arguments)] = calls
            return [await self._call("publish", topic, *arguments)]
        flat = [one for _, arguments in calls for one in arguments]
        name, keys = f"{self._library}_publish_each", [_key(topic) for topic, _ in calls]
        found: list[bytes] = await self._guarded(
            lambda: self._redis.fcall(name, len(keys), *keys, *flat)
        )
        return found

    def _numbering(self, messages: Sequence[Message]) -> list[Any]:
        """Arguments of the numbering function; the second is the sequence of this call."""
        head = (self._node, next(self._sequence), self._fresh(), *self._rates)
        return [*head, _packed(messages)]

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
        after = "" if since is None else since.offset
        epoch, offset, entries = await self._call(
            "history", topic, channel, self._fresh(), after, limit, "1" if reverse else "0",
            most_bytes,
        )  # fmt: skip
        position = Position(epoch.decode(), int(offset))
        publications = [
            Publication(
                channel=channel,
                data=fields[1],
                info=fields[3],
                epoch=position.epoch,
                offset=int(entry.partition(b"-")[0]),
            )
            for entry, fields in entries
        ]
        return History(publications, position)

    async def forget(self, topic: str, channel: str) -> None:
        await self._guarded(lambda: self._redis.delete(f"{_key(topic)}:h:{channel}"))

    async def amend(self, topic: str, channel: str, epoch: str, data: Mapping[int, bytes]) -> None:
        if data:
            flat = [part for pair in data.items() for part in pair]
            await self._call("amend", topic, channel, self._fresh(), epoch, *flat)

    async def snapshot(self, room: str) -> Snapshot | None:
        reply = await self._call("snapshot", room, f"room:{room}", self._fresh())
        if reply is None:
            return None
        epoch, offset, online, likes, parts = reply
        return Snapshot(
            parts={part.decode(): body for part, body in _pairs(parts)},
            position=Position(epoch.decode(), int(offset)),
            online=online,
            likes=int(likes),
        )

    async def restore(
        self, room: str, parts: Mapping[str, tuple[bytes, int]], *, anew: bool = False
    ) -> bool:
        arguments: list[Any] = [f"room:{room}", self._fresh(), "1" if anew else "0"]
        for part, (body, version) in parts.items():
            arguments += [part, body, version]
        return bool(await self._call("restore", room, *arguments))

    async def tally(self, counts: Sequence[bus.Tally]) -> list[bus.Totals]:
        if not counts:
            return []
        calls = [
            (one.room, (self._node, next(self._sequence), one.show, one.online, ONLINE_TTL_MS,
                        one.likes))
            for one in counts
        ]  # fmt: skip
        return [
            bus.Totals(int(online), int(likes), due == b"1")
            for online, likes, due in (
                reply.split(b" ") for reply in await self._call_many("tally", calls)
            )
        ]

    async def positions(self, topics: dict[str, list[str]]) -> dict[str, Position]:
        """Topics of one channel, of which a worker may watch thousands, share a call."""
        single = {topic: channels[0] for topic, channels in topics.items() if len(channels) == 1}
        found: dict[str, Position] = {}
        for part in _parts(single, TOPICS_A_CALL):
            found |= await self._positions_each(part)
        calls = [
            (topic, (self._fresh(), *channels))
            for topic, channels in topics.items()
            if len(channels) > 1
        ]
        replies = await self._call_many("positions", calls) if calls else []
        for (_, (_, *channels)), reply in zip(calls, replies, strict=True):
            found |= _positions(channels, reply)
        return found

    async def _positions_each(self, topics: Mapping[str, str]) -> dict[str, Position]:
        name, keys = f"{self._library}_positions_each", [_key(topic) for topic in topics]
        channels = list(topics.values())
        reply = await self._guarded(
            lambda: self._redis.fcall(name, len(keys), *keys, self._fresh(), *channels)
        )
        return _positions(channels, reply)

    async def set_presence(self, channel: str, client: str, info: bytes, ttl_seconds: int) -> None:
        await self._call("enter", topic_of(channel), channel, client, info, ttl_seconds * 1000)

    async def clear_presence(self, channel: str, client: str) -> None:
        key = f"{_key(topic_of(channel))}:w:{channel}"
        await self._guarded(lambda: self._redis.hdel(key, client))

    async def presence(self, channel: str) -> dict[str, bytes]:
        reply = await self._call("presence", topic_of(channel), channel)
        return {client.decode(): info for client, info in _pairs(reply)}

    def _fresh(self) -> str:
        """An epoch that nobody used before, for channels that begin anew."""
        seed = f"{self._node}:{next(self._sequence)}".encode()
        return hashlib.blake2b(seed, digest_size=6).hexdigest()

    def _on_message(self, name: bytes, payload: bytes) -> None:
        numbered_us, publications = decode_delivery(payload)
        delivery = Delivery(name[len(_PREFIX) : -1].decode(), publications, numbered_us)
        for listener in self._delivery_listeners:
            try:
                listener(delivery)
            except Exception:
                log.exception("bus: a delivery on %s failed", delivery.topic)

    def _on_resubscribed(self) -> None:
        for listener in self._reconnect_listeners:
            try:
                listener()
            except Exception:
                log.exception("bus: a listener to reconnects failed")

    async def _load(self) -> None:
        try:
            await self._redis.function_load(self._source)
        except ResponseError as problem:
            if "already exists" not in str(problem):
                raise

    async def _call(self, function: str, topic: str, *arguments: Any) -> Any:
        name = f"{self._library}_{function}"
        return await self._guarded(lambda: self._redis.fcall(name, 1, _key(topic), *arguments))

    async def _call_many(self, function: str, calls: Sequence[tuple[str, Sequence[Any]]]) -> Any:
        """The same function for many topics in one round trip."""

        async def run() -> list[Any]:
            pipeline = self._redis.pipeline(transaction=False)
            for topic, arguments in calls:
                name = f"{self._library}_{function}"
                pipeline.execute_command("FCALL", name, 1, _key(topic), *arguments)
            return await pipeline.execute()

        return await self._guarded(run)

    async def _guarded(self, call: Callable[[], Awaitable[T]]) -> T:
        """
        Run a call with its time limit; give the server its library again if it lost it.

        The client library can swallow a cancellation that meets the end of its call. A loop that
        was told to end would then go on for ever, so it is raised here.
        """
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        result = await self._timed(call)
        if task and task.cancelling() > before:
            raise asyncio.CancelledError
        return result

    async def _timed(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(CALL_SECONDS), self._calls:
                try:
                    return await call()
                except ResponseError as problem:
                    if "unction not found" not in str(problem):
                        raise
                await self._load()
                return await call()
        except ResponseError as problem:
            if str(problem).startswith("NOSTATE"):
                raise bus.StateMissing from None
            log.error("bus: %s", problem)
            raise Unavailable("The message bus refuses to work") from problem
        except (RedisError, OSError, TimeoutError) as problem:
            raise Unavailable("The message bus does not answer") from problem


def _outcomes(sequence: int, reply: bytes) -> list[Outcome]:
    """What became of the messages of one numbering call."""
    known, outcomes = _OUTCOMES.decode(reply)
    if known != sequence:  # overtaken by a later call: what became of ours is unknown
        raise Unavailable("The message bus does not know what became of this")
    return outcomes


_PREFIX = "ls:{"


def _key(topic: str) -> str:
    """The Pub/Sub name and common beginning of all keys of a topic, with one hash tag."""
    return f"{_PREFIX}{topic}}}"


def _positions(channels: Sequence[str], reply: list[bytes]) -> dict[str, Position]:
    return {
        channel: Position(epoch.decode(), int(offset))
        for channel, (epoch, offset) in zip(channels, _pairs(reply), strict=True)
    }


def _parts(items: Mapping[str, str], size: int) -> Iterator[dict[str, str]]:
    waiting = iter(items.items())
    while part := dict(islice(waiting, size)):
        yield part


def _pairs(flat: list[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _packed(messages: Sequence[Message]) -> bytes:
    """Messages as MessagePack: the client library takes longer over nine arguments for each."""
    return msgspec.msgpack.encode([
        (
            one.channel,
            _as_text(one.data),
            _as_text(one.info),
            one.numbered,
            one.droppable,
            one.capped,
            one.history_size,
            one.history_ttl_seconds,
            one.part,
            _as_text(one.body),
            one.version,
        )
        for one in messages
    ])  # fmt: skip


def _as_text(data: bytes) -> str | msgspec.Raw:
    """A string of any bytes; the server's reader knows no binary type."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return msgspec.Raw(b"\xdb" + len(data).to_bytes(4, "big") + data)  # str 32


def decode_delivery(payload: bytes) -> tuple[int, list[Publication]]:
    """When it was numbered, microseconds since 1970, and what was put out."""
    try:
        numbered_us, items = _DELIVERY.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_any(payload)
    return numbered_us, [
        Publication(
            channel=channel, data=data.encode(), info=info.encode(), epoch=epoch, offset=offset
        )
        for channel, data, info, epoch, offset in items
    ]


def _decode_any(payload: bytes) -> tuple[int, list[Publication]]:
    """The same where somebody published what is no UTF-8."""
    numbered_us, items = _ANY_DELIVERY.decode(payload)
    return numbered_us, [
        Publication(
            channel=channel, data=_of_text(data), info=_of_text(info), epoch=epoch, offset=offset
        )
        for channel, data, info, epoch, offset in items
    ]


def _of_text(raw: msgspec.Raw) -> bytes:
    """The bytes of a string."""
    view = memoryview(raw)
    return bytes(view[_HEAD_BYTES.get(view[0], 1) :])
