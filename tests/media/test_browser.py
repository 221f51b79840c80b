"""Chromium through our own pages: it goes live with a camera, another watches, media dies."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, Error, Page, async_playwright, expect

from loadtest.server import Server
from tests.conftest import without
from tests.e2e.browser import CHROMIUM, FLAGS, sign_in

pytestmark = pytest.mark.browser

FAKE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SECONDS = 20_000  # milliseconds; a busy machine may take its time
MICROPHONE = (
    "() => document.querySelector('[data-testid=own-picture]').srcObject"
    ".getAudioTracks()[0].enabled"
)
BACK_SECONDS = 10.0  # from the death of the media process to a moving picture, as promised
WATCH = """
() => {
  const room = document.querySelector("[data-testid=room]");
  window.lost = [];
  window.before = document.querySelector("video").srcObject;
  new MutationObserver(() => window.lost.push(room.dataset.connection))
    .observe(room, {attributes: true, attributeFilter: ["data-connection"]});
}
"""
RENEWED = """
() => {
  const video = document.querySelector("video");
  return video.srcObject && video.srcObject !== window.before && video.currentTime > 0
    && document.querySelector("[data-testid=video]").dataset.picture === "playing";
}
"""
FRAMES = "() => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    without("browser")
    data = tmp_path_factory.mktemp("video") / "data"
    server = Server(data, {"LIVESERVER_MEDIA_UDP_PORT": "0"})
    yield server.start()
    server.stop()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as play:
        made = await play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *FAKE])
        yield made
        await made.close()


async def visit(browser: Browser, shop: Server, path: str, user: str = "") -> Page:
    context = await browser.new_context(
        base_url=shop.base, viewport={"width": 390, "height": 844}, locale="en"
    )
    page = await context.new_page()
    if user:
        await sign_in(page, user)
    await page.goto(path)
    await page.wait_for_selector("html[data-ready=true]")
    return page


async def playing(page: Page) -> None:
    video = page.get_by_test_id("video")
    await expect(video).to_have_attribute("data-picture", "playing", timeout=SECONDS)


async def moving(page: Page, seconds: float = 15.0) -> None:
    """More pictures are shown than a moment ago."""
    before: Any = await page.evaluate(FRAMES)
    deadline = time.monotonic() + seconds
    while await page.evaluate(FRAMES) <= before:
        assert time.monotonic() < deadline, "the picture stands still"
        await asyncio.sleep(0.1)


async def panel(page: Page, name: str) -> None:
    """One of the console's sheets on a phone."""
    await page.locator(f"[data-testid=phone-way][data-panel={name}]").click()


async def sending(host: Page) -> None:
    """The host's own camera fills the console; the sheet has made room for it."""
    stage = host.get_by_test_id("console-stage")
    await expect(stage).to_have_attribute("data-picture", "own", timeout=SECONDS)
    await expect(host.get_by_test_id("sheet-picture")).to_have_count(0, timeout=SECONDS)
    await expect(host.get_by_test_id("own-picture")).to_be_visible()


async def test_the_demo_moves_and_sound_takes_one_press(browser: Browser, shop: Server) -> None:
    """Without a camera, an account or a question."""
    page = await visit(browser, shop, "/rooms/demo")
    await playing(page)
    await moving(page)
    assert await page.evaluate("() => document.querySelector('video').muted")
    await expect(page.get_by_test_id("video-delay")).to_be_visible(timeout=SECONDS)
    await page.get_by_test_id("video-unmute").click()
    await expect(page.get_by_test_id("video-mute")).to_be_focused()
    assert not await page.evaluate("() => document.querySelector('video').muted")


async def test_a_streamer_goes_live_in_three_screens(browser: Browser, shop: Server) -> None:
    """Camera, preflight, live: the viewer gets the camera's picture in place of the clip."""
    viewer = await visit(browser, shop, "/rooms/demo")
    await playing(viewer)
    assert await viewer.evaluate("() => document.querySelector('video').videoWidth") == 360
    host = await visit(browser, shop, "/console/demo", "streamer")
    await panel(host, "picture")
    await host.get_by_test_id("go-camera").click()
    await expect(host.get_by_test_id("go-next")).to_be_enabled(timeout=SECONDS)
    assert await host.get_by_test_id("go-camera-select").locator("option").count() >= 1
    assert await host.get_by_test_id("go-mic-select").locator("option").count() >= 1
    meter = "() => document.querySelector('[data-testid=go-meter]').value > 0.01"
    await host.wait_for_function(meter, timeout=SECONDS)  # the fake microphone beeps
    await host.get_by_test_id("go-next").click()
    for name in ("uplink", "clock", "stock", "webhooks"):
        row = host.locator(f"[data-testid=preflight-row][data-name={name}]")
        await expect(row).not_to_have_attribute("data-verdict", "open", timeout=SECONDS)
    await host.get_by_test_id("go-start").click()
    await sending(host)
    mute = host.get_by_test_id("phone-mute")
    for pressed, heard in (("true", False), ("false", True)):
        await mute.click()
        await expect(mute).to_have_attribute("aria-pressed", pressed)
        assert await host.evaluate(MICROPHONE) == heard
    camera = "() => document.querySelector('video').videoWidth !== 360"
    await viewer.wait_for_function(camera, timeout=SECONDS)
    async with unaided(viewer, shop):  # both sides of it come back, each by itself
        pass
    await viewer.wait_for_function(camera, timeout=SECONDS)
    await panel(host, "picture")
    await expect(host.get_by_test_id("video-state")).to_contain_text("You are sending")
    await host.get_by_test_id("go-stop").click()
    clip = "() => document.querySelector('video').videoWidth === 360"
    await viewer.wait_for_function(clip, timeout=SECONDS)  # the demo's clip is back


async def test_video_comes_back_by_itself_after_kill_9(browser: Browser, shop: Server) -> None:
    """The demo's clip moves again within ten seconds; chat does not notice."""
    page = await visit(browser, shop, "/rooms/demo", "moderator")
    await playing(page)
    async with unaided(page, shop):
        await page.get_by_test_id("chat-input").fill("still here")
        await page.get_by_test_id("chat-send").click()
        await expect(page.get_by_test_id("chat-row").last).to_contain_text("still here")


@contextlib.asynccontextmanager
async def unaided(page: Page, shop: Server) -> AsyncIterator[None]:
    """
    Kills the media process. After the block the page has a new picture that moves, ten seconds
    after the kill at the latest, over the socket that it had. Where others keep every core busy
    twice over, a new process takes that much longer to start.
    """
    crowded = os.getloadavg()[0] / (2 * (os.cpu_count() or 1))
    seconds = BACK_SECONDS * max(1.0, crowded)
    await page.evaluate(WATCH)
    (media,) = [one for one in shop.workers() if one.cmdline()[-1].startswith("media-")]
    os.kill(media.pid, signal.SIGKILL)
    killed = time.monotonic()
    yield
    left = (seconds - (time.monotonic() - killed)) * 1_000
    await page.wait_for_function(RENEWED, timeout=max(1.0, left))
    await moving(page)
    lost = set(await page.evaluate("() => window.lost"))
    assert lost <= {"live"}, lost  # the socket of chat and sales stayed


SALE = """
async (sku) => (await (await fetch("/v1/rooms/demo/flash-sales", {
  method: "POST", headers: {"content-type": "application/json"},
  body: JSON.stringify({sku, price_cents: 100, units: 3, duration_seconds: 600,
                        host_away: "pause", confirm_low_price: true}),
})).json()).id
"""


async def goes_live(page: Page) -> None:
    await panel(page, "picture")
    await page.get_by_test_id("go-camera").click()
    await expect(page.get_by_test_id("go-next")).to_be_enabled(timeout=SECONDS)
    await page.get_by_test_id("go-next").click()
    await page.get_by_test_id("go-start").click()
    await sending(page)


async def vanish(page: Page) -> None:
    """As a phone whose battery is empty: nobody is left to say anything."""
    cut = await page.context.new_cdp_session(page)
    with contextlib.suppress(TimeoutError, Error):
        await asyncio.wait_for(cut.send("Page.crash"), 1.0)


async def test_a_host_who_vanishes_stops_what_should_stop_and_comes_back(
    browser: Browser, shop: Server
) -> None:
    """
    Ten seconds after a phone died everybody knows, and sales that should pause do. An assistant
    lets one of them go on; another phone brings the picture back, and the other sale with it. The
    place stays the host's, so this comes last.
    """
    viewer = await visit(browser, shop, "/rooms/demo")
    host = await visit(browser, shop, "/console/demo", "streamer")
    await goes_live(host)
    await playing(viewer)
    assistant = await visit(browser, shop, "/console/demo", "streamer")
    one, two = [await assistant.evaluate(SALE, sku) for sku in ("demo-1", "demo-2")]
    cards = {sale: viewer.locator(f"flash-card[data-sale={sale}]") for sale in (one, two)}
    for card in cards.values():
        await expect(card).to_have_attribute("data-phase", "open", timeout=SECONDS)
    await vanish(host)
    words = viewer.get_by_test_id("video-words")
    await expect(words).to_contain_text("back soon", timeout=10_000)
    for card in cards.values():
        await expect(card).to_have_attribute("data-phase", "paused", timeout=SECONDS)
        await expect(card.get_by_test_id("buy-button")).to_be_disabled()
    await assistant.get_by_test_id("phone-flash").click()
    row = assistant.locator(f"[data-testid=sale-row][data-sale={one}]")
    await expect(row).to_have_attribute("data-phase", "paused", timeout=SECONDS)
    await row.get_by_test_id("sale-go-on").click()
    await expect(cards[one]).to_have_attribute("data-phase", "open", timeout=SECONDS)
    await expect(cards[two]).to_have_attribute("data-phase", "paused")
    await assistant.keyboard.press("Escape")
    await goes_live(assistant)
    await expect(cards[two]).to_have_attribute("data-phase", "open", timeout=SECONDS)
    await playing(viewer)
    await moving(viewer)
