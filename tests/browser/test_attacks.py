"""200 strings that want to be markup, through every text that others read: they stay text."""

import asyncio
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, expect

from tests.browser.attacks import packed
from tests.browser.conftest import SIZES
from tests.browser.stand import PASSWORD, Eyes, Stand, token_of
from tests.conftest import without
from tests.e2e.browser import chromium

pytestmark = pytest.mark.browser

#: Before any script of a page: what an attack would do, and every node that is none of ours.
WATCH = """(() => {
  window.attacks = [];
  window.xss = () => window.attacks.push("a script ran");
  const ours = (address) => !address || /^(\\/|#|[?]|https?:\\/\\/127\\.)/.test(address);
  const odd = (e) => /^(IFRAME|OBJECT|EMBED|BASE|MARQUEE|X-Y|XSS|MATH|PLAINTEXT|TEMPLATE|AUDIO)$/i.test(e.tagName)
    || (e.tagName === "SCRIPT" && !ours(e.getAttribute("src") || "no"))
    || (e.tagName === "STYLE") || (e.tagName === "META" && e.httpEquiv === "refresh")
    || Array.from(e.attributes).some((a) => /^on/i.test(a.name)
      || (/^(src|href|action|formaction|data|srcdoc|xlink:href)$/i.test(a.name) && !ours(a.value)));
  const look = (node) => {
    if (node.nodeType !== 1) return;
    for (const e of [node, ...node.querySelectorAll("*")])
      if (odd(e)) window.attacks.push(e.outerHTML.slice(0, 120));
  };
  new MutationObserver((records) => {
    for (const record of records) {
      for (const node of record.addedNodes) look(node);
      if (record.type === "attributes") look(record.target);
    }
  }).observe(document, {childList: true, subtree: true, attributes: true});
})()"""  # noqa: E501

#: people who say something over the official client: [[token, channel, text], …]
SAY = """(lines) => Promise.all(lines.map(([token, channel, text]) => new Promise((done) => {
  const client = new Centrifuge(`ws://${location.host}/connection/websocket`, {token});
  client.on("connected", () => client.publish(channel, {text})
    .then(() => done(""), (error) => done(`${error.code} ${error.message}`))
    .finally(() => client.disconnect()));
  client.on("disconnected", (context) => done(context.reason));
  client.connect();
})))"""


AT_ONCE = 8  # requests under way


async def tried(calls: Iterable[Awaitable[Any]]) -> list[Any]:
    """Some at a time; what the server will not take is none the worse for it."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(call: Awaitable[Any]) -> Any:
        async with gate:
            return await call

    outcomes = await asyncio.gather(*map(one, calls), return_exceptions=True)
    bad = [one for one in outcomes if isinstance(one, BaseException)]
    assert all(isinstance(one, aiohttp.ClientResponseError) and one.status < 500 for one in bad)
    return [one for one in outcomes if not isinstance(one, BaseException)]


class Attack:
    """A shop whose every text is hostile, and what was accepted where."""

    def __init__(self, stand: Stand, step: int) -> None:
        self.stand = stand
        self.step = step
        self.taken: dict[str, int] = {}

    def texts(self, most: int) -> list[str]:
        """What goes into a field of this many characters: every `step`-th of the texts."""
        return packed(most)[:: self.step]

    async def put(self, field: str, calls: Iterable[Awaitable[Any]]) -> list[Any]:
        found = await tried(calls)
        self.taken[field] = self.taken.get(field, 0) + len(found)
        return found

    async def stock(self) -> list[str]:
        """Products with hostile words, sold in the room."""
        prose = self.texts(5_000)
        made = await self.put(
            "product",
            [
                self.stand.call(
                    "POST", "/v1/products", "merchant", sku=f"x-{number}", title=title, stock=100,
                    price_cents=1000, currency="CNY", seller_name=title,
                    description=prose.pop() if prose else "", terms=title,
                )
                for number, title in enumerate(self.texts(200))
            ],
        )  # fmt: skip
        return [one["id"] for one in made]

    async def fill(self, room: str, ids: list[str]) -> None:
        call = self.stand.call
        await tried(call("PUT", f"/v1/products/{id}/grants", "merchant", room=room) for id in ids)
        await call("PUT", f"/v1/rooms/{room}/shelf", product_ids=ids)
        await call("POST", f"/v1/rooms/{room}/pin", product_id=ids[0])

    async def staff(self, room: str) -> None:
        """Names of accounts, the shop's name, word lists, reasons, coupons, endpoints."""
        call = self.stand.call
        names = self.texts(24)
        await self.put("account", [
            call("POST", "/v1/users", user=f"u{n}", password=PASSWORD, role="streamer", name=name)
            for n, name in enumerate(names[:3])  # a password costs half a second of a core
        ])  # fmt: skip
        lists = [{"name": "x", "action": "hold", "words": self.texts(64)}]
        await self.put("words", [call("PUT", f"/v1/rooms/{room}/word-lists", items=lists)])
        await self.put("reason", [
            call("POST", f"/v1/rooms/{room}/mutes", user=f"m{n}", seconds=60, reason=reason)
            for n, reason in enumerate(self.texts(200))
        ])  # fmt: skip
        await self.put("coupon", [
            call("POST", "/v1/coupons", "merchant", code=code, kind="amount", value=1,
                 currency="CNY", budget_cents=100, per_buyer_limit=1)
            for code in self.texts(64)
        ])  # fmt: skip
        await call("PUT", f"/v1/rooms/{room}/word-lists", items=[])

    async def orders(self, product: str, buyer: str) -> None:
        """Orders of one buyer, shipped and refunded with hostile words, and of hostile names."""
        stand = self.stand
        room = {"lines": [{"product_id": product, "quantity": 1}]}

        async def order(number: int, token: str) -> str:
            made = await stand.api.call(
                "POST", "/v1/orders", token, room, Idempotency_Key=f"attack-{number}"
            )
            return str(made["id"])

        async def whole(number: int, text: str) -> None:
            id = await order(number, buyer)
            await stand.api.call("POST", f"/v1/orders/{id}/pay", buyer, {})
            place = {"recipient": text[:60], "phone": "1", "address": text, "note": text}
            await tried([stand.api.call("POST", f"/v1/orders/{id}/delivery", buyer, place)])
            body = {"carrier": text[:100], "tracking": text}
            await stand.call("POST", f"/v1/orders/{id}/ship", "merchant", **body)
            if number % 2:
                await stand.call("POST", f"/v1/orders/{id}/refund", "merchant", reason=text)

        async def named(number: int, name: str) -> None:
            await order(number, await stand.guest(name))

        await self.put("shipment", [whole(n, text) for n, text in enumerate(self.texts(200))])
        await self.put("buyer", [named(1000 + n, name) for n, name in enumerate(self.texts(24))])

    async def talk(self, page: Page, room: str) -> None:
        """Chat and danmaku of staff, chat of hostile names, all that moves while pages look on."""
        boss = await self.stand.token("boss")
        lines = [[boss, f"{lane}:{room}", text] for text in self.texts(200) for lane in ("chat", "danmaku")]  # fmt: skip  # noqa: E501
        names = self.texts(24)
        tokens = await tried(self.stand.guest(name) for name in names)
        lines += [[token, f"chat:{room}", f"n{n}"] for n, token in enumerate(tokens)]
        refused = [words for words in await page.evaluate(SAY, lines) if words]
        self.taken["said"] = len(lines) - len(refused)
        assert not [words for words in refused if "1009" not in words]  # what no text may hold
        call = self.stand.call
        for text in self.texts(500):
            await call("POST", f"/v1/rooms/{room}/notice", text=text)
        await self.put("caption", [call("POST", f"/v1/rooms/{room}/captions", text=text) for text in self.texts(300)])  # fmt: skip  # noqa: E501
        await self.put("title", [call("PATCH", f"/v1/rooms/{room}", title=title) for title in self.texts(80)])  # fmt: skip  # noqa: E501


async def open_sheets(console: Page) -> None:
    """What staff read of others: what waits, who may not speak, what was done, the words."""
    for name in ("talk-queue", "talk-people", "talk-words", "talk-log"):
        await console.get_by_test_id(name).click()
        sheet = console.locator("dialog[open]").last
        await expect(sheet).to_be_visible()
        await console.wait_for_load_state("networkidle")
        await console.keyboard.press("Escape")


@pytest.mark.parametrize("step", [16, pytest.param(1, marks=pytest.mark.nightly)])
async def test_hostile_words_stay_words(tmp_path: Path, step: int) -> None:
    """
    No script runs, no element appears, and people read the characters as they were typed. By day
    every sixteenth text (each holds some of the strings), at night all of them through every field.
    """
    without("browser")
    async with Stand(tmp_path, LIVESERVER_FLOOD_RULES="0") as stand, chromium() as browser:
        attack = Attack(stand, step)
        room = await stand.room(shelf=0)
        ids = await attack.stock()
        await attack.fill(room, ids)
        pages: list[Page] = []
        complaints: list[str] = []

        async def see(path: str, user: str = "", size: str = "desktop") -> Page:
            eyes = Eyes(stand, browser, "en", SIZES[size], elder=False, strict=True)
            page = await eyes.person(user)
            page.on("dialog", lambda dialog: complaints.append(f"{path}: {dialog.message}"))
            page.on("console", lambda line: complaints.append(f"{path}: {line.text}") if line.type == "error" else None)  # fmt: skip  # noqa: E501
            await page.add_init_script(WATCH)
            await page.goto(path)
            await page.wait_for_selector("html[data-ready=true]")
            pages.append(page)
            return page

        viewer = await see(f"/rooms/{room}", size="phone")
        console = await see(f"/console/{room}", "boss")
        overlay = await see(f"/overlay/chat/{room}")
        await expect(viewer.get_by_test_id("room")).to_have_attribute("data-connection", "live")
        await attack.talk(viewer, room)
        await expect(viewer.get_by_test_id("chat-row").filter(has_text="<script>").first).to_be_visible()  # fmt: skip  # noqa: E501
        await attack.staff(room)
        buyer = await token_of(viewer)
        await attack.orders(ids[0], buyer)
        await open_sheets(console)
        await viewer.get_by_test_id("shelf-open").click()
        await expect(viewer.get_by_test_id("shelf-sheet")).to_contain_text("<script>")
        await viewer.goto("/orders")
        await expect(viewer.get_by_test_id("order-card").first).to_be_visible()
        desk = await see("/merchant#products", "merchant")
        for part in ("orders", "coupons", "webhooks", "shop"):
            await desk.get_by_test_id(f"tab-{part}").click()
            await desk.wait_for_load_state("networkidle")
        shows = await stand.call("GET", f"/v1/rooms/{room}/shows")
        for path, user in (("/", ""), ("/setup", "boss"), (f"/overlay/card/{room}", ""),
                           (f"/shows/{shows['items'][0]['id']}", "boss")):  # fmt: skip
            await see(path, user)
        attacks = [found for page in pages for found in await page.evaluate("window.attacks")]
        assert (attacks, complaints) == ([], [])
        assert await overlay.get_by_test_id("overlay-row").count() > 0
        await overlay.evaluate("document.body.append(document.createElement('iframe'))")
        assert await overlay.evaluate("window.attacks")  # the watch itself is awake
    assert min(attack.taken.values()) > 0, attack.taken
