"""Overlays for a streaming program: transparent, current, nothing to press."""

import pytest
from playwright.async_api import expect

from loadtest.server import Server
from tests.browser.conftest import Visit
from tests.browser.test_pages import start_sale


@pytest.mark.parametrize("kind", ["card", "chat", "countdown"])
async def test_an_overlay_is_transparent_and_has_nothing_to_press(visit: Visit, kind: str) -> None:
    page = await visit(f"/overlay/{kind}/demo")
    grounds = await page.evaluate(
        "['html', 'body', 'main'].map((one) =>"
        " getComputedStyle(document.querySelector(one)).backgroundColor)"
    )
    assert set(grounds) == {"rgba(0, 0, 0, 0)"}
    await expect(page.locator("button, a, input")).to_have_count(0)


async def test_card_and_countdown_follow_the_sale(visit: Visit, shop: Server) -> None:
    """What is being explained, until a flash sale starts: then its price, units and time."""
    card = await visit("/overlay/card/demo", size="desktop")
    clock = await visit("/overlay/countdown/demo", size="desktop")
    await expect(card.get_by_test_id("overlay-card")).to_be_visible()
    await start_sale(shop, "demo-6", 7)
    await expect(card.get_by_test_id("overlay-card")).to_contain_text("7")
    await expect(clock.get_by_test_id("overlay-clock")).to_be_visible()


async def test_chat_shows_what_is_said(visit: Visit) -> None:
    overlay = await visit("/overlay/chat/demo", size="desktop")
    speaker = await visit("/rooms/demo", user="streamer")
    await expect(speaker.get_by_test_id("room")).to_have_attribute("data-connection", "live")
    await speaker.get_by_test_id("chat-input").fill("for the overlay")
    await speaker.get_by_test_id("chat-send").click()
    rows = overlay.get_by_test_id("overlay-row").filter(has_text="for the overlay")
    await expect(rows).to_have_count(1)
    await expect(overlay.get_by_test_id("overlay-card")).to_have_count(0)
