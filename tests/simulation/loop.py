"""An event loop whose time is a number: nothing waits, and nothing outside decides what is next."""

import asyncio
import selectors
from typing import Any


class Deadlock(Exception):
    """Every task waits for something that nobody will ever do."""


class Livelock(Exception):
    """Something happens again and again at the same moment."""


TURNS_AT_ONCE = 100_000  # far more than a batch of everything takes


class _Time(selectors.SelectSelector):
    """Instead of waiting for the next timer, be there."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0  # since time moved

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock("nothing is left to happen")
        self._turns += 1
        if timeout > 0:
            self.now += timeout
            self._turns = 0
        elif self._turns > TURNS_AT_ONCE:
            raise Livelock(f"time stands still at {self.now}")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Seconds since the loop was made, as fast as they can be computed."""

    def __init__(self) -> None:
        self._virtual = _Time()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now
