"""
DTLS of one peer: aiortc's `RTCDtlsTransport` over a transport of three names.

aiortc reads a peer's certificate as a whole to take its fingerprint, and `cryptography` warns of
certificates that RFC 5280 forbids and will refuse them. FFmpeg 8.0 makes every second one of its
own with a negative serial number. Nothing of a self-signed certificate counts but its fingerprint,
so this one takes it from the certificate's bytes.
"""

import asyncio
import hmac
from collections import deque
from collections.abc import Callable

from aiortc import RTCCertificate, RTCDtlsParameters, RTCDtlsTransport

from liveserver.media.sdp import HASHES

DTLS_QUEUE = 32  # datagrams; a flight has up to 6, and what is lost is sent again


class WrongFingerprint(Exception):
    """The peer's certificate is not the one that its description announced."""


class DtlsPath:
    """What `RTCDtlsTransport` uses of an ICE transport."""

    def __init__(self, send: Callable[[bytes], None], *, server: bool) -> None:
        #: aiortc derives the DTLS role from this one: controlling is server
        self.role = "controlling" if server else "controlled"
        self._out = send
        self._waiting: deque[bytes] = deque(maxlen=DTLS_QUEUE)
        self._news = asyncio.Event()
        self._closed = False

    def put(self, data: bytes) -> None:
        self._waiting.append(data)
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    async def _recv(self) -> bytes:
        while not self._waiting:
            if self._closed:
                raise ConnectionError("closed")
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()

    async def _send(self, data: bytes) -> None:
        self._out(data)


class Dtls(RTCDtlsTransport):
    """`start` raises WrongFingerprint."""

    def __init__(self, path: DtlsPath, certificate: RTCCertificate) -> None:
        super().__init__(path, [certificate])  # type: ignore[arg-type]

    def _validate_peer_identity(self, remoteParameters: RTCDtlsParameters) -> None:
        """All fingerprints that are taken with a hash we know have to fit, and one at least."""
        assert self._ssl is not None
        certificate = self._ssl.get_peer_certificate()
        known = [one for one in remoteParameters.fingerprints if one.algorithm.lower() in HASHES]
        if certificate is None or not known:
            raise WrongFingerprint("there is nothing to compare")
        for one in known:
            digest = certificate.digest(one.algorithm.replace("-", ""))
            if not hmac.compare_digest(digest, one.value.upper().encode()):
                raise WrongFingerprint(f"another certificate by {one.algorithm}")
