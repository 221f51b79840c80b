"""A real server process per test."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from loadtest.server import Server


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers that are stopped, and whose leftovers are ended, after the test."""
    servers: list[Server] = []

    def make(*arguments: str, **environ: str) -> Server:
        data = tmp_path / f"data{len(servers)}"
        server = Server(data, environ, arguments or ("--demo",))
        servers.append(server)
        return server.start()

    yield make
    for server in servers:
        with contextlib.suppress(psutil.NoSuchProcess):
            server.stop()


@pytest.fixture
def demo(make_server: Callable[..., Server]) -> Server:
    """The demo shop."""
    return make_server("--demo")
