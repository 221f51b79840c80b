"""WHIP and WHEP over HTTP, line by line as the standards have it."""

import asyncio
import json
from typing import Any

import pytest

from loadtest.rtc import H264, OPUS, VP8, Identity, Line, Peer
from tests.media.conftest import Scene, until
from tests.media.pictures import Camera, encoded

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


def offer(*lines: Line, **options: Any) -> str:
    peer = Peer(
        Identity(), list(lines or (Line("audio", [OPUS]), Line("video", [H264]))), **options
    )
    peer.sock.close()
    return peer.offer()


SENDS = {"direction": "sendonly"}


async def post(scene: Scene, path: str, body: str, **headers: str) -> tuple[int, Any, str]:
    async with scene.http.post(scene.url + path, data=body, headers=SDP | headers) as answer:
        return answer.status, answer.headers, await answer.text()


async def test_a_whip_offer_is_answered_as_rfc_9725_says(scene: Scene) -> None:
    """201, a session of its own, an entity tag, ICE servers, one candidate, DTLS server."""
    status, headers, body = await post(scene, "/whip/r", offer(**SENDS))
    assert status == 201
    assert headers["Content-Type"] == "application/sdp"
    assert headers["Location"].startswith("/whip/r/")
    assert len(headers["Location"].rpartition("/")[2]) >= 22  # 128 bits
    assert headers["ETag"].startswith('"')
    assert headers["Link"] == (
        '<turn:turn.example?transport=udp>; rel="ice-server"; username="u"; '
        'credential="p\\""; credential-type="password"'
    )
    assert body.startswith("v=0\r\n")
    assert body.count("a=candidate:") == 1
    assert body.count("a=recvonly") == 2
    assert body.count("a=setup:passive") == 2
    assert body.count("a=rtcp-mux") == 2
    assert "a=ice-lite" in body
    assert "a=group:BUNDLE 0 1" in body


async def test_only_a_passive_offer_is_answered_active(scene: Scene) -> None:
    """FFmpeg waits as DTLS server; everybody else finds one here."""
    for setup, ours in (("actpass", "passive"), ("active", "passive"), ("passive", "active")):
        _, _, body = await post(scene, f"/whip/{setup}", offer(**SENDS, setup=setup))
        assert f"a=setup:{ours}" in body


GOOD = offer(**SENDS)
REFUSED = {
    "no description": ("hello", 400),
    "empty": ("", 400),
    "no media": ("v=0\r\no=- 1 1 IN IP4 0\r\ns=-\r\nt=0 0\r\n", 400),
    "no fingerprint": (GOOD.replace("a=fingerprint", "a=x"), 400),
    "weak fingerprint": (GOOD.replace("sha-256", "md5"), 400),
    "no ice": (GOOD.replace("a=ice-", "a=x-"), 400),
    "holdconn": (GOOD.replace("setup:actpass", "setup:holdconn"), 400),
    "no bundle": (GOOD.replace("BUNDLE 0 1", "BUNDLE 0"), 400),
    "the same mid twice": (GOOD.replace("a=mid:1", "a=mid:0"), 400),
    "a payload type of 300": (GOOD.replace("RTP/SAVPF 96", "RTP/SAVPF 300"), 400),
    "a clock of letters": (GOOD.replace("H264/90000", "H264/fast"), 400),
    "a receiver": (GOOD.replace("sendonly", "recvonly"), 422),
    "two pictures": (offer(Line("video", [H264]), Line("video", [VP8]), **SENDS), 422),
    "data": (GOOD.replace("m=audio", "m=application"), 422),
    "no codec": (GOOD.replace("a=rtpmap:96", "a=x:96"), 422),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_work_is_refused_in_words(scene: Scene, name: str) -> None:
    """A problem with its status; nothing stays behind."""
    body, wanted = REFUSED[name]
    status, headers, text = await post(scene, "/whip/r", body)
    assert status == wanted, text
    assert headers["Content-Type"].startswith("application/problem+json")
    problem = json.loads(text)
    assert problem["type"].endswith("/validation") and problem["status"] == wanted
    assert scene.stage.sessions == {}


async def test_another_type_of_body_is_refused(scene: Scene) -> None:
    status, _, _ = await post(scene, "/whip/r", GOOD, **{"Content-Type": "text/plain"})
    assert status == 415


async def test_one_source_sends_at_a_time(scene: Scene) -> None:
    """The same credential takes its own place, another is refused while the first one sends."""
    status, _, _ = await post(scene, "/whip/r", GOOD, **{"X-Credential": "a"})
    assert status == 201
    status, _, text = await post(scene, "/whip/r", GOOD, **{"X-Credential": "b"})
    assert status == 409, text
    status, _, _ = await post(scene, "/whip/r", GOOD, **{"X-Credential": "a"})
    assert status == 201
    assert len(scene.stage.sessions) == 1


async def test_a_bad_offer_does_not_end_what_is_being_sent(scene: Scene) -> None:
    """Even of the same credential."""
    await scene.publisher()
    status, _, _ = await post(scene, "/whip/r", "nonsense", **{"X-Credential": "c"})
    assert status == 400
    assert len(scene.stage.sessions) == 1


async def test_viewers_without_a_picture_are_told_when_to_come_back(scene: Scene) -> None:
    """409 with Retry-After (WHEP)."""
    status, headers, _ = await post(scene, "/whep/r", offer())
    assert status == 409
    assert int(headers["Retry-After"]) > 0


async def test_viewers_above_the_load_mark_are_told_to_wait(scene: Scene) -> None:
    """503 with Retry-After; publishers still come in."""
    Camera(await scene.publisher()).show(encoded(range(3)))
    await until(lambda: scene.told, "a picture")
    scene.stage.load, scene.stage.load_mark = 0.9, 0.8
    status, headers, _ = await post(scene, "/whep/r", offer())
    assert status == 503
    assert int(headers["Retry-After"]) > 0
    status, _, _ = await post(scene, "/whip/other", GOOD)
    assert status == 201


async def test_a_viewer_that_cannot_play_the_picture_is_told_what_is_sent(scene: Scene) -> None:
    Camera(await scene.publisher()).show(encoded(range(3)))
    await until(lambda: scene.told, "a picture")
    lines = (Line("audio", [OPUS]), Line("video", [VP8]))
    status, _, text = await post(scene, "/whep/r", offer(*lines))
    assert status == 422
    assert "h264" in text


async def test_a_session_is_trickled_restarted_and_ended(scene: Scene) -> None:
    """A missing If-Match counts as the present state; a stale one does not."""
    _, headers, _ = await post(scene, "/whip/r", GOOD)
    url, tag = scene.url + headers["Location"], headers["ETag"]
    ice = [line for line in GOOD.splitlines() if line.startswith("a=ice-")]
    trickle = "\r\n".join(ice[:2]) + "\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n"

    async def patch(body: str, **more: str) -> tuple[int, Any, str]:
        async with scene.http.patch(url, data=body, headers=FRAGMENT | more) as answer:
            return answer.status, answer.headers, await answer.text()

    assert (await patch(trickle))[0] == 204
    assert (await patch(trickle, **{"If-Match": tag}))[0] == 204
    assert (await patch(trickle, **{"If-Match": '"stale"'}))[0] == 412
    fresh = "a=ice-ufrag:newer\r\na=ice-pwd:a-password-of-22-chars\r\n"
    status, headers, body = await patch(fresh, **{"If-Match": '"*"'})
    assert status == 200
    assert headers["ETag"] != tag
    assert "a=ice-ufrag:" in body
    assert body.count("a=candidate:") == 1
    assert (await patch(trickle, **{"If-Match": tag}))[0] == 412
    assert (await patch("nonsense"))[0] == 400
    async with scene.http.delete(url) as answer:
        assert answer.status == 200
    async with scene.http.delete(url) as answer:
        assert answer.status == 404


async def test_media_goes_on_over_an_ice_restart(scene: Scene) -> None:
    """The new credentials work, the old ones until then, and the keys stay."""
    camera = Camera(await scene.publisher())
    camera.show(encoded(range(3)))
    await until(lambda: scene.told, "a picture")
    got: list[bytes] = []
    peer = await scene.viewer(on_rtp=got.append)
    viewer = next(one for one in scene.stage.sessions.values() if one.id in peer_ids(scene))
    text = "a=ice-ufrag:newer\r\na=ice-pwd:a-password-of-22-chars\r\n"
    answer = scene.stage.trickle("r", viewer.id, None, text)
    assert answer is not None
    peer.restarted(answer.text)
    await until(lambda: viewer.older is None, "a check with the new credentials")
    got.clear()
    camera.show(encoded(range(3, 6)))
    await until(lambda: got, "packets after the restart")


def peer_ids(scene: Scene) -> set[str]:
    (broadcast,) = scene.stage.broadcasts.values()
    return {viewer.id for viewer in broadcast.viewers}


async def test_the_room_hears_begin_absence_return_and_end(scene: Scene) -> None:
    """live, waiting (the host will be back soon), live, nothing."""
    publisher = await scene.publisher()
    camera = Camera(publisher)
    camera.show(encoded(range(3)))
    await until(lambda: scene.told, "the beginning")
    session = next(iter(scene.stage.sessions.values()))
    session.heard_at -= 60  # type: ignore[attr-defined]  # silent for a minute
    await until(lambda: len(scene.told) == 2, "the absence")
    camera.show(encoded(range(3)))
    await until(lambda: len(scene.told) == 3, "the return")
    scene.stage.leave("r", session.id)
    states = [video and video["state"] for _, video in scene.told]
    assert states == ["live", "waiting", "live", None]


async def test_another_device_takes_the_place_of_a_silent_one(scene: Scene) -> None:
    """An assistant's, with another credential: no need to wait for the dead phone's session."""
    camera = Camera(await scene.publisher(who="phone"))
    camera.show(encoded(range(3)))
    await until(lambda: scene.told, "a picture")
    phone = next(iter(scene.stage.sessions.values()))
    phone.heard_at -= 60  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    await scene.publisher(who="tablet")
    assert phone.over


async def test_a_peer_that_closes_is_gone_at_once(scene: Scene) -> None:
    """DTLS says farewell; the session does not wait for the end of consent."""
    camera = Camera(await scene.publisher())
    camera.show(encoded(range(3)))
    await until(lambda: scene.told, "a picture")
    peer = await scene.viewer()
    assert len(scene.stage.sessions) == 2
    peer.farewell()
    await until(lambda: len(scene.stage.sessions) == 1, "the end of the viewer's session")


async def test_above_the_load_mark_viewers_are_told_to_come_later(scene: Scene) -> None:
    """A source is let in all the same: it is what everybody came for."""
    await scene.publisher()
    await until(lambda: scene.stage.load > 0, "a load that was measured")
    mark, scene.stage.load_mark = scene.stage.load_mark, 0.0
    camera = Camera(scene.peers[0])
    camera.show(encoded(range(1)))
    await until(lambda: scene.told, "a picture")
    status, headers, text = await post(scene, "/whep/r", offer())
    assert (status, headers["Retry-After"]) == (503, "2")
    assert "as many viewers as it can serve" in text
    await scene.publisher("other", who="d")
    scene.stage.load_mark = mark
    await scene.viewer()
