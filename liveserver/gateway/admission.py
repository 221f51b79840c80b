"""
How many viewers may connect a second: a crowd that comes back must not starve who is there.

A connect costs the loop a hundred times what a frame to one viewer does. Whoever is sent away gets
503 with Retry-After before anything is parsed; the SDKs come back by themselves.
"""

from collections import deque
from collections.abc import Callable

from liveserver.gateway.options import BUSY_SECONDS, CONNECTS_BURST_SECONDS

TURN_SECONDS = 0.01  # of handshakes in one turn of the loop, which all others wait for
WAITING_MAX = 10_000  # before the turnstile: some seconds of handshakes; 503 to who comes then

TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Retry-After: %d\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % BUSY_SECONDS
)


class Admission:
    """A token bucket of one worker: `per_second` on average, 0 for any number."""

    def __init__(self, per_second: int) -> None:
        self._rate = per_second
        self._burst = max(1.0, per_second * CONNECTS_BURST_SECONDS)
        self._tokens = self._burst
        self._at: float | None = None
        self.refused = 0  # sent away with 503, for whatever reason; for the metrics

    def admit(self, now: float) -> bool:
        """Whether one more may connect. `now` in seconds of a clock that does not go back."""
        if not self._rate:
            return True
        passed = 0.0 if self._at is None else now - self._at
        self._at = now
        self._tokens = min(self._burst, self._tokens + passed * self._rate)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Turnstile:
    """
    Lets viewers in a few at a time: those that do not fit into this turn of the loop wait for the
    next. A thousand handshakes in one turn would keep everything else waiting for a second, the
    renewal of the writer's lease too.

    `busy_seconds` is the time that the loop's thread worked: `time.thread_time`; `soon` calls back
    in the next turn of the loop.
    """

    def __init__(
        self, busy_seconds: Callable[[], float], soon: Callable[[Callable[[], None]], object]
    ) -> None:
        self._busy = busy_seconds
        self._soon = soon
        self._waiting: deque[Callable[[], None]] = deque()
        self._spent = 0.0  # seconds of this turn
        self._planned = False

    @property
    def full(self) -> bool:
        """Whether so many wait that one more would wait too long."""
        return len(self._waiting) >= WAITING_MAX

    def pass_through(self, enter: Callable[[], None]) -> bool:
        """Call `enter`: now (True), or in its turn. Who came first goes first."""
        if not self._planned:
            self._planned = True
            self._soon(self._next_turn)
        if self._waiting or self._spent >= TURN_SECONDS:
            self._waiting.append(enter)
            return False
        self._let_in(enter)
        return True

    def _let_in(self, enter: Callable[[], None]) -> None:
        begin = self._busy()
        try:
            enter()
        finally:
            self._spent += self._busy() - begin

    def _next_turn(self) -> None:
        self._planned, self._spent = False, 0.0
        try:
            while self._waiting and self._spent < TURN_SECONDS:
                self._let_in(self._waiting.popleft())
        finally:
            if self._waiting or self._spent:
                self._planned = True
                self._soon(self._next_turn)
