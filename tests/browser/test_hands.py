"""The main job from lobby to paid order: by keyboard alone, by a finger alone, as an elder."""

from typing import Protocol

import pytest
from playwright.async_api import Locator, Page, expect

from loadtest.server import Server
from tests.browser.conftest import SIZES, Visit
from tests.browser.test_pages import axe, start_sale

pytestmark = pytest.mark.browser

#: presses of Tab from anywhere to anything; more is a page that hides its controls
TABS = 90
HERE = "(e) => e === document.activeElement"
FOCUS_IS_SEEN = """(e) => {
  const box = e.getBoundingClientRect();
  const style = getComputedStyle(e);
  const round = getComputedStyle(e.closest("form, label, .composer") || e);
  const ring = (s) => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0;
  return box.width > 0 && box.bottom > 0 && box.top < innerHeight && (ring(style) || ring(round));
}"""


class Hand(Protocol):
    """How a person reaches things."""

    async def press(self, thing: Locator) -> None: ...

    async def write(self, field: Locator, text: str) -> None: ...


class Keyboard:
    """Tab, Enter, letters. What has the focus is in sight and looks like it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def reach(self, thing: Locator) -> None:
        await expect(thing).to_be_visible()
        for _ in range(TABS):
            if await thing.evaluate(HERE):
                assert await thing.evaluate(FOCUS_IS_SEEN), f"no focus to be seen on {thing}"
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"{thing} is not reached by {TABS} presses of Tab")

    async def press(self, thing: Locator) -> None:
        await self.reach(thing)
        await self.page.keyboard.press("Enter")

    async def write(self, field: Locator, text: str) -> None:
        await self.reach(field)
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.type(text)


class Finger:
    """Taps on a phone; what is tapped is large enough and nothing lies over it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def press(self, thing: Locator) -> None:
        await expect(thing).to_be_enabled()
        box = await thing.bounding_box()
        assert box is not None and min(box["width"], box["height"]) >= 24, f"{thing}: {box}"
        await thing.tap()

    async def write(self, field: Locator, text: str) -> None:
        await self.press(field)
        await field.press("Control+A")
        await self.page.keyboard.type(text)  # the phone's own keyboard


async def buys(page: Page, hand: Hand, sale: str) -> None:
    """From the lobby into the room, first words, the sale, payment, the list of orders."""
    await hand.press(page.locator('[data-room="demo"] a').first)
    room = page.get_by_test_id("room")
    await expect(room).to_have_attribute("data-connection", "live")
    await hand.write(page.get_by_test_id("chat-input"), "What a fine lamp")
    await hand.press(page.get_by_test_id("chat-send"))
    await hand.write(page.get_by_test_id("name-input"), "Robin")
    await hand.press(page.get_by_test_id("name-save"))
    mine = page.get_by_test_id("chat-row").filter(has_text="What a fine lamp")
    await expect(mine.filter(has_text="Robin").last).to_be_visible()
    if await page.get_by_test_id("shelf-open").is_visible():  # wide pages show it all the time
        await hand.press(page.get_by_test_id("shelf-open"))
        await expect(page.get_by_test_id("shelf-sheet")).to_be_visible()
        await hand.press(page.get_by_test_id("shelf-sheet-close"))
        await expect(page.get_by_test_id("shelf-sheet")).to_have_count(0)
    card = page.locator(f'flash-card[data-sale="{sale}"]')
    await expect(card).to_have_attribute("data-phase", "open", timeout=20_000)
    await hand.press(card.get_by_test_id("buy-button"))
    await hand.press(page.get_by_test_id("buy-confirm"))
    order = page.get_by_test_id("order-card")
    await hand.press(order.get_by_test_id("order-pay"))
    await expect(order).to_have_attribute("data-state", "paid")
    await hand.press(page.get_by_test_id("orders-link"))
    await expect(page.get_by_test_id("orders")).to_be_visible()
    paid = page.get_by_test_id("order-card").first
    await expect(paid).to_have_attribute("data-state", "paid")


async def sells(page: Page, hand: Hand) -> str:
    """The host starts a sale of two; answers its id."""
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    flash = page.get_by_test_id("phone-flash")
    if await flash.count():
        await hand.press(flash)
    await hand.write(page.get_by_test_id("sale-units"), "2")
    await hand.press(page.get_by_test_id("sale-more").locator("summary"))
    await hand.write(page.get_by_test_id("sale-countdown"), "0")
    async with page.expect_response("**/v1/rooms/demo/flash-sales") as answered:
        await hand.press(page.get_by_test_id("sale-start"))
    return str((await (await answered.value).json())["id"])


async def clear(shop: Server) -> None:
    """No sale of another test stands on the stage."""
    await start_sale(shop, "demo-8", 1, duration_seconds=1)


async def test_by_keyboard_alone(visit: Visit, shop: Server) -> None:
    """Host and viewer on a desktop; every focus is seen; sheets give it back."""
    await clear(shop)
    host = await visit("/console/demo", user="streamer", size="desktop", language="en")
    sale = await sells(host, Keyboard(host))
    viewer = await visit("/", size="desktop", language="en")
    await buys(viewer, Keyboard(viewer), sale)


async def test_by_a_finger_alone(visit: Visit, shop: Server) -> None:
    """Host and viewer on phones of 390 × 844."""
    await clear(shop)
    touch = {"size": "phone", "language": "en", "has_touch": True, "is_mobile": True}
    host = await visit("/console/demo", user="streamer", **touch)
    sale = await sells(host, Finger(host))
    viewer = await visit("/", **touch)
    assert viewer.viewport_size == SIZES["phone"]
    await buys(viewer, Finger(viewer), sale)


async def test_as_an_elder(visit: Visit, shop: Server) -> None:
    """Large print from the lobby on, with a finger."""
    sale = await start_sale(shop, "demo-4", 2)
    touch = {"size": "phone", "language": "en", "has_touch": True, "is_mobile": True}
    viewer = await visit("/?elder=1", **touch)
    await buys(viewer, Finger(viewer), sale)
    await expect(viewer.locator("html")).to_have_class("elder")


async def test_a_tap_leaves_the_picture_alone_and_another_brings_all_back(visit: Visit) -> None:
    """Two taps are a like and clear nothing; the settings do the same without a tap."""
    page = await visit("/rooms/demo", language="en")
    room, stage = page.get_by_test_id("room"), page.get_by_test_id("stage")
    chat, place = page.get_by_test_id("chat-log"), {"x": 60, "y": 240}
    await expect(room).to_have_attribute("data-connection", "live")
    await stage.dblclick(position=place)  # type: ignore[arg-type]
    await page.wait_for_timeout(500)  # longer than a second tap is waited for
    await expect(chat).to_be_visible()
    await stage.click(position=place)  # type: ignore[arg-type]
    await expect(chat).to_be_hidden()
    await expect(page.get_by_test_id("pinned-card")).to_be_hidden()
    await expect(page.get_by_test_id("shelf-open")).to_be_visible()
    await stage.click(position=place)  # type: ignore[arg-type]
    await expect(chat).to_be_visible()
    await page.get_by_test_id("settings-open").click()
    await page.get_by_test_id("clear-switch").check()
    await expect(chat).to_be_hidden()
    await page.get_by_test_id("settings-close").click()
    await page.get_by_test_id("settings-open").click()  # the way back of whoever cannot tap
    await page.get_by_test_id("clear-switch").uncheck()
    await expect(chat).to_be_visible()


async def test_keys_of_a_desktop_room(visit: Visit) -> None:
    """They act where nothing has the focus, never while somebody writes, and can be off."""
    page = await visit("/rooms/demo", language="en", size="desktop", bypass_csp=True)
    await expect(page.get_by_test_id("room")).to_have_attribute("data-connection", "live")
    toggle, field = page.get_by_test_id("danmaku-toggle"), page.get_by_test_id("chat-input")
    before = await toggle.get_attribute("aria-pressed")
    await page.keyboard.press("d")
    await expect(toggle).not_to_have_attribute("aria-pressed", before or "")
    after = await toggle.get_attribute("aria-pressed")
    await page.keyboard.press("/")
    await expect(page.get_by_test_id("shortcuts")).to_contain_text("Sound on or off")
    assert await axe(page) == []
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("shortcuts")).to_have_count(0)
    await page.keyboard.press("c")
    await expect(field).to_be_focused()
    await page.keyboard.type("kmd/")
    await expect(field).to_have_value("kmd/")
    await expect(toggle).to_have_attribute("aria-pressed", after or "")
    await page.get_by_test_id("settings-open").click()
    await page.get_by_test_id("shortcuts-switch").uncheck()
    await page.get_by_test_id("settings-close").click()
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("d")
    await page.keyboard.press("/")
    await expect(toggle).to_have_attribute("aria-pressed", after or "")
    await expect(page.get_by_test_id("shortcuts")).to_have_count(0)


async def test_a_long_shelf_can_be_searched(visit: Visit) -> None:
    """By a word of the title, by the number that the host says, and in vain."""
    page = await visit("/rooms/demo", language="en", bypass_csp=True)
    await page.get_by_test_id("shelf-open").click()
    sheet = page.get_by_test_id("shelf-sheet")
    rows, search = sheet.get_by_test_id("shelf-item"), sheet.get_by_test_id("shelf-search")
    await expect(search).to_be_visible()
    all_of_them = await rows.count()
    await search.fill("lamp")
    await expect(rows.filter(visible=True)).to_have_count(1)
    await search.fill("3")
    await expect(rows.filter(visible=True)).to_have_count(1)
    await expect(rows.nth(2)).to_be_visible()
    await search.fill("submarine")
    await expect(sheet.get_by_test_id("shelf-none")).to_have_text(
        "Nothing on the shelf is called that."
    )
    assert await axe(page) == []
    await search.fill("")
    await expect(rows.filter(visible=True)).to_have_count(all_of_them)
