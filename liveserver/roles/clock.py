"""Time and ids of the server's own, which the parts get as functions."""

import time

from liveserver.randomness import RandomBits
from orders.ids import new_id as make_id

random_bits = RandomBits()


def now_ms() -> int:
    """Wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """A clock that never jumps, in milliseconds."""
    return time.monotonic_ns() // 1_000_000


def new_id(prefix: str) -> str:
    """A fresh id of the server's own."""
    return make_id(prefix, now_ms(), random_bits)
