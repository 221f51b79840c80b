"""Ids: a prefix and 128 bits that sort by time, in lower-case Crockford base32."""

from collections.abc import Callable

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
#: Two characters for each 10 bits, because half the look-ups is half the time.
PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
RANDOM_BITS = 80
SHIFTS = range(120, -1, -10)


def new_id(prefix: str, now_ms: int, randbits: Callable[[int], int]) -> str:
    """
    An id such as `ord_00cq…`: 48 bits of milliseconds, then 80 random bits.

    Ids of one millisecond are in no order; nothing relies on more than "about by time".
    """
    bits = ((now_ms & 0xFFFF_FFFF_FFFF) << RANDOM_BITS) | randbits(RANDOM_BITS)
    return prefix + "_" + "".join([PAIRS[(bits >> shift) & 1023] for shift in SHIFTS])
