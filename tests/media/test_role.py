"""`--role media`: the process alone, beside gateways that share its data directory."""

import asyncio
import subprocess
from pathlib import Path

import aiohttp

from loadtest.rtc import H264, OPUS, Identity, Line, Peer
from loadtest.server import BIN, Server
from tests.media.conftest import until
from tests.media.pictures import Camera, Watcher, encoded

SDP = {"Content-Type": "application/sdp"}
SECRET = "a secret that all processes of this test share"


def token(data: Path) -> str:
    made = subprocess.run(
        [BIN / "liveserver", "token", "--user", "ann", "--role", "admin"],
        env={"LIVESERVER_DATA_DIR": str(data), "LIVESERVER_TOKEN_SECRET": SECRET, "PATH": ""},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return made.stdout.strip()


async def test_a_media_process_by_itself_serves_the_gateways_of_its_directory(
    redis_url: str, sqlite_url: str, tmp_path: Path
) -> None:
    """Before it comes video is off, in words; then a picture goes through, and rooms hear of it."""
    shared = {
        "LIVESERVER_REDIS_URL": redis_url,
        "LIVESERVER_DATABASE_URL": sqlite_url,
        "LIVESERVER_TOKEN_SECRET": SECRET,
        "LIVESERVER_MEDIA_UDP_PORT": "0",
    }
    data = tmp_path / "data"
    gateway = Server(data, shared, arguments=("--role", "gateway"))
    media = Server(data, shared, arguments=("--role", "media"), log_folder=data)
    headers = {"Authorization": f"Bearer {token(data)}"}
    await asyncio.to_thread(gateway.start)
    try:
        async with aiohttp.ClientSession(gateway.base, headers=headers) as http:
            body = {"id": "role", "title": "Evening"}
            async with http.post("/v1/rooms", json=body) as made:
                assert made.status == 201, await made.text()
            status, _ = await signal(http, "/whep/role", "v=0")
            assert status == 503
            await asyncio.to_thread(media.start)
            await picture_passes(http)
            async with asyncio.timeout(10):  # the room hears of it over the bus
                while (await video_of(http)) is None:  # noqa: ASYNC110 - another process tells
                    await asyncio.sleep(0.05)
    finally:
        for server in (media, gateway):
            if server.process is not None:
                await asyncio.to_thread(server.stop)


async def video_of(http: aiohttp.ClientSession) -> object:
    async with http.get("/v1/rooms/role") as room:
        return (await room.json())["video"]


async def signal(http: aiohttp.ClientSession, path: str, offer: str) -> tuple[int, str]:
    async with http.post(path, data=offer, headers=SDP) as answer:
        return answer.status, await answer.text()


async def picture_passes(http: aiohttp.ClientSession) -> None:
    identity, lines = Identity(), [Line("audio", [OPUS]), Line("video", [H264])]
    seen = Watcher(96)
    host = Peer(identity, lines, direction="sendonly")
    viewer = Peer(identity, lines, on_rtp=seen.take)
    try:
        status, answer = await signal(http, "/whip/role", host.offer())
        assert status == 201, answer
        host.start(answer)
        await until(host.connected.is_set, "the host's keys")
        camera = Camera(host)
        camera.show(encoded(range(10)))
        status, answer = 409, ""
        while status == 409:  # until the first packet is there
            status, answer = await signal(http, "/whep/role", viewer.offer())
        assert status == 201, answer
        viewer.start(answer)
        await until(lambda: seen.numbers == list(range(10)), "ten pictures")
    finally:
        for peer in (host, viewer):
            if hasattr(peer, "_timer"):
                peer.close()
