"""Pages of other origins that send or watch by WHIP and WHEP: only those that are listed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.conftest import live_room
from tests.web.shop import Shop, open_shop

SDP = {"Content-Type": "application/sdp"}
LISTED, FOREIGN = {"Origin": "https://shop.example"}, {"Origin": "https://evil.example"}


@pytest.fixture
async def shop(sqlite_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    options = {"allowed_origins": ("https://shop.example",)}
    async with open_shop(sqlite_url, redis_url, tmp_path / "data", **options) as opened:
        yield opened


async def test_a_listed_page_may_ask_and_read_the_answer(shop: Shop, unique: str) -> None:
    """A browser asks first; then refusals can be read as well, and programs ask without Origin."""
    await live_room(shop, unique)
    for path in (f"/whip/{unique}", f"/whep/{unique}", f"/whep/{unique}/session"):
        async with shop.call("OPTIONS", path, headers=LISTED) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == LISTED["Origin"]
            assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
            assert "If-Match" in answer.headers["Access-Control-Allow-Headers"]
            is_endpoint = not path.endswith("session")
            assert ("Accept-Post" in answer.headers) == is_endpoint
    for headers in ({**SDP, **LISTED}, SDP):
        async with shop.call("POST", f"/whep/{unique}", headers=headers, data="v=0") as answer:
            assert answer.status == 503  # no media process beside this one
            assert answer.headers.get("Access-Control-Allow-Origin") == headers.get("Origin")
            if "Origin" in headers:
                assert "Location" in answer.headers["Access-Control-Expose-Headers"]


async def test_any_other_page_is_refused(shop: Shop, unique: str) -> None:
    """Neither may it, nor is it told more than that."""
    await live_room(shop, unique)
    for method, path in (
        ("OPTIONS", f"/whip/{unique}"), ("OPTIONS", f"/whep/{unique}"),
        ("POST", f"/whep/{unique}"), ("DELETE", f"/whep/{unique}/session"),
    ):  # fmt: skip
        async with shop.call(method, path, headers={**SDP, **FOREIGN}, data="v=0") as answer:
            assert answer.status == 403
            assert "Access-Control-Allow-Origin" not in answer.headers
    async with shop.call("GET", "/v1/rooms", headers=LISTED) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers  # nothing else is open
