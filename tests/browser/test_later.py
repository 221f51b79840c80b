"""What the room loads before it can be used, and what presses bring later."""

from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from loadtest.server import Server
from tests.browser.conftest import Visit
from tests.browser.test_pages import start_sale
from tests.static.test_budget import PLAYER, STATIC, first, graph, later

pytestmark = pytest.mark.browser

SCRIPTS = """() => performance.getEntriesByType("resource")
  .map((one) => new URL(one.name).pathname).filter((path) => path.endsWith(".js"))"""


def addresses(modules: set[Path]) -> set[str]:
    return {f"/static/{module.relative_to(STATIC).as_posix()}" for module in modules}


async def test_a_ready_room_has_loaded_what_the_budget_counts(visit: Visit, shop: Server) -> None:
    """Nothing more at first; the buying sheets by themselves once the socket stands."""
    await start_sale(shop, "demo-7", 3)  # a line before a sold-out one would come too
    page = await visit("/login", language="en")
    await page.route_web_socket("**/connection/websocket", lambda _: None)  # never stands
    await page.goto("/rooms/demo")
    await page.wait_for_selector("html[data-ready=true]")
    own = {path for path in await page.evaluate(SCRIPTS) if "/vendor/" not in path}
    assert own - addresses(graph([PLAYER])) == addresses(first() - graph([PLAYER]))
    page = await visit("/rooms/demo", language="en")
    await page.wait_for_function(
        f"() => ({SCRIPTS})().some((path) => path.endsWith('/room-settings.js'))"
    )
    come = {path for path in await page.evaluate(SCRIPTS) if "/vendor/" not in path}
    assert come <= addresses(first() | later())


async def test_a_press_whose_module_does_not_come_is_answered_in_words(
    visit: Visit, shop: Server
) -> None:
    """One more try by itself, then words; the network is back: the next press opens the sheet."""
    sale = await start_sale(shop, "demo-7", 3)
    page = await visit("/login", language="en")
    tries: list[str] = []

    async def cut(route: Route) -> None:
        tries.append("")
        await route.abort("internetdisconnected")

    await page.route("**/components/buy-flash.js", cut)
    await page.goto("/rooms/demo")
    button = page.locator(f'flash-card[data-sale="{sale}"] button').first
    await button.click()
    await expect(page.get_by_test_id("toast").last).to_contain_text("did not load")
    assert len(tries) >= 2
    await expect(page.locator("dialog")).to_have_count(0)
    await page.unroute("**/components/buy-flash.js")
    await button.click()
    await expect(page.get_by_test_id("buy-sheet")).to_have_count(1)
