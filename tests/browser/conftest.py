"""One demo shop for all page tests, and people who look at it in Chromium."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from loadtest.server import Server
from tests.browser.storefront import storefront
from tests.conftest import without
from tests.e2e.browser import chromium, sign_in

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
#: a busy machine may take its time; nothing waits longer than it must
expect.set_options(timeout=15_000)
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 800}}

#: what browsers say of refusals and of lost networks, which the pages tell in words
EXPECTED = ("Failed to load resource", "ERR_INTERNET_DISCONNECTED", "frame-ancestors")

Visit = Callable[..., Awaitable[Page]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of this folder share a browser, so they share the event loop that talks to it."""
    for item in items:
        if item.path.parent == Path(__file__).parent and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session", name="storefront")
def running_storefront() -> Iterator[Any]:
    """The example of a shop that holds a live room in its page, on a site of its own."""
    with storefront() as front:
        yield front


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, storefront: Any) -> Iterator[Server]:
    """A demo shop that the page tests share; each test starts its own sales."""
    without("browser")
    environ = {"LIVESERVER_EMBED_ORIGINS": storefront.origin}
    server = Server(tmp_path_factory.mktemp("pages") / "data", environ).start()
    storefront.live = server.base
    yield server
    server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all page tests; every person in it has cookies and storage of their own."""
    without("browser")
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def visit(shop: Server, browser: Browser) -> AsyncIterator[Visit]:
    """
    `await visit(path, user=…, size=…, language=…)`: a new person on a page, ready. Whatever the
    browser complains about (a blocked script, an error) fails the test at its end.
    """
    complaints: list[str] = []
    people: list[BrowserContext] = []

    async def visit(
        path: str,
        *,
        user: str = "",
        size: str = "phone",
        language: str = "zh-CN",
        ready: str = "html[data-ready=true]",
        **more: object,
    ) -> Page:
        context = await browser.new_context(
            base_url=shop.base,
            viewport=SIZES[size],  # type: ignore[arg-type]
            locale=language,
            bypass_csp=bool(more.pop("bypass_csp", False)),
            **more,  # type: ignore[arg-type]
        )
        people.append(context)
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
        await page.wait_for_selector(ready)
        return page

    yield visit
    for context in people:
        await context.close()  # nothing happens where the test closed it itself
    assert complaints == []
