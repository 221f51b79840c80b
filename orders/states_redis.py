"""
The states of running sales on their way to the gateways: one pub/sub channel, and nothing kept.

A message is stamped with the time of Redis when it is published, and only the holder with the
newest fence may publish. A gateway compares that stamp with its own view of the same clock, so that
a message that lay somewhere for seconds does not pass for a fresh one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
from redis.asyncio import Redis

from orders.door_redis import ERRORS, RECONNECT_SECONDS, Names, connect
from orders.errors import Refusal
from orders.ledger import Failure
from orders.requests import Reserve
from orders.service import Writer
from orders.states import KnownStates, States

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0  # all running sales, changed or not
LOAD_SECONDS = 5.0  # for the buyers of one sale, 100,000 take about 0.2 s
CLOCK_SECONDS = 1.0  # between two looks at the clock of Redis

#: Publish with the time of now, unless a newer holder is announced.
PUBLISH = """
if tonumber(redis.call('GET', KEYS[1]) or '0') > tonumber(ARGV[1]) then return -1 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('PUBLISH', ARGV[2], string.format('%d', now) .. ' ' .. ARGV[3])
"""


def channel(names: Names) -> str:
    """Where the states of one shop are published."""
    return f"{names.fence}:states"


class StateSender:
    """The writer's end."""

    def __init__(self, redis_url: str, writer: Writer, *, prefix: str = "orders") -> None:
        self._redis = connect(redis_url)
        self._writer = writer
        self._names = Names(prefix)
        self._all_at = 0.0

    async def run(self) -> None:
        """Publish until cancelled. One call at a time: what changes meanwhile comes next."""
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_SECONDS):
                        await self._writer.states_changed.wait()
                try:
                    await self._publish()
                except ERRORS as error:
                    log.warning("states: not published: %s", error)
                    await asyncio.sleep(RECONNECT_SECONDS)
        finally:
            await self._redis.aclose()

    async def _publish(self) -> None:
        now = asyncio.get_running_loop().time()
        everything = now - self._all_at >= EVERY_SECONDS
        states = self._writer.take_states(everything=everything)
        if everything:
            self._all_at = now
        if states is None or not states.sales:
            return
        body = msgspec.json.encode(states)
        await self._redis.eval(
            PUBLISH, 1, self._names.fence, states.fence, channel(self._names), body
        )


class StateListener:
    """The gateway's end. `buyers` reads who has an order in a sale (not from Redis)."""

    def __init__(
        self,
        redis_url: str,
        buyers: Callable[[str], Awaitable[set[str]]],
        *,
        monotonic_ms: Callable[[], int],
        prefix: str = "orders",
    ) -> None:
        self._redis = connect(redis_url)
        self._now_ms = monotonic_ms
        self._buyers = buyers
        self._channel = channel(Names(prefix))
        self._offset: int | None = None  # our clock - that of Redis, never too large
        self._asked_ms = 0
        self._loading: dict[str, asyncio.Task[None]] = {}
        self.known = KnownStates()

    def refusal(self, request: Reserve) -> Refusal | None:
        """What can be refused here and now."""
        return self.known.refusal(request, self._now_ms())

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            while True:
                try:
                    await self._listen()
                except ERRORS as error:
                    log.warning("states: not listening: %s", error)
                await asyncio.sleep(RECONNECT_SECONDS)
        finally:
            for task in self._loading.values():
                task.cancel()
            await asyncio.gather(*self._loading.values(), return_exceptions=True)
            await self._redis.aclose()

    async def _listen(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            while True:
                message = await pubsub.get_message(
                    ignore_subscribe_messages=True, timeout=CLOCK_SECONDS
                )
                since_ms = self._now_ms() - self._asked_ms
                if self._offset is None or since_ms >= CLOCK_SECONDS * 1000:
                    await self._look_at_clock(self._redis)
                if message is not None and self._offset is not None:
                    self._hear(message["data"])

    async def _look_at_clock(self, redis: Redis) -> None:
        before = self._now_ms()
        seconds, micros = await redis.time()
        self._offset = before - (seconds * 1000 + micros // 1000)
        self._asked_ms = before

    def _hear(self, data: bytes) -> None:
        assert self._offset is not None
        stamp, _space, body = data.partition(b" ")
        try:
            states = msgspec.json.decode(body, type=States)
        except msgspec.DecodeError as error:
            log.warning("states: unreadable message: %s", error)  # of another version
            return
        for sale in self.known.hear(states, int(stamp) + self._offset, self._now_ms()):
            if sale not in self._loading:
                self._loading[sale] = asyncio.create_task(self._load(sale))

    async def _load(self, sale: str) -> None:
        token, number = self.known.loading(sale), self.known.number(sale)
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                self.known.loaded(sale, token, await self._buyers(sale), number)
        except (TimeoutError, Failure, Refusal) as error:
            log.warning("states: buyers of %s not read: %r; asked at the writer", sale, error)
        finally:
            self._loading.pop(sale, None)
