"""From one publisher to many viewers: what comes out is what went in."""

import asyncio
import struct

import pytest

from liveserver.media import rtcp
from tests.media.conftest import Scene, opened_scene, until
from tests.media.pictures import Camera, Watcher, encoded

VIDEO = 96  # payload type of H.264 in the peers' offers


async def watcher(scene: Scene) -> Watcher:
    """A viewer, and what it sees from its first packet on."""
    watcher = Watcher(VIDEO)
    await scene.viewer(on_rtp=watcher.take)
    return watcher


@pytest.mark.parametrize("gso", [False, True])
async def test_payloads_come_out_byte_for_byte_and_pictures_are_those_sent(gso: bool) -> None:
    """Numbers wrap on the way; nothing is lost, repeated or changed."""
    async with opened_scene(gso=gso) as scene:
        camera = Camera(await scene.publisher())
        units = encoded(range(60))
        camera.show(units[:30])
        await until(lambda: scene.told, "the room is told of its picture")
        seen = await watcher(scene)
        await until(lambda: seen.numbers[-1:] == [29], "the pictures since the last keyframe")
        assert seen.numbers == list(range(15, 30))
        for unit in units[30:]:
            camera.show([unit])
            await asyncio.sleep(0.002)
        await until(lambda: seen.numbers[-1:] == [59], "all pictures")
        assert seen.numbers == list(range(15, 60))
        assert seen.payloads == camera.payloads[-len(seen.payloads) :]


async def test_a_viewer_that_lost_packets_gets_them_from_the_ring(scene: Scene) -> None:
    """A NACK is answered from what all viewers share, as often as it is asked."""
    camera = Camera(await scene.publisher())
    units = encoded(range(30))
    camera.show(units[:1])
    await until(lambda: scene.told, "a picture")
    seen, got = Watcher(VIDEO), set[int]()

    def take(data: bytes) -> None:
        got.add(struct.unpack_from("!H", data, 2)[0])
        seen.take(data)

    peer = await scene.viewer(on_rtp=take, drop=_Lossy())
    await until(lambda: got, "the first packets")
    camera.show(units[1:])
    await asyncio.sleep(0.2)
    missing = [seq for seq in range(1, len(camera.payloads) + 1) if seq not in got]
    assert missing
    for start in range(0, len(missing), 50):
        nack = rtcp.nack(1, ssrc_of(peer.answer), missing[start : start + 50])
        peer.send_rtcp(nack)
    await until(lambda: seen.numbers[-1:] == [29], "everything was sent again")
    assert seen.numbers == list(range(30))


class _Lossy:
    """Loses every fifth packet of media, each once."""

    def __init__(self) -> None:
        self.count = 0
        self.lost: set[bytes] = set()

    def __call__(self, data: bytes) -> bool:
        if data[:1] and 128 <= data[0] <= 191 and not 192 <= data[1] <= 223:
            self.count += 1
            key = data[2:4]
            if self.count % 5 == 0 and key not in self.lost:
                self.lost.add(key)
                return True
        return False


def ssrc_of(answer: str) -> int:
    """The picture's SSRC in an answer."""
    return int(answer.partition("m=video")[2].partition("a=ssrc:")[2].split()[0])


async def test_a_publisher_is_asked_for_what_was_lost(scene: Scene) -> None:
    """The gap is asked for by number; the packet that comes late fills it for viewers."""
    publisher = await scene.publisher()
    asked: list[rtcp.Read] = []
    publisher.on_rtcp = lambda data: asked.extend(rtcp.parse(data))
    camera = Camera(publisher)
    units = encoded(range(20))
    camera.show(units[:10])
    await until(lambda: scene.told, "a picture")
    seen = await watcher(scene)
    camera.show(units[10:], drop={3})
    nack = await until(
        lambda: next((one for one in asked if isinstance(one, rtcp.Nack)), None), "a NACK"
    )
    publisher.send_rtp(camera.sent[nack.seqs[0]])
    await until(lambda: seen.numbers[-1:] == [19], "no picture is missing")
    assert seen.numbers == list(range(20))


async def test_requests_for_keyframes_are_gathered(scene: Scene) -> None:
    """Fifty viewers that want one cost the publisher one request."""
    publisher = await scene.publisher()
    asked: list[rtcp.Read] = []
    publisher.on_rtcp = lambda data: asked.extend(rtcp.parse(data))
    camera = Camera(publisher)
    camera.show(encoded(range(3)))
    await until(lambda: scene.told, "a picture")
    peer = await scene.viewer()
    for _ in range(50):
        peer.send_rtcp(rtcp.pli(1, ssrc_of(peer.answer)))
    await until(lambda: any(isinstance(one, rtcp.KeyframeWanted) for one in asked), "a request")
    await asyncio.sleep(0.2)
    assert sum(isinstance(one, rtcp.KeyframeWanted) for one in asked) <= 2


async def test_a_new_publisher_goes_on_where_the_last_one_ended(scene: Scene) -> None:
    """Other numbers, other times, another device: viewers see one stream without a break."""
    first = await scene.publisher()
    camera = Camera(first)
    units = encoded(range(30))
    camera.show(units[:15])
    await until(lambda: scene.told, "a picture")
    seen = await watcher(scene)
    await until(lambda: seen.numbers[-1:] == [14], "the first publisher's pictures")
    second = await scene.publisher()  # the same credential
    Camera(second, ssrc=777, seq=100).show(units[15:])
    await until(lambda: seen.numbers[-1:] == [29], "the second publisher's pictures")
    assert seen.numbers == list(range(30))
    assert len({video["stream"] for _, video in scene.told if video}) == 1


async def test_a_viewer_that_came_before_the_first_keyframe_waits_for_one(scene: Scene) -> None:
    """It never gets half a picture."""
    publisher = await scene.publisher()
    camera = Camera(publisher)
    units = encoded(range(20))
    camera.show(units[1:3])  # no keyframe yet
    await until(lambda: scene.told, "packets")
    seen = await watcher(scene)
    camera.show(units[3:])
    await until(lambda: seen.numbers[-1:] == [19], "a keyframe and what follows")
    assert seen.numbers == list(range(15, 20))


async def test_reports_of_the_publisher_reach_viewers_in_their_own_numbers(scene: Scene) -> None:
    """Sound and picture stay together by them (RFC 3550, 6.4.1)."""
    publisher = await scene.publisher()
    camera = Camera(publisher)
    camera.show(encoded(range(5)))
    await until(lambda: scene.told, "a picture")
    times: list[int] = []
    reports: list[rtcp.SenderReport] = []
    peer = await scene.viewer(
        on_rtp=lambda data: times.append(struct.unpack_from("!I", data, 4)[0])
    )
    peer.on_rtcp = lambda data: reports.extend(
        one for one in rtcp.parse(data) if isinstance(one, rtcp.SenderReport)
    )
    await until(lambda: times, "packets")
    newest = camera.time - 3_000
    publisher.send_rtcp(rtcp.sender_report(4242, 7 << 32, newest, 1, 1, b"x"))
    report = await until(lambda: reports, "a report")
    assert report[0].rtp == times[-1]
    assert report[0].ntp == 7 << 32
    assert report[0].ssrc == ssrc_of(peer.answer)
