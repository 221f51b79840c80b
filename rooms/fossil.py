"""
Differences of two texts in the format of Fossil, which the SDKs apply.

`<length of the new text>` newline, then `<count>@<offset>,` for a piece of the old text or
`<count>:<bytes>` for a new one, then `<checksum>;`. Numbers are in base 64. The difference travels
as a JSON string, so new pieces begin and end between characters.
"""

import struct

_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
PROBE_BYTES = 16  # a piece of the old text is worth naming from about this length on
MISSES_MAX = 256  # probes in vain; texts that have so little in common are sent whole anyway


def create(old: bytes, new: bytes) -> bytes | None:
    """What makes `new` from `old`, both UTF-8; None if `new` itself is as short."""
    out = [_number(len(new)), b"\n"]
    size, done = 0, 0  # of the difference so far; how much of `new` it makes
    for start, end, offset in _common(old, new):
        if start > done:
            out += [_number(start - done), b":", new[done:start]]
            size += start - done
        out += [_number(end - start), b"@", _number(offset), b","]
        done = end
        if size >= len(new):
            return None
    if done < len(new):
        out += [_number(len(new) - done), b":", new[done:]]
    out += [_number(_checksum(new)), b";"]
    delta = b"".join(out)
    return delta if len(delta) < len(new) else None


def _common(old: bytes, new: bytes) -> list[tuple[int, int, int]]:
    """Pieces of `new`, in order, that stand in `old`: (start, end, offset in `old`)."""
    head = _same(old, new, 0, 0)
    tail = _same_at_end(old[head:], new[head:])
    pieces = [(0, head, 0)]
    at, low, stop, misses = head, head, len(new) - tail, 0
    while at + PROBE_BYTES <= stop and misses < MISSES_MAX:
        found = old.find(new[at : at + PROBE_BYTES])
        if found < 0:
            at += PROBE_BYTES
            misses += 1
            continue
        back = _same_at_end(old[:found], new[low:at])
        end = min(at + _same(old, new, found, at), stop)
        pieces.append((at - back, end, found - back))
        at = low = end
    pieces.append((stop, len(new), len(old) - tail))
    return [whole for piece in pieces if (whole := _whole_characters(new, *piece)) is not None]


def _whole_characters(new: bytes, start: int, end: int, offset: int) -> tuple[int, int, int] | None:
    """The piece without parts of characters at its ends."""
    first = start
    while first < end and new[first] & 0xC0 == 0x80:
        first += 1
    while end > first and end < len(new) and new[end] & 0xC0 == 0x80:
        end -= 1
    return (first, end, offset + first - start) if end > first else None


def _same(old: bytes, new: bytes, at: int, here: int) -> int:
    """How many bytes are the same from these places on."""
    most = min(len(old) - at, len(new) - here)
    if old[at : at + most] == new[here : here + most]:
        return most
    low, high = 0, most  # the first `low` are the same, the first `high` are not
    while high - low > 1:
        middle = (low + high) // 2
        if old[at + low : at + middle] == new[here + low : here + middle]:
            low = middle
        else:
            high = middle
    return low


def _same_at_end(old: bytes, new: bytes) -> int:
    """How many bytes are the same at the ends."""
    return _same(old[::-1], new[::-1], 0, 0)


def _number(value: int) -> bytes:
    digits = bytearray()
    while True:
        digits.append(_DIGITS[value & 63])
        value >>= 6
        if not value:
            return bytes(reversed(digits))


def _checksum(text: bytes) -> int:
    """The sum of the text's big-endian 32-bit words, zeros added at its end."""
    words = -(-len(text) // 4)
    total: int = sum(struct.unpack(f">{words}I", text.ljust(words * 4, b"\0")))
    return total & 0xFFFFFFFF
