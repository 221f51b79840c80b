"""libwebrtc and libdatachannel (the stack of OBS), driven from Node."""

import asyncio
import contextlib
import itertools
import os
import signal
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.media.conftest import Scene, until
from tests.media.pictures import Watcher, encoded

HERE = Path(__file__).parent
NODE = HERE.parents[1] / ".venv" / "bin" / "node"
VP8 = "97 VP8/90000"


@asynccontextmanager
async def node(script: str, *arguments: str) -> AsyncIterator[list[str]]:
    """Run a client; its lines as they come. Ended after the block."""
    process = await asyncio.create_subprocess_exec(
        NODE, HERE / "clients" / script, *arguments, cwd=HERE.parents[1],
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    lines: list[str] = []

    async def read() -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            lines.append(line.decode().strip())

    reading = asyncio.create_task(read())
    try:
        yield lines
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the wheel's `node` starts the real one
        assert process.stderr is not None
        print((await process.stderr.read()).decode(errors="replace"))
        await process.wait()
        await reading


async def test_libwebrtc_sends_and_libwebrtc_sees(scene: Scene) -> None:
    """VP8, a codec that is not the house's, from one browser engine to another and to us."""
    async with node("wrtc.mjs", "publish", f"{scene.url}/whip/r"):
        await until(lambda: scene.told, "a picture", 20.0)
        seen = Watcher(97, "vp8")
        await scene.viewer("r", VP8, on_rtp=seen.take, audio=False)
        async with node("wrtc.mjs", "watch", f"{scene.url}/whep/r") as lines:
            await until(lambda: len(lines) > 15, "pictures at libwebrtc", 20.0)
        numbers = [int(line) for line in lines]
        assert numbers == sorted(numbers)
        await until(lambda: len(seen.numbers) > 15, "pictures at the light peer")


async def test_libdatachannel_sends_h264_as_obs_does(scene: Scene, tmp_path: Path) -> None:
    """Its offer has no candidates and it answers to no request for keyframes."""
    units = encoded(range(30))
    path = tmp_path / "units"
    path.write_bytes(b"".join(struct.pack("!I", len(unit)) + unit for unit in units))
    async with node("datachannel.mjs", f"{scene.url}/whip/r", str(path)):
        await until(lambda: scene.told, "a picture", 20.0)
        seen = Watcher(96)
        await scene.viewer(on_rtp=seen.take, audio=False)
        await until(lambda: len(seen.numbers) > 40, "pictures at the viewer", 20.0)
    steps = {after - before for before, after in itertools.pairwise(seen.numbers)}
    assert steps <= {1, -29}  # over and over, none missing
