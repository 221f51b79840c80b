"""Token buckets by name: so many at once, then so many a second."""

from collections import OrderedDict

NAMES_MAX = 20_000  # of one table, about 2 MB; who was quiet longest is forgotten, at no harm


class Buckets:
    """
    One bucket a name, full at first. What is kept is one number: the time at which the bucket will
    be full again (the generic cell rate algorithm). Times are integer milliseconds.
    """

    def __init__(self, *, burst: int, interval_ms: int) -> None:
        """`burst` at once; one more every `interval_ms`."""
        self._interval = interval_ms
        self._depth = burst * interval_ms
        self._full_at: OrderedDict[str, int] = OrderedDict()

    def take(self, name: str, now: int) -> int:
        """Take one token: 0. If there is none, nothing is taken: milliseconds until there is."""
        full_at = self._full_at.pop(name, now)
        # a clock that jumped back must not lock anybody out for longer than an empty bucket does
        full_at = min(max(full_at, now), now + self._depth)
        wait = full_at + self._interval - now - self._depth
        self._full_at[name] = full_at if wait > 0 else full_at + self._interval
        if len(self._full_at) > NAMES_MAX:
            self._full_at.popitem(last=False)
        return max(0, wait)
