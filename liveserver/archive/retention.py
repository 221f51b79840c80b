"""Deletes the archives of shows that are older than the operator wants to keep them."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from rooms.errors import Refusal

DAY_MS = 86_400_000
ROUND_SECONDS = 3_600.0  # between two looks: days are not counted to the minute
LINES_AT_ONCE = 1_000  # of one transaction: milliseconds, in which nobody else writes to SQLite
PAUSE_SECONDS = 0.2  # between two transactions, for those who sell

log = logging.getLogger(__name__)


class Store(Protocol):
    """Where lines are. Raises `rooms.errors.Unavailable`."""

    async def prune(self, before: int, limit: int) -> int:
        """Delete at most `limit` lines of shows that ended before `before`; how many it were."""


class Retention:
    """
    Args:
        days: How long after its end the archive of a show is kept.
        is_holder: Whether this process may write now: one alone deletes.
        now: Milliseconds.
    """

    def __init__(
        self,
        store: Store,
        days: int,
        *,
        is_holder: Callable[[], bool],
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._keep_ms = days * DAY_MS
        self._is_holder = is_holder
        self._now = now

    async def run(self) -> None:
        """Look for ever. What the database refuses is tried again with the next round."""
        while True:
            try:
                deleted = await self.prune()
                if deleted:
                    log.info("archive: %d lines of old shows deleted", deleted)
            except Refusal as problem:
                log.warning("archive: nothing old deleted: %s", problem.detail)
            await asyncio.sleep(ROUND_SECONDS)

    async def prune(self) -> int:
        """Delete what is too old, in small steps; how many lines it were."""
        before, deleted = self._now() - self._keep_ms, 0
        while self._is_holder():
            found = await self._store.prune(before, LINES_AT_ONCE)
            deleted += found
            if found < LINES_AT_ONCE:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        return deleted
