"""Doing things often enough and no more often: conflation, and reads that many share."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from rooms.errors import Refusal, TooFast, Unavailable

RETRY_SECONDS = 0.5  # after the bus or the database did not answer

T = TypeVar("T")
log = logging.getLogger(__name__)


class Conflator:
    """
    Runs `action(key)` at once for the first mark, then at most once per interval while marks come.

    Never two at a time for a key, and always once more after the last mark. What could not be done
    because something did not answer is tried again.
    """

    def __init__(self, action: Callable[[str], Awaitable[None]], interval_seconds: float) -> None:
        self._action = action
        self._interval = interval_seconds
        self._marked: dict[str, bool] = {}  # keys under way -> marked again meanwhile
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def mark(self, key: str) -> None:
        if key in self._marked:
            self._marked[key] = True
        else:
            self._marked[key] = False
            self._begin(key)

    async def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, key: str) -> None:
        task = asyncio.create_task(self._run(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, key: str) -> None:
        pause = self._interval
        try:
            await self._action(key)
        except (Unavailable, TooFast) as problem:
            log.warning("%s: %s; trying again", key, problem)
            self._marked[key], pause = True, max(pause, RETRY_SECONDS)
        except Refusal as problem:
            log.warning("%s: %s", key, problem)
        except Exception:
            log.exception("%s: failed; trying again", key)
            self._marked[key], pause = True, max(pause, RETRY_SECONDS)
        self._timers[key] = asyncio.get_running_loop().call_later(pause, self._again, key)

    def _again(self, key: str) -> None:
        del self._timers[key]
        if self._marked.pop(key):
            self._marked[key] = False
            self._begin(key)


class FreshReads:
    """
    One read for all who ask at the same time, begun after each of them asked.

    While a read is under way the next ones gather and share the read after it, so nobody gets an
    answer older than the question, and a crowd costs two reads.
    """

    def __init__(self) -> None:
        self._gathering: dict[str, asyncio.Task[Any]] = {}
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def get(self, key: str, read: Callable[[], Awaitable[T]]) -> T:
        task: asyncio.Task[T] | None = self._gathering.get(key)
        if task is None:
            task = asyncio.create_task(self._after(key, self._running.get(key), read))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._gathering[key] = task
        return await asyncio.shield(task)

    async def _after(
        self, key: str, running: asyncio.Task[Any] | None, read: Callable[[], Awaitable[T]]
    ) -> T:
        if running is not None:
            await asyncio.wait([running])
        own = self._running[key] = self._gathering.pop(key)
        try:
            return await read()
        finally:
            if self._running.get(key) is own:
                del self._running[key]
