"""Whatever strangers and broken clients send: clear answers, bounded memory, others unaffected."""

import asyncio
import os
import random
import socket
import struct

import psutil
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import load_der_x509_certificate
from hypothesis import given, settings
from hypothesis import strategies as st

from liveserver.media import codecs, rtcp, rtp, sdp, stun
from liveserver.media import stage as stage_rules
from liveserver.media.reception import Reception
from liveserver.media.stage import PENDING_MAX
from loadtest.rtc import Identity
from tests.media.conftest import Scene, until
from tests.media.pictures import Camera, Watcher, encoded
from tests.media.test_signalling import GOOD, offer, post

READERS = [
    stun.parse,
    rtp.parse,
    rtcp.parse,
    lambda data: rtp.extension_value(data, 3),
    *(lambda data, name=name: codecs.begins_keyframe(name, data)
      for name in ("h264", "h265", "vp8", "vp9", "av1", "unknown")),
]  # fmt: skip


@given(data=st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_a_reader(data: bytes) -> None:
    """Each gives an answer or none, and raises nothing."""
    for read in READERS:
        read(data)
        read(b"\x80\xc8\x00\x06" + data)
        read(b"\x00\x01\x00\x10\x21\x12\xa4\x42" + data)


@given(
    text=st.lists(
        st.one_of(st.text(max_size=30), st.sampled_from(GOOD.split("\r\n"))), max_size=60
    ).map("\r\n".join)
)
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_the_offer_reader(text: str) -> None:
    """An offer or an SdpError, whatever lines stand in it."""
    for candidate in (text, "v=0\r\n" + text):
        try:
            found = sdp.parse_offer(candidate)
        except sdp.SdpError:
            continue
        assert found.ice.ufrag


@given(seqs=st.lists(st.integers(0, 65_535), min_size=1, max_size=40, unique=True))
@settings(max_examples=100, deadline=None)
def test_a_nack_names_exactly_what_it_is_made_for(seqs: list[int]) -> None:
    """Written and read again, wrapping numbers included."""
    start = seqs[0]
    ordered = sorted(seqs, key=lambda seq: (seq - start) & 0xFFFF)
    (read,) = rtcp.parse(rtcp.nack(1, 2, ordered))
    assert isinstance(read, rtcp.Nack)
    assert sorted(read.seqs) == sorted(seqs)


@given(
    start=st.integers(0, 65_535),
    lost=st.sets(st.integers(1, 98), max_size=30),
    swapped=st.sets(st.integers(1, 97), max_size=20),
)
@settings(max_examples=100, deadline=None)
def test_a_reception_misses_exactly_what_did_not_come(
    start: int, lost: set[int], swapped: set[int]
) -> None:
    """Whatever the order of arrival and wherever the numbers wrap."""
    order = list(range(100))
    for place in swapped:
        order[place], order[place + 1] = order[place + 1], order[place]
    order = [0, *(n for n in order if n not in (0, 99)), 99]
    reception = Reception(90_000)
    for n in order:
        if n not in lost:
            reception.take((start + n) & 0xFFFF, n * 3_000, n / 30)
    assert {(seq - start) & 0xFFFF for seq in reception.due(100.0)} == lost
    assert reception.report(1, 4.0).lost == len(lost)


async def _picture(scene: Scene) -> tuple[Camera, Watcher, list[bytes]]:
    camera = Camera(await scene.publisher())
    units = encoded(range(60))
    camera.show(units[:5])
    await until(lambda: scene.told, "a picture")
    seen = Watcher(96)
    await scene.viewer(on_rtp=seen.take)
    await until(lambda: seen.numbers[-1:] == [4], "the first pictures")
    return camera, seen, units


async def test_malformed_datagrams_disturb_nobody(scene: Scene) -> None:
    """Thousands of broken STUN, DTLS, RTP and RTCP from strangers and from a viewer's address."""
    camera, seen, units = await _picture(scene)
    dice = random.Random(7)
    viewer = scene.peers[-1]
    to = ("127.0.0.1", scene.stage.mux.port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for n, unit in enumerate(units[5:]):
            for _ in range(40):
                head = bytes([dice.choice([0, 1, 22, 23, 25, 63, 64, 128, 144, 191, 255])])
                junk = head + dice.randbytes(dice.randrange(0, 120))
                stranger.sendto(junk, to)
                viewer.sock.send(junk)
                if n % 5 == 0:
                    camera.peer.sock.send(junk)
            stranger.sendto(b"", to)
            camera.show([unit])
            await asyncio.sleep(0.005)
    await until(lambda: seen.numbers[-1:] == [59], "all pictures in spite of it")
    assert seen.numbers == list(range(60))


async def test_well_encrypted_nonsense_disturbs_nobody(scene: Scene) -> None:
    """A publisher and a viewer with keys that send broken RTP and RTCP."""
    camera, seen, units = await _picture(scene)
    dice = random.Random(8)
    viewer = scene.peers[-1]
    for n, unit in enumerate(units[5:]):
        for _ in range(10):
            body = dice.randbytes(dice.randrange(8, 60))
            kind = dice.randrange(200, 208)
            viewer.send_rtcp(struct.pack("!BBH", 0x81, kind, len(body) // 4) + body)
            camera.peer.send_rtcp(struct.pack("!BBH", 0x9F, kind, 200) + body)
        strange = struct.pack("!BBHII", 0x90, 5, n, 0, 99)
        camera.peer.send_rtp(strange + b"\xbe\xde\x00\x01" + dice.randbytes(20))
        camera.show([unit])
        await asyncio.sleep(0.005)
    await until(lambda: seen.numbers[-1:] == [59], "all pictures in spite of it")


async def test_a_wrong_fingerprint_gets_no_keys(scene: Scene) -> None:
    """The certificate has to be the one that the offer named."""
    peer = scene.peer(*[], direction="sendonly")
    from loadtest.rtc import H264, Line

    peer.lines = [Line("video", [H264])]
    digits = peer.identity.fingerprint
    text = peer.offer().replace(digits, digits[:-2] + ("00" if digits[-2:] != "00" else "11"))
    peer.start(scene.stage.publish("r", "c", text).text)
    await until(lambda: not scene.stage.sessions, "the end of the session")
    assert scene.told == []


async def test_a_certificate_with_a_negative_serial_number_is_as_good(scene: Scene) -> None:
    """FFmpeg 8.0 makes every second of its own so, against RFC 5280; its fingerprint decides."""
    scene.identity = negative(scene.identity)
    await scene.publisher()
    assert [session.connected for session in scene.stage.sessions.values()] == [True]


def negative(identity: Identity) -> Identity:
    """The same with the first bit of its certificate's serial number set; its signature breaks."""
    der = bytearray(identity.certificate.public_bytes(Encoding.DER))
    serial = identity.certificate.serial_number
    size = serial.bit_length() // 8 + 1
    at = der.index(serial.to_bytes(size, "big"))
    der[at] |= 0x80
    with pytest.warns(CryptographyDeprecationWarning):
        identity.certificate = load_der_x509_certificate(bytes(der))
    identity.fingerprint = identity.certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    return identity


async def test_checks_without_the_password_are_not_answered(scene: Scene) -> None:
    """The port multiplies nobody's traffic."""
    scene.stage.publish("r", "c", GOOD)
    (session,) = scene.stage.sessions.values()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        forged = stun.request(f"{session.ice.ufrag}:x", b"wrong", os.urandom(12), nominate=True)
        stranger.sendto(forged, ("127.0.0.1", scene.stage.mux.port))
        await until(lambda: scene.stage.mux.strangers, "the check was read")
        with pytest.raises(BlockingIOError):
            stranger.recv(2_048)
    assert session.addresses == []


async def test_ten_thousand_offers_that_nobody_follows_up_cost_little(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a bound the answer is 503; what never arrives is forgotten; viewers stay served."""
    camera, seen, units = await _picture(scene)
    before = psutil.Process().memory_info().rss
    text = offer()
    statuses: dict[int, int] = {}
    monkeypatch.setattr(stage_rules, "JOINS_BURST", 1e9)
    scene.stage._joins = (1e9, scene.stage._now())
    for _ in range(10_000):
        try:
            scene.stage.watch("r", text)
            status = 201
        except Exception as refusal:
            status = refusal.status  # type: ignore[attr-defined]
        statuses[status] = statuses.get(status, 0) + 1
    assert statuses[201] <= PENDING_MAX
    assert statuses[503] >= 10_000 - PENDING_MAX
    assert psutil.Process().memory_info().rss - before < 64 * 1024 * 1024
    status, headers, _ = await post(scene, "/whep/r", text)
    assert status == 503
    assert headers["Retry-After"]
    camera.show(units[5:])
    await until(lambda: seen.numbers[-1:] == [59], "the viewer is served")
    for session in scene.stage.sessions.values():
        if not session.connected:
            session.made_at -= 60
    await until(lambda: len(scene.stage.sessions) == 2, "the rest is forgotten")
