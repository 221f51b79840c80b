"""
Sends the demo's clip to its room, by WHIP like anybody: offer, ICE, DTLS, SRTP over the UDP port.

It steps back for whoever else wants to send there, and comes back when nobody does.
"""

import asyncio
import contextlib
import logging
import re
import secrets
import socket
from pathlib import Path

import aiohttp
from aiortc import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters

from liveserver.media import clip as clips
from liveserver.media import rtp, stun
from liveserver.media.clip import Clip
from liveserver.media.dtls import Dtls, DtlsPath

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5  # a look at our own socket; a new process has its port in that time
CHECK_SECONDS = 5.0  # between two checks, as consent
CONNECT_SECONDS = 10.0
STEP_SECONDS = 0.02  # how finely pictures and sounds are spread
CHUNK = 1_180  # bytes of a NAL unit in one packet
VIDEO, AUDIO = 96, 111
OFFER = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
m=audio 9 UDP/TLS/RTP/SAVPF {audio}
a=mid:0
a=sendonly
a=rtcp-mux
a=ice-ufrag:{ufrag}
a=ice-pwd:{password}
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
a=rtpmap:{audio} opus/48000/2
a=fmtp:{audio} minptime=10;useinbandfec=1
m=video 9 UDP/TLS/RTP/SAVPF {video}
a=mid:1
a=sendonly
a=rtcp-mux
a=ice-ufrag:{ufrag}
a=ice-pwd:{password}
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
a=rtpmap:{video} H264/90000
a=fmtp:{video} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtcp-fb:{video} nack pli
"""


class DemoPublisher:
    """`socket_path` is the signalling's, `folder` keeps the clip."""

    def __init__(self, socket_path: Path, folder: Path, room: str) -> None:
        self._socket_path = socket_path
        self._folder = folder
        self._room = room
        self._certificate = RTCCertificate.generateCertificate()

    async def run(self) -> None:
        """For ever; whatever goes wrong is tried again."""
        clip = await asyncio.to_thread(clips.load, self._folder)
        connector = aiohttp.UnixConnector(str(self._socket_path))
        timeout = aiohttp.ClientTimeout(total=CONNECT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            while True:
                try:
                    await self._send_once(http, clip)
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    log.debug("the demo's clip is not sent: %r", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _send_once(self, http: aiohttp.ClientSession, clip: Clip) -> None:
        """Until somebody else sends, or the session ends."""
        ufrag, password = secrets.token_hex(4), secrets.token_hex(12)
        print_ = next(f for f in self._certificate.getFingerprints() if f.algorithm == "sha-256")
        offer = OFFER.format(
            audio=AUDIO, video=VIDEO, ufrag=ufrag, password=password, fingerprint=print_.value
        )
        headers = {"Content-Type": "application/sdp", "X-Weak": "1"}
        url = f"http://media/whip/{self._room}"
        async with http.post(url, data=offer, headers=headers) as answered:
            if answered.status != 201:
                return
            answer, location = await answered.text(), answered.headers["Location"]
        line = _Line(answer, ufrag, self._certificate)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await line.connect()
            await _play(line, clip)
        finally:
            await line.close()
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                (await http.delete(f"http://media{location}")).release()


class _Line:
    """The way to the UDP port: one socket, our checks, DTLS as its client."""

    def __init__(self, answer: str, ufrag: str, certificate: RTCCertificate) -> None:
        def value(name: str) -> str:
            found = re.search(rf"a={name}:(\S+)", answer)
            return found[1] if found else ""

        candidate = re.search(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", answer)
        if candidate is None:
            raise ConnectionError("no candidate")
        self._to = (candidate[1], int(candidate[2]))
        self._username = f"{value('ice-ufrag')}:{ufrag}"
        self._password = value("ice-pwd").encode()
        found = re.search(r"a=fingerprint:(\S+) (\S+)", answer)
        assert found is not None
        self._theirs = RTCDtlsParameters([RTCDtlsFingerprint(found[1], found[2])])
        family = socket.AF_INET6 if ":" in self._to[0] else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._path = DtlsPath(self._send, server=False)
        self.dtls = Dtls(self._path, certificate)
        self._checked = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self.dtls.state == "connected"

    async def connect(self) -> None:
        """Raises TimeoutError (by its caller), OSError."""
        self._sock.connect(self._to)
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._read)
        while not self._checked.is_set():
            self.check()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await self._checked.wait()
        await self.dtls.start(self._theirs)

    def check(self) -> None:
        """Ask whether they still want us, and say that we are there."""
        transaction = secrets.token_bytes(12)
        self._send(stun.request(self._username, self._password, transaction, nominate=True))

    def send(self, packet: bytes) -> None:
        self._send(self.dtls._tx_srtp.protect(packet))

    async def close(self) -> None:
        await self.dtls.stop()
        self._path.close()
        asyncio.get_running_loop().remove_reader(self._sock.fileno())
        self._sock.close()

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._sock.send(data)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            data = self._sock.recv(2_048)
            if data and data[0] < 4:
                self._checked.set()
            elif data and 20 <= data[0] <= 63:
                self._path.put(data)


async def _play(line: _Line, clip: Clip) -> None:
    """The clip over and over, until the line is closed by the other side."""
    loop = asyncio.get_running_loop()
    began = checked = loop.time()
    pictures = sounds = 0
    video_seq, ssrc = secrets.randbits(15), secrets.randbits(31)
    while line.is_open:
        now = loop.time()
        if now - checked > CHECK_SECONDS:
            line.check()
            checked = now
        while sounds * clips.AUDIO_FRAME / clips.AUDIO_CLOCK <= now - began:
            sound = clip.sounds[sounds % len(clip.sounds)]
            at = sounds * clips.AUDIO_FRAME % rtp.TS
            line.send(rtp.header(AUDIO, sounds == 0, sounds % rtp.SEQ, at, ssrc + 1) + sound)
            sounds += 1
        while pictures / clips.FPS <= now - began:
            at = pictures * (clips.VIDEO_CLOCK // clips.FPS) % rtp.TS
            for payload, last in packets_of(clip.pictures[pictures % len(clip.pictures)]):
                line.send(rtp.header(VIDEO, last, video_seq % rtp.SEQ, at, ssrc) + payload)
                video_seq += 1
            pictures += 1
        await asyncio.sleep(STEP_SECONDS)


def packets_of(units: list[bytes]) -> list[tuple[bytes, bool]]:
    """Payloads of one access unit (RFC 6184), each with whether it is the last."""
    payloads = []
    for unit in units:
        if len(unit) <= CHUNK:
            payloads.append(unit)
            continue
        head, kind = unit[0] & 0xE0 | 28, unit[0] & 0x1F
        parts = [unit[at : at + CHUNK] for at in range(1, len(unit), CHUNK)]
        for n, part in enumerate(parts):
            flags = (0x80 if n == 0 else 0) | (0x40 if n == len(parts) - 1 else 0)
            payloads.append(bytes((head, flags | kind)) + part)
    return [(payload, n == len(payloads) - 1) for n, payload in enumerate(payloads)]
