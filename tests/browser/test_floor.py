"""Old browsers read plain words; all others may install the shop."""

import json
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from loadtest.server import Server
from tests.browser.conftest import Visit


@pytest.mark.parametrize("missing", ["delete Element.prototype.replaceChildren",
                                     "delete window.HTMLDialogElement"])  # fmt: skip
async def test_below_the_floor_there_are_plain_words(
    shop: Server, browser: Browser, missing: str
) -> None:
    """What is on sale and at what price, in both languages, without an error."""
    errors: list[str] = []
    page = await browser.new_page(base_url=shop.base)
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.add_init_script(missing)
    await page.goto("/rooms/demo")
    plain = page.get_by_test_id("plain")
    await expect(plain.locator("li")).to_have_count(8)
    await expect(plain).to_contain_text("129.00 CNY")
    await expect(plain).to_contain_text("please update")
    await page.goto("/")
    await plain.locator("a").first.click()
    await expect(page.get_by_test_id("plain").locator("li")).to_have_count(8)
    await page.close()
    assert errors == []


async def test_the_shop_can_be_installed(visit: Visit) -> None:
    """A manifest with name, start, display and icons that are there, as browsers ask for."""
    page = await visit("/")
    href = await page.get_attribute("link[rel=manifest]", "href")
    manifest: dict[str, Any] = json.loads(
        await page.evaluate("(href) => fetch(href).then((answer) => answer.text())", href)
    )
    assert manifest["display"] == "standalone" and manifest["start_url"] == "/"
    sizes = set()
    for icon in manifest["icons"]:
        answer = await page.request.get(icon["src"])
        assert answer.ok and answer.headers["content-type"].startswith(icon["type"])
        sizes.add(icon["sizes"])
    assert {"192x192", "512x512"} <= sizes
