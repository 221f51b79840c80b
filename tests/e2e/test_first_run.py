"""An empty data directory, no demo: from the set-up link to the first order, all in a browser."""

from collections.abc import Callable

import pytest
from playwright.async_api import Page, expect

from loadtest.server import Server
from tests.e2e.browser import DESKTOP, chromium, person, shoot, sign_in

pytestmark = pytest.mark.browser
PASSWORD = "a long enough one"


async def fill(page: Page, **values: str) -> None:
    for name, value in values.items():
        await page.get_by_test_id(name.replace("_", "-")).fill(value)


async def set_up(page: Page, link: str) -> None:
    """The one-time link makes the administrator, who adds a room and two people."""
    await page.goto(link)
    await fill(page, setup_shop="Tea House", setup_user="boss", setup_password=PASSWORD)
    await shoot(page, "setup-desktop")
    await page.get_by_test_id("setup-submit").click()
    await expect(page.get_by_test_id("room-form")).to_be_visible()
    await add_person(page, "teashop", "merchant", merchant="teashop")
    await fill(page, room_id="tea", room_title_input="Evening tea", room_merchants="teashop")
    await page.get_by_test_id("room-save").click()
    await expect(page.get_by_test_id("room-row")).to_have_count(1)
    await add_person(page, "mei", "streamer", room="tea")


async def add_person(
    page: Page, name: str, role: str, merchant: str | None = None, room: str | None = None
) -> None:
    await page.get_by_test_id("user-role").select_option(role)
    await fill(page, user_name=name, user_password=PASSWORD)
    if merchant:
        await page.get_by_test_id("user-merchant").fill(merchant)
    if room:
        await page.get_by_test_id("user-rooms").select_option(room)
    await page.get_by_test_id("user-save").click()
    await expect(page.locator(f'[data-testid=user-row][data-user="{name}"]')).to_be_visible()


async def stock_the_shop(page: Page) -> None:
    """The merchant makes a product and grants it to the room."""
    await sign_in(page, "teashop", PASSWORD)
    await page.goto("/merchant")
    await page.get_by_test_id("product-new").click()
    await fill(
        page,
        product_sku="oolong",
        product_title_input="Oolong 50 g",
        product_price_input="48.00",
        product_stock_input="20",
    )
    await page.get_by_test_id("product-save").click()
    await page.get_by_test_id("product-row").get_by_test_id("product-grant").click()
    await page.get_by_test_id("grant-room").select_option("tea")
    await page.get_by_test_id("grant-save").click()
    await expect(page.get_by_test_id("grant-row")).to_have_count(1)


async def go_live(page: Page) -> None:
    """The streamer fills the shelf, goes live and starts a sale that guests may join."""
    await sign_in(page, "mei", PASSWORD)
    await page.goto("/console/tea")
    await page.get_by_test_id("shelf-add").click()
    await expect(page.get_by_test_id("shelf-row")).to_have_count(1)
    await page.get_by_test_id("start-show").click()
    await expect(page.get_by_test_id("end-show")).to_be_visible()
    await fill(page, sale_price="39.00", sale_units="5")
    await page.get_by_test_id("sale-more").evaluate("details => { details.open = true; }")
    await page.get_by_test_id("sale-countdown").fill("0")
    await page.get_by_test_id("sale-buyers").select_option("guest")
    await page.get_by_test_id("sale-start").click()
    await expect(page.get_by_test_id("sale-row")).to_have_count(1)


async def test_from_the_set_up_link_to_the_first_order(make_server: Callable[..., Server]) -> None:
    """Administrator, merchant, streamer, room, product, sale, order: no file, no command line."""
    server = make_server("--workers", "1")
    link = server.wait_for(rb"(http://\S+/setup\?token=\S+)")
    async with chromium() as browser:
        await set_up(await person(browser, server.base, DESKTOP), link)
        desk = await person(browser, server.base, DESKTOP)
        await stock_the_shop(desk)
        await go_live(await person(browser, server.base, DESKTOP))
        viewer = await person(browser, server.base)
        await viewer.goto("/rooms/tea")
        await viewer.get_by_test_id("flash-card").get_by_test_id("buy-button").click()
        await viewer.get_by_test_id("buy-confirm").click()
        await expect(viewer.get_by_test_id("order-card").first).to_be_visible()
        await desk.goto("/merchant#orders")
        await expect(desk.get_by_test_id("merchant-order")).to_have_count(1)
        again = await person(browser, server.base)
        await again.goto(link)
        await expect(again.get_by_text("used", exact=False).first).to_be_visible()
        await expect(again.get_by_test_id("setup-form")).to_have_count(0)
