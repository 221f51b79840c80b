"""The whole main job: the console sells, viewers buy, the merchant hears of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from centrifuge import (
    Client,
    ClientEventHandler,
    PublicationContext,
    SubscriptionEventHandler,
)
from playwright.async_api import Page, expect

from loadtest.server import Server
from loadtest.shop import Shop
from tests.e2e.browser import (
    DESKTOP,
    chromium,
    person,
    sign_in,
    start_sale,
    verified_events,
)

pytestmark = pytest.mark.browser
UNITS = 3
SEEN_MS = 1_000  # every page shows a change within a second
BUYERS = 4


class Watcher(SubscriptionEventHandler):
    """An official Python client in the room; keeps what it was pushed."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    async def on_publication(self, ctx: PublicationContext) -> None:
        self.events.append(ctx.pub.data)


@asynccontextmanager
async def watching(server: Server, room: str) -> AsyncIterator[Watcher]:
    """An official client subscribed to the room."""
    async with Shop(server.base) as shop:
        token = (await shop.guest("watcher"))["token"]
    address = server.base.replace("http", "ws", 1) + "/connection/websocket"
    client = Client(address, events=ClientEventHandler(), token=token)
    watcher = Watcher()
    await client.connect()
    try:
        await client.new_subscription(f"room:{room}", watcher).subscribe()
        await client.ready()
        yield watcher
    finally:
        before = asyncio.all_tasks()
        await client.disconnect()  # leaves the closing handshake to tasks of its own
        if closing := asyncio.all_tasks() - before:
            await asyncio.wait(closing, timeout=5)


async def until(check: Callable[[], bool], what: str, seconds: float = 15) -> None:
    """Looks until it is so; says what was missing."""
    for _ in range(int(seconds / 0.05)):
        if check():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(what)


async def sell_three(server: Server) -> None:
    async with watching(server, "demo") as watcher, chromium() as browser:
        console = await person(browser, server.base, DESKTOP)
        await sign_in(console, "streamer")
        await console.goto("/console/demo")
        viewers = [await person(browser, server.base) for _ in range(BUYERS)]
        for viewer in viewers:
            await viewer.goto("/rooms/demo")
            await expect(viewer.get_by_test_id("room")).to_have_attribute("data-state", "live")
        desk = await person(browser, server.base, DESKTOP)
        await sign_in(desk, "merchant")
        await desk.goto("/merchant#orders")
        await talk(viewers)
        await start_sale(console, units=UNITS, price="99.00", countdown=2)
        for viewer in viewers:
            await expect(viewer.get_by_test_id("flash-countdown")).to_be_visible()
        await buy_all(viewers)
        await see_nothing_left(viewers)
        for buyer in viewers[:UNITS]:
            await buyer.get_by_test_id("order-pay").click()
            await expect(buyer.get_by_test_id("order-state")).to_have_text("Paid")
        await expect(desk.get_by_test_id("merchant-order")).to_have_count(UNITS)
        await until(
            lambda: kinds(verified_events(server.data)) == {"order.reserved": 3, "order.paid": 3},
            f"the receiver verified {kinds(verified_events(server.data))}",
        )
        for page in [console, desk, *viewers]:
            assert page.errors == []  # type: ignore[attr-defined]
        sales = [e["flash_sale"] for e in watcher.events if e["type"] == "flash_sale.updated"]
        assert sales[-1]["state"] == "sold_out" and sales[-1]["units_left"] == 0
        assert [s["version"] for s in sales] == sorted({s["version"] for s in sales})


def kinds(events: list[dict[str, Any]]) -> dict[str, int]:
    """How many distinct orders each kind of order event was verified for."""
    orders: dict[str, set[str]] = {}
    for event in events:
        if event["type"].startswith("order."):
            orders.setdefault(event["type"], set()).add(event["data"]["order"]["id"])
    return {kind: len(ids) for kind, ids in orders.items()}


async def talk(viewers: list[Page]) -> None:
    """A word in the chat reaches every page, as text."""
    words = "<b>hello</b> 你好"
    await viewers[0].get_by_test_id("chat-input").fill(words)
    await viewers[0].get_by_test_id("chat-send").click()
    await viewers[0].get_by_test_id("name-input").fill("Anna")
    await viewers[0].get_by_test_id("name-save").click()
    for viewer in viewers:
        await expect(viewer.get_by_test_id("chat-row").filter(has_text=words)).to_be_visible()


async def buy_all(viewers: list[Page]) -> None:
    """Three get one each; the fourth, whose sheet is open already, is told in words."""
    for viewer in viewers:
        await viewer.get_by_test_id("buy-button").first.click()
    for buyer in viewers[:UNITS]:
        await buyer.get_by_test_id("buy-confirm").click()
        await expect(buyer.get_by_test_id("order-state")).to_have_text("To be paid")
    late = viewers[-1]
    # pressed as it is: live, or dead already because the room said "sold out" first
    await late.get_by_test_id("buy-confirm").evaluate("button => { button.click(); }")
    await expect(late.get_by_text("sold out", exact=False).first).to_be_visible()


async def see_nothing_left(viewers: list[Page]) -> None:
    for viewer in viewers:
        left = viewer.get_by_test_id("flash-card").get_by_test_id("flash-left")
        await expect(left).to_contain_text("0", timeout=SEEN_MS)


async def test_three_viewers_buy_and_the_fourth_is_told(demo: Server) -> None:
    """Console, four browsers, the official Python client, the desk and the receiver agree."""
    await sell_three(demo)


async def test_the_same_with_two_workers_on_postgresql(
    make_server: Callable[..., Server], postgres_url: str
) -> None:
    """Viewers on two workers, the writer in a third process, the truth in PostgreSQL."""
    server = make_server("--demo", "--workers", "2", LIVESERVER_DATABASE_URL=postgres_url)
    await sell_three(server)
