"""Somebody who watches: packets out, requests in."""

from collections.abc import Callable

from aiortc import RTCCertificate

from liveserver.media import rtcp
from liveserver.media.outlet import Forwarder, Outlet
from liveserver.media.sdp import Offer
from liveserver.media.session import Session
from liveserver.media.srtp import context
from liveserver.media.track import Track

Watched = tuple[Track, int]  # with the viewer's own payload type


class Viewer(Session):
    """`want_keyframe` asks the room's publisher for one."""

    def __init__(
        self,
        offer: Offer,
        certificate: RTCCertificate,
        now: Callable[[], float],
        on_over: Callable[[Session, str], None],
        *,
        watched: list[Watched],
        forwarder: Forwarder,
        want_keyframe: Callable[[], None],
    ) -> None:
        super().__init__(offer, certificate, now, on_over)
        self.watched = watched
        self.lost = 0  # of 256, as the viewer last said of its picture
        self.resent = 0
        self._outlets: dict[int, Outlet] = {}  # by SSRC
        self._forwarder = forwarder
        self._want_keyframe = want_keyframe

    def on_connected(self) -> None:
        assert self.out is not None
        key = context(self.outgoing)
        for track, number in self.watched:
            outlet = self._outlets[track.ssrc] = Outlet(track, number, key, self.out, self.to)
            self._forwarder.watch(outlet, self._want_keyframe)

    def on_moved(self) -> None:
        assert self.out is not None
        for outlet in self._outlets.values():
            outlet.out, outlet.to = self.out, self.to

    def on_rtcp(self, data: bytes) -> None:
        for said in rtcp.parse(data):
            outlet = self._outlets.get(said.ssrc)
            if outlet is None:
                continue
            if isinstance(said, rtcp.Nack):
                self.resent += outlet.resend(said.seqs, self._forwarder.sender, self._now())
            elif isinstance(said, rtcp.KeyframeWanted):
                self._want_keyframe()
            elif isinstance(said, rtcp.ReceiverBlock) and outlet.track.kind == "video":
                self.lost = said.fraction

    def let_go(self) -> None:
        """Get nothing any more."""
        for outlet in self._outlets.values():
            self._forwarder.leave(outlet)
        self._outlets.clear()
