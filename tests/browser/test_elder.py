"""Elder mode, measured against the rules for elders: sizes of words and controls, nothing moves."""

from typing import Any

import pytest
from playwright.async_api import expect

from loadtest.server import Server
from loadtest.shop import Shop
from tests.browser.conftest import Visit
from tests.browser.test_pages import axe

#: what is too small among all that can be seen, in CSS px; links inside a sentence have its size
MEASURE = """() => {
  const seen = (e) => e.checkVisibility ? e.checkVisibility() && e.getClientRects().length
    : e.getClientRects().length;
  const found = [];
  const name = (e) => `${e.tagName}.${e.className}[${e.dataset.testid || ""}]`;
  for (const e of document.querySelectorAll("body *")) {
    if (!seen(e) || e.closest(".sr, [aria-hidden=true], svg")) continue;
    const style = getComputedStyle(e);
    const own = Array.from(e.childNodes).some((n) => n.nodeType === 3 && n.data.trim());
    if (own && parseFloat(style.fontSize) < 18) found.push(`${name(e)} text ${style.fontSize}`);
    const gap = parseFloat(style.lineHeight) / parseFloat(style.fontSize);
    if (own && gap < 1.25) found.push(`${name(e)} line ${gap}`);
    if (style.animationName !== "none") found.push(`${name(e)} moves`);
    if (!e.matches("a, button, select, input:not([type=checkbox],[type=radio],[type=range])"))
      continue;
    if (e.matches("p a, li a, .skip, .brand") && style.display === "inline") continue;
    if (e.classList.contains("skip")) continue;
    const box = e.getBoundingClientRect();
    if (box.height < 59.5 || box.width < 59.5)
      found.push(`${name(e)} ${Math.round(box.width)}×${Math.round(box.height)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("path", ["/", "/rooms/demo", "/orders", "/login"])
async def test_words_and_controls_are_large_enough(visit: Visit, path: str) -> None:
    """Text of at least 18 px, controls of at least 60, nothing that moves, and axe is content."""
    page = await visit(f"{path}?elder=1", bypass_csp=True)
    await expect(page.locator("html")).to_have_class("elder")
    small: list[Any] = await page.evaluate(MEASURE)
    assert small == []
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    assert await axe(page) == []


async def test_it_is_remembered_and_left_again(visit: Visit) -> None:
    page = await visit("/")
    await page.get_by_test_id("elder").click()
    await expect(page.locator("html")).to_have_class("elder")
    await page.goto("/rooms/demo")
    await expect(page.locator("html")).to_have_class("elder")
    await page.get_by_test_id("settings-open").click()
    await page.get_by_test_id("settings").get_by_test_id("elder").click()
    await expect(page.locator("html")).not_to_have_class("elder")


async def test_what_is_sold_stays_in_sight(visit: Visit, shop: Server) -> None:
    """However much is announced above it, the card's buttons are not covered or pushed out."""
    async with Shop(shop.base) as api:
        token = await api.sign_in("streamer", "demo")
        await api.call("POST", "/v1/rooms/demo/notice", token, {"text": "今晚八点上新，" * 20})
        try:
            page = await visit("/rooms/demo?elder=1")
            await expect(page.get_by_test_id("notice")).to_be_visible()
            hit = """(e) => {
              const { left, right, top, bottom } = e.getBoundingClientRect();
              return [top + 2, bottom - 2].every((y) =>
                e.contains(document.elementFromPoint((left + right) / 2, y)));
            }"""
            way = page.locator("[data-testid=pinned-buy]:visible, [data-testid=buy-button]:visible")
            assert await way.first.evaluate(hit)  # another test's sale may stand there
        finally:
            await api.call("POST", "/v1/rooms/demo/notice", token, {"text": None})


async def test_one_press_says_a_sentence(visit: Visit) -> None:
    """No danmaku, no hearts; one card; ready sentences instead of typing."""
    page = await visit("/rooms/demo?elder=1", user="streamer", language="en")
    await expect(page.get_by_test_id("room")).to_have_attribute("data-connection", "live")
    await page.get_by_test_id("phrases").get_by_text("Thank you").click()
    await expect(page.get_by_test_id("chat-row").filter(has_text="Thank you").last).to_be_visible()
    await expect(page.get_by_test_id("danmaku-toggle")).to_be_hidden()
    await page.get_by_test_id("like-button").click()
    await expect(page.locator(".heart")).to_have_count(0)
