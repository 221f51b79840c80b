"""Merchants' servers on loopback, a feed in a list and a clock that stands still."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from orders.feed import FeedEvent
from orders.webhooks_service import Webhooks

START = 1_763_780_000_123  # 2025-11-22T02:53:20.123Z
DEADLINE_SECONDS = 20.0  # of a wait; never reached unless something is broken


class Clock:
    """Wall milliseconds that move only when told to."""

    def __init__(self) -> None:
        self.ms = START

    def __call__(self) -> int:
        return self.ms


class ListFeed:
    """Committed events in a list."""

    def __init__(self) -> None:
        self.events: list[FeedEvent] = []

    def add(
        self, kind: str = "order.paid", merchant: str = "shop", *, at: int = START, data: str = "{}"
    ) -> FeedEvent:
        n = self.events[-1].n + 3 if self.events else 5  # gaps mean nothing
        event = FeedEvent(n=n, type=kind, merchant=merchant, at=at, data=data.encode())
        self.events.append(event)
        return event

    async def after(self, n: int, limit: int) -> list[FeedEvent]:
        return [event for event in self.events if event.n > n][:limit]

    async def last(self) -> int:
        return self.events[-1].n if self.events else 0


@dataclass
class Receiver:
    """One merchant's server. `answer` decides what it says."""

    port: int
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]


async def ok(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="thank you")


def status(code: int, **headers: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.StreamResponse:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=code, text=f"said {code}", headers=names)

    return answer


@asynccontextmanager
async def listening() -> AsyncIterator[Receiver]:
    """A real receiver on a free port of loopback that says 200 until told otherwise."""

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        receiver.requests.append((headers, body))
        return await receiver.answer(request)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver = Receiver(port=runner.addresses[0][1], answer=ok)
    yield receiver
    await runner.cleanup()


Make = Callable[..., Webhooks]


async def settle(webhooks: Webhooks) -> None:
    """Follow and deliver until nothing is due and nothing in flight."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await webhooks.follow():
            pass
        await webhooks.deliver()
        while webhooks.in_flight:
            await webhooks.idle()
            await webhooks.deliver()


async def until(condition: Callable[[], object]) -> None:
    """Poll until it is true."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.01)
