"""Buying from the shelf, and what the merchant does with orders, in a browser."""

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.browser.test_pages import axe

pytestmark = pytest.mark.browser

Visit = Callable[..., Awaitable[Page]]


async def test_a_product_of_the_shelf_is_bought_at_its_ordinary_price(visit: Visit) -> None:
    """Quantity, sum on the button, order with deadline; once paid, nobody asks to pay any more."""
    page = await visit("/rooms/demo", language="en", bypass_csp=True)
    await page.get_by_test_id("shelf-open").click()
    await page.get_by_test_id("shelf-sheet").get_by_test_id("shelf-more").nth(2).click()
    sheet = page.get_by_test_id("product-sheet")
    await sheet.get_by_test_id("buy-more").click()
    await sheet.get_by_test_id("buy-more").click()
    await expect(sheet.get_by_test_id("buy-confirm")).to_have_text("Buy · ¥504.00")
    await sheet.get_by_test_id("coupon-open").click()
    await sheet.get_by_test_id("coupon-code").fill("NOPE")
    await sheet.get_by_test_id("buy-confirm").click()
    await expect(sheet.get_by_test_id("buy-problem")).to_contain_text("no such coupon")
    assert await axe(page) == []
    await sheet.get_by_test_id("coupon-code").fill("")
    await sheet.get_by_test_id("buy-confirm").click()
    order = sheet.get_by_test_id("order-card")
    await expect(order.get_by_test_id("order-amount")).to_have_text("¥504.00")
    await expect(order.get_by_test_id("order-deadline")).to_have_text(re.compile(r"1[45]:\d\d"))
    await order.get_by_test_id("order-pay").click()
    await expect(order).to_have_attribute("data-state", "paid")
    await expect(sheet.get_by_test_id("order-news")).to_have_text("Paid. Thank you!")


async def test_a_killed_page_finds_its_one_order_of_the_shelf_again(visit: Visit) -> None:
    """The answer never arrives and the page is gone; the next one asks with the same key."""
    page = await visit("/login", language="en")
    reached = asyncio.Event()

    async def cut(socket: WebSocketRoute) -> None:
        await socket.close(code=3000, reason="cut")  # so that the order goes by HTTP

    async def swallow(route: Route) -> None:
        if route.request.method != "POST":
            await route.continue_()
            return
        await route.fetch()  # the server has it; the page never hears
        reached.set()

    await page.route_web_socket("**/connection/websocket", cut)
    await page.route("**/v1/orders", swallow)
    await page.goto("/rooms/demo")
    await page.get_by_test_id("pinned-card").click()
    await page.get_by_test_id("buy-confirm").click()
    async with asyncio.timeout(15):
        await reached.wait()
    context = page.context
    await page.close()
    again = await context.new_page()
    await again.goto("/orders")
    await expect(again.get_by_test_id("order-card")).to_have_count(1)
    await expect(again.get_by_test_id("order-card")).to_have_attribute("data-state", "reserved")
