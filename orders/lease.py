"""
Who may write: one holder at a time, fenced by a number that only grows.

The holder raises `beat` each second. A candidate takes over after it has seen the same
(fence, beat) for 5 s on its own monotonic clock, so that no two clocks are ever compared; at once
when the holder released the lease, or when the supervisor knows that the holder is dead.
"""

import msgspec

LEASE_MS = 5_000  # an unchanged beat for this long = nobody holds it
BEAT_MS = 1_000  # five beats may be lost before that
LEASE_NAME = "orders"
RELEASED = ""  # the holder of a lease that was given back


class Lease(msgspec.Struct, frozen=True):
    """The row. `now` is the holder's sale clock at its last beat."""

    holder: str
    fence: int
    beat: int
    now: int


class Watch:
    """A candidate's view of the lease over time."""

    def __init__(self, dead_holder: str | None = None) -> None:
        self._dead_holder = dead_holder
        self._seen: tuple[int, int] | None = None
        self._since_ms = 0

    def may_take(self, lease: Lease | None, monotonic_ms: int) -> bool:
        """Whether the lease as read just now may be taken over."""
        if lease is None or lease.holder == RELEASED:
            return True
        if self._dead_holder is not None and lease.holder == self._dead_holder:
            return True
        seen = (lease.fence, lease.beat)
        if seen != self._seen:
            self._seen, self._since_ms = seen, monotonic_ms
            return False
        return monotonic_ms - self._since_ms >= LEASE_MS


class SaleClock:
    """
    The clock of sales and deadlines: never behind what an earlier holder stored, and then running
    with the monotonic clock, so that a jump of the wall clock ends no sale and expires no order.
    """

    def __init__(self, wall_ms: int, stored_ms: int, monotonic_ms: int) -> None:
        self._start = max(wall_ms, stored_ms)
        self._origin = monotonic_ms

    def now(self, monotonic_ms: int) -> int:
        """Milliseconds since 1970 by this clock."""
        return self._start + monotonic_ms - self._origin
