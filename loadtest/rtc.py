"""
A light WebRTC peer for load and tests: real ICE, DTLS and SRTP, with nothing of the server in it.

It is the controlling agent, sends one nominating check, is the DTLS side that the answer leaves to
it, and hands packets over as bytes. One socket and no task for each peer; `Peers` reads them all.
"""

import asyncio
import binascii
import contextlib
import hmac
import os
import re
import secrets
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pylibsrtp
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL

COOKIE = 0x2112A442
REQUEST = b"\x00\x01"  # a check from the other side
CHECK_SECONDS = 2.5  # between two checks: consent is renewed as browsers do
RETRY_SECONDS = 0.25  # until the first answer, and of lost handshake messages
RECEIVE_BYTES = 2 * 1024 * 1024

#: DTLS-SRTP profile -> (libsrtp's, key bytes, salt bytes)
PROFILES = {
    b"SRTP_AEAD_AES_128_GCM": (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    b"SRTP_AES128_CM_SHA1_80": (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}


class Identity:
    """Key and certificate of all peers of one process."""

    def __init__(self) -> None:
        import datetime

        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec

        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loadtest")])
        day = datetime.timedelta(days=1)
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
        builder = builder.public_key(self.key.public_key()).serial_number(
            x509.random_serial_number()
        )
        builder = builder.not_valid_before(now - day).not_valid_after(now + day)
        self.certificate = builder.sign(self.key, hashes.SHA256())
        digest = self.certificate.fingerprint(hashes.SHA256()).hex().upper()
        self.fingerprint = ":".join(digest[n : n + 2] for n in range(0, 64, 2))

    def context(self, profiles: bytes) -> SSL.Context:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.use_certificate(self.certificate)
        context.use_privatekey(self.key)
        context.set_tlsext_use_srtp(profiles)
        return context


@dataclass
class Line:
    """One media section of an offer."""

    kind: str
    codecs: list[str]  # "96 H264/90000 packetization-mode=1;profile-level-id=42e01f"
    ssrc: int = 0

    def text(self, index: int, direction: str, peer: "Peer") -> str:
        numbers = " ".join(codec.split()[0] for codec in self.codecs)
        lines = [
            f"m={self.kind} 9 UDP/TLS/RTP/SAVPF {numbers}",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{index}",
            f"a={direction}",
            "a=rtcp-mux",
            f"a=ice-ufrag:{peer.ufrag}",
            f"a=ice-pwd:{peer.password}",
            f"a=fingerprint:sha-256 {peer.identity.fingerprint}",
            f"a=setup:{peer.setup}",
        ]
        for codec in self.codecs:
            number, name, *fmtp = codec.split(maxsplit=2)
            lines.append(f"a=rtpmap:{number} {name}")
            lines += [f"a=fmtp:{number} {fmtp[0]}"] if fmtp else []
            lines += [f"a=rtcp-fb:{number} nack", f"a=rtcp-fb:{number} nack pli"]
        lines += [f"a=ssrc:{self.ssrc} cname:test"] if self.ssrc else []
        return "\r\n".join(lines)


H264 = "96 H264/90000 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
VP8 = "97 VP8/90000"
OPUS = "111 opus/48000/2 minptime=10;useinbandfec=1"


@dataclass(eq=False)
class Peer:
    """`on_rtp` and `on_rtcp` get decrypted packets. `setup` is what the offer says of DTLS."""

    identity: Identity
    lines: list[Line]
    direction: str = "recvonly"
    setup: str = "actpass"
    profiles: bytes = b"SRTP_AES128_CM_SHA1_80"
    on_rtp: Callable[[bytes], None] = lambda data: None
    on_rtcp: Callable[[bytes], None] = lambda data: None
    decrypts: bool = True
    ufrag: str = field(default_factory=lambda: secrets.token_hex(4))
    password: str = field(default_factory=lambda: secrets.token_hex(12))
    received: int = 0  # packets of picture and sound, reports left out
    connected_at: float = 0.0
    closed: bool = False
    candidates: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self.sock.setblocking(False)
        self.connected = asyncio.Event()
        self._ssl: SSL.Connection | None = None
        self._incoming: pylibsrtp.Session | None = None
        self.outgoing: pylibsrtp.Session | None = None
        self._checked = self._shaking = False
        self.drop: Callable[[bytes], bool] = lambda data: False  # a lossy way, for tests

    def offer(self) -> str:
        mids = " ".join(str(index) for index in range(len(self.lines)))
        head = f"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\n"
        texts = [line.text(n, self.direction, self) for n, line in enumerate(self.lines)]
        return head + "\r\n".join(texts) + "\r\n"

    def start(self, answer: str) -> None:
        """Take the other side's description, check, shake hands; `connected`: keys are there."""
        self.answer = answer
        self.candidates = [
            (found[1], int(found[2]))
            for found in re.finditer(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", answer)
        ]
        self._remote = (_attribute(answer, "ice-ufrag"), _attribute(answer, "ice-pwd"))
        self.to = self.candidates[0]
        self.is_client = _attribute(answer, "setup") != "active"  # an offer's actpass: ours to say
        self.sock.connect(self.to)
        asyncio.get_running_loop().add_reader(self.sock.fileno(), self._read)
        self._ssl = SSL.Connection(self.identity.context(self.profiles))
        if self.is_client:
            self._ssl.set_connect_state()
        else:
            self._ssl.set_accept_state()
        self.check()

    def payload_type(self, kind: str) -> int:
        """What the answer chose."""
        found = re.search(rf"m={kind} \d+ \S+ (\d+)", self.answer)
        assert found is not None, f"no {kind} in the answer"
        return int(found[1])

    def check(self) -> None:
        """A nominating connectivity check; again every `CHECK_SECONDS`, as consent."""
        if self.closed:
            return
        self._send(_check(f"{self._remote[0]}:{self.ufrag}", self._remote[1].encode()))
        pause = CHECK_SECONDS if self._checked else RETRY_SECONDS
        self._timer = asyncio.get_running_loop().call_later(pause, self.check)

    def send_rtp(self, packet: bytes) -> None:
        assert self.outgoing is not None
        self._send(self.outgoing.protect(packet))

    def send_rtcp(self, packet: bytes) -> None:
        assert self.outgoing is not None
        self._send(self.outgoing.protect_rtcp(packet))

    def drain_in_kernel(self) -> None:
        """Read nothing but what consent needs: the kernel throws away what the buffer lacks."""
        asyncio.get_running_loop().remove_reader(self.sock.fileno())

    def restarted(self, fragment: str) -> None:
        """Go on with the credentials of an ICE restart's answer."""
        self._remote = (_attribute(fragment, "ice-ufrag"), _attribute(fragment, "ice-pwd"))
        self.check()

    def farewell(self) -> None:
        """Close as a browser does: DTLS tells the other side."""
        assert self._ssl is not None
        with contextlib.suppress(SSL.Error):
            self._ssl.shutdown()
        self._flush()
        self.close()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if hasattr(self, "_timer"):
                self._timer.cancel()
            asyncio.get_running_loop().remove_reader(self.sock.fileno())
            self.sock.close()

    def _send(self, data: bytes) -> None:
        if not self.drop(data):
            with contextlib.suppress(OSError):  # as lost
                self.sock.send(data)

    def _read(self) -> None:
        for _ in range(64):
            try:
                data = self.sock.recv(2048)
            except BlockingIOError:
                return
            except OSError:
                continue
            self._take(data)

    def _take(self, data: bytes) -> None:
        if self.drop(data) or not data:
            return
        first = data[0]
        if data[:2] == REQUEST:
            self._send(_success(data, self.to, self.password.encode()))
        elif first < 4:
            if not self._checked:
                self._checked = True
                self._shake()
        elif first < 64:
            assert self._ssl is not None
            self._ssl.bio_write(data)
            self._shake()
        elif self._incoming is not None:
            self.received += not 192 <= data[1] <= 223
            if self.decrypts:
                self._decrypt(data)

    def _decrypt(self, data: bytes) -> None:
        assert self._incoming is not None
        try:
            if 192 <= data[1] <= 223:
                self.on_rtcp(self._incoming.unprotect_rtcp(data))
            else:
                self.on_rtp(self._incoming.unprotect(data))
        except pylibsrtp.Error:
            pass

    def _shake(self) -> None:
        assert self._ssl is not None
        if not self.connected.is_set():
            try:
                self._ssl.do_handshake()
                self._take_keys()
            except SSL.WantReadError:
                if not self._shaking:
                    self._shaking = True
                    asyncio.get_running_loop().call_later(RETRY_SECONDS, self._shake_again)
            except SSL.Error:
                return
        else:
            with contextlib.suppress(SSL.Error):
                self._ssl.recv(2048)
        self._flush()

    def _shake_again(self) -> None:
        """Send again what OpenSSL says is due, until there are keys."""
        if not self.closed and not self.connected.is_set() and self._ssl is not None:
            self._ssl.DTLSv1_handle_timeout()
            self._flush()
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._shake_again)

    def _flush(self) -> None:
        assert self._ssl is not None
        while True:
            try:
                data = self._ssl.bio_read(1500)
            except SSL.Error:
                return
            self._send(data)

    def _take_keys(self) -> None:
        assert self._ssl is not None
        profile, key, salt = PROFILES[self._ssl.get_selected_srtp_profile()]
        view = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        keys = [
            view[n * key : (n + 1) * key] + view[2 * key + n * salt : 2 * key + (n + 1) * salt]
            for n in (0, 1)
        ]
        ours, theirs = keys if self.is_client else reversed(keys)
        inbound, outbound = pylibsrtp.Policy.SSRC_ANY_INBOUND, pylibsrtp.Policy.SSRC_ANY_OUTBOUND
        incoming = pylibsrtp.Policy(theirs, inbound, srtp_profile=profile)
        outgoing = pylibsrtp.Policy(ours, outbound, srtp_profile=profile)
        for policy in (incoming, outgoing):
            policy.allow_repeat_tx = True
            policy.window_size = 1024
        self._incoming, self.outgoing = pylibsrtp.Session(incoming), pylibsrtp.Session(outgoing)
        self.connected_at = time.monotonic()
        self.connected.set()


def _attribute(text: str, name: str) -> str:
    found = re.search(rf"a={name}:(\S+)", text)
    assert found is not None, f"the answer lacks {name}"
    return found[1]


def _check(username: str, password: bytes) -> bytes:
    name = username.encode()
    body = struct.pack("!HH", 6, len(name)) + name + bytes(-len(name) % 4)
    body += struct.pack("!HHI", 0x24, 4, 1) + struct.pack("!HHQ", 0x802A, 8, 1)
    body += struct.pack("!HH", 0x25, 0)
    return _signed(REQUEST, os.urandom(12), body, password)


def _success(request: bytes, source: tuple[str, int], password: bytes) -> bytes:
    """The answer to a check: where it came from (XOR-MAPPED-ADDRESS, IPv4)."""
    address = int.from_bytes(socket.inet_aton(source[0]), "big")
    mapped = struct.pack("!HHBBHI", 0x20, 8, 0, 1, source[1] ^ COOKIE >> 16, address ^ COOKIE)
    return _signed(b"\x01\x01", request[8:20], mapped, password)


def _signed(kind: bytes, transaction: bytes, body: bytes, password: bytes) -> bytes:
    """A STUN message with MESSAGE-INTEGRITY and FINGERPRINT."""

    def head(more: int) -> bytes:
        return kind + struct.pack("!HI", len(body) + more, COOKIE) + transaction

    digest = hmac.digest(password, head(24) + body, "sha1")
    body += struct.pack("!HH", 8, 20) + digest
    crc = binascii.crc32(head(8) + body) ^ 0x5354554E
    return head(8) + body + struct.pack("!HHI", 0x8028, 4, crc)
