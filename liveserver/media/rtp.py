"""
RTP packets (RFC 3550): read the head, give packets a new one. Pure; payloads are never touched.
"""

import struct
from typing import NamedTuple

HEADER_BYTES = 12
SEQ = 1 << 16
TS = 1 << 32
ONE_BYTE = 0xBEDE  # profile of one-byte header extensions (RFC 8285)


class Packet(NamedTuple):
    """One packet as it came. `body` is payload with its padding, `padded` the P bit."""

    payload_type: int
    marker: bool
    seq: int
    timestamp: int
    ssrc: int
    body: bytes
    padded: bool
    extension: bytes  # of one-byte header extensions; b"" for none

    @property
    def is_padding(self) -> bool:
        """Whether it carries nothing: some senders fill the line to see how much it takes."""
        return not self.body or (self.padded and self.body[-1] >= len(self.body))


def parse(data: bytes) -> Packet | None:
    """None for what is no RTP packet of version 2."""
    size = len(data)
    if size < HEADER_BYTES:
        return None
    first, second, seq, timestamp, ssrc = struct.unpack_from("!BBHII", data)
    if first >> 6 != 2:
        return None
    at = HEADER_BYTES + 4 * (first & 0x0F)
    extension = b""
    if first & 0x10:
        if at + 4 > size:
            return None
        profile, words = struct.unpack_from("!HH", data, at)
        if profile == ONE_BYTE:
            extension = data[at + 4 : at + 4 + 4 * words]
        at += 4 + 4 * words
    if at > size:
        return None
    padded = bool(first & 0x20)
    return Packet(second & 0x7F, second > 0x7F, seq, timestamp, ssrc, data[at:], padded, extension)


def header(
    payload_type: int, marker: bool, seq: int, timestamp: int, ssrc: int, padded: bool = False
) -> bytes:
    """Twelve bytes without extensions."""
    first = 0xA0 if padded else 0x80
    return struct.pack(
        "!BBHII", first, payload_type | (0x80 if marker else 0), seq, timestamp, ssrc
    )


def extension_value(extension: bytes, wanted: int) -> bytes | None:
    """The value of the one-byte header extension with this id."""
    at = 0
    while at < len(extension):
        name, size = extension[at] >> 4, (extension[at] & 0x0F) + 1
        if name == 0:  # padding between elements
            at += 1
            continue
        if name == 15:  # the end, whatever follows
            return None
        if name == wanted:
            value = extension[at + 1 : at + 1 + size]
            return value if len(value) == size else None
        at += 1 + size
    return None


def is_rtcp(data: bytes) -> bool:
    """RTP and RTCP on one port are told apart by the second byte (RFC 5761, 4)."""
    return len(data) > 1 and 192 <= data[1] <= 223


def newer(one: int, other: int, size: int = SEQ) -> bool:
    """Whether a number that wraps at `size` is ahead of another."""
    return 0 < (one - other) % size < size // 2
