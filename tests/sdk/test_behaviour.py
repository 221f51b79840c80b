"""What people rely on in the JavaScript SDK, by each transport and form, on a real server."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from loadtest.server import Server
from tests.sdk.test_streams import NODE, ROOT, SECONDS

SCENARIO = Path(__file__).with_name("behaviour.mjs")
SECRET = "a secret that is long enough for HS256"
KEY = "a key of the server API"
#: an operator's namespaces, open for a trial
OPEN = """
api_key = "a key of the server API"
token_secret = "a secret that is long enough for HS256"

[client]
insecure = true

[namespaces.""]
history_size = 100
history_ttl_seconds = 300
recovery = true
presence = true
delta = ["fossil"]

[namespaces.recovery]
history_size = 100
history_ttl_seconds = 300
recovery = true
publish = "subscriber"

[namespaces.smallhistory]
history_size = 2
history_ttl_seconds = 300
recovery = true
publish = "subscriber"

[namespaces.delta]
history_size = 100
history_ttl_seconds = 300
recovery = true
publish = "subscriber"
delta = ["fossil"]
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that asks for no tokens."""
    folder = tmp_path_factory.mktemp("open")
    (folder / "open.toml").write_text(OPEN)
    arguments = ("--demo", "--config", str(folder / "open.toml"))
    server = Server(folder / "data", arguments=arguments, python_path=ROOT)
    try:
        yield server.start().base
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            server.stop()


@pytest.mark.parametrize(
    ("transport", "form"),
    [("websocket", "json"), ("websocket", "protobuf"), ("http_stream", "json"), ("sse", "json")],
)
async def test_what_people_rely_on_holds(base: str, transport: str, form: str) -> None:
    """Recovery, states, tokens of nobody, presence, differences, pages that change their mind."""
    node = await asyncio.create_subprocess_exec(
        NODE, "--experimental-eventsource", SCENARIO, base, transport, form, SECRET, KEY,
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
    assert out.endswith(b" hold\n")
