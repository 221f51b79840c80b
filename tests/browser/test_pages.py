"""Every page in a real browser: accessible, in both languages, and every state in words."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from loadtest.server import Server
from loadtest.shop import Shop
from tests.browser.conftest import AXE

pytestmark = pytest.mark.browser

Visit = Callable[..., Awaitable[Page]]

#: path -> who looks
PAGES = {
    "/": "",
    "/rooms/demo": "",
    "/rooms/no-such-room": "",
    "/login": "",
    "/orders": "",
    "/setup?token=used": "",
    "/console/demo": "streamer",
    "/merchant": "merchant",
    "/merchant#orders": "merchant",
    "/merchant#webhooks": "merchant",
}
HAN = re.compile(r"[\u4e00-\u9fff]")


async def axe(page: Page) -> list[str]:
    """What axe finds against WCAG 2.2 A and AA and its best practices, one line a rule."""
    await page.add_script_tag(path=AXE)
    found: dict[str, Any] = await page.evaluate(
        "() => axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa',"
        " 'wcag22aa', 'best-practice']})"
    )
    return [
        f"{rule['id']}: {node['html'][:200]} — {node['failureSummary'][:300]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


async def start_sale(shop: Server, sku: str, units: int, **more: Any) -> str:
    """A flash sale alone on the stage, open to guests unless said otherwise; answers its id."""
    async with Shop(shop.base) as api:
        token = await api.sign_in("streamer", "demo")
        for known in (await api.call("GET", "/v1/rooms/demo"))["flash_sales"]:
            if known["state"] in ("scheduled", "running", "sold_out"):
                path = f"/v1/flash-sales/{known['id']}/cancel"
                await api.call("POST", path, token, {"orders": "honour"})
        sale = await api.start_sale(token, "demo", sku, units, **{"buyers": "guest", **more})
    return str(sale["id"])


def card(page: Page, sale: str) -> Any:
    return page.locator(f'flash-card[data-sale="{sale}"]')


@pytest.mark.parametrize(
    ("size", "language"),
    [
        ("phone", "zh-CN"),
        ("desktop", "en"),
        pytest.param("phone", "en", marks=pytest.mark.nightly),
        pytest.param("desktop", "zh-CN", marks=pytest.mark.nightly),
    ],
)
async def test_every_page_is_accessible_and_in_its_language(
    visit: Visit, size: str, language: str
) -> None:
    """Axe finds nothing, nothing scrolls sideways, and no text of the page is left untranslated."""
    findings: list[str] = []
    for path, user in PAGES.items():
        scheme = "dark" if (size == "phone") == (language == "en") else "light"
        page = await visit(
            path, user=user, size=size, language=language, bypass_csp=True, color_scheme=scheme
        )
        assert await page.locator("html").get_attribute("lang") == language
        findings += [f"{path} {scheme}: {line}" for line in await axe(page)]
        wide = await page.evaluate("() => document.documentElement.scrollWidth > innerWidth")
        findings += [f"{path}: scrolls sideways"] if wide else []
        heading = await page.locator("h1").first.inner_text()
        if language == "en" and not path.startswith(("/rooms/demo", "/console")):
            assert not HAN.search(heading), path
        await page.context.close()
    assert not findings, "\n".join(findings)


async def test_the_sheets_are_accessible(visit: Visit, shop: Server) -> None:
    """Shelf, product, name and buy sheet hold focus, close with Escape, and pass axe."""
    sale = await start_sale(shop, "demo-5", 5)
    page = await visit("/rooms/demo", bypass_csp=True, color_scheme="light")
    for button, sheet in (
        (page.get_by_test_id("shelf-open"), "shelf-sheet"),
        (page.get_by_test_id("pinned-card"), "product-sheet"),
        (card(page, sale).get_by_test_id("buy-button"), "buy-sheet"),
    ):
        await button.click()
        await expect(page.get_by_test_id(sheet)).to_be_visible()
        assert await axe(page) == []
        await page.keyboard.press("Escape")
        await expect(page.get_by_test_id(sheet)).to_have_count(0)
        await expect(button).to_be_focused()


async def test_watching_asks_for_nothing_and_the_first_words_for_a_name(visit: Visit) -> None:
    """No dialog until the first words; then a name, once; markup shows as text."""
    page = await visit("/rooms/demo", language="en")
    await expect(page.get_by_test_id("chat-input")).to_be_enabled()
    await expect(page.locator("dialog")).to_have_count(0)
    words = "<img src=x onerror=alert(1)> & <b>bold</b>"
    await page.get_by_test_id("chat-input").fill(words)
    await page.get_by_test_id("chat-send").click()
    await page.get_by_test_id("name-input").fill("Anna")
    await page.get_by_test_id("name-save").click()
    row = page.get_by_test_id("chat-row").filter(has_text=words)
    await expect(row).to_be_visible()
    await expect(row).to_contain_text("Anna")
    assert await page.locator("chat-panel img, chat-panel b").count() == 0
    await page.get_by_test_id("chat-input").fill("again")
    await page.get_by_test_id("chat-send").click()
    await expect(page.get_by_test_id("chat-row").filter(has_text="again")).to_be_visible()
    await expect(page.get_by_test_id("name-sheet")).to_have_count(0)


async def test_a_newcomer_reads_what_was_said_before(visit: Visit) -> None:
    first = await visit("/rooms/demo", user="streamer")
    await first.get_by_test_id("chat-input").fill("said before you came")
    await first.get_by_test_id("chat-send").click()
    row = first.get_by_test_id("chat-row").filter(has_text="said before you came")
    await expect(row.first).to_be_visible()
    second = await visit("/rooms/demo")
    there = second.get_by_test_id("chat-row").filter(has_text="said before you came")
    await expect(there.first).to_be_visible()


async def test_the_chat_stays_at_its_end_until_the_reader_scrolls_up(
    visit: Visit, shop: Server
) -> None:
    """A sale that takes its room does not unstick it; scrolled up, a pill counts what is new."""
    speaker = await visit("/rooms/demo", user="streamer")
    reader = await visit("/rooms/demo", language="en")

    async def say(words: str) -> None:
        await speaker.get_by_test_id("chat-input").fill(words)
        await speaker.get_by_test_id("chat-send").click()
        await expect(reader.get_by_test_id("chat-row").filter(has_text=words)).to_have_count(1)

    for number in range(8):
        await say(f"line {number}, long enough to fill more than half of a row on a phone")
    sale = await start_sale(shop, "demo-3", 5)
    await expect(card(reader, sale)).to_be_visible()
    await say("the last one")
    await expect(reader.get_by_text("the last one")).to_be_in_viewport()
    await reader.get_by_test_id("chat-log").evaluate("log => { log.scrollTop = 0; }")
    await say("one more")
    await expect(reader.get_by_test_id("chat-new")).to_have_text("1 new message")
    await reader.get_by_test_id("chat-new").click()
    await expect(reader.get_by_text("one more")).to_be_in_viewport()
    await expect(reader.get_by_test_id("chat-new")).to_be_hidden()


async def test_danmaku_flies_over_every_page_and_can_be_switched_off(visit: Visit) -> None:
    """Shown to the others; off means gone, and off again after a reload."""
    sender = await visit("/rooms/demo", user="streamer")
    watcher = await visit("/rooms/demo")
    await expect(watcher.get_by_test_id("room")).to_have_attribute("data-connection", "live")
    await sender.get_by_test_id("chat-mode").click()
    await sender.get_by_test_id("chat-input").fill("飞过去")
    await sender.get_by_test_id("chat-send").click()
    flying = watcher.get_by_test_id("danmaku-item").filter(has_text="飞过去")
    await expect(flying.first).to_be_visible()
    toggle = watcher.get_by_test_id("danmaku-toggle")
    await toggle.click()
    await expect(toggle).to_have_attribute("aria-pressed", "false")
    await expect(watcher.get_by_test_id("danmaku-item")).to_have_count(0)
    await watcher.reload()
    await expect(toggle).to_have_attribute("aria-pressed", "false")


async def test_nothing_flies_for_people_who_want_less_motion(visit: Visit) -> None:
    """Nor can they throw one, which they would not see themselves."""
    page = await visit("/rooms/demo", reduced_motion="reduce")
    toggle = page.get_by_test_id("danmaku-toggle")
    await expect(toggle).to_have_attribute("aria-pressed", "false")
    await expect(toggle).to_be_hidden()
    await expect(page.get_by_test_id("chat-mode")).to_be_hidden()


async def test_two_presses_on_the_picture_are_a_like(visit: Visit) -> None:
    """And on a card they are not: that is what they are for there."""
    page = await visit("/rooms/demo")
    await expect(page.get_by_test_id("room")).to_have_attribute("data-connection", "live")
    likes = page.get_by_test_id("likes")
    before = int(await likes.inner_text())
    await page.get_by_test_id("stage").dblclick(position={"x": 60, "y": 240})
    await expect(likes).to_have_text(str(before + 1))
    await page.get_by_test_id("pinned-card").dispatch_event("dblclick")
    await page.get_by_test_id("stage").dispatch_event("dblclick")
    await expect(likes).to_have_text(str(before + 2))


async def test_buying_shows_the_order_with_its_deadline_then_paid(
    visit: Visit, shop: Server
) -> None:
    """Card → sheet → order with deadline → paid; the list of orders knows it too."""
    sale = await start_sale(shop, "demo-4", 2)
    page = await visit("/rooms/demo", language="en")
    await card(page, sale).get_by_test_id("buy-button").click()
    await page.get_by_test_id("buy-confirm").click()
    order = page.get_by_test_id("order-card")
    await expect(order).to_have_attribute("data-state", "reserved")
    await expect(order.get_by_test_id("order-deadline")).to_have_text(re.compile(r"0[45]:\d\d"))
    await order.get_by_test_id("order-pay").click()
    await expect(order).to_have_attribute("data-state", "paid")
    await page.get_by_test_id("buy-sheet-close").click()
    await expect(card(page, sale)).to_contain_text("You got it")
    await page.goto("/orders")
    await expect(page.get_by_test_id("order-card")).to_have_attribute("data-state", "paid")


async def test_a_cancelled_order_frees_its_unit_for_everybody(visit: Visit, shop: Server) -> None:
    """Sold out in words, then one left again when the only order is cancelled, after a question."""
    sale = await start_sale(shop, "demo-6", 1)
    buyer = await visit("/rooms/demo", language="en")
    other = await visit("/rooms/demo", language="en")
    await card(buyer, sale).get_by_test_id("buy-button").click()
    await buyer.get_by_test_id("buy-confirm").click()
    await expect(card(other, sale)).to_have_attribute("data-phase", "sold_out")
    await expect(card(other, sale).get_by_test_id("flash-words")).to_contain_text("All taken")
    await buyer.get_by_test_id("order-cancel").click()
    await buyer.get_by_test_id("ask-yes").click()
    cancelled = buyer.get_by_test_id("order-card")
    await expect(cancelled).to_have_attribute("data-state", "cancelled")
    await expect(card(other, sale)).to_have_attribute("data-phase", "open")


async def test_the_limit_per_person_is_told_in_words(visit: Visit, shop: Server) -> None:
    """Two pages of one person: the second press is refused with the reason, in the sheet."""
    sale = await start_sale(shop, "demo-7", 5)
    page = await visit("/rooms/demo", language="en")
    second = await page.context.new_page()
    await second.goto("/rooms/demo")
    await card(second, sale).get_by_test_id("buy-button").click()
    await second.evaluate("() => localStorage.clear()")
    await card(page, sale).get_by_test_id("buy-button").click()
    await page.get_by_test_id("buy-confirm").click()
    await expect(page.get_by_test_id("order-card")).to_be_visible()
    await second.get_by_test_id("buy-confirm").click()
    await expect(second.get_by_test_id("buy-problem")).to_contain_text("limit per person")


async def test_a_sale_for_accounts_sends_guests_to_the_sign_in_and_back(
    visit: Visit, shop: Server
) -> None:
    sale = await start_sale(shop, "demo-8", 5, buyers="account")
    page = await visit("/rooms/demo")
    await card(page, sale).get_by_test_id("buy-button").click()
    await page.get_by_test_id("buy-login").click()
    await page.get_by_test_id("login-user").fill("moderator")
    await page.get_by_test_id("login-password").fill("wrong")
    await page.get_by_test_id("login-submit").click()
    await expect(page.get_by_test_id("login-problem")).to_be_visible()
    await page.get_by_test_id("login-password").fill("demo")
    await page.get_by_test_id("login-submit").click()
    await expect(page).to_have_url(re.compile(r"/rooms/demo$"))
    await card(page, sale).get_by_test_id("buy-button").click()
    await expect(page.get_by_test_id("buy-confirm")).to_be_enabled()


async def test_a_lost_connection_is_named_and_comes_back_by_itself(visit: Visit) -> None:
    """The bar names the loss, the composer says why it waits, and both recover in silence."""
    open_sockets: list[WebSocketRoute] = []
    blocked = False

    async def route(socket: WebSocketRoute) -> None:
        if blocked:
            await socket.close(code=3000, reason="cut")
            return
        socket.connect_to_server()
        open_sockets.append(socket)

    page = await visit("/login", language="en")
    await page.route_web_socket("**/connection/websocket", route)
    await page.goto("/rooms/demo")
    bar, composer = page.get_by_test_id("connection"), page.get_by_test_id("chat-input")
    await expect(bar).to_have_attribute("data-state", "live")
    await expect(bar).to_be_hidden()
    blocked = True
    await open_sockets[-1].close(code=3000, reason="cut")
    await expect(bar).to_contain_text("Reconnecting")
    await expect(composer).to_be_disabled()
    blocked = False
    await expect(bar).to_have_attribute("data-state", "live", timeout=20_000)
    await expect(composer).to_be_enabled()


@pytest.mark.parametrize(("size", "language"), [("phone", "zh-CN"), ("desktop", "en")])
async def test_a_room_is_shared_by_a_code_and_by_its_address(
    visit: Visit, shop: Server, size: str, language: str
) -> None:
    """Without what one's own address held; where the clipboard is closed, the address is marked."""
    page = await visit("/rooms/demo?elder=0&x=1", size=size, language=language, bypass_csp=True)
    await page.get_by_test_id("share-open").click()
    address = f"{shop.base}/rooms/demo"
    await expect(page.get_by_test_id("share-code")).to_have_attribute("data-address", address)
    field = page.get_by_test_id("share-address")
    await expect(field).to_have_value(address)
    assert await axe(page) == []
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_test_id("share-copy").click()
    await expect(page.get_by_test_id("toast")).to_contain_text(
        ["已复制", "copied"][size != "phone"]
    )
    assert await page.evaluate("navigator.clipboard.readText()") == address
    await page.evaluate(
        "() => { navigator.clipboard.writeText = () => Promise.reject(new Error()); }"
    )
    await page.get_by_test_id("share-copy").click()
    await expect(field).to_be_focused()
    assert await page.evaluate("getSelection().toString()") == address
    other = page.get_by_test_id("language")
    await page.get_by_test_id("share-close").click()
    if size == "phone":  # there is no room for it at the top
        await expect(other).to_be_hidden()
        await page.get_by_test_id("settings-open").click()
    await other.last.click()
    await expect(page.locator("html")).not_to_have_attribute("lang", language)


#: whether a press on the middle of this, and near both of its ends, presses this
REACHED = """(e) => {
  const { left, right, top, bottom } = e.getBoundingClientRect();
  return [left + 8, (left + right) / 2, right - 8].every((x) =>
    e.contains(document.elementFromPoint(x, (top + bottom) / 2)));
}"""


@pytest.mark.parametrize("size", [(844, 390), (667, 375), (320, 568)])
async def test_on_its_side_or_small_a_phone_has_everything_in_reach(
    visit: Visit, shop: Server, size: tuple[int, int]
) -> None:
    """Nothing lies over anything else that is pressed, and there is room to write."""
    await start_sale(shop, "demo-3", 5)
    page = await visit("/rooms/demo", language="en")
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    await expect(page.get_by_test_id("chat-input")).to_be_enabled()
    for name in ("nav-lobby", "share-open", "settings-open", "nav-orders", "buy-button",
                 "shelf-open", "chat-mode", "chat-input", "chat-send", "like-button"):  # fmt: skip
        assert await page.get_by_test_id(name).first.evaluate(REACHED), name
    box = await page.get_by_test_id("chat-input").bounding_box()
    assert box is not None and box["width"] >= 60
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_the_language_is_changed_by_a_button_and_kept(visit: Visit) -> None:
    page = await visit("/", language="zh-CN")
    await page.get_by_test_id("language").click()
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await page.goto("/orders")
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await page.goto("/orders?lang=zh-CN")
    await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")


async def test_the_console_asks_twice_for_a_very_low_price(visit: Visit) -> None:
    """Both prices stand in the question; confirmed, the sale starts and can be stopped."""
    page = await visit("/console/demo", user="streamer", size="desktop", language="en")
    await page.get_by_test_id("sale-price").fill("1.00")
    await page.get_by_test_id("sale-units").fill("2")
    await expect(page.get_by_test_id("sale-low-price")).to_contain_text("¥1.00")
    await page.get_by_test_id("sale-start").click()
    await expect(page.get_by_test_id("sale-problem")).to_be_visible()
    await expect(page.get_by_test_id("sale-confirm-low")).to_be_focused()
    before = await page.get_by_test_id("sale-row").count()
    await page.get_by_test_id("sale-confirm-low").check()
    await page.get_by_test_id("sale-start").click()
    await expect(page.get_by_test_id("sale-row")).to_have_count(before + 1)
    newest = page.get_by_test_id("sale-row").first
    await newest.get_by_test_id("sale-cancel").click()
    await page.get_by_test_id("cancel-void").hover()
    await page.mouse.down()
    await expect(newest).to_have_attribute("data-phase", "cancelled")


async def test_the_console_pins_sorts_and_gives_notice(visit: Visit) -> None:
    """What the streamer does, the viewer sees."""
    console = await visit("/console/demo", user="streamer", size="desktop", language="en")
    viewer = await visit("/rooms/demo", language="en")
    third = console.get_by_test_id("shelf-row").nth(2)
    product = await third.get_attribute("data-product")
    await third.get_by_test_id("pin").click()
    await expect(viewer.get_by_test_id("pinned-card")).to_have_attribute(
        "data-product", product or ""
    )
    await third.get_by_test_id("shelf-up").click()
    second = console.get_by_test_id("shelf-row").nth(1)
    await expect(second).to_have_attribute("data-product", product or "")
    await console.get_by_test_id("notice-input").fill("Back in five minutes")
    await console.get_by_test_id("notice-save").click()
    await expect(viewer.get_by_test_id("notice")).to_contain_text("Back in five minutes")
    await console.get_by_test_id("notice-clear").click()
    await expect(viewer.get_by_test_id("notice")).to_be_hidden()


async def test_a_show_ends_for_everybody_and_can_start_again(visit: Visit) -> None:
    """Held, the button ends it; the viewer reads it; the console starts the next one."""
    console = await visit("/console/demo", user="streamer", size="desktop", language="en")
    viewer = await visit("/rooms/demo", language="en")
    await console.get_by_test_id("end-show").hover()
    await console.mouse.down()
    await console.wait_for_url("**/shows/*")
    await console.mouse.up()
    await expect(viewer.get_by_test_id("room-state")).to_have_text("Ended")
    await expect(viewer.get_by_test_id("stage-words")).to_contain_text("ended")
    await expect(viewer.get_by_test_id("replay")).to_have_attribute("href", re.compile("^/shows/"))
    await console.goto("/console/demo")
    await console.get_by_test_id("start-show").click()
    await expect(viewer.get_by_test_id("room-state")).to_have_text("Live")


async def test_the_desk_makes_and_stocks_a_product(visit: Visit) -> None:
    """Create, refuse a second one of the same code in words, change the stock, grant it."""
    page = await visit("/merchant", user="merchant", size="desktop", language="en")

    async def make() -> None:
        await page.get_by_test_id("product-sku").fill("tea-50")
        await page.get_by_test_id("product-title-input").fill("Oolong <50 g>")
        await page.get_by_test_id("product-price-input").fill("48")
        await page.get_by_test_id("product-save").click()

    await page.get_by_test_id("product-new").click()
    await make()
    row = page.locator('[data-testid=product-row][data-sku="tea-50"]')
    await expect(row).to_contain_text("Oolong <50 g>")
    await page.get_by_test_id("product-new").click()
    await make()
    await expect(page.get_by_test_id("product-problem")).to_be_visible()
    await page.keyboard.press("Escape")
    await row.get_by_test_id("product-stock").click()
    await page.get_by_test_id("stock-delta").fill("25")
    await page.get_by_test_id("stock-save").click()
    await expect(row).to_have_attribute("data-stock", "25")
    await row.get_by_test_id("product-grant").click()
    await page.get_by_test_id("grant-floor").fill("30.00")
    await page.get_by_test_id("grant-save").click()
    await expect(page.get_by_test_id("grant-row")).to_contain_text("¥30.00")


async def test_the_desk_shows_a_webhook_secret_once_and_every_delivery(visit: Visit) -> None:
    """A private address is refused in words; the demo's own endpoint can be tested."""
    page = await visit("/merchant#webhooks", user="merchant", size="desktop", language="en")
    await page.get_by_test_id("endpoint-url").fill("http://10.0.0.1/hook")
    await page.get_by_test_id("endpoint-save").click()
    await expect(page.get_by_test_id("endpoint-problem")).to_be_visible()
    await page.get_by_test_id("endpoint-rotate").first.click()
    await page.get_by_test_id("ask-yes").click()
    await expect(page.get_by_test_id("endpoint-secret")).to_contain_text("whsec_")
    await page.reload()
    await expect(page.get_by_test_id("endpoint-row").first).to_be_visible()
    await expect(page.get_by_test_id("endpoint-secret")).to_have_count(0)


@pytest.mark.parametrize("path", ["/console/demo", "/merchant", "/setup"])
async def test_a_page_for_staff_tells_others_where_to_sign_in(visit: Visit, path: str) -> None:
    page = await visit(path)
    await expect(page.get_by_test_id("empty")).to_be_visible()
    await expect(page.get_by_test_id("sign-in-here")).to_have_attribute(
        "href", re.compile(r"^/login\?next=")
    )
