"""Whoever sends a room its picture: packets in, reports out."""

import logging
import secrets
import time
from collections.abc import Callable

from aiortc import RTCCertificate
from aiortc.rate import RemoteBitrateEstimator

from liveserver.media import rtcp, rtp
from liveserver.media.outlet import Forwarder
from liveserver.media.reception import Reception
from liveserver.media.sdp import Offer
from liveserver.media.session import Session
from liveserver.media.srtp import PACKET_BYTES_MAX
from liveserver.media.track import Track

log = logging.getLogger(__name__)

SILENT_SECONDS = 4.0  # without any packet a publisher is away; the room is told within 10
KEYFRAME_SECONDS = 0.5  # at most one request for a keyframe in this time, whoever asks
NAME = b"live"
REMB_MOST = 20_000_000  # bit/s; the estimate needs no more for any picture of a phone


class Stream:
    """One kind of media as the publisher sends it. `send_time` is the id of abs-send-time."""

    def __init__(self, track: Track, send_time: int | None) -> None:
        self.track = track
        self.ssrc: int | None = None
        self.send_time = send_time
        self.reception = Reception(track.codec.clock)


class Publisher(Session):
    """
    `streams` by payload type. `on_media` hears the first packet, and the first after a silence;
    `on_report` gets each sender report as viewers should have it.
    """

    def __init__(
        self,
        offer: Offer,
        certificate: RTCCertificate,
        now: Callable[[], float],
        on_over: Callable[[Session, str], None],
        *,
        streams: dict[int, Stream],
        forwarder: Forwarder,
        estimates: bool,
    ) -> None:
        super().__init__(offer, certificate, now, on_over)
        self.streams = streams
        self.on_media: Callable[[], None] = lambda: None
        self.on_report: Callable[[Track, bytes], None] = lambda track, report: None
        self.heard_at = 0.0  # last packet; 0 = none yet
        self.silent = True
        self.ignored = 0  # packets of no stream
        self.oversized = 0
        self._forwarder = forwarder
        self._ssrc = secrets.randbits(32)
        self._asked_at = 0.0
        self._asking = False
        self._estimator = RemoteBitrateEstimator() if estimates else None
        self._estimate = 0

    @property
    def is_missing_some(self) -> bool:
        return any(stream.reception.is_missing_some for stream in self.streams.values())

    def on_rtp(self, data: bytes) -> None:
        packet = rtp.parse(data)
        stream = None if packet is None else self.streams.get(packet.payload_type)
        if packet is None or stream is None:
            self.ignored += 1
            return
        if len(packet.body) > PACKET_BYTES_MAX - rtp.HEADER_BYTES:
            self._complain_of(len(data))
            return
        now = self._now()
        if stream.ssrc != packet.ssrc:
            stream.ssrc = packet.ssrc
            stream.reception = Reception(stream.track.codec.clock)
            stream.track.detach()
        self.heard_at = now
        if self.silent:
            self.silent = False
            self.on_media()
        number = stream.reception.take(packet.seq, packet.timestamp, now)
        if self._estimator is not None and stream.send_time is not None:
            self._estimate_rate(stream.send_time, packet, len(data))
        piece = stream.track.take(number, packet, now)
        if piece is not None:
            self._forwarder.took(stream.track, piece)

    def on_rtcp(self, data: bytes) -> None:
        for said in rtcp.parse(data):
            if isinstance(said, rtcp.SenderReport):
                self._pass_report(said)

    def ask_keyframe(self) -> None:
        """Soon, together with everybody else who asks."""
        now = self._now()
        self._asking = True
        if now - self._asked_at >= KEYFRAME_SECONDS:
            self.flush_requests(now)

    def flush_requests(self, now: float) -> None:
        """Send what waited: requests for keyframes and for missing packets."""
        if self._asking and now - self._asked_at >= KEYFRAME_SECONDS:
            self._asking, self._asked_at = False, now
            for stream in self.streams.values():
                if stream.track.kind == "video" and stream.ssrc is not None:
                    self.send_rtcp(rtcp.pli(self._ssrc, stream.ssrc))
        for stream in self.streams.values():
            seqs = stream.reception.due(now) if stream.reception.is_missing_some else []
            if seqs and stream.ssrc is not None:
                self.send_rtcp(rtcp.nack(self._ssrc, stream.ssrc, seqs))

    def on_tick(self, now: float) -> None:
        heard = [one for one in self.streams.values() if one.ssrc is not None]
        reports = [one.reception.report(one.ssrc or 0, now) for one in heard]
        if reports:
            self.send_rtcp(rtcp.receiver_report(self._ssrc, reports, NAME))

    @property
    def is_away(self) -> bool:
        """Whether nothing came for longer than any network's hiccup."""
        return bool(self.heard_at) and self._now() - self.heard_at > SILENT_SECONDS

    def _pass_report(self, said: rtcp.SenderReport) -> None:
        for stream in self.streams.values():
            if stream.ssrc == said.ssrc:
                stream.reception.note_report(said.ntp, self._now())
                track = stream.track
                at = track.time_of(said.rtp)
                counts = (track.packets, track.octets)
                report = rtcp.sender_report(track.ssrc, said.ntp, at, *counts, NAME)
                self.on_report(track, report)

    def _estimate_rate(self, id: int, packet: rtp.Packet, size: int) -> None:
        """Tell the publisher how much its way here takes (Google's estimator, as aiortc has it)."""
        sent = rtp.extension_value(packet.extension, id)
        if sent is None or len(sent) != 3 or self._estimator is None:
            return
        arrived = time.monotonic_ns() // 1_000_000
        found = self._estimator.add(arrived, int.from_bytes(sent, "big"), size, packet.ssrc)
        if found is not None:
            self._estimate = min(found[0], REMB_MOST)
            self.send_rtcp(rtcp.remb(self._ssrc, self._estimate, found[1][:8]))

    def _complain_of(self, size: int) -> None:
        self.oversized += 1
        if self.oversized == 1:
            log.warning(
                "a publisher sends packets of %d bytes, of which none can be passed on: set its "
                "packet size to 1200",
                size,
            )
