"""The live room: its show, its connection, its chat, its picture."""

import asyncio
import re

from playwright.async_api import Page, WebSocketRoute, expect

from tests.browser.causes import cause
from tests.browser.stand import API_KEY, Eyes, Stand, cut, say, token_of, who

SOCKET = "**/connection/websocket"


class Cable:
    """The page's socket, which can be pulled out and put in again."""

    def __init__(self) -> None:
        self.out = False
        self.open: list[WebSocketRoute] = []

    async def lay(self, page: Page) -> None:
        await page.route_web_socket(SOCKET, self._route)

    async def _route(self, socket: WebSocketRoute) -> None:
        if self.out:
            await socket.close(code=3000, reason="cut")
            return
        socket.connect_to_server()
        self.open.append(socket)

    async def pull(self) -> None:
        self.out = True
        await self.open[-1].close(code=3000, reason="cut")


@cause("room", "opening", brief=True)
async def opening(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    page = await eyes.person()

    async def hold(_: object) -> None:
        await asyncio.sleep(0)

    await page.route(f"**/v1/rooms/{room}", hold)
    await page.goto(f"/rooms/{room}")
    await expect(page.locator(".loading")).to_be_visible()
    return page


@cause("room", "joining", brief=True)
async def joining(stand: Stand, eyes: Eyes) -> Page:
    async def never(page: Page) -> None:
        await page.route_web_socket(SOCKET, lambda _: None)

    return await eyes.see(f"/rooms/{await stand.room()}", before=never)


@cause("room", "quiet")
async def quiet(stand: Stand, eyes: Eyes) -> Page:
    return await eyes.enter(await stand.room())


@cause("room", "busy")
async def busy(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room(shelf=6)
    await stand.sale(room)
    await stand.call("POST", f"/v1/rooms/{room}/notice", text="今晚八点抽奖 Prize draw at eight")
    host = await eyes.enter(room, "boss")
    page = await eyes.enter(room)
    for number in range(6):
        await say(
            host, f"第 {number} 句:这款茶今年的雨水正好,泡三分钟 Brew it for three minutes", ""
        )
        rows = page.get_by_test_id("chat-row")
        await expect(rows).to_have_count(number + 1)
        await asyncio.sleep(0.6)
    await page.get_by_test_id("like-button").click()
    return page


@cause("room", "idle")
async def idle(stand: Stand, eyes: Eyes) -> Page:
    return await eyes.enter(await stand.room(live=False))


@cause("room", "ended")
async def ended(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    page = await eyes.enter(room)
    await stand.call("POST", f"/v1/rooms/{room}/end")
    await expect(page.get_by_test_id("room")).to_have_attribute("data-state", "ended")
    return page


@cause("room", "rehearsal")
async def rehearsal(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.rehearsal()
    page = await eyes.enter(room)
    await expect(page.get_by_test_id("flash-card")).to_have_attribute("data-phase", "open")
    return page


@cause("room", "rehearsal-over")
async def rehearsal_over(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.rehearsal()
    page = await eyes.enter(room)
    await stand.call("POST", f"/v1/rooms/{room}/end")
    await expect(page.get_by_test_id("room")).to_have_attribute("data-state", "ended")
    return page


@cause("room", "no-products")
async def no_products(stand: Stand, eyes: Eyes) -> Page:
    page = await eyes.enter(await stand.room(shelf=0))
    await page.get_by_test_id("shelf-open").click(force=True)
    return page


@cause("room", "shelf")
async def shelf(stand: Stand, eyes: Eyes) -> Page:
    page = await eyes.enter(await stand.room(shelf=8))
    await page.get_by_test_id("shelf-open").click(force=True)
    await expect(page.get_by_test_id("shelf-sheet")).to_be_visible()
    return page


@cause("room", "share")
async def share(stand: Stand, eyes: Eyes) -> Page:
    page = await eyes.enter(await stand.room())
    await page.get_by_test_id("share-open").click()
    await expect(page.get_by_test_id("share-code")).to_be_visible()
    return page


@cause("room", "settings")
async def settings(stand: Stand, eyes: Eyes) -> Page:
    page = await eyes.enter(await stand.room())
    await page.get_by_test_id("settings-open").click()
    await expect(page.get_by_test_id("settings")).to_be_visible()
    return page


@cause("room", "missing")
async def missing(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/rooms/nowhere")


@cause("room", "failed")
async def failed(_: Stand, eyes: Eyes) -> Page:
    return await eyes.see("/rooms/demo", before=cut("**/v1/rooms/demo"))


@cause("room", "no-words")
async def no_words(_: Stand, eyes: Eyes) -> Page:
    page = await eyes.person()
    await cut("**/i18n/*.json*")(page)
    await page.goto("/rooms/demo")
    await expect(page.locator(".failure")).to_be_visible()
    return page


@cause("room", "old-browser")
async def old_browser(_: Stand, eyes: Eyes) -> Page:
    page = await eyes.person()
    await page.add_init_script("delete Element.prototype.replaceChildren")
    await page.goto("/rooms/demo")
    await expect(page.get_by_test_id("plain").locator("li").first).to_be_visible()
    return page


@cause("room", "lost", brief=True)
async def lost(stand: Stand, eyes: Eyes) -> Page:
    cable = Cable()
    page = await eyes.enter(await stand.room(), before=cable.lay)
    await cable.pull()
    await expect(page.get_by_test_id("connection")).to_be_visible()
    return page


@cause("room", "offline", brief=True)
async def offline(stand: Stand, eyes: Eyes) -> Page:
    cable = Cable()
    page = await eyes.enter(await stand.room(), before=cable.lay)
    await page.context.set_offline(True)
    await cable.pull()
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "offline")
    await expect(page.get_by_test_id("connection")).to_be_visible()
    return page


@cause("room", "back", brief=True)
async def back(stand: Stand, eyes: Eyes) -> Page:
    cable = Cable()
    page = await eyes.enter(await stand.room(), before=cable.lay)
    await cable.pull()
    bar = page.get_by_test_id("connection")
    await expect(bar).to_be_visible()
    cable.out = False
    await page.wait_for_selector(
        "[data-testid=connection][data-state=back]", state="visible", timeout=20_000
    )
    return page


@cause("room", "worker-killed", brief=True)
async def worker_killed(stand: Stand, eyes: Eyes) -> Page:
    page = await eyes.enter(await stand.room())
    await asyncio.to_thread(stand.kill_workers)
    view = page.get_by_test_id("room")
    await expect(view).not_to_have_attribute("data-connection", "live")
    await expect(view).to_have_attribute("data-connection", "live", timeout=30_000)
    return page


@cause("room", "skipped")
async def skipped(stand: Stand, eyes: Eyes) -> Page:
    cable = Cable()
    room = await stand.room()
    host = await eyes.enter(room, "boss")
    page = await eyes.enter(room, before=cable.lay)
    await say(host, "在断线之前 before the cut", "")
    await expect(page.get_by_test_id("chat-row")).to_have_count(1)
    await cable.pull()
    await say(host, "在断线之后 after the cut", "")
    await expect(host.get_by_test_id("chat-row")).to_have_count(2)
    await stand.api.call(
        "POST", "/api/history_remove", None, {"channel": f"chat:{room}"}, X_API_Key=API_KEY
    )
    cable.out = False
    await expect(page.get_by_test_id("chat-skipped")).to_be_visible(timeout=20_000)
    return page


@cause("room", "expired")
async def expired(stand: Stand, eyes: Eyes) -> Page:
    cable = Cable()
    name = await stand.user("streamer", rooms=[])
    page = await eyes.enter(await stand.room(), name, before=cable.lay)
    await cable.pull()
    await page.context.clear_cookies()  # signed out in another tab, or by the end of the session
    cable.out = False
    bar = page.get_by_test_id("connection")
    await expect(bar).to_have_attribute("data-state", "expired", timeout=20_000)
    return page


@cause("room", "closed")
async def closed(stand: Stand, eyes: Eyes) -> Page:
    page = await eyes.enter(await stand.room())
    end = {"user": await who(page), "disconnect": {"code": 3501, "reason": "by the operator"}}
    await stand.api.call("POST", "/api/disconnect", None, end, X_API_Key=API_KEY)
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "closed")
    return page


@cause("room", "muted")
async def muted(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    page = await eyes.enter(room)
    await stand.call(
        "POST", f"/v1/rooms/{room}/mutes", user=await who(page), seconds=600, reason="spam"
    )
    await expect(page.get_by_test_id("chat-input")).to_be_disabled()
    return page


@cause("room", "banned")
async def banned(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    page = await eyes.enter(room)
    await stand.call("POST", f"/v1/rooms/{room}/bans", user=await who(page), reason="fraud")
    await expect(page.get_by_test_id("chat-input")).to_be_disabled()
    return page


@cause("room", "muted-all")
async def muted_all(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    page = await eyes.enter(room)
    await stand.call("PATCH", f"/v1/rooms/{room}/chat", muted_all=True)
    await expect(page.get_by_test_id("chat-input")).to_be_disabled()
    return page


@cause("room", "name")
async def name(stand: Stand, eyes: Eyes) -> Page:
    page = await eyes.enter(await stand.room())
    await page.get_by_test_id("chat-input").fill("第一句话 First words")
    await page.get_by_test_id("chat-send").click()
    await expect(page.get_by_test_id("name-sheet")).to_be_visible()
    return page


async def refused(eyes: Eyes, room: str, *words: str) -> Page:
    """The last of these words is refused."""
    page = await eyes.enter(room)
    for number, text in enumerate(words):
        await say(page, text, "" if number else "小雨")
        if text != words[-1]:
            await expect(page.get_by_test_id("chat-row")).to_have_count(number + 1)
            await asyncio.sleep(1.1)
    await expect(page.get_by_test_id("chat-problem")).to_be_visible()
    return page


@cause("room", "word-refused")
async def word_refused(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    items = [{"name": "block", "action": "refuse", "words": ["违禁词"]}]
    await stand.call("PUT", f"/v1/rooms/{room}/word-lists", items=items)
    return await refused(eyes, room, "这里有违禁词吗")


@cause("room", "link-refused")
async def link_refused(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    await stand.call("PATCH", f"/v1/rooms/{room}/chat", links=False)
    return await refused(eyes, room, "看这里 https://example.com/x")


@cause("room", "repeated")
async def repeated(stand: Stand, eyes: Eyes) -> Page:
    page = await eyes.enter(await stand.room())
    for number in range(8):
        await say(page, "请问什么时候发货呀", "" if number else "小雨")
        await asyncio.sleep(1.5)
        if await page.get_by_test_id("chat-problem").is_visible():
            break
    await expect(page.get_by_test_id("chat-problem")).to_be_visible()
    return page


@cause("room", "slow-mode", brief=True)
async def slow_mode(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    page = await eyes.enter(room)
    await stand.call("PATCH", f"/v1/rooms/{room}/chat", slow_mode_seconds=60)
    await asyncio.sleep(0.5)
    await say(page, "第一句 First")
    await expect(page.get_by_test_id("chat-row")).to_have_count(1)
    await expect(page.get_by_test_id("chat-send")).to_be_disabled()
    await page.get_by_test_id("chat-input").fill("第二句 Second")
    await page.get_by_test_id("chat-input").press("Enter")
    await page.locator(".composer").evaluate(
        "form => form.dispatchEvent(new Event('submit', {cancelable: true}))"
    )
    await expect(page.get_by_test_id("chat-problem")).to_be_visible()
    return page


@cause("room", "picture-connecting")
async def picture_connecting(_: Stand, eyes: Eyes) -> Page:
    return await eyes.enter("demo", before=cut("**/whep/**"))


@cause("room", "picture")
async def picture(_: Stand, eyes: Eyes) -> Page:
    page = await eyes.enter("demo")
    await expect(page.get_by_test_id("video")).to_have_attribute("data-picture", "playing")
    return page


@cause("room", "picture-away")
async def picture_away(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    page = await eyes.enter(room)
    host = await eyes.see(f"/console/{room}", "boss", permissions=["camera", "microphone"])
    if await host.get_by_test_id("phone-way").count():
        await host.locator("[data-testid=phone-way][data-panel=picture]").click()
    await host.get_by_test_id("go-camera").click()
    await host.get_by_test_id("go-next").click()
    await host.get_by_test_id("go-start").click()
    video = page.get_by_test_id("video")
    await expect(video).to_have_attribute("data-picture", "playing", timeout=30_000)
    await host.context.close()
    await expect(video).to_have_attribute("data-picture", "away", timeout=60_000)
    return page


@cause("room", "picture-full")
async def picture_full(stand: Stand, eyes: Eyes) -> Page:
    server = await asyncio.to_thread(
        stand.another, "full", "--demo", LIVESERVER_MEDIA_LOAD_MARK="1"
    )
    for _ in range(20):  # who is let in adds to the load of those after
        page = await eyes.enter("demo", base=server.base)
        video = page.get_by_test_id("video")
        ended = re.compile("full|playing")
        await expect(video).to_have_attribute("data-picture", ended, timeout=60_000)  # a new server
        if await video.get_attribute("data-picture") == "full":
            return page
    raise AssertionError("twenty viewers are no load")


@cause("room", "saving")
async def saving(stand: Stand, eyes: Eyes) -> Page:
    page = await eyes.enter(await stand.room())
    await page.get_by_test_id("settings-open").click()
    await page.get_by_test_id("saver-switch").check()
    return page


@cause("room", "replying")
async def replying(stand: Stand, eyes: Eyes) -> Page:
    page = await report(stand, eyes)
    await page.get_by_test_id("message-reply").click()
    return page


@cause("room", "report")
async def report(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    page = await eyes.enter(room)
    other = await eyes.enter(room)
    await say(other, "加我微信有优惠", "路人甲")
    row = page.get_by_test_id("chat-row").first
    await row.hover()
    await row.get_by_test_id("chat-menu").click(force=True)
    await expect(page.locator("dialog")).to_be_visible()
    return page


@cause("room", "word-of-name")
async def word_of_name(stand: Stand, eyes: Eyes) -> Page:
    room = await stand.room()
    items = [{"name": "block", "action": "refuse", "words": ["违禁词"]}]
    await stand.call("PUT", f"/v1/rooms/{room}/word-lists", items=items)
    page = await eyes.enter(room)
    await say(page, "大家好 hello", "违禁词小王")
    await expect(page.get_by_test_id("chat-problem")).to_be_visible()
    assert await token_of(page)
    return page
