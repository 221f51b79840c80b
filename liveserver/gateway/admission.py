"""
How many viewers may connect a second: a crowd that comes back must not starve who is there.

A connect costs the loop a hundred times what a frame to one viewer does. Whoever is sent away gets
503 with Retry-After before anything is parsed; the SDKs come back by themselves.
"""

from liveserver.gateway.options import BUSY_SECONDS, CONNECTS_BURST_SECONDS

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
        self.refused = 0  # for the metrics

    def admit(self, now: float) -> bool:
        """Whether one more may connect. `now` in seconds of a clock that does not go back."""
        if not self._rate:
            return True
        passed = 0.0 if self._at is None else now - self._at
        self._at = now
        self._tokens = min(self._burst, self._tokens + passed * self._rate)
        if self._tokens < 1:
            self.refused += 1
            return False
        self._tokens -= 1
        return True
