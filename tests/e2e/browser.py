"""What people do in a browser, as functions over Playwright pages."""

import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "google-chrome"
#: Parts of a window that are pages of their own: two more processes for each person.
OWN_PAGES = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup")
#: The last list counts, so this one repeats what Playwright leaves out.
LEFT_OUT = (
    *OWN_PAGES,
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades"),
    *("HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding"),
    *("ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints"),
    *("NetworkTimeServiceQuerying", "AimEnabled", "PreconnectToSearch"),
)
#: quiet: nothing but the server under test is ever asked
FLAGS = [
    f"--disable-features={','.join(LEFT_OUT)}",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = Path(__file__).resolve().parent.parent.parent / "docs" / "screenshots"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


async def person(
    browser: Browser, base: str, size: dict[str, int] = PHONE, language: str = "en"
) -> Page:
    """A new person: own cookies, own storage. Errors of the page end the test that sees them."""
    context: BrowserContext = await browser.new_context(
        base_url=base,
        viewport={"width": size["width"], "height": size["height"]},
        locale=language,
        ignore_https_errors=True,
    )
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.errors = errors  # type: ignore[attr-defined]
    return page


async def sign_in(page: Page, user: str, password: str = "demo") -> None:
    await page.goto("/login")
    await page.get_by_test_id("login-user").fill(user)
    await page.get_by_test_id("login-password").fill(password)
    await page.get_by_test_id("login-submit").click()
    await expect(page.get_by_test_id("login-form")).to_have_count(0)


async def start_sale(page: Page, *, units: int, price: str, countdown: int) -> None:
    """The console's form: three inputs, and the countdown among the further options."""
    await page.get_by_test_id("sale-price").fill(price)
    await page.get_by_test_id("sale-units").fill(str(units))
    await page.get_by_test_id("sale-more").evaluate("details => { details.open = true; }")
    await page.get_by_test_id("sale-countdown").fill(str(countdown))
    await page.get_by_test_id("sale-start").click()


async def buy(page: Page) -> None:
    """From the flash card to the answer."""
    await page.get_by_test_id("flash-card").get_by_test_id("buy-button").click()
    await page.get_by_test_id("buy-confirm").click()


async def shoot(page: Page, name: str) -> None:
    """A picture for the documents: where it is missing, or all anew with `SCREENSHOTS=1`."""
    file = SCREENSHOTS / f"{name}.png"
    if not file.exists() or os.environ.get("SCREENSHOTS"):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=file)


def verified_events(data: Path) -> list[dict[str, Any]]:
    """What the sample receiver verified and kept."""
    file = data / "demo-receiver" / "events.jsonl"
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
