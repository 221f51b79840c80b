"""
One peer: ICE-lite, DTLS, SRTP. What it sends and gets is for its subclass to know.

ICE-lite (RFC 8445, 2.5): the peer checks, we answer, and media goes to the address that it
nominated. DTLS runs one task for each peer, which sleeps but for DTLS itself: media passes by it.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import Callable

import pylibsrtp
from aiortc import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters

from liveserver.media import rtp, stun
from liveserver.media.dtls import Dtls, DtlsPath
from liveserver.media.sdp import Ice, Offer, Setup
from liveserver.media.srtp import Address

log = logging.getLogger(__name__)

CONSENT_SECONDS = 30.0  # without a valid check the peer does not want our packets (RFC 7675)
ARRIVE_SECONDS = 15.0  # from the answer to media; a phone on a poor line takes some
ADDRESSES_MAX = 8  # of one peer: its interfaces, and its network's changes
DATAGRAM_MAX = 1_500
STOP_SECONDS = 1.0  # for a farewell that nobody has to answer

_farewells: set[asyncio.Task[None]] = set()  # the loop itself holds tasks only weakly


class Session:
    """
    Args:
        offer: What the peer said.
        certificate: Ours, shared by all sessions of the process.
        now: Seconds of a clock that does not jump.
        on_over: Hears once that this session is over, and why in words.
    """

    def __init__(
        self,
        offer: Offer,
        certificate: RTCCertificate,
        now: Callable[[], float],
        on_over: Callable[["Session", str], None],
    ) -> None:
        self.id = secrets.token_urlsafe(24)  # 192 bits: who knows it, may end it
        self.ice = new_ice()
        self.remote = offer.ice
        self.older: Ice | None = None  # ours before an ICE restart, until the new one is used
        self.setup: Setup = "active" if offer.setup == "passive" else "passive"
        self.made_at = self.consent_at = now()
        self.connected = False
        self.over = False
        self.ufrags = [self.ice.ufrag]
        self.addresses: list[Address] = []
        self.out: socket.socket | None = None
        self.to: Address = ()
        self.version = 1  # of the ETag; raised by ICE restarts
        self.broken = 0  # packets that could not be read
        self._now = now
        self._on_over = on_over
        self._certificate = certificate
        self._transport = DtlsPath(self._send, server=self.setup == "passive")
        self._dtls: Dtls | None = None  # made when the peer has arrived
        self._fingerprints = [RTCDtlsFingerprint(name, value) for name, value in offer.fingerprints]
        self._handshake: asyncio.Task[None] | None = None
        self._incoming: pylibsrtp.Session
        self.outgoing: pylibsrtp.Session  # both from `on_connected` on

    @property
    def etag(self) -> str:
        return f'"{self.id[:8]}-{self.version}"'

    # What comes from the socket

    def on_check(self, check: stun.Binding, out: socket.socket, peer: Address) -> bytes | None:
        """Answer a connectivity check; None for one that is not signed with our password."""
        by_new = check.ufrag == self.ice.ufrag
        ice = self.ice if by_new or self.older is None else self.older
        password = ice.password.encode()
        if check.kind != stun.REQUEST or not check.is_signed_by(password):
            return None
        self.consent_at = self._now()
        if by_new:
            self.older = None
        if peer not in self.addresses:
            self.addresses.append(peer)
        if check.nominates or self.out is None:
            moved = self.to != peer
            self.out, self.to = out, peer
            if moved and self.connected:
                self.on_moved()
        if self._handshake is None:
            self._handshake = asyncio.create_task(self._shake_hands())
        return stun.answer(check, (str(peer[0]), int(peer[1])), password)

    def on_datagram(self, data: bytes) -> None:
        """DTLS, SRTP or SRTCP from an address that passed a check. Never raises."""
        first = data[0]
        if 20 <= first <= 63:
            if len(data) <= DATAGRAM_MAX:
                self._transport.put(data)
        elif 128 <= first <= 191 and self.connected:
            try:
                if rtp.is_rtcp(data):
                    self.on_rtcp(self._incoming.unprotect_rtcp(data))
                else:
                    self.on_rtp(self._incoming.unprotect(data))
            except (pylibsrtp.Error, ValueError):
                self.broken += 1  # forged, repeated or too long

    # For subclasses

    def on_connected(self) -> None:
        """Keys are there."""

    def on_moved(self) -> None:
        """The peer has another address."""

    def on_rtp(self, data: bytes) -> None:
        """A packet, decrypted."""

    def on_rtcp(self, data: bytes) -> None:
        """A report, decrypted."""

    def on_tick(self, now: float) -> None:
        """Once a second."""

    def send_rtcp(self, data: bytes) -> None:
        if self.connected and not self.over:
            self._send(self.outgoing.protect_rtcp(data))

    # Life

    def restart(self, remote: Ice) -> None:
        """New ICE credentials on both sides (RFC 8839, 4.4.3); media goes on meanwhile."""
        self.older, self.ice, self.remote = self.ice, new_ice(), remote
        self.ufrags = [self.older.ufrag, self.ice.ufrag]
        self.version += 1

    def why_over(self, now: float) -> str | None:
        """The reason to end this session by time, if there is one."""
        if not self.connected and now - self.made_at > ARRIVE_SECONDS:
            return "never arrived"
        if now - self.consent_at > CONSENT_SECONDS:
            return "no sign of life"
        return None

    def end(self, reason: str) -> None:
        """Say farewell and let go of everything. Idempotent."""
        if self.over:
            return
        self.over = True
        self._on_over(self, reason)
        if self._dtls is not None:
            farewell = asyncio.get_running_loop().create_task(self._stop(self._dtls))
            _farewells.add(farewell)
            farewell.add_done_callback(_farewells.discard)

    async def _stop(self, dtls: Dtls) -> None:
        if self._handshake is not None and not self._handshake.done():
            self._handshake.cancel()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await dtls.stop()
        except Exception as error:
            log.debug("a DTLS session did not end well: %r", error)
        dtls.remove_all_listeners()
        self._transport.close()

    async def _shake_hands(self) -> None:
        self._dtls = Dtls(self._transport, self._certificate)
        self._dtls.on("statechange", self._on_state)
        try:
            await self._dtls.start(RTCDtlsParameters(fingerprints=self._fingerprints))
        except Exception as error:  # whatever a stranger's certificate or handshake brings about
            log.info("a DTLS handshake failed: %r", error)
            self.end("the handshake failed")

    def _on_state(self) -> None:
        assert self._dtls is not None
        state = self._dtls.state
        if state == "connected" and not self.over:
            self._incoming, self.outgoing = self._dtls._rx_srtp, self._dtls._tx_srtp
            self.connected = True
            self.on_connected()
        elif state in ("failed", "closed"):
            self.end("the handshake failed" if state == "failed" else "the peer left")

    def _send(self, data: bytes) -> None:
        if self.out is not None:
            with contextlib.suppress(OSError):  # as lost: DTLS and reports are sent again
                self.out.sendto(data, self.to)


def new_ice() -> Ice:
    """Credentials of 48 and 144 bits (RFC 8839 asks for 24 and 128)."""
    return Ice(secrets.token_hex(6), secrets.token_hex(18))
