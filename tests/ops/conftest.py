"""Fixtures of the supervisor's tests."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from servers import TinyServer, cleaned


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., TinyServer]]:
    """Makes servers with the tiny app, all in one data directory unless told otherwise."""
    made: list[TinyServer] = []

    def make(*arguments: str, data: str = "data", port: int = 0, **environ: str) -> TinyServer:
        made.append(TinyServer(tmp_path / data, arguments, environ, port))
        return made[-1]

    with cleaned(made):
        yield make
