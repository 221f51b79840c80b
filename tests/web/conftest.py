"""The shop of each test: fresh database, fresh data directory, the shared Valkey."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.shop import Shop, open_shop


@pytest.fixture
async def shop(sqlite_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(sqlite_url, redis_url, tmp_path / "data") as opened:
        yield opened


@pytest.fixture
async def either_shop(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """Once on SQLite, once on PostgreSQL."""
    async with open_shop(database_url, redis_url, tmp_path / "data") as opened:
        yield opened


@pytest.fixture
async def room(shop: Shop, unique: str) -> str:
    """A room that is live."""
    return await live_room(shop, unique)


async def live_room(shop: Shop, unique: str) -> str:
    """Make a room and start its show."""
    admin = shop.token("admin")
    await shop.json("POST", "/v1/rooms", admin, json={"id": unique, "title": "Evening"}, status=201)
    await shop.json("POST", f"/v1/rooms/{unique}/start", admin)
    return unique
