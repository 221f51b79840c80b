"""The data saver: what it leaves out, and how little is left."""

import asyncio
import json
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from loadtest.proxy import Proxy
from loadtest.server import Server
from tests.browser.conftest import SIZES, Visit
from tests.conftest import without
from tests.e2e.browser import chromium

pytestmark = pytest.mark.browser

CROWD = 150  # so many talk up to the room's cap of chat
SECONDS = 30.0
KBITS_MOST = 20.0  # a second, both ways


async def with_picture(page: Page) -> list[str]:
    """As if a camera were sent; collects the addresses at which the page asks for it."""
    asked: list[str] = []

    async def answer(route: Route) -> None:
        got = await route.fetch()
        video = {"state": "live", "whep_url": "/whep/demo", "stream": "s", "kinds": ["video"]}
        await route.fulfill(response=got, body=json.dumps({**await got.json(), "video": video}))

    await page.route("**/v1/rooms/demo", answer)
    page.on("request", lambda one: asked.append(one.url) if "/whep/" in one.url else None)
    return asked


async def test_saved_data_is_picture_danmaku_and_small_pictures(visit: Visit) -> None:
    """Switched on in the settings, kept for the next visit, and off again at once."""
    page = await visit("/login", language="en")
    asked = await with_picture(page)
    async with page.expect_request("**/whep/demo"):
        await page.goto("/rooms/demo")
    await expect(page.get_by_test_id("danmaku-toggle")).to_have_attribute("aria-pressed", "true")
    await page.get_by_test_id("settings-open").click()
    await page.get_by_test_id("saver-switch").check()
    await expect(page.get_by_test_id("danmaku-toggle")).to_have_attribute("aria-pressed", "false")
    await expect(page.get_by_test_id("video")).to_have_attribute("data-picture", "none")
    asked.clear()
    await page.reload()
    await expect(page.get_by_test_id("room")).to_have_attribute("data-connection", "live")
    await expect(page.get_by_test_id("stage-words")).to_contain_text("Data saver")
    await expect(page.get_by_test_id("pinned-card").locator("img")).to_have_count(0)
    await page.get_by_test_id("pinned-card").click()
    await expect(page.get_by_test_id("product-sheet").locator("img")).to_have_count(1)
    await page.get_by_test_id("product-sheet-close").click()
    assert asked == []
    await page.get_by_test_id("settings-open").click()
    async with page.expect_request("**/whep/demo"):
        await page.get_by_test_id("saver-switch").uncheck()


@pytest.mark.nightly
async def test_a_busy_room_costs_less_than_20_kbit_a_second(tmp_path: Path) -> None:
    """A crowd that talks up to the cap of chat; counted on the wire, both ways, once it is open."""
    without("browser")
    server = Server(tmp_path / "data", arguments=("--demo", "--crowd", str(CROWD)))
    await asyncio.to_thread(server.start)
    proxy = Proxy(server.port)
    try:
        port = await proxy.listen()
        async with chromium() as browser:
            context = await browser.new_context(viewport=SIZES["phone"])  # type: ignore[arg-type]
            await context.add_init_script("localStorage.setItem('liveserver.saver', 'true')")
            page = await context.new_page()
            await page.goto(f"http://127.0.0.1:{port}/rooms/demo?lang=en")
            room = page.get_by_test_id("room")
            await expect(room).to_have_attribute("data-connection", "live")
            await page.wait_for_function(
                "most => parseInt(document.querySelector('[data-testid=online]').innerText) > most",
                arg=CROWD // 2,
                timeout=60_000,
            )
            newest = page.get_by_test_id("chat-row").last
            before, first = proxy.carried, await newest.get_attribute("data-id")
            await page.wait_for_timeout(SECONDS * 1_000)
            kbits = (proxy.carried - before) * 8 / 1_000 / SECONDS
            assert await newest.get_attribute("data-id") != first, "nobody said anything"
            print(f"data saver: {kbits:.1f} kbit/s")
            assert kbits <= KBITS_MOST
    finally:
        await proxy.close()
        await asyncio.to_thread(server.stop)
