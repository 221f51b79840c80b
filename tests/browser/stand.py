"""The shop in which the states of the pages are caused: a demo, an administrator, rooms at will."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, expect

from loadtest.server import BIN, Server
from loadtest.shop import Shop
from tests.browser.storefront import storefront

Json = dict[str, Any]
API_KEY = "for-the-states"
COOKIE = "liveserver_session"
ENVIRON = {
    "LIVESERVER_API_KEY": API_KEY,
    "LIVESERVER_MEDIA_UDP_PORT": "0",
    "LIVESERVER_WEBHOOK_ALLOWED_CIDRS": "127.0.0.0/8",
}
PASSWORD = "long enough"
REMEMBER_ELDER = "localStorage.setItem('liveserver.elder', 'true')"
Prepare = Callable[[Page], Awaitable[None]]


class Stand:
    """One running demo shop, its HTTP door, an administrator `boss`, a shop's page around it."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.open = ExitStack()
        self.front = self.open.enter_context(storefront())
        origins = {"LIVESERVER_EMBED_ORIGINS": self.front.origin}
        self.server = Server(folder / "demo", {**ENVIRON, **origins, **environ})
        self.others: list[Server] = []
        self.tokens: dict[str, str] = {}
        self.count = 0

    async def __aenter__(self) -> "Stand":
        self.server.start()
        self.front.live = self.server.base
        await asyncio.to_thread(self._make_administrator)
        self.api = Shop(self.server.base)
        return self

    def _make_administrator(self) -> None:
        subprocess.run(
            [BIN / "liveserver", "user", "add", "boss", "--role", "admin", "--password-stdin"],
            env={**os.environ, "LIVESERVER_DATA_DIR": str(self.server.data)},
            input=f"{PASSWORD}\n".encode(),
            check=True,
            timeout=30,
        )

    async def __aexit__(self, *_: object) -> None:
        await self.api.session.close()
        for server in (self.server, *self.others):
            server.stop()
        self.open.close()

    def another(self, name: str, *arguments: str, **environ: str) -> Server:
        """A second server, kept until the end; the same one for the same name."""
        known = [server for server in self.others if server.data.name == name]
        if known:
            return known[0]
        server = Server(self.folder / name, {**ENVIRON, **environ}, arguments)
        try:
            server.start()
        except AssertionError:  # not ready in time: a next try finds the place free
            server.stop()
            raise
        self.others.append(server)
        return server

    def kill_workers(self) -> None:
        for worker in self.server.workers():
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)

    async def token(self, user: str) -> str:
        if user not in self.tokens:
            password = "demo" if user in ("streamer", "moderator", "merchant") else PASSWORD
            self.tokens[user] = await self.api.sign_in(user, password)
        return self.tokens[user]

    async def call(self, method: str, path: str, by: str = "boss", /, **body: Any) -> Json:
        """What this account asks of the API."""
        token = await self.token(by)
        return await self.api.call(method, path, token, body or None)

    async def user(self, role: str, **more: Any) -> str:
        """A new account."""
        self.count += 1
        name = f"{role}{self.count}"
        await self.call("POST", "/v1/users", user=name, password=PASSWORD, role=role, **more)
        return name

    async def products(self) -> dict[str, str]:
        items = (await self.call("GET", "/v1/products", "merchant"))["items"]
        return {item["sku"]: item["id"] for item in items}

    async def room(self, *, live: bool = True, shelf: int = 3, pin: bool = True) -> str:
        """A room of its own with the first products of the demo."""
        self.count += 1
        room = f"state-{self.count}"
        wish = {"id": room, "title": "春茶专场 Tea", "merchant_ids": ["merchant"]}
        await self.call("POST", "/v1/rooms", **wish)
        known = await self.products()
        ids = [known[f"demo-{number}"] for number in range(1, shelf + 1)]
        for id in ids:
            await self.call("PUT", f"/v1/products/{id}/grants", "merchant", room=room)
        if ids:
            await self.call("PUT", f"/v1/rooms/{room}/shelf", product_ids=ids)
        if ids and pin:
            await self.call("POST", f"/v1/rooms/{room}/pin", product_id=ids[0])
        if live:
            await self.call("POST", f"/v1/rooms/{room}/start")
        return room

    async def rehearsal(self) -> str:
        """A room that rehearses, with a sale that is tried."""
        room = await self.room(live=False)
        await self.call("POST", f"/v1/rooms/{room}/start", rehearsal=True)
        wish = {"product_id": (await self.products())["demo-2"], "price_cents": 9900, "units": 5}
        await self.call("PUT", f"/v1/rooms/{room}/rehearsal-sale", **wish)
        return room

    async def sale(self, room: str, units: int = 5, **more: Any) -> str:
        """A flash sale of the second product, open to guests."""
        wish = {
            "sku": "demo-2", "price_cents": 9900, "units": units, "buyers": "guest",
            "confirm_low_price": True, **more,
        }  # fmt: skip
        made = await self.call("POST", f"/v1/rooms/{room}/flash-sales", "merchant", **wish)
        return str(made["id"])

    async def guest(self, name: str = "路人") -> str:
        """A guest's token."""
        return str((await self.api.guest(name))["token"])

    async def reserve(self, sale: str, token: str, quantity: int = 1) -> Json:
        self.count += 1
        path = f"/v1/flash-sales/{sale}/reservations"
        return await self.api.call(
            "POST", path, token, {"quantity": quantity}, Idempotency_Key=f"key-{self.count}"
        )

    async def order(self, token: str, sku: str = "demo-1", room: str = "demo") -> Json:
        """An unpaid order of the shelf."""
        self.count += 1
        product = (await self.products())[sku]
        lines = [{"product_id": product, "quantity": 1}]
        return await self.api.call(
            "POST", "/v1/orders", token, {"room": room, "lines": lines},
            Idempotency_Key=f"key-{self.count}",
        )  # fmt: skip


class Eyes:
    """One way of looking: a language, a size, elder mode. `open` gives new people."""

    def __init__(
        self,
        stand: Stand,
        browser: Browser,
        language: str,
        size: Json,
        elder: bool,
        strict: bool = False,  # the content security policy holds; axe wants it out of its way
    ) -> None:
        self.strict = strict
        self.stand = stand
        self.browser = browser
        self.language = language
        self.size = size
        self.elder = elder
        self.contexts: list[BrowserContext] = []

    async def person(self, user: str = "", base: str = "", **more: Any) -> Page:
        """A page of a new person, signed in where a name is given."""
        base = base or self.stand.server.base
        context = await self.browser.new_context(
            base_url=base, viewport=self.size, locale=self.language, bypass_csp=not self.strict,
            reduced_motion="reduce", **more,
        )  # fmt: skip
        self.contexts.append(context)
        if self.elder:
            await context.add_init_script(REMEMBER_ELDER)
        if user:
            token = await self.stand.token(user)
            await context.add_cookies([{"name": COOKIE, "value": token, "url": base}])
        return await context.new_page()

    async def see(
        self, path: str, user: str = "", before: Prepare | None = None, **more: Any
    ) -> Page:
        """A page that is drawn; `before` is done to it before it is asked for."""
        page = await self.person(user, **more)
        if before:
            await before(page)
        await page.goto(path)
        await page.wait_for_selector("html[data-ready=true]")
        return page

    async def enter(self, room: str, user: str = "", **more: Any) -> Page:
        """A live room, connected."""
        page = await self.see(f"/rooms/{room}", user, **more)
        await expect(page.get_by_test_id("room")).to_have_attribute("data-connection", "live")
        return page

    async def close(self) -> None:
        for context in self.contexts:
            await context.close()


def cut(pattern: str) -> Prepare:
    """The network is cut for these requests."""

    async def prepare(page: Page) -> None:
        await page.route(pattern, lambda route: route.abort("internetdisconnected"))

    return prepare


async def who(page: Page) -> str:
    """The id of the person whom this page belongs to."""
    return str((await (await page.request.get("/v1/session")).json())["user"])


async def token_of(page: Page) -> str:
    """Their token, to ask the API in their name."""
    cookies = await page.context.cookies()
    return next(str(cookie["value"]) for cookie in cookies if cookie["name"] == COOKIE)


async def say(page: Page, words: str, name: str = "小雨") -> None:
    """Chat; a guest gives a name first."""
    await page.get_by_test_id("chat-input").fill(words)
    await page.get_by_test_id("chat-send").click()
    if name:
        await page.get_by_test_id("name-input").fill(name)
        await page.get_by_test_id("name-save").click()
