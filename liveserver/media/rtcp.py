"""RTCP (RFC 3550, RFC 4585, RFC 5104): the few packets that a forwarder reads and writes. Pure."""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

SR, RR, SDES, BYE, TRANSPORT, PAYLOAD = 200, 201, 202, 203, 205, 206
NACK = 1  # of TRANSPORT
PLI, FIR, ALFB = 1, 4, 15  # of PAYLOAD
NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
LOST_MAX = (1 << 23) - 1


class SenderReport(NamedTuple):
    """`ntp` is 64-bit fixed-point seconds since 1900; it stands for the same moment as `rtp`."""

    ssrc: int
    ntp: int
    rtp: int


class ReceiverBlock(NamedTuple):
    """What a receiver says of one stream: `fraction` of 256 lost since the last report."""

    ssrc: int
    fraction: int


class Nack(NamedTuple):
    ssrc: int
    seqs: tuple[int, ...]


class KeyframeWanted(NamedTuple):
    """PLI or FIR."""

    ssrc: int


class Bye(NamedTuple):
    ssrc: int


Read = SenderReport | ReceiverBlock | Nack | KeyframeWanted | Bye


def parse(data: bytes) -> list[Read]:
    """What a compound packet says; parts that are broken or unknown say nothing."""
    found: list[Read] = []
    at = 0
    while at + 4 <= len(data):
        first, kind, words = struct.unpack_from("!BBH", data, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > len(data):
            break
        found.extend(_read(kind, first & 0x1F, data[at + 4 : end]))
        at = end
    return found


def _read(kind: int, count: int, body: bytes) -> Iterator[Read]:
    if kind == SR and len(body) >= 24:
        ssrc, ntp, rtp = struct.unpack_from("!IQI", body)
        yield SenderReport(ssrc, ntp, rtp)
        yield from _blocks(body[24:], count)
    elif kind == RR and len(body) >= 4:
        yield from _blocks(body[4:], count)
    elif kind == BYE:
        for n in range(min(count, len(body) // 4)):
            yield Bye(struct.unpack_from("!I", body, 4 * n)[0])
    elif kind == TRANSPORT and count == NACK and len(body) >= 8:
        yield Nack(struct.unpack_from("!I", body, 4)[0], tuple(_missing(body[8:])))
    elif kind == PAYLOAD and count == PLI and len(body) >= 8:
        yield KeyframeWanted(struct.unpack_from("!I", body, 4)[0])
    elif kind == PAYLOAD and count == FIR and len(body) >= 16:
        yield KeyframeWanted(struct.unpack_from("!I", body, 8)[0])


def _blocks(body: bytes, count: int) -> Iterator[ReceiverBlock]:
    for n in range(min(count, len(body) // 24)):
        ssrc, loss = struct.unpack_from("!II", body, 24 * n)
        yield ReceiverBlock(ssrc, loss >> 24)


def _missing(pairs: bytes) -> Iterator[int]:
    for n in range(len(pairs) // 4):
        first, mask = struct.unpack_from("!HH", pairs, 4 * n)
        yield first
        for bit in range(16):
            if mask >> bit & 1:
                yield (first + 1 + bit) & 0xFFFF


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def sender_report(ssrc: int, ntp: int, rtp: int, packets: int, octets: int, name: bytes) -> bytes:
    """SR and SDES together; a compound packet has to name its sender."""
    counts = (packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
    return _packet(SR, 0, struct.pack("!IQIII", ssrc, ntp, rtp, *counts)) + _name(ssrc, name)


class Reception(NamedTuple):
    """What we say to a sender of one of its streams; `delay` in 1/65536 s since its last SR."""

    ssrc: int
    fraction: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    delay: int


def receiver_report(ssrc: int, receptions: Iterable[Reception], name: bytes) -> bytes:
    """RR and SDES together."""
    blocks = b"".join(
        struct.pack(
            "!IIIIII",
            one.ssrc,
            (min(one.fraction, 255) << 24) | (max(0, min(one.lost, LOST_MAX)) & 0xFFFFFF),
            one.highest & 0xFFFFFFFF,
            one.jitter & 0xFFFFFFFF,
            one.last_report & 0xFFFFFFFF,
            min(one.delay, 0xFFFFFFFF),
        )
        for one in receptions
    )
    body = struct.pack("!I", ssrc) + blocks
    return _packet(RR, len(blocks) // 24, body) + _name(ssrc, name)


def nack(ssrc: int, media: int, seqs: Iterable[int]) -> bytes:
    """Ask for packets again. `seqs` in rising order (wrapping)."""
    pairs: list[list[int]] = []
    for seq in seqs:
        gap = (seq - pairs[-1][0]) & 0xFFFF if pairs else 0
        if pairs and 0 < gap <= 16:
            pairs[-1][1] |= 1 << (gap - 1)
        else:
            pairs.append([seq, 0])
    body = struct.pack("!II", ssrc, media) + b"".join(struct.pack("!HH", *pair) for pair in pairs)
    return _packet(TRANSPORT, NACK, body)


def pli(ssrc: int, media: int) -> bytes:
    """Ask for a keyframe."""
    return _packet(PAYLOAD, PLI, struct.pack("!II", ssrc, media))


def remb(ssrc: int, bits_per_second: int, medias: list[int]) -> bytes:
    """Tell a sender how much the way takes (draft-alvestrand-rmcat-remb-03)."""
    exponent = max(0, bits_per_second.bit_length() - 18)
    mantissa = bits_per_second >> exponent
    rate = struct.pack("!I", (len(medias) << 24) | (exponent << 18) | mantissa)
    body = struct.pack("!II", ssrc, 0) + b"REMB" + rate
    return _packet(PAYLOAD, ALFB, body + b"".join(struct.pack("!I", one) for one in medias))


def _name(ssrc: int, name: bytes) -> bytes:
    item = struct.pack("!IBB", ssrc, 1, len(name)) + name
    return _packet(SDES, 1, item + bytes(4 - len(item) % 4))
