"""A page that dies between sending and the answer loses nothing."""

import asyncio

import pytest
from playwright.async_api import Route, WebSocketRoute, expect

from loadtest.server import Server
from loadtest.shop import Shop
from tests.e2e.browser import chromium, person

pytestmark = pytest.mark.browser


async def test_a_page_killed_before_the_answer_finds_its_order(demo: Server) -> None:
    """The answer never reaches the page; reopened, there is one order with its deadline."""
    async with Shop(demo.base) as shop:
        token = await shop.sign_in("streamer", "demo")
        await shop.start_sale(token, "demo", "demo-3", 5, buyers="guest")
    async with chromium() as browser:
        page = await person(browser, demo.base)
        sent = asyncio.Event()

        def between(socket: WebSocketRoute) -> None:
            """Passes everything on until `reserve` is sent; from then on nothing comes back."""
            server = socket.connect_to_server()

            def to_server(message: str | bytes) -> None:
                server.send(message)
                if "reserve" in str(message):
                    sent.set()

            def to_page(message: str | bytes) -> None:
                if not sent.is_set():
                    socket.send(message)

            socket.on_message(to_server)
            server.on_message(to_page)

        async def silent(route: Route) -> None:
            if sent.is_set():
                return  # the page asks again by HTTP and hears nothing either
            await route.continue_()

        await page.route_web_socket("**/connection/websocket", between)
        await page.route("**/v1/**", silent)
        await page.goto("/rooms/demo")
        await page.get_by_test_id("flash-card").get_by_test_id("buy-button").click()
        await page.get_by_test_id("buy-confirm").click()
        await asyncio.wait_for(sent.wait(), 10)
        context = page.context
        await page.close()
        again = await context.new_page()
        await again.goto("/orders")
        card = again.get_by_test_id("order-card")
        await expect(card).to_have_count(1)
        await expect(card.get_by_test_id("order-deadline")).to_be_visible()
        await again.goto("/rooms/demo")
        await expect(again.get_by_test_id("room")).to_have_attribute("data-state", "live")
        await again.goto("/orders")
        await expect(again.get_by_test_id("order-card")).to_have_count(1)
