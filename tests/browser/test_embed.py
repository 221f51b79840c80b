"""A room in the page of a shop: another site, where browsers keep no cookie of ours."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from loadtest.server import Server
from loadtest.shop import Shop
from tests.browser.conftest import Visit
from tests.browser.test_pages import start_sale

pytestmark = pytest.mark.browser

FORGED = "({type, data}) => postMessage({source: 'live-room', version: 1, type, data}, '*')"


async def opened(visit: Visit, storefront: Any, size: str = "desktop") -> tuple[Page, Any]:
    """The shop's page, and the room in it, connected."""
    page = await visit(storefront.origin, size=size, language="en", ready="live-room iframe")
    room = page.frame_locator("live-room iframe")
    await expect(room.get_by_test_id("room")).to_have_attribute("data-connection", "live")
    return page, room


def news(page: Page, kind: str) -> Any:
    return page.locator(f'#news [data-type="{kind}"]')


async def test_viewers_of_a_shops_page_fill_its_cart_and_buy_in_the_room(
    visit: Visit, storefront: Any, shop: Server
) -> None:
    """The whole way: explained, into the cart, refused by it, a flash sale, its payment, orders."""
    page, room = await opened(visit, storefront)
    await expect(news(page, "room.ready")).to_have_count(1)
    await expect(page.locator("#explained")).to_contain_text("Now explained")
    await page.locator("#show").click()
    sheet = room.get_by_test_id("product-sheet")
    confirm = sheet.get_by_test_id("buy-confirm")
    await expect(confirm).to_contain_text("Add to cart")
    await confirm.click()
    await expect(page.locator("#cart")).to_contain_text("1 ×")
    await expect(sheet).to_have_count(0)
    await page.locator("#show").click()
    for _ in range(3):
        await sheet.get_by_test_id("buy-more").click()
    await confirm.click()
    await expect(page.locator("#cart")).to_contain_text("5 ×")
    await page.locator("#show").click()
    await confirm.click()
    await expect(sheet.get_by_test_id("buy-problem")).to_have_text("At most 5 of each, please.")
    await sheet.get_by_test_id("product-sheet-close").click()
    await room.locator(
        f'flash-card[data-sale="{await start_sale(shop, "demo-7", 3)}"] button'
    ).first.click()
    await room.get_by_test_id("buy-confirm").click()
    await expect(news(page, "order.reserved")).to_have_count(1)
    await room.get_by_test_id("order-pay").click()
    await expect(news(page, "order.paid")).to_have_count(1)
    await room.get_by_test_id("orders-link").click()
    orders = room.get_by_test_id("orders-sheet").get_by_test_id("order-card")
    await expect(orders).to_have_attribute("data-state", "paid")
    assert await page.context.cookies() == []


async def test_the_shop_signs_its_viewers_in_and_nobody_else_is_heard(
    visit: Visit, storefront: Any, shop: Server
) -> None:
    """A token by the element; what is not from the other side, in its form, changes nothing."""
    page, room = await opened(visit, storefront, "phone")
    inside = page.frames[1]
    await page.evaluate(FORGED, {"type": "order.paid", "data": {"order": {"id": "forged"}}})
    await inside.evaluate(FORGED, {"type": "product.open", "data": {"product": "demo-1"}})
    await page.evaluate(
        """() => { const frame = document.querySelector("live-room iframe").contentWindow;
        const say = (message) => frame.postMessage(message, "*");
        const good = {source: "live-room", version: 1, type: "product.open"};
        for (const bad of [null, "product.open", {...good, data: {product: 7}},
          {...good, data: null}, {...good, version: 2, data: {product: "demo-1"}},
          {...good, type: "toString", data: {}},
          {...good, source: "else", data: {product: "demo-1"}}]) say(bad); }"""
    )
    async with Shop(shop.base) as api:
        token = await api.sign_in("streamer", "demo")
    give = "(token) => { document.querySelector('live-room').token = token; }"
    await page.evaluate(give, "no token")
    await expect(news(page, "session.refused")).to_contain_text("unauthorized")
    await page.evaluate(give, token)
    await expect(news(page, "session.changed")).to_contain_text("streamer")
    await expect(room.get_by_test_id("room")).to_have_attribute("data-connection", "live")
    await room.get_by_test_id("chat-input").fill("from the shop")
    await room.get_by_test_id("chat-send").click()
    row = room.get_by_test_id("chat-row").filter(has_text="from the shop")
    await expect(row.locator(".badge")).to_have_count(1)
    await expect(news(page, "order.paid")).to_have_count(0)
    await expect(room.locator("dialog")).to_have_count(0)
    await page.reload(wait_until="domcontentloaded")
    await page.wait_for_selector("live-room iframe")
    await page.evaluate(give, token)  # while the room is being opened
    await expect(news(page, "session.changed")).to_contain_text("streamer")
    await expect(room.get_by_test_id("room")).to_have_attribute("data-connection", "live")


async def test_only_the_listed_shop_may_hold_the_room(visit: Visit, storefront: Any) -> None:
    """The same page under another origin shows no room; the address alone is the ordinary room."""
    page = await visit("/embed/demo?host=https://evil.example")
    await page.wait_for_url("**/rooms/demo")
    await expect(page.get_by_test_id("room")).to_be_visible()
    foreign = f"http://127.0.0.1:{storefront.server_port}/"
    async with page.expect_console_message(lambda line: "frame-ancestors" in line.text):
        await page.goto(foreign)
    await expect(page.frame_locator("live-room iframe").get_by_test_id("room")).to_have_count(0)
