"""A demo shop on a LAN address with HTTPS; Chromium sends a camera from it and watches it."""

import asyncio
import sys
from pathlib import Path

from playwright.async_api import Page, async_playwright, expect

from loadtest.server import Server
from tests.e2e.browser import CHROMIUM, FLAGS, person
from tests.media.test_browser import FAKE, goes_live, moving, playing


async def visit(page: Page, path: str) -> None:
    await page.goto(path)
    await page.wait_for_selector("html[data-ready=true]")


async def main(folder: Path, address: str) -> None:
    lan = {"LAN": "1", "LIVESERVER_MEDIA_UDP_PORT": "0"}
    shop = Server(folder / "data", lan)
    await asyncio.to_thread(shop.start)
    try:
        assert shop.base == f"https://{address}:{shop.port}", shop.base
        password = shop.wait_for(rb"streamer, password ([^)]+)\)")
        async with async_playwright() as play:
            browser = await play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *FAKE])
            host = await person(browser, shop.base)
            await visit(host, "/login")
            await host.get_by_test_id("login-user").fill("streamer")
            await host.get_by_test_id("login-password").fill(password)
            await host.get_by_test_id("login-submit").click()
            await expect(host.get_by_test_id("login-submit")).to_have_count(0)
            await visit(host, "/console/demo")
            await goes_live(host)
            viewer = await person(browser, shop.base)
            await visit(viewer, "/rooms/demo")
            await playing(viewer)
            camera = "() => document.querySelector('video').videoWidth !== 360"
            await viewer.wait_for_function(camera)
            await moving(viewer)
            await browser.close()
        print("a moving picture")
    finally:
        await asyncio.to_thread(shop.stop)


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
