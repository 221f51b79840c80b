"""A host rehearses in a room of its own, a viewer with the link looks on, then the show begins."""

import asyncio
import os
import subprocess

import pytest
from playwright.async_api import Page, expect

from loadtest.server import BIN, Server
from loadtest.shop import Shop
from tests.browser.conftest import SIZES, Visit
from tests.browser.stand import COOKIE
from tests.browser.test_pages import axe

pytestmark = pytest.mark.browser

ROOM = "studio"
PASSWORD = "long enough"


def make_host(shop: Server) -> None:
    """An account that runs the room and no other."""
    subprocess.run(
        [BIN / "liveserver", "user", "add", "rehearser", "--role", "streamer", "--rooms", ROOM,
         "--password-stdin"],
        env={**os.environ, "LIVESERVER_DATA_DIR": str(shop.data)},
        input=f"{PASSWORD}\n".encode(),
        check=True,
        timeout=30,
    )  # fmt: skip


async def furnish(shop: Server) -> str:
    """A room with two products of the demo; the token of its host."""
    await asyncio.to_thread(make_host, shop)
    async with Shop(shop.base) as api:
        host = await api.sign_in("rehearser", PASSWORD)
        merchant = await api.sign_in("merchant", "demo")
        await api.call("POST", "/v1/rooms", host, {"id": ROOM, "title": "Spring tea 春茶"})
        items = (await api.call("GET", "/v1/products", merchant))["items"]
        ids = [item["id"] for item in items if item["sku"] in ("demo-1", "demo-2")]
        for id in ids:
            await api.call("PUT", f"/v1/products/{id}/grants", merchant, {"room": ROOM})
        await api.call("PUT", f"/v1/rooms/{ROOM}/shelf", host, {"product_ids": ids})
        await api.call("POST", f"/v1/rooms/{ROOM}/pin", host, {"product_id": ids[0]})
    return host


async def console(visit: Visit, shop: Server, token: str) -> Page:
    page = await visit("/", size="desktop", language="en", bypass_csp=True)
    await page.context.add_cookies([{"name": COOKIE, "value": token, "url": shop.base}])
    await page.goto(f"/console/{ROOM}")
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    return page


async def begin(page: Page, button: str) -> None:
    """From the button to the server's word; a rehearsal is explained first."""
    await page.get_by_test_id(button).click()
    if button == "start-rehearsal":
        await page.get_by_test_id("ask-yes").click()
    await expect(page.get_by_test_id("end-show")).to_be_visible()


async def end(page: Page) -> None:
    await page.get_by_test_id("end-show").focus()
    await page.keyboard.down("Enter")
    await page.wait_for_url("**/shows/*")
    await page.keyboard.up("Enter")


async def test_a_host_rehearses_and_then_goes_live(visit: Visit, shop: Server) -> None:
    """Viewers with the link see everything marked and can buy nothing; the show after it sells."""
    token = await furnish(shop)
    host = await console(visit, shop, token)
    await begin(host, "start-rehearsal")
    await expect(host.get_by_test_id("console-state")).to_have_text("Rehearsal")
    viewer = await visit("/", bypass_csp=True)
    await expect(viewer.locator(f"[data-testid=room-card][data-room={ROOM}]")).to_have_count(0)
    await viewer.goto(f"/rooms/{ROOM}")
    stage = viewer.get_by_test_id("stage")
    await expect(stage).to_have_attribute("data-mark", "彩排")
    prompter = await host.context.new_page()
    await prompter.goto(f"/console/{ROOM}?view=prompter")
    await expect(prompter.get_by_test_id("prompter-mark")).to_be_visible()
    await host.get_by_test_id("sale-price").fill("89")
    await host.get_by_test_id("sale-more").evaluate("details => { details.open = true; }")
    await host.get_by_test_id("sale-countdown").fill("0")
    await host.get_by_test_id("sale-start").click()
    await expect(host.get_by_test_id("sale-hide")).to_be_visible()
    card = viewer.get_by_test_id("flash-card")
    await expect(card).to_have_attribute("data-phase", "open")
    await expect(card.get_by_test_id("buy-button")).to_be_disabled()
    assert await axe(host) == await axe(viewer) == []
    await viewer.get_by_test_id("pinned-card").click()
    await expect(viewer.get_by_test_id("buy-confirm")).to_be_disabled()
    await viewer.keyboard.press("Escape")
    await end(host)
    await expect(host.get_by_test_id("show-report")).to_be_visible()
    await expect(stage).to_have_attribute("data-mark", "")
    await expect(card).to_have_count(0)
    await expect(viewer.get_by_test_id("replay")).to_have_count(0)
    await host.goto(f"/console/{ROOM}")
    await host.set_viewport_size(SIZES["phone"])  # type: ignore[arg-type]
    await begin(host, "start-show")
    await expect(viewer.get_by_test_id("room-state")).to_have_text("直播中")
    await expect(stage).to_have_attribute("data-mark", "")
    await expect(prompter.get_by_test_id("prompter-mark")).to_be_hidden()
    async with Shop(shop.base) as api:
        await api.call("POST", f"/v1/rooms/{ROOM}/end", token)
