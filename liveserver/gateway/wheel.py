"""
One timing wheel for everything that a connection waits for: pings, pongs, connect, close.

A timer of the event loop for each of a hundred thousand connections costs more than what it does.
Here each step looks at one bucket. Entries cannot be cancelled: who is called looks whether it is
still concerned, so no entry may lie further ahead than a ping interval or so.
"""

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Callable

log = logging.getLogger(__name__)


class Wheel:
    """Calls things later, in steps of `step_seconds`, never early. `run` turns it."""

    def __init__(self, step_seconds: float) -> None:
        self._step = step_seconds
        self._at = 0  # the step that was last looked at
        self._started: float | None = None
        self._buckets: defaultdict[int, list[Callable[[], None]]] = defaultdict(list)

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call `call` in `seconds`, or up to one step later."""
        self._buckets[self._at + 1 + max(1, math.ceil(seconds / self._step))].append(call)

    async def run(self) -> None:
        """Turn until cancelled. A loop that was busy makes several steps at once."""
        loop = asyncio.get_running_loop()
        self._started = loop.time() - self._at * self._step
        while True:
            await asyncio.sleep(self._step)
            due = int((loop.time() - self._started) / self._step)
            while self._at < due:
                self._turn()

    def _turn(self) -> None:
        self._at += 1
        for call in self._buckets.pop(self._at, ()):
            try:
                call()
            except Exception:  # one connection must not stop the clock of all
                log.exception("a timer failed")
