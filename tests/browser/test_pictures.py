"""The pictures of the README: a demo with a crowd, a sale on."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import expect

from loadtest.server import Server
from tests.conftest import without
from tests.e2e.browser import DESKTOP, chromium, person, shoot, sign_in, start_sale

CROWD = 40
LINES = 8  # of chat, before the pictures are taken


@pytest.mark.nightly
async def test_a_crowded_demo_has_a_lively_room(tmp_path: Path) -> None:
    """The crowd talks, throws and likes; a sale that starts is on the phone and on the console."""
    without("browser")
    server = Server(tmp_path / "data", arguments=("--demo", "--crowd", str(CROWD)))
    await asyncio.to_thread(server.start)
    try:
        async with chromium() as browser:
            phone = await person(browser, server.base)
            await phone.goto("/rooms/demo")
            console = await person(browser, server.base, DESKTOP)
            await sign_in(console, "streamer")
            await console.goto("/console/demo")
            await expect(phone.get_by_test_id("chat-row").nth(LINES)).to_be_visible(timeout=60_000)
            await start_sale(console, units=30, price="99.00", countdown=0)
            await expect(phone.get_by_test_id("buy-button").first).to_be_enabled()
            await console.evaluate("scrollTo(0, 0)")
            await shoot(phone, "room-phone")
            await shoot(console, "console-desktop")
            assert phone.errors == [] and console.errors == []  # type: ignore[attr-defined]
    finally:
        await asyncio.to_thread(server.stop)
