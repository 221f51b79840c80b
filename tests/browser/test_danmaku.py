"""What flies over the stage: as somebody wants it, within bounds, gone when it has to go."""

from typing import Any

from playwright.async_api import Page, expect

from loadtest.server import Server
from loadtest.shop import Shop
from tests.browser.conftest import Visit

#: danmaku straight into the layer, as the socket would deliver them
ADD = """([count, text, mode]) => {
  const layer = document.querySelector("danmaku-layer");
  const items = Array.from({length: count}, (_, at) => ({
    id: `test-${at}`, user: {id: `u${at}`, badges: []}, mode, color: null,
    text: text.replace("#", at),
  }));
  layer.add(items, "me");
  return [layer.shown.size, layer.waiting.length, layer.querySelectorAll("*").length];
}"""


async def throw(page: Page, count: int, text: str, mode: str = "scroll") -> list[int]:
    """Shown, waiting, and elements of the layer."""
    numbers: list[int] = await page.evaluate(ADD, [count, text, mode])
    return numbers


async def said(page: Page, sent: list[str], command: str) -> bool:
    """Whether the page sends this within some seconds."""
    for _ in range(100):
        if any(command in frame for frame in sent):
            return True
        await page.wait_for_timeout(50)
    return False


async def live(page: Page) -> None:
    """Connected, and what draws danmaku has come."""
    await expect(page.get_by_test_id("room")).to_have_attribute("data-connection", "live")
    await expect(page.get_by_test_id("danmaku-layer")).to_be_attached()


async def open_room(visit: Visit, **more: Any) -> Page:
    page = await visit("/rooms/demo", **more)
    await live(page)
    return page


async def test_the_same_words_fly_once_with_a_count(visit: Visit) -> None:
    page = await open_room(visit)
    await throw(page, 1, "666")
    await throw(page, 26, "666")
    item = page.get_by_test_id("danmaku-item").filter(has_text="666")
    await expect(item).to_have_count(1)
    await expect(item).to_have_attribute("data-count", "×27")


async def test_a_flood_is_bounded_on_screen_and_in_memory(visit: Visit) -> None:
    """At most 60 on a phone's screen, 200 waiting; elements for those and for their lanes."""
    page = await open_room(visit)
    for round in range(20):
        shown, waiting, elements = await throw(page, 500, f"flood {round} #")
        assert shown <= 60
        assert waiting <= 200
        assert elements <= 60 + 20


async def test_blocked_words_hide_what_says_them(visit: Visit) -> None:
    """Set in the sheet, kept over a reload."""
    page = await open_room(visit)
    await page.get_by_test_id("settings-open").click()
    await page.get_by_test_id("taste-words").fill("spoiler")
    await page.get_by_test_id("settings-close").click()
    for _ in range(2):
        await throw(page, 1, "a SPOILER of the end")
        await throw(page, 1, "hello")
        items = page.get_by_test_id("danmaku-item")
        await expect(items.filter(has_text="hello")).to_have_count(1)
        await expect(items.filter(has_text="SPOILER")).to_have_count(0)
        await page.reload()
        await live(page)


async def test_a_pause_stops_them_where_they_are(visit: Visit) -> None:
    page = await open_room(visit)
    await throw(page, 1, "slowly")
    await page.get_by_test_id("settings-open").click()
    pause = page.get_by_test_id("danmaku-pause")
    await pause.click()
    await expect(pause).to_have_attribute("aria-pressed", "true")
    states = (
        "Array.from(document.querySelector('danmaku-layer').trains, (o) => o.animation.playState)"
    )
    assert await page.evaluate(states) == ["paused"]
    await pause.click()
    assert await page.evaluate(states) == ["running"]


async def test_a_deleted_one_is_gone(visit: Visit) -> None:
    page = await open_room(visit)
    await throw(page, 3, "gone #")
    await page.evaluate(
        "document.querySelector('danmaku-layer').drop('test-1')",
    )
    items = page.get_by_test_id("danmaku-item").filter(has_text="gone")
    await expect(items).to_have_count(2)
    await expect(items.filter(has_text="gone 1")).to_have_count(0)


async def test_hidden_means_unsubscribed_on_the_wire(visit: Visit) -> None:
    """Switched off, the server is told; switched on, it is asked again."""
    page = await open_room(visit)
    sent: list[str] = []
    page.on("websocket", lambda ws: ws.on("framesent", lambda frame: sent.append(str(frame))))
    await page.reload()
    await expect(page.get_by_test_id("room")).to_have_attribute("data-connection", "live")
    toggle = page.get_by_test_id("danmaku-toggle")
    asks = '"subscribe":{"channel":"danmaku:demo"'
    assert await said(page, sent, asks), sent  # later than the room: nothing to end before
    for pressed, command in (("false", f'"un{asks[1:]}'), ("true", asks)):
        sent.clear()
        await toggle.click()
        await expect(toggle).to_have_attribute("aria-pressed", pressed)
        assert await said(page, sent, command), sent


async def test_who_has_them_off_never_loads_what_draws_them(visit: Visit) -> None:
    """Until they throw one: then danmaku are on again, and their own one is seen."""
    page = await open_room(visit)
    toggle = page.get_by_test_id("danmaku-toggle")
    await toggle.click()
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    await page.reload()
    await expect(page.get_by_test_id("room")).to_have_attribute("data-connection", "live")
    await expect(toggle).to_have_attribute("aria-pressed", "false")
    assert not [url for url in fetched if "danmaku/layer" in url or "danmaku/lanes" in url]
    await page.get_by_test_id("chat-mode").click()
    await page.get_by_test_id("chat-input").fill("看得见自己的")
    await page.get_by_test_id("chat-send").click()
    await page.get_by_test_id("name-input").fill("小雨")
    await page.get_by_test_id("name-save").click()
    own = page.get_by_test_id("danmaku-item").filter(has_text="看得见自己的")
    await expect(own).to_be_attached()
    await expect(toggle).to_have_attribute("aria-pressed", "true")


async def test_captions_are_shown_until_somebody_does_not_want_them(
    visit: Visit, shop: Server
) -> None:
    """What a recogniser sends is read within the room; switched off it stays off."""
    page = await open_room(visit)
    async with Shop(shop.base) as api:
        token = await api.sign_in("streamer", "demo")
        for n in range(4):
            words = {"text": f"and now number {n}"}
            await api.call("POST", "/v1/rooms/demo/captions", token, words)
        captions = page.get_by_test_id("caption")
        await expect(captions.last).to_have_text("and now number 3")
        await expect(captions).to_have_count(2)
        await page.get_by_test_id("settings-open").click()
        await page.get_by_test_id("captions-switch").uncheck()
        await page.get_by_test_id("settings-close").click()
        await expect(page.get_by_test_id("caption-lane")).to_be_hidden()
        await page.reload()
        await expect(page.get_by_test_id("room")).to_have_attribute("data-connection", "live")
        await expect(page.get_by_test_id("caption-lane")).to_be_hidden()
