"""A listening viewer socket on a real Valkey and a real SQLite, on uvloop as in production."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from liveserver.db import make_engine
from rooms import schema_sql
from rooms.bus_redis import RedisBus
from rooms.rooms_sql import SqlRooms
from rooms.service import RoomService
from tests.gateway.support import EmptyShop, Methods, Place, now, serving

Serve = Callable[..., AbstractAsyncContextManager[Place]]


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of production; what differs between loops is tested on both."""
    if item.path.name in ("test_listener.py", "test_sockets.py"):
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-made certificate for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture
def serve(redis_url: str, unique: str, tmp_path: Path) -> Serve:
    """Starts workers; all of one test share the bus and the record."""
    database = f"sqlite+aiosqlite:///{tmp_path}/rooms.db"
    started = 0

    @asynccontextmanager
    async def start(**options: Any) -> AsyncIterator[Place]:
        nonlocal started
        started += 1
        node = f"{unique}n{started}"
        writing, reading = make_engine(database), make_engine(database, read_only=True)
        async with writing.begin() as connection:
            await connection.run_sync(schema_sql.metadata.create_all)
        ids = iter(range(10**6))

        def make_rooms(bus: RedisBus) -> RoomService:
            store = SqlRooms(writing, reading)
            return RoomService(
                bus,
                store,
                EmptyShop(),
                node=node,
                now=now,
                new_id=lambda prefix: f"{prefix}_{node}{next(ids)}",
            )

        try:
            async with serving(redis_url, node, make_rooms, Methods(), **options) as place:
                yield place
        finally:
            await writing.dispose()
            await reading.dispose()

    return start


@pytest.fixture
async def place(serve: Serve) -> AsyncIterator[Place]:
    """One worker with the usual settings."""
    async with serve() as started:
        yield started


@pytest.fixture
async def open_place(serve: Serve) -> AsyncIterator[Place]:
    """One worker that asks for no tokens."""
    async with serve(insecure=True) as started:
        yield started


@pytest.fixture
def channel(unique: str) -> str:
    """A channel without a namespace that no other test uses."""
    return unique
