"""Pictures that can be told apart after any codec: their number stands in them as bars."""

import struct
from collections.abc import Collection

import av

from liveserver.media.clip import nal_units
from liveserver.media.demo_publisher import packets_of
from loadtest.bars import BAR, BITS, HEIGHT, WIDTH, drawn, encoded
from loadtest.rtc import Peer

__all__ = ["HEIGHT", "WIDTH", "Camera", "Watcher", "drawn", "encoded", "number_of"]


def number_of(frame: av.VideoFrame) -> int | None:
    """The number in a decoded picture; None where it is none of ours."""
    plane = frame.planes[0]
    data, line = bytes(plane), plane.line_size
    scale = frame.width / WIDTH
    row = data[line * (frame.height // 2) :]
    bars = [row[int((n + 0.5) * BAR * scale)] > 128 for n in range(BITS + 4)]
    if bars[:2] != [True, False] or bars[-2:] != [False, True]:
        return None
    return sum(bar << bit for bit, bar in enumerate(bars[2:-2]))


class Watcher:
    """Takes a viewer's RTP packets and knows the numbers of the pictures in them."""

    def __init__(self, payload_type: int, codec: str = "h264") -> None:
        self.numbers: list[int] = []
        self.payloads: list[bytes] = []
        self.sound = 0
        self._payload_type = payload_type
        self._decoder = av.CodecContext.create(codec, "r")
        self._codec = codec
        self._held: dict[int, tuple[int, bool, bytes]] = {}
        self._next: int | None = None
        self._unit = bytearray()

    def take(self, data: bytes) -> None:
        _, second, seq, timestamp, _ = struct.unpack_from("!BBHII", data)
        if second & 0x7F != self._payload_type:
            self.sound += 1
            return
        self.payloads.append(data[12:])
        self._held[seq] = (timestamp, second > 127, data[12:])
        if self._next is None:
            self._next = seq
        while self._next in self._held:
            _, marker, payload = self._held.pop(self._next)
            self._next = (self._next + 1) & 0xFFFF
            self._add(payload, marker)

    def _add(self, payload: bytes, marker: bool) -> None:
        if self._codec == "h264":
            self._add_h264(payload)
        elif payload:
            self._unit += payload[_vp8_head(payload) :]
        if marker and self._unit:
            packet = av.Packet(bytes(self._unit))
            self._unit.clear()
            assert isinstance(self._decoder, av.VideoCodecContext)
            for frame in self._decoder.decode(packet):
                number = number_of(frame)
                if number is not None:
                    self.numbers.append(number)

    def _add_h264(self, payload: bytes) -> None:
        kind = payload[0] & 0x1F
        if kind == 28:
            if payload[1] & 0x80:
                self._unit += b"\0\0\0\1" + bytes([payload[0] & 0xE0 | payload[1] & 0x1F])
            self._unit += payload[2:]
        elif kind == 24:
            at = 1
            while at + 2 < len(payload):
                size = int.from_bytes(payload[at : at + 2], "big")
                self._unit += b"\0\0\0\1" + payload[at + 2 : at + 2 + size]
                at += 2 + size
        else:
            self._unit += b"\0\0\0\1" + payload


def _vp8_head(payload: bytes) -> int:
    at = 1
    if payload[0] & 0x80:
        more = payload[1]
        at = 2 + bool(more & 0x40) + bool(more & 0x30)
        if more & 0x80:
            at += 2 if payload[2] & 0x80 else 1
    return at


class Camera:
    """Sends pictures over a publisher, like a camera of 30 a second that is in a hurry."""

    def __init__(self, peer: Peer, ssrc: int = 4242, seq: int = 65_500) -> None:
        self.peer = peer
        self.number = peer.payload_type("video")
        self.seq, self.time, self.ssrc = seq, 90_000, ssrc
        self.payloads: list[bytes] = []
        self.sent: dict[int, bytes] = {}  # by number, those lost on the way too

    def show(self, units: list[bytes], *, drop: Collection[int] = ()) -> None:
        """`drop`: places of packets among those sent now that are lost on the way."""
        place = 0
        for unit in units:
            for payload, last in packets_of(nal_units(unit)):
                packet = self.packet(payload, last)
                self.payloads.append(payload)
                if place not in drop:
                    self.peer.send_rtp(packet)
                place += 1
            self.time += 3_000

    def packet(self, payload: bytes, last: bool) -> bytes:
        second = self.number | (0x80 if last else 0)
        self.seq = (self.seq + 1) & 0xFFFF
        head = struct.pack("!BBHII", 0x80, second, self.seq, self.time, self.ssrc)
        self.sent[self.seq] = head + payload
        return head + payload
