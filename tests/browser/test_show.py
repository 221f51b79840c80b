"""The page of a show: its report for staff, what was said for everybody, files to keep."""

from playwright.async_api import expect

from loadtest.server import Server
from loadtest.shop import Shop
from tests.browser.conftest import Visit
from tests.browser.test_pages import axe


async def newest_show(shop: Server, room: str) -> str:
    async with Shop(shop.base) as api:
        shows = await api.call("GET", f"/v1/rooms/{room}/shows")
    return str(shows["items"][0]["id"])


async def test_staff_read_what_came_of_it_and_others_are_told_it_runs(
    visit: Visit, shop: Server
) -> None:
    """While it runs the archive is for staff, with figures that are there at once."""
    speaker = await visit("/rooms/demo", user="streamer", language="en")
    await expect(speaker.get_by_test_id("room")).to_have_attribute("data-connection", "live")
    await speaker.get_by_test_id("chat-input").fill("for the <archive>")
    await speaker.get_by_test_id("chat-send").click()
    said = speaker.get_by_test_id("chat-row").filter(has_text="for the <archive>")
    await expect(said.first).to_be_visible()
    show = await newest_show(shop, "demo")
    staff = await visit(f"/shows/{show}", user="streamer", language="en", bypass_csp=True)
    for _ in range(50):
        lines = staff.get_by_test_id("show-line").filter(has_text="for the <archive>")
        more = staff.get_by_test_id("show-more")
        while not await lines.count() and await more.is_visible():  # it has run for long
            await more.click()
            await expect(more).to_be_enabled()  # read
        if await lines.count():
            break
        await staff.wait_for_timeout(200)
        await staff.reload()
        await staff.wait_for_selector("html[data-ready=true]")
    await expect(lines.first).to_be_visible()
    figures = staff.get_by_test_id("show-figure")
    await expect(figures.filter(has_text="Messages")).to_be_visible()
    assert await axe(staff) == []
    viewer = await visit(f"/shows/{show}", language="en")
    await expect(viewer.get_by_test_id("show-closed")).to_be_visible()
    await expect(viewer.get_by_test_id("show-report")).to_have_count(0)
    async with staff.expect_download() as download:
        await staff.get_by_test_id("export-jsonl").click()
    assert (await download.value).suggested_filename == f"{show}.jsonl"
