"""The waiting list in the live room, and a planned sale in the console."""

import os
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.test_pages import axe

pytestmark = pytest.mark.browser

Visit = Callable[..., Awaitable[Page]]
SEND = """async ([path, body]) => {
  const answer = await fetch(path, {
    method: "POST", body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", "Idempotency-Key": String(Math.random()) },
  });
  return answer.json();
}"""


async def send(page: Page, path: str, **body: Any) -> Any:
    """What the person on this page asks of the API."""
    return await page.evaluate(SEND, [path, body])


async def picture(page: Page, name: str) -> None:
    """Look at it: `LOOK_AT=folder` keeps pictures of what this test saw."""
    if folder := os.environ.get("LOOK_AT"):
        await page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.parametrize(
    ("size", "language"),
    [("phone", "zh-CN"), pytest.param("desktop", "en", marks=pytest.mark.nightly)],
)
async def test_a_buyer_lines_up_and_gets_what_comes_back(
    visit: Visit, size: str, language: str
) -> None:
    """Sold out, place in line, out and in again, my turn with a countdown, paid."""
    merchant = await visit("/merchant", user="merchant", language="en")
    sale = await send(
        merchant, "/v1/rooms/demo/flash-sales", sku="demo-6", price_cents=9900, units=1,
        duration_seconds=120, confirm_low_price=True,
    )  # fmt: skip
    other = await visit("/rooms/demo", language="en")
    order = await send(other, f"/v1/flash-sales/{sale['id']}/reservations", quantity=1)
    page = await visit("/rooms/demo", size=size, language=language, bypass_csp=True)
    card = page.locator(f'flash-card[data-sale="{sale["id"]}"]')
    await expect(card).to_have_attribute("data-phase", "sold_out")
    await card.get_by_test_id("waitlist-join").click()
    place = card.get_by_test_id("waitlist-position")
    await expect(place).to_contain_text("1")
    await picture(page, f"in line {size}")
    assert await axe(page) == []
    await card.get_by_test_id("waitlist-leave").click()
    await card.get_by_test_id("waitlist-join").click()
    await expect(place).to_contain_text("1")
    await page.reload()
    await expect(place).to_contain_text("1")

    await send(other, f"/v1/orders/{order['id']}/cancel")
    await expect(card.get_by_test_id("flash-words")).to_contain_text(re.compile(r"0[0-5]:\d\d"))
    turn = {"zh-CN": "轮到你了", "en": "Your turn"}[language]
    await expect(card.get_by_test_id("flash-words")).to_contain_text(turn)
    await picture(page, f"my turn {size}")
    await card.get_by_test_id("order-button").click()
    await page.get_by_test_id("order-pay").click()
    await expect(page.get_by_test_id("order-card")).to_have_attribute("data-state", "paid")
    await send(merchant, f"/v1/flash-sales/{sale['id']}/cancel", orders="honour")


async def test_a_streamer_plans_a_sale(visit: Visit) -> None:
    """A moment in the device's own zone; the sale waits in the console with its countdown."""
    page = await visit("/console/demo", user="streamer", size="desktop", language="en")
    await page.get_by_test_id("sale-more").locator("summary").click()
    await page.get_by_test_id("sale-price").fill("900")
    starts = datetime.now(UTC).astimezone() + timedelta(hours=30)
    await page.get_by_test_id("sale-starts-at").fill(starts.strftime("%Y-%m-%dT%H:%M:%S"))
    await picture(page, "planned in the console")
    async with page.expect_response("**/v1/rooms/demo/flash-sales") as answered:
        await page.get_by_test_id("sale-start").click()
    sale = await (await answered.value).json()
    assert sale["state"] == "scheduled"
    row = page.locator(f'[data-sale="{sale["id"]}"][data-phase="upcoming"]').first
    await expect(row).to_contain_text(re.compile(r"(29|30):\d\d:\d\d"))
    await send(page, f"/v1/flash-sales/{sale['id']}/cancel", orders="honour")
