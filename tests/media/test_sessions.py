"""What keeps a session, and what its source is told of its way."""

import asyncio
import struct
import time

from liveserver.config import load
from liveserver.media.process import Media, announced, bound
from liveserver.media.rtcp import pli
from liveserver.media.sdp import ABS_SEND_TIME
from liveserver.media.session import CONSENT_SECONDS, Session
from liveserver.media.srtp import knows_gso
from loadtest.rtc import H264, Line, Peer
from tests.media.conftest import Scene, until
from tests.media.pictures import Camera, encoded
from tests.media.test_announcer import Record
from tests.media.test_forwarding import ssrc_of

TALKATIVE = f"nack pli\r\na=rtcp-fb:96 goog-remb\r\na=extmap:3 {ABS_SEND_TIME}"


def session_of(scene: Scene, peer: Peer) -> Session:
    return next(s for s in scene.stage.sessions.values() if s.remote.ufrag == peer.ufrag)


async def test_consent_expires_thirty_seconds_after_the_last_check(scene: Scene) -> None:
    """Reports do not renew it, checks do (RFC 7675): nobody is sent what nobody agreed to."""
    Camera(await scene.publisher()).show(encoded(range(3)))
    await until(lambda: scene.told, "a picture")
    quiet, keen = await scene.viewer(), await scene.viewer()
    silent, lively = session_of(scene, quiet), session_of(scene, keen)
    quiet._timer.cancel()
    silent.consent_at -= CONSENT_SECONDS
    lively.consent_at -= CONSENT_SECONDS - 10
    old = lively.consent_at
    keen.check()
    quiet.send_rtcp(pli(1, ssrc_of(quiet.answer)))
    await until(lambda: lively.consent_at > old, "a check that renewed it")
    await until(lambda: silent.over, "the end of the silent one")
    assert not lively.over and lively.id in scene.stage.sessions


async def test_a_source_that_asks_for_it_is_told_what_its_way_takes(scene: Scene) -> None:
    """By REMB for all its streams, from its own send times; who did not offer it hears nothing."""
    told: dict[str, list[bytes]] = {"asks": [], "plain": []}
    peers = {}
    for name, heard in told.items():
        peer = scene.peer(Line("video", [H264]), direction="sendonly", on_rtcp=heard.append)
        text = peer.offer().replace("nack pli", TALKATIVE) if name == "asks" else peer.offer()
        answer = scene.stage.publish(name, "c", text).text
        assert (f"a=extmap:3 {ABS_SEND_TIME}" in answer) == (name == "asks")
        peer.start(answer)
        await asyncio.wait_for(peer.connected.wait(), 10)
        peers[name] = peer
    seq = 0

    def remb() -> bytes | None:
        nonlocal seq
        for peer in peers.values():
            seq += 1
            sent = int(time.monotonic() * (1 << 18)) & 0xFFFFFF  # 6.18 fixed point, seconds
            head = struct.pack("!BBHII", 0x90, 96, seq & 0xFFFF, seq * 900, 4242)
            extension = b"\xbe\xde\x00\x01\x32" + sent.to_bytes(3, "big")
            peer.send_rtp(head + extension + b"\x41" + bytes(1_000))
        return next((data for data in told["asks"] if b"REMB" in data), None)

    found = await until(remb, "an estimate")
    at = found.index(b"REMB")
    word, media = struct.unpack_from("!II", found, at + 4)
    assert word >> 24 == 1 and media == 4242
    assert 10_000 < (word & 0x3FFFF) << (word >> 18 & 0x3F) <= 20_000_000
    assert not any(b"REMB" in data for data in told["plain"])


def test_addresses_and_gso_are_as_set() -> None:
    """One candidate each announced address; everywhere else but on loopback the port is open."""
    lan = load(None, {"LIVESERVER_MEDIA_PUBLIC_IP": "203.0.113.7,203.0.113.8"})
    assert announced(lan) == ["203.0.113.7", "203.0.113.8"]
    assert bound(lan, announced(lan)) == ["0.0.0.0"]
    plain = load(None, {"LIVESERVER_HOST": "127.0.0.1"})
    assert announced(plain) == bound(plain, announced(plain)) == ["127.0.0.1"]
    for text, wanted in (("0", False), ("1", knows_gso())):
        config = load(None, {"LIVESERVER_MEDIA_GSO": text})
        media = Media(config, Record(), lambda: 0, config.data_dir / "media.sock")
        assert media.stage.forwarder.sender._gso == wanted
