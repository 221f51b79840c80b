"""The pages of the shop's people, of programs, and those around the room."""

import asyncio
from typing import Any

from playwright.async_api import Page, expect

from tests.browser.causes import cause
from tests.browser.causes_room import Cable
from tests.browser.stand import Eyes, Stand, cut, say


@cause("lobby", "live")
async def lobby(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/")


@cause("lobby", "none-live")
async def none_live(stand: Stand, eyes: Eyes) -> Page:
    server = await asyncio.to_thread(stand.another, "empty")
    return await eyes.see("/", base=server.base)


@cause("lobby", "failed")
async def lobby_failed(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/", before=cut("**/v1/rooms?*"))


@cause("nowhere", "nowhere")
async def nowhere(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/no/such/page")


@cause("login", "form")
async def login(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/login")


async def try_login(eyes: Eyes, page: Page) -> Page:
    await page.get_by_test_id("login-user").fill("merchant")
    await page.get_by_test_id("login-password").fill("not the password")
    await page.get_by_test_id("login-submit").click()
    await expect(page.get_by_test_id("login-problem")).to_be_visible()
    return page


@cause("login", "wrong")
async def wrong(_: Stand, eyes: Eyes) -> Page:
    return await try_login(eyes, await eyes.see("/login"))


@cause("login", "failed")
async def login_failed(_: Stand, eyes: Eyes) -> Page:
    page = await eyes.see("/login")
    await page.context.set_offline(True)
    return await try_login(eyes, page)


@cause("console", "signed-out")
async def console_out(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/console/demo")


@cause("console", "not-yours")
async def console_not(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/console/demo", "merchant")


@cause("console", "missing")
async def console_missing(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/console/nowhere", "boss")


async def console(eyes: Eyes, room: str, **more: Any) -> Page:
    page = await eyes.see(f"/console/{room}", "boss", **more)
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live")
    return page


async def panel(page: Page, name: str) -> None:
    """On a phone the panels rise in sheets; the sale's has a thumb-size button."""
    phone = '[data-testid="phone-flash"]' if name == "sale" else f'.phone-way[data-panel="{name}"]'
    way = page.locator(f"{phone}:visible")
    if await way.count():
        await way.click()


@cause("console", "new")
async def console_new(stand: Stand, eyes: Eyes) -> Page:
    page = await console(eyes, await stand.room(live=False, shelf=0))
    return page


@cause("console", "new-sale", brief=True)
async def console_new_sale(stand: Stand, eyes: Eyes) -> Page:
    page = await console(eyes, await stand.room(live=False, shelf=0))
    await panel(page, "sale")
    return page


@cause("console", "nothing-granted", brief=True)
async def console_nothing_granted(stand: Stand, eyes: Eyes) -> Page:
    page = await console(eyes, await stand.room(live=False, shelf=0))
    await panel(page, "shelf")
    return page


@cause("console", "new-shelf", brief=True)
async def console_new_shelf(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room(live=False, shelf=0)
    product = (await stand.products())["demo-1"]
    await stand.call("PUT", f"/v1/products/{product}/grants", "merchant", room=room)
    page = await console(eyes, room)
    await panel(page, "shelf")
    return page


@cause("console", "new-figures", brief=True)
async def console_new_figures(stand: Stand, eyes: Eyes) -> Page:
    page = await console(eyes, await stand.room(live=False, shelf=0))
    await panel(page, "metrics")
    return page


@cause("console", "live")
async def console_live(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room(shelf=5)
    sale = await stand.sale(room)
    viewer = await eyes.enter(room)
    page = await console(eyes, room)
    await say(viewer, "这个多少钱?How much?")
    await stand.reserve(sale, await stand.guest())
    await expect(page.get_by_test_id("chat-row").first).to_be_visible()
    return page


@cause("console", "rehearsal")
async def console_rehearsal(stand: Stand, eyes: Eyes) -> Page:
    return await console(eyes, await stand.rehearsal())


@cause("console", "rehearsal-refused", brief=True)
async def console_rehearsal_refused(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room(live=False)
    await stand.sale(room, countdown_seconds=300)
    page = await console(eyes, room)
    await panel(page, "more")
    await page.get_by_test_id("start-rehearsal").click()
    await page.get_by_test_id("ask-yes").click()
    await expect(page.get_by_test_id("toast")).to_be_visible()
    return page


@cause("console", "cut-off", brief=True)
async def console_cut(stand: Stand, eyes: Eyes) -> Page:
    cable = Cable()
    page = await console(eyes, await stand.room(), before=cable.lay)
    await cable.pull()
    await expect(page.get_by_test_id("console-cut")).to_be_visible()
    return page


async def camera(stand: Stand, eyes: Eyes, error: str) -> Page:
    page = await eyes.person("boss")
    await page.add_init_script(
        "navigator.mediaDevices.getUserMedia = async () => {"
        f" throw new DOMException('no', '{error}'); }};"
    )
    await page.goto(f"/console/{await stand.room()}")
    await page.wait_for_selector("html[data-ready=true]")
    await panel(page, "picture")
    await page.get_by_test_id("go-camera").click()
    await expect(page.get_by_test_id("go-problem")).to_be_visible()
    return page


@cause("console", "camera-denied", brief=True)
async def camera_denied(stand: Stand, eyes: Eyes) -> Page:
    return await camera(stand, eyes, "NotAllowedError")


@cause("console", "no-camera", brief=True)
async def no_camera(stand: Stand, eyes: Eyes) -> Page:
    return await camera(stand, eyes, "NotFoundError")


async def sending(stand: Stand, eyes: Eyes, before: Any = None) -> Page:
    page = await console(
        eyes, await stand.room(), permissions=["camera", "microphone"], before=before
    )
    await panel(page, "picture")
    await page.get_by_test_id("go-camera").click()
    await page.get_by_test_id("go-next").click()
    await page.get_by_test_id("go-start").click()
    stage = page.get_by_test_id("console-stage")
    await expect(stage).to_have_attribute("data-picture", "own", timeout=30_000)
    await expect(stage.locator(".stage-said")).to_be_hidden(timeout=30_000)  # it arrives
    return page


@cause("console", "sending", brief=True)
async def console_sending(stand: Stand, eyes: Eyes) -> Page:
    page = await sending(stand, eyes)
    await asyncio.sleep(1)
    await panel(page, "picture")
    return page


@cause("console", "picture-lost", brief=True)
async def picture_lost(stand: Stand, eyes: Eyes) -> Page:
    page = await sending(stand, eyes)
    await cut("**/whip/**")(page)
    for process in stand.server.children():
        if "media" in " ".join(process.cmdline()):
            process.kill()
    words = page.get_by_test_id("video-state")
    await asyncio.sleep(1)
    await panel(page, "picture")
    await expect(words).to_contain_text("…", timeout=30_000)
    return page


@cause("console", "queue-empty", brief=True)
async def queue_empty(stand: Stand, eyes: Eyes) -> Page:
    page = await console(eyes, await stand.room())
    await panel(page, "talk")
    await page.get_by_test_id("talk-queue").click()
    await expect(page.get_by_test_id("queue-empty")).to_be_visible()
    return page


@cause("console", "log-empty", brief=True)
async def log_empty(stand: Stand, eyes: Eyes) -> Page:
    page = await console(eyes, await stand.room(live=False, shelf=0))
    await panel(page, "talk")
    await page.get_by_test_id("talk-log").click()
    await expect(page.get_by_test_id("log-empty")).to_be_visible()
    return page


@cause("console", "questions-none")
async def questions_none(stand: Stand, eyes: Eyes) -> Page:
    page = await console(eyes, await stand.room())
    await page.get_by_test_id("chat-questions").click()
    return page


@cause("console", "people-empty", brief=True)
async def people_empty(stand: Stand, eyes: Eyes) -> Page:
    page = await console(eyes, await stand.room())
    await panel(page, "talk")
    await page.get_by_test_id("talk-people").click()
    await expect(page.locator("dialog").last).to_be_visible()
    return page


@cause("console", "prompter")
async def prompter(stand: Stand, eyes: Eyes) -> Page:
    return await eyes.see(f"/console/{await stand.room()}?view=prompter", "boss")


@cause("console", "prompter-nothing")
async def prompter_nothing(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room(pin=False)
    return await eyes.see(f"/console/{room}?view=prompter", "boss")


@cause("merchant", "signed-out")
async def merchant_out(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/merchant")


@cause("merchant", "not-yours")
async def merchant_not(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/merchant", "streamer")


@cause("merchant", "failed")
async def merchant_failed(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/merchant", "merchant", before=cut("**/v1/products?*"))


async def new_merchant(stand: Stand, eyes: Eyes, part: str) -> Page:
    name = await stand.user("merchant")
    return await eyes.see(f"/merchant#{part}", name)


@cause("merchant", "no-products")
async def no_products(stand: Stand, eyes: Eyes) -> Page:
    return await new_merchant(stand, eyes, "products")


@cause("merchant", "products")
async def products(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/merchant#products", "merchant")


@cause("merchant", "no-orders")
async def no_orders(stand: Stand, eyes: Eyes) -> Page:
    return await new_merchant(stand, eyes, "orders")


@cause("merchant", "orders")
async def orders(stand: Stand, eyes: Eyes) -> Page:
    await stand.order(await stand.guest("小雨"))
    return await eyes.see("/merchant#orders", "merchant")


@cause("merchant", "order")
async def order(stand: Stand, eyes: Eyes) -> Page:
    made = await stand.order(await stand.guest("小雨"))
    page = await eyes.see("/merchant#orders", "merchant")
    row = page.locator(f'[data-order="{made["id"]}"]')
    await row.get_by_test_id("merchant-order-open").click()
    await expect(page.get_by_test_id("desk-order")).to_be_visible()
    return page


@cause("merchant", "no-coupons")
async def no_coupons(stand: Stand, eyes: Eyes) -> Page:
    return await new_merchant(stand, eyes, "coupons")


@cause("merchant", "no-deliveries")
async def no_deliveries(stand: Stand, eyes: Eyes) -> Page:
    return await new_merchant(stand, eyes, "webhooks")


async def gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A shop that has closed its door for good."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def with_endpoint(stand: Stand, port: int) -> tuple[str, str]:
    """A new merchant and its endpoint, to which a test event was sent."""
    name = await stand.user("merchant")
    body = {"url": f"http://127.0.0.1:{port}/hook", "events": []}
    made = await stand.call("POST", "/v1/webhook-endpoints", name, **body)
    await stand.call("POST", f"/v1/webhook-endpoints/{made['id']}/test", name)
    return name, str(made["id"])


@cause("merchant", "webhook-failing")
async def webhook_failing(stand: Stand, eyes: Eyes) -> Page:
    async with await asyncio.start_server(gone, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    name, _ = await with_endpoint(stand, port)  # nobody listens there any more
    page = await eyes.see("/merchant#webhooks", name)
    await expect(page.locator(".problem-text")).to_be_visible(timeout=30_000)
    return page


@cause("merchant", "webhook-off")
async def webhook_off(stand: Stand, eyes: Eyes) -> Page:
    server = await asyncio.start_server(gone, "127.0.0.1", 0)
    async with server:
        name, _ = await with_endpoint(stand, server.sockets[0].getsockname()[1])
        page = await eyes.see("/merchant#webhooks", name)
        row = page.get_by_test_id("endpoint-row")
        await expect(row).to_have_attribute("data-state", "disabled", timeout=30_000)
    return page


@cause("merchant", "shop")
async def shop(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/merchant#shop", "merchant")


@cause("setup", "signed-out")
async def setup_out(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/setup")


@cause("setup", "link-used")
async def link_used(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/setup?token=used")


@cause("setup", "first")
async def first(stand: Stand, eyes: Eyes) -> Page:
    server = await asyncio.to_thread(stand.another, "empty")
    link = await asyncio.to_thread(server.wait_for, rb"http://\S+?(/setup\?token=\S+)")
    return await eyes.see(link, base=server.base)


@cause("setup", "administration")
async def administration(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/setup", "boss")


async def show_of(stand: Stand, room: str) -> str:
    shows = await stand.call("GET", f"/v1/rooms/{room}/shows")
    return str(shows["items"][0]["id"])


async def written(stand: Stand, show: str, kind: str) -> None:
    """Waits until the archive, which writes once a second, has an event of this kind."""
    async with asyncio.timeout(30):
        while True:
            lines = (await stand.call("GET", f"/v1/shows/{show}/events"))["items"]
            if any(line["event"]["type"] == kind for line in lines):
                return
            await asyncio.sleep(0.2)


@cause("show", "running")
async def running(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    show = await show_of(stand, room)
    await written(stand, show, "room.started")
    return await eyes.see(f"/shows/{show}", "boss")


@cause("show", "closed")
async def closed(stand: Stand, eyes: Eyes) -> Page:
    return await eyes.see(f"/shows/{await show_of(stand, await stand.room())}")


@cause("show", "over")
async def over(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    await stand.call("POST", f"/v1/rooms/{room}/notice", text="谢谢大家 Thank you")
    await stand.call("POST", f"/v1/rooms/{room}/end")
    await stand.call("PUT", f"/v1/rooms/{room}/archive", open=True)
    show = await show_of(stand, room)
    await written(stand, show, "room.ended")
    return await eyes.see(f"/shows/{show}")


@cause("show", "failed")
async def show_failed(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/shows/x", before=cut("**/v1/shows/x"))


@cause("overlay", "card")
async def overlay_card(stand: Stand, eyes: Eyes) -> Page:
    return await eyes.see(f"/overlay/card/{await stand.room()}")


@cause("overlay", "countdown")
async def overlay_countdown(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    await stand.sale(room)
    return await eyes.see(f"/overlay/countdown/{room}")


@cause("overlay", "rehearsal")
async def overlay_rehearsal(stand: Stand, eyes: Eyes) -> Page:
    return await eyes.see(f"/overlay/card/{await stand.rehearsal()}")


@cause("overlay", "chat")
async def overlay_chat(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    viewer = await eyes.enter(room)
    page = await eyes.see(f"/overlay/chat/{room}")
    await say(viewer, "主播好 Hello")
    await expect(page.get_by_test_id("overlay-row")).to_be_visible()
    return page


@cause("overlay", "failed")
async def overlay_failed(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/overlay/card/demo", before=cut("**/v1/rooms/demo"))


@cause("console", "more", brief=True)
async def console_more(stand: Stand, eyes: Eyes) -> Page:
    page = await console(eyes, await stand.room(live=False, shelf=0))
    await panel(page, "more")
    return page
