"""
One track of a room: the packets of its publisher, renumbered so that viewers see one stream without
a break whoever publishes, kept in a ring that all viewers share.
"""

from typing import TYPE_CHECKING, Any

from liveserver.media import rtp
from liveserver.media.codecs import Codec, begins_keyframe
from liveserver.media.rtp import SEQ, TS

if TYPE_CHECKING:
    from liveserver.media.outlet import Outlet

VIDEO_RING = 2_048  # packets; 10 s at 1.5 Mbit/s, 1 s at 15 Mbit/s: later than any viewer's NACK
AUDIO_RING = 256  # packets; 5 s of 20 ms
PENDING_MAX = 2_048  # packets not yet passed on; then viewers wait for the next keyframe
CATCH_UP_MAX = 800  # packets since the last keyframe that a new viewer gets at once; 4 s


class Piece:
    """A packet of the track: `index` grows by one and never wraps; `seq` is what viewers see."""

    __slots__ = ("begins", "body", "index", "marker", "padded", "plain", "timestamp")

    def __init__(
        self, index: int, timestamp: int, packet: rtp.Packet, body: bytes, begins: bool
    ) -> None:
        self.index = index
        self.timestamp = timestamp
        self.marker = packet.marker
        self.padded = packet.padded
        self.body = body
        self.begins = begins  # a keyframe
        self.plain: tuple[int, bytes] = (-1, b"")  # payload type and the packet made for it

    @property
    def seq(self) -> int:
        return self.index % SEQ


class Track:
    """One kind of media of one room. `ssrc` is the same for all viewers and publishers."""

    def __init__(self, kind: str, codec: Codec, ssrc: int) -> None:
        self.kind = kind
        self.codec = codec
        self.ssrc = ssrc
        self.live: tuple[Outlet, ...] = ()  # get every packet
        self.waiting: set[Outlet] = set()  # for the next keyframe
        self.pending: list[Piece] = []
        self.head = SEQ  # index of the newest piece
        self.keyframe: int | None = None  # index where the newest keyframe begins
        self.packets = self.octets = self.frames = self.keyframes = 0
        self.keyframe_seconds = 0.0  # between the last two
        self._keyframe_at = 0.0
        self._ring: list[Piece | None] = [None] * (VIDEO_RING if kind == "video" else AUDIO_RING)
        self._shift: int | None = None  # from the publisher's numbers to ours
        self._ts_shift = 0
        self._ts = 0
        self._at = 0.0

    def detach(self) -> None:
        """The publisher is gone or begins anew: the next packet goes on where this one ended."""
        self._shift = None

    def take(self, number: int, packet: rtp.Packet, now: float) -> Piece | None:
        """
        Keep a packet. `number` is its extended sequence number. None for one that is older than
        what the ring holds, or of before the publisher changed.
        """
        if self._shift is None:
            self._shift = self.head + 1 - number
            passed = round((now - self._at) * self.codec.clock) if self._at else 0
            self._ts_shift = (self._ts + max(1, passed) - packet.timestamp) % TS
            self._first = self.head + 1
        index = number + self._shift
        if index < max(self._first, self.head - len(self._ring) + 1):
            return None
        timestamp = (packet.timestamp + self._ts_shift) % TS
        body = b"\x01" if packet.is_padding and packet.padded else packet.body
        begins = self.kind == "video" and begins_keyframe(self.codec.name, body)
        piece = Piece(index, timestamp, packet, body, begins and not packet.is_padding)
        self._ring[index % len(self._ring)] = piece
        self._count(piece, now)
        if index > self.head:
            self.head, self._ts, self._at = index, timestamp, now
        self.pending.append(piece)
        return piece

    def _count(self, piece: Piece, now: float) -> None:
        self.packets += 1
        self.octets += len(piece.body)
        self.frames += piece.marker
        if not piece.begins:
            return
        known = None if self.keyframe is None else self.at(self.keyframe)
        if known is not None and known.timestamp == piece.timestamp:
            return  # parameter sets and picture are packets of one keyframe
        self.keyframe = piece.index
        self.keyframes += 1
        if self._keyframe_at:
            self.keyframe_seconds = now - self._keyframe_at
        self._keyframe_at = now

    def at(self, index: int) -> Piece | None:
        """The piece with this index, if the ring still holds it."""
        piece = self._ring[index % len(self._ring)]
        return piece if piece is not None and piece.index == index else None

    def by_seq(self, seq: int) -> Piece | None:
        """The piece that viewers know by this number."""
        return self.at(self.head - (self.head - seq) % SEQ)

    def since_keyframe(self) -> int | None:
        """Where a new viewer can start at once; None where that is too far back or unknown."""
        if self.keyframe is None or self.at(self.keyframe) is None:
            return None
        near = self.head - self.keyframe < min(CATCH_UP_MAX, len(self._ring))
        return self.keyframe if near else None

    def plain(self, piece: Piece, payload_type: int) -> bytes:
        """The packet for viewers that call the codec by this number; made once for all of them."""
        known, packet = piece.plain
        if known != payload_type:
            packet = self.dressed(piece, payload_type, piece.timestamp)
            piece.plain = (payload_type, packet)
        return packet

    def dressed(self, piece: Piece, payload_type: int, timestamp: int) -> bytes:
        """The packet with a time of its own."""
        head = rtp.header(payload_type, piece.marker, piece.seq, timestamp, self.ssrc, piece.padded)
        return head + piece.body

    def time_of(self, source: int) -> int:
        """A time stamp of the present publisher as viewers see it."""
        return (source + self._ts_shift) % TS

    def drop_pending(self) -> int:
        """Too much waits: forget it; viewers of video begin again at a keyframe. How many."""
        count, self.pending = len(self.pending), []
        if self.kind == "video":
            self.waiting.update(self.live)
            self.live = ()
        return count

    def leave(self, outlet: Any) -> None:
        """A viewer is gone."""
        self.waiting.discard(outlet)
        if outlet in self.live:
            self.live = tuple(one for one in self.live if one is not outlet)
