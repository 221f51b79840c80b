"""The unmodified JavaScript SDK over `http_stream` and `sse`, on a real server of two workers."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from loadtest.server import Server

NODE = Path(sys.prefix) / "bin" / "node"
SCENARIO = Path(__file__).with_name("streams.mjs")
ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the demo shop behind two workers."""
    server = Server(
        tmp_path_factory.mktemp("streams") / "data",
        arguments=("--demo", "--workers", "2"),
        python_path=ROOT,
    )
    try:
        yield server.start().base
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            server.stop()


@pytest.mark.parametrize(
    ("transport", "form"), [("http_stream", "json"), ("sse", "json"), ("http_stream", "protobuf")]
)
async def test_the_sdk_needs_no_websocket(base: str, transport: str, form: str) -> None:
    """Connect, subscribe, publish, history, RPC, leave; commands of six clients on two workers."""
    node = await asyncio.create_subprocess_exec(
        NODE, "--experimental-eventsource", SCENARIO, base, transport, f"/connection/{transport}",
        form,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            out, errors = await node.communicate()
    finally:
        if node.returncode is None:
            node.kill()
            await node.wait()
    assert node.returncode == 0, errors.decode()
    assert out == b"done\n"


async def test_one_scrape_holds_every_process(base: str) -> None:
    """Both gateways and the process of the orders, whoever is asked."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{base}/metrics") as answer,
    ):
        text = await answer.text()
    for name in ("gateway-1", "gateway-2", "orders"):
        assert f'_{name}"}}' in text, text[:2000]
