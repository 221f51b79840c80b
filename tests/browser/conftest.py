"""One demo shop for all page tests, and people who look at it in Chromium."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from loadtest.server import Server
from tests.conftest import without
from tests.e2e.browser import chromium, sign_in

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
#: a busy machine may take its time; nothing waits longer than it must
expect.set_options(timeout=15_000)
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 800}}

#: what browsers say of refusals and of lost networks, which the pages tell in words
EXPECTED = ("Failed to load resource", "ERR_INTERNET_DISCONNECTED")

Visit = Callable[..., Awaitable[Page]]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A demo shop that the page tests share; each test starts its own sales."""
    without("browser")
    server = Server(tmp_path_factory.mktemp("pages") / "data")
    yield server.start()
    server.stop()


@pytest.fixture
async def visit(shop: Server) -> AsyncIterator[Visit]:
    """
    `await visit(path, user=…, size=…, language=…)`: a new person on a page, ready. Whatever the
    browser complains about (a blocked script, an error) fails the test at its end.
    """
    complaints: list[str] = []
    async with chromium() as browser:

        async def visit(
            path: str,
            *,
            user: str = "",
            size: str = "phone",
            language: str = "zh-CN",
            **more: object,
        ) -> Page:
            context = await browser.new_context(
                base_url=shop.base,
                viewport=SIZES[size],  # type: ignore[arg-type]
                locale=language,
                bypass_csp=bool(more.pop("bypass_csp", False)),
                **more,  # type: ignore[arg-type]
            )
            page = await context.new_page()
            page.on("pageerror", lambda error: complaints.append(f"{path}: {error}"))
            page.on(
                "console",
                lambda line: (
                    complaints.append(f"{path}: {line.text}")
                    if line.type == "error" and not any(words in line.text for words in EXPECTED)
                    else None
                ),
            )
            if user:
                await sign_in(page, user)
            await page.goto(path)
            await page.wait_for_selector("html[data-ready=true]")
            return page

        yield visit
    assert complaints == []
