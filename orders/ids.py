"""Ids: a prefix and 128 bits that sort by time, in lower-case Crockford base32."""

from collections.abc import Callable
from functools import lru_cache

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
#: Two characters for each 10 bits, because half the look-ups is half the time.
PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
RANDOM_BITS = 80
RANDOM_CHARACTERS = RANDOM_BITS // 5
SHIFTS = range(RANDOM_BITS - 10, -1, -10)
TIME_SHIFTS = range(40, -1, -10)


def new_id(prefix: str, now_ms: int, randbits: Callable[[int], int]) -> str:
    """
    An id such as `ord_00cq…`: 48 bits of milliseconds, then 80 random bits.

    Ids of one millisecond are in no order; nothing relies on more than "about by time".
    """
    bits = randbits(RANDOM_BITS)
    rest = "".join([PAIRS[(bits >> shift) & 1023] for shift in SHIFTS])
    return f"{prefix}_{_time(now_ms)}{rest}"


def made_at(id: str) -> int:
    """When an id was made, in milliseconds; 0 if it is none of these."""
    digits = id.rpartition("_")[2][:-RANDOM_CHARACTERS]
    if len(digits) != 2 * len(TIME_SHIFTS) or not set(digits) <= set(ALPHABET):
        return 0
    made = 0
    for digit in digits:
        made = made << 5 | ALPHABET.index(digit)
    return made


@lru_cache(maxsize=4)  # many ids are of the same millisecond
def _time(now_ms: int) -> str:
    bits = now_ms & 0xFFFF_FFFF_FFFF
    return "".join([PAIRS[(bits >> shift) & 1023] for shift in TIME_SHIFTS])
