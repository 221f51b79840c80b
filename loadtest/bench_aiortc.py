"""What aiortc's own sender takes for a packet: the unmodified `RTCRtpSender`, to one peer."""

import asyncio
import fractions
import socket
import time
from typing import Any

import av
import pylibsrtp
from aiortc import MediaStreamTrack, RTCCertificate, RTCDtlsTransport, RTCRtpSender
from aiortc.rtcdtlstransport import State
from aiortc.rtcrtpparameters import (
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpSendParameters,
)

PICTURES = 4_000
PICTURE_BYTES = 7_500  # six packets of its own 1,300 bytes at most
SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"


class _Pictures(MediaStreamTrack):
    """Ready-made pictures, as fast as they are taken."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.over = asyncio.Event()

    async def recv(self) -> Any:
        if self.count >= PICTURES:
            self.over.set()
            await asyncio.Event().wait()
        packet = av.Packet(b"\0\0\0\1\x41" + b"\1" * PICTURE_BYTES)
        packet.pts, packet.time_base = self.count * 3_600, fractions.Fraction(1, 90_000)
        self.count += 1
        return packet


class _Way:
    """The transport below DTLS: an asyncio datagram endpoint, as aioice has it."""

    role = "controlled"

    def __init__(self, transport: asyncio.DatagramTransport, to: tuple[str, int]) -> None:
        self._transport = transport
        self._to = to
        self.packets = 0

    async def _send(self, data: bytes) -> None:
        self.packets += 1
        self._transport.sendto(data, self._to)


async def sender_cost() -> float:
    """Microseconds of CPU a packet."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        way = _Way(transport, sink.getsockname())
        dtls = RTCDtlsTransport(way, [RTCCertificate.generateCertificate()])  # type: ignore[arg-type]
        policy = pylibsrtp.Policy(bytes(30), pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        dtls._tx_srtp, dtls._state = pylibsrtp.Session(policy), State.CONNECTED
        pictures = _Pictures()
        sender = RTCRtpSender(pictures, dtls)
        codec = RTCRtpCodecParameters("video/H264", 90_000, payloadType=96)
        extensions = [RTCRtpHeaderExtensionParameters(2, SEND_TIME)]
        began = time.process_time()
        await sender.send(RTCRtpSendParameters(codecs=[codec], headerExtensions=extensions))
        await pictures.over.wait()
        took = time.process_time() - began
        await sender.stop()
        transport.close()
    return took / way.packets * 1e6
