"""
One Pub/Sub connection that stays: it notices silence, reconnects, subscribes again, and says so.

redis-py's own PubSub reconnects without telling anybody that messages were lost, and a connection
into a black hole looks alive to it; both matter here, so this reads a plain connection.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from rooms.errors import Unavailable

SILENCE_SECONDS = 5.0  # then we ask with PING; after another such silence the connection is dead
CONNECT_SECONDS = 5.0  # for a connection and all its subscriptions
ACK_SECONDS = 5.0  # for one subscription, a reconnect included
BACKOFF_FIRST_SECONDS = 0.05
BACKOFF_MAX_SECONDS = 1.0
NAMES_PER_COMMAND = 512  # resubscribing thousands of topics takes a few commands

log = logging.getLogger(__name__)


class Subscriber:
    """Which names this worker listens to; `on_message(name, payload)` is called in their order."""

    def __init__(
        self,
        redis_url: str,
        on_message: Callable[[bytes, bytes], None],
        on_reconnect: Callable[[], None],
    ) -> None:
        self._pool = ConnectionPool.from_url(
            redis_url,
            protocol=2,
            decode_responses=False,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=CONNECT_SECONDS,
        )
        self._on_message = on_message
        self._on_reconnect = on_reconnect
        self._wanted: set[bytes] = set()
        self._unconfirmed: set[bytes] = set()
        self._unsent: set[bytes] = set()  # wanted, and the server is not asked yet
        self._left: set[bytes] = set()  # not wanted any more, the same
        self._sending: asyncio.Task[None] | None = None
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}
        self._connection: Any = None  # redis-py's connections share no public type
        self._connections = 0  # how many there have been
        self._replies = 0  # everything that came, to notice silence
        self._resubscribing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="bus subscriber")

    async def close(self) -> None:
        for task in (self._task, self._sending):
            if task:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._task = None
        await self._pool.aclose()

    async def add(self, name: bytes) -> None:
        """Listen to `name`; returns once the server confirmed it. Raises Unavailable."""
        if name in self._wanted and name not in self._unconfirmed:
            return
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, []).append(confirmed)
        if name not in self._wanted:
            self._wanted.add(name)
            self._unconfirmed.add(name)
            self._left.discard(name)
            self._unsent.add(name)
            self._send_soon()
        try:
            async with asyncio.timeout(ACK_SECONDS):  # wait_for of 3.11 can swallow a cancellation
                await confirmed
        except TimeoutError:
            raise Unavailable("The message bus does not answer") from None
        finally:
            self._forget_waiter(name, confirmed)

    def remove(self, name: bytes) -> None:
        """Stop listening to `name`; the server is told a little later."""
        if name in self._wanted:
            self._wanted.discard(name)
            self._unconfirmed.discard(name)
            self._unsent.discard(name)
            self._left.add(name)
            self._send_soon()

    def _send_soon(self) -> None:
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_names())

    async def _send_names(self) -> None:
        """Each of a crowd has a name of its own: those that come and go together share commands."""
        try:
            while self._left or self._unsent:
                if names := sorted(self._left)[:NAMES_PER_COMMAND]:
                    self._left.difference_update(names)
                    await self._send("UNSUBSCRIBE", *names)
                if names := sorted(self._unsent)[:NAMES_PER_COMMAND]:
                    self._unsent.difference_update(names)
                    await self._send("SUBSCRIBE", *names)
        finally:
            self._sending = None

    def _forget_waiter(self, name: bytes, waiter: asyncio.Future[None]) -> None:
        waiters = self._waiting.get(name, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiting.pop(name, None)

    async def _send(self, *command: bytes | str) -> None:
        """Send on the living connection; without one, the next connection subscribes anyway."""
        connection = self._connection
        if connection is None or not connection.is_connected:
            return
        try:
            async with asyncio.timeout(ACK_SECONDS):
                await connection.send_command(*command, check_health=False)
        except (RedisError, OSError, TimeoutError) as problem:
            log.warning("bus subscriber: cannot send: %s", problem)
            await connection.disconnect(nowait=True)  # the reader notices and connects again

    async def _run(self) -> None:
        backoff = BACKOFF_FIRST_SECONDS
        while True:
            before = self._connections
            try:
                await self._connect_and_read()
            except (RedisError, OSError, TimeoutError) as problem:
                log.warning("bus subscriber: %s; connecting again", problem)
            except Exception:
                log.exception("bus subscriber: connecting again")
            if self._connections > before:
                backoff = BACKOFF_FIRST_SECONDS
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, BACKOFF_MAX_SECONDS)

    async def _connect_and_read(self) -> None:
        connection: Any = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection.connect()
                names = sorted(self._wanted)
                self._unconfirmed = set(names)
                self._resubscribing = self._connections > 0
                self._connection = connection
                for start in range(0, len(names), NAMES_PER_COMMAND):
                    batch = names[start : start + NAMES_PER_COMMAND]
                    await connection.send_command("SUBSCRIBE", *batch, check_health=False)
            self._connections += 1
            self._tell_when_complete()
            await self._read(connection)
        finally:
            self._connection = None
            self._unconfirmed = set(self._wanted)
            await connection.disconnect(nowait=True)

    async def _read(self, connection: Any) -> None:
        """Hand on what comes. A time limit for each message would cost more than the message."""
        watch = asyncio.create_task(self._watch(connection), name="bus subscriber: silence")
        try:
            while True:
                reply = await connection.read_response()
                self._replies += 1
                kind = reply[0]
                if kind == b"message":
                    self._on_message(reply[1], reply[2])
                elif kind == b"subscribe":
                    self._confirm(reply[1])
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    async def _watch(self, connection: Any) -> None:
        """Ask a connection that is silent whether it lives; cut it when it stays silent."""
        asked = False
        while True:
            before = self._replies
            await asyncio.sleep(SILENCE_SECONDS)
            if self._replies != before:
                asked = False
            elif asked:
                log.warning("bus subscriber: the message bus is silent")
                await connection.disconnect(nowait=True)  # the reader notices
                return
            else:
                asked = True
                await self._send("PING")

    def _confirm(self, name: bytes) -> None:
        self._unconfirmed.discard(name)
        for waiter in self._waiting.pop(name, []):
            if not waiter.done():
                waiter.set_result(None)
        self._tell_when_complete()

    def _tell_when_complete(self) -> None:
        if self._resubscribing and not self._unconfirmed:
            self._resubscribing = False
            self._on_reconnect()
