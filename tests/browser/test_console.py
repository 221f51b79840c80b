"""The console as a seller uses it: undo, hold, keys, drag, one hand, two operators, prompter."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, expect

from loadtest.server import Server
from loadtest.shop import Shop
from tests.browser.conftest import SIZES, Visit
from tests.browser.test_pages import axe, start_sale

pytestmark = pytest.mark.browser

CONSOLE = "/console/demo"
HOLD_SECONDS = 2


@pytest.fixture(scope="module")
def tokens() -> dict[str, str]:
    """Signing in is slow on purpose: once is enough."""
    return {}


@pytest.fixture(autouse=True)
async def usual_room(shop: Server, tokens: dict[str, str]) -> AsyncIterator[None]:
    """The demo room is live with its shelf in order, the first product explained, no notice."""

    async def restore() -> None:
        async with Shop(shop.base) as api:
            if "streamer" not in tokens:
                tokens["streamer"] = await api.sign_in("streamer", "demo")
            token = tokens["streamer"]
            products = (await api.call("GET", "/v1/rooms/demo/products", token))["items"]
            skus = {item["sku"]: item["id"] for item in products}
            order = [skus[f"demo-{number}"] for number in range(1, 9)]
            await api.call("PUT", "/v1/rooms/demo/shelf", token, {"product_ids": order})
            await api.call("POST", "/v1/rooms/demo/pin", token, {"product_id": order[0]})
            await api.call("POST", "/v1/rooms/demo/notice", token, {"text": None})
            room = (await api.call("GET", "/v1/rooms/demo"))["room"]
            if room["state"] != "live":
                await api.call("POST", "/v1/rooms/demo/start", token)

    await restore()
    yield
    await restore()


async def console(visit: Visit, **more: Any) -> Page:
    """The console, connected."""
    page = await visit(CONSOLE, **{"user": "streamer", "size": "desktop", "language": "en", **more})
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    return page


async def hold(page: Page, testid: str) -> None:
    await page.get_by_test_id(testid).hover()
    await page.mouse.down()


def shelf(page: Page) -> Any:
    return page.get_by_test_id("shelf-row")


async def ids(page: Page) -> list[str]:
    found: list[str] = await shelf(page).evaluate_all(
        "rows => rows.map((row) => row.dataset.product)"
    )
    return found


async def test_what_hurts_can_be_taken_back(visit: Visit) -> None:
    """Unpinning, taking off the shelf and taking down a notice say the way back, and it works."""
    page = await console(visit)
    before = await ids(page)
    await shelf(page).nth(0).get_by_test_id("unpin").click()
    await expect(page.get_by_test_id("ack")).to_contain_text("confirmed by the server")
    await expect(page.get_by_test_id("unpin")).to_have_count(0)
    await page.get_by_test_id("undo").click()
    await expect(shelf(page).nth(0).get_by_test_id("unpin")).to_be_visible()
    await expect(page.get_by_test_id("undo-bar")).to_be_hidden()
    await shelf(page).nth(0).get_by_test_id("shelf-remove").click()
    await expect(shelf(page)).to_have_count(len(before) - 1)
    await page.get_by_test_id("undo").click()
    await expect(shelf(page).nth(0)).to_have_attribute("data-product", before[0])
    await expect(shelf(page).nth(0).get_by_test_id("unpin")).to_be_visible()
    assert await ids(page) == before
    await page.get_by_test_id("notice-input").fill("Back in five minutes")
    await page.get_by_test_id("notice-save").click()
    await page.get_by_test_id("notice-clear").click()
    await expect(page.get_by_test_id("notice-input")).to_have_value("")
    await page.get_by_test_id("undo").click()
    await expect(page.get_by_test_id("notice-input")).to_have_value("Back in five minutes")


async def test_the_end_is_held_and_the_report_opens(visit: Visit) -> None:
    """A press explains itself; Enter held for two seconds ends the show and shows its report."""
    page = await console(visit)
    end = page.get_by_test_id("end-show")
    await end.click()
    await expect(page.get_by_test_id("toast").first).to_contain_text(f"Hold for {HOLD_SECONDS}")
    await expect(page.get_by_test_id("console-state")).to_have_text("Live")
    await end.focus()
    await page.keyboard.down("Enter")
    await expect(end).to_contain_text("Keep holding")
    await expect(end).to_have_class("button danger hold held")
    await page.wait_for_url("**/shows/*")
    await page.keyboard.up("Enter")
    await expect(page.get_by_test_id("show-report")).to_be_visible()


async def test_a_sale_is_stopped_only_by_holding(visit: Visit, shop: Server) -> None:
    """Its units can be changed meanwhile; a short press on "stop" does nothing."""
    sale = await start_sale(shop, "demo-3", 5)
    page = await console(visit)
    row = page.locator(f'[data-testid=sale-row][data-sale="{sale}"]')
    await row.get_by_test_id("sale-more-units").click()
    await expect(row).to_have_attribute("data-left", "6")
    await row.get_by_test_id("sale-cancel").click()
    await page.get_by_test_id("cancel-void").click()
    await expect(row).to_have_attribute("data-phase", "open")
    await hold(page, "cancel-void")
    await expect(row).to_have_attribute("data-phase", "cancelled")
    await page.mouse.up()


async def test_without_a_connection_nothing_is_sent_or_kept(visit: Visit) -> None:
    """Offline a press is refused in words; back online nothing happens by itself."""
    page = await console(visit)
    await page.context.set_offline(True)
    await expect(page.get_by_test_id("console-cut")).to_be_visible()
    await shelf(page).nth(4).get_by_test_id("pin").click()
    await expect(page.get_by_test_id("toast").last).to_contain_text("nothing is sent")
    await page.context.set_offline(False)
    await expect(page.get_by_test_id("console-cut")).to_be_hidden()
    await expect(shelf(page).nth(0).get_by_test_id("unpin")).to_be_visible()
    await shelf(page).nth(4).get_by_test_id("pin").click()
    await expect(shelf(page).nth(4).get_by_test_id("unpin")).to_be_visible()


async def test_keys_explain_products_unless_switched_off_or_typing(visit: Visit) -> None:
    page = await console(visit)
    await page.locator("body").press("3")
    await expect(shelf(page).nth(2).get_by_test_id("unpin")).to_be_visible()
    await page.get_by_test_id("chat-input").press("5")
    await expect(page.get_by_test_id("chat-input")).to_have_value("5")
    await page.get_by_test_id("keys-toggle").uncheck()
    await page.locator("body").press("6")
    await page.get_by_test_id("keys-toggle").check()
    await expect(shelf(page).nth(2).get_by_test_id("unpin")).to_be_visible()


async def test_the_shelf_is_sorted_by_dragging(visit: Visit) -> None:
    """The third row dragged above the first is first, for everybody."""
    page = await console(visit)
    before = await ids(page)
    grip = shelf(page).nth(2).get_by_test_id("shelf-grip")
    there = await shelf(page).nth(0).bounding_box()
    assert there is not None
    await grip.hover()
    await page.mouse.down()
    await page.mouse.move(there["x"] + 20, there["y"] + 8, steps=4)
    await page.mouse.up()
    await expect(shelf(page).nth(0)).to_have_attribute("data-product", before[2])
    assert await ids(page) == [before[2], before[0], before[1], *before[3:]]


async def test_two_operators_see_each_others_actions(visit: Visit, shop: Server) -> None:
    """Who did what stands in the other's list, and in the list of one who comes later."""
    host = await console(visit)
    helper = await console(visit, user="moderator", bypass_csp=True)
    await shelf(helper).nth(1).get_by_test_id("pin").click()
    newest = host.get_by_test_id("activity-row").first
    await expect(newest).to_have_attribute("data-type", "shelf.pinned")
    await expect(newest).to_have_attribute("data-own", "false")
    await expect(newest).to_contain_text("is explaining")
    await expect(helper.get_by_test_id("activity-row").first).to_contain_text("You")
    await start_sale(shop, "demo-4", 3)
    await expect(helper.get_by_test_id("activity-row").first).to_contain_text("started a sale")
    await helper.reload()
    await expect(helper.get_by_test_id("activity-row").first).to_contain_text("started a sale")
    await expect(host.locator("[data-metric=online]")).not_to_have_attribute("data-now", "0")
    await expect(host.get_by_test_id("metric-mark").first).to_be_visible()
    assert await axe(helper) == []


async def test_the_preview_shows_what_viewers_will_see(visit: Visit) -> None:
    """List price, countdown and units; before the start it says so."""
    page = await console(visit)
    await page.get_by_test_id("sale-product").select_option(index=2)
    await page.get_by_test_id("sale-price").fill("19.90")
    await page.get_by_test_id("sale-units").fill("7")
    card = page.get_by_test_id("sale-preview").get_by_test_id("flash-card")
    await expect(card).to_have_attribute("data-phase", "upcoming")
    await expect(card.get_by_test_id("flash-price")).to_contain_text("19.90")
    await expect(card.locator(".list-price")).to_be_visible()
    await expect(card.get_by_test_id("flash-left")).to_contain_text("7")


async def test_on_a_phone_one_thumb_sells(visit: Visit) -> None:
    """Chat over the picture, the row under the thumb, the rest in sheets; nothing is too small."""
    page = await console(visit, size="phone", bypass_csp=True)
    await expect(page.get_by_test_id("console")).to_have_attribute("data-layout", "phone")
    assert await axe(page) == []
    await page.get_by_test_id("phone-pin-next").click()
    await expect(page.get_by_test_id("ack")).to_contain_text("no. 2")
    await expect(page.get_by_test_id("phone-pin-next")).to_contain_text("no. 3")
    row = await page.get_by_test_id("phone-row").bounding_box()
    assert row is not None and row["y"] > SIZES["phone"]["height"] * 0.8
    sizes = await page.locator("[data-testid=phone-row] button, .phone-way").evaluate_all(
        "all => all.filter((one) => !one.hidden).map((one) => one.getBoundingClientRect())"
        ".map((box) => Math.min(box.width, box.height))"
    )
    assert min(sizes) >= 44
    for name in ("picture", "notice", "talk", "metrics", "more", "shelf"):
        await page.locator(f'[data-testid=phone-way][data-panel="{name}"]').click()
        await expect(page.get_by_test_id(f"sheet-{name}")).to_be_visible()
        if name in ("shelf", "metrics", "more"):
            assert await axe(page) == []
        if name == "shelf":
            await shelf(page).nth(1).get_by_test_id("unpin").click()
        await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("undo-bar")).to_be_visible()
    await page.get_by_test_id("phone-flash").click()
    await page.get_by_test_id("sale-units").fill("2")
    await page.get_by_test_id("sale-start").click()
    await expect(page.get_by_test_id("sale-row").first).to_have_attribute("data-left", "2")


async def test_a_camera_that_was_refused_is_asked_for_again(visit: Visit) -> None:
    """No empty choices meanwhile; once the browser may, a press shows the preview."""
    page = await console(visit, bypass_csp=True)
    await page.evaluate("""() => {
      let asked = 0;
      navigator.mediaDevices.getUserMedia = async () => {
        asked += 1;
        if (asked === 1) throw new DOMException("no", "NotAllowedError");
        return document.createElement("canvas").captureStream();
      };
    }""")
    await page.get_by_test_id("go-camera").click()
    await expect(page.get_by_test_id("go-problem")).to_contain_text("try again")
    await expect(page.get_by_test_id("go-camera-select")).to_be_hidden()
    await expect(page.get_by_test_id("go-mic-select")).to_be_hidden()
    assert await axe(page) == []
    await page.get_by_test_id("go-again").click()
    await expect(page.get_by_test_id("go-next")).to_be_enabled()
    await expect(page.get_by_test_id("go-problem")).to_be_hidden()
    await expect(page.get_by_test_id("go-again")).to_be_hidden()


async def test_the_host_reads_from_the_prompter(visit: Visit, shop: Server) -> None:
    """The product, the running sale and what viewers ask, as large text."""
    page = await console(visit)
    async with page.context.expect_page() as opened:
        await page.get_by_test_id("open-prompter").click()
    prompter = await opened.value
    await expect(prompter.get_by_test_id("prompter-number")).to_have_text("No. 1")
    await shelf(page).nth(3).get_by_test_id("pin").click()
    await expect(prompter.get_by_test_id("prompter-number")).to_have_text("No. 4")
    sale = await start_sale(shop, "demo-4", 9)
    await expect(prompter.get_by_test_id("prompter-sale")).to_have_attribute("data-sale", sale)
    await expect(prompter.get_by_test_id("prompter-left")).to_have_text("9")
    await page.get_by_test_id("chat-input").fill("Is it <sweet>?")
    await page.get_by_test_id("chat-send").click()
    await expect(prompter.get_by_test_id("prompter-question").first).to_contain_text("<sweet>")
