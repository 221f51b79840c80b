"""
The one place that knows both halves: what is sold becomes what a room shows.

    orders ──news of a commit──▶ flash_sale.updated, shelf.updated     (rooms, at once)
    orders ──the feed, by cursor─▶ order.updated on the buyer's channel, order.ticker in the room

News are hints: lost ones are made good by the next change and by the rooms' own republishing. What
buyers are told follows the feed by a cursor that outlives the process, so every step of an order is
told at least once; `sequence` in the order tells an old one from a new one.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

import orders.errors
import rooms.errors
from orders.feed import Feed, FeedEvent
from orders.ledger import Failure
from orders.news import News
from orders.pace_service import Pace
from orders.shapes import FlashSale, Order, Product
from rooms.service import RoomService

log = logging.getLogger(__name__)

FEED_BATCH = 100  # events read at once; buyers wait for a round, which takes some 5 ms
SHELF_PAUSE_SECONDS = 0.25  # gathers products, since a rush changes the same few again and again
ROUND_SECONDS = 0.02  # gathers the news of a rush into fewer calls on the bus
ROUND_MAX_SECONDS = 0.2  # in the worst rush: 500 steps of orders a second are always told
POLL_SECONDS = 1.0  # looks at the feed even without news, such as after a take-over
STANDBY_SECONDS = 0.5  # between two looks of a standby at how far the holder is
RETRY_SECONDS = 0.5  # after the bus or the database did not answer
CURSOR_SECONDS = 1.0  # between two writes of the cursor; so much is told again after a crash
STALE_MS = 3_600_000  # older steps of orders are not told any more: pages read them when opened
TICKER_MS = 2_000  # one order.ticker per room in this time; it is decoration
TICKER_FRESH_MS = 10_000  # a ticker of something older would be a lie
TICKER_ROOMS_MAX = 10_000  # rooms whose last ticker is remembered
TICKER_TYPE = "order.paid"


class Reads(Protocol):
    """What the showcase reads of the shop."""

    async def products(self, ids: list[str]) -> list[Product]:
        """Those of the products that exist, in this order."""

    async def sales_of_room(self, room: str) -> list[FlashSale]:
        """Sales worth showing."""


class Cursor(Protocol):
    """How far the feed was followed, kept over restarts."""

    async def load(self) -> int | None:
        """None at the very first start."""

    async def save(self, n: int) -> None:
        """Keep it."""


class Showcase:
    """
    `ShowSource` of the rooms, in every process; `run` only in the one that serves orders.

    Args:
        reads: The shop as it is committed.
        feed: The committed events.
        now: Wall clock in milliseconds.
        cursor: Where the feed's follower keeps its place.
        pace: Whether there is a rush that the follower should leave room for.
    """

    def __init__(
        self,
        reads: Reads,
        feed: Feed,
        *,
        now: Callable[[], int],
        cursor: Cursor,
        pace: Pace | None = None,
    ) -> None:
        self._reads = reads
        self._feed = feed
        self._now = now
        self._cursor = cursor
        self._pace = pace or Pace()
        self.is_holder: Callable[[], bool] = lambda: True  # a standby tells nobody
        self._rooms: RoomService | None = None
        self._sales: dict[str, FlashSale] = {}  # newest of each that is not handed on yet
        self._products: set[str] = set()
        self._news = asyncio.Event()
        self._stock = asyncio.Event()
        self._events = asyncio.Event()
        self._tickers: dict[str, int] = {}  # room -> when its last one was

    def attach(self, rooms: RoomService) -> None:
        """The rooms to tell; they in turn need this as their source, hence not in `__init__`."""
        self._rooms = rooms

    # What rooms ask

    async def products(self, ids: list[str]) -> list[dict[str, object]]:
        """Product objects in this order; unknown ids are left out."""
        try:
            found = await self._reads.products(ids)
        except orders.errors.Unavailable as error:
            raise rooms.errors.Unavailable(error.detail) from error
        return [msgspec.to_builtins(product) for product in found]

    async def sales(self, room: str) -> dict[str, tuple[bytes, int]]:
        """Flash sales worth showing in the room: id -> (FlashSale JSON, version)."""
        try:
            found = await self._reads.sales_of_room(room)
        except orders.errors.Unavailable as error:
            raise rooms.errors.Unavailable(error.detail) from error
        return {sale.id: (msgspec.json.encode(sale), sale.version) for sale in found}

    # What orders tell

    def on_news(self, news: News) -> None:
        """After a commit, in the loop; never waits. Newer versions replace what still waits."""
        for sale in news.sales:
            waiting = self._sales.get(sale.id)
            if waiting is None or waiting.version < sale.version:
                self._sales[sale.id] = sale
        if news.sales:
            self._news.set()
        if news.products:
            self._products.update(news.products)
            self._stock.set()
        self._events.set()

    async def run(self) -> None:
        """Pass on news and follow the feed until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._forever(self._news, self.show_sales))
            group.create_task(self._forever(self._stock, self._show_products_gently))
            group.create_task(self._follow())

    async def show_sales(self) -> None:
        """Hand on the newest version of each changed sale; rooms pace themselves."""
        while self._sales:
            sale = next(iter(self._sales.values()))
            body = msgspec.json.encode(sale)
            await self._attached.publish_sale(sale.room, sale.id, body, sale.version)
            if self._sales[sale.id] is sale:  # no newer one came meanwhile
                del self._sales[sale.id]

    async def show_products(self) -> None:
        """Refresh the shelves on which changed products stand."""
        changed, self._products = self._products, set()
        try:
            shelves = {
                room for product in changed for room in await self._attached.rooms_showing(product)
            }
        except BaseException:
            self._products |= changed  # for the next try
            raise
        for room in sorted(shelves):
            await self._attached.refresh_shelf(room)

    async def tell(self, events: list[FeedEvent]) -> None:
        """Tell buyers the steps of their orders, each buyer in order, and the rooms' tickers."""
        by_buyer: dict[str, list[bytes]] = {}
        oldest = self._now() - STALE_MS
        for event in events:
            if event.buyer and event.type.startswith("order.") and event.at > oldest:
                told = b'{"type":"order.updated","at":%d,%b' % (event.at, event.data[1:])
                by_buyer.setdefault(event.buyer, []).append(told)
        await self._attached.tell_users_json(by_buyer)
        for event in events:
            if event.type == TICKER_TYPE:
                await self._tick(event)

    # Small parts

    @property
    def _attached(self) -> RoomService:
        assert self._rooms is not None, "attach the rooms first"
        return self._rooms

    def _age(self, event: FeedEvent) -> int:
        return self._now() - event.at

    async def _show_products_gently(self) -> None:
        await self.show_products()
        await asyncio.sleep(SHELF_PAUSE_SECONDS)

    async def _forever(self, wake: asyncio.Event, step: Callable[[], Any]) -> None:
        """Run a step whenever woken. A failed step is logged and tried again."""
        while True:
            await wake.wait()
            wake.clear()
            try:
                await step()
            except Exception as error:
                _complain(error)
                wake.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        """Read the feed on, batch by batch; the cursor is kept about once a second."""
        n = await self._start()
        saved, loop = n, asyncio.get_running_loop()
        save_at = loop.time() + CURSOR_SECONDS
        try:
            while True:
                self._events.clear()
                if not self.is_holder():
                    await asyncio.sleep(STANDBY_SECONDS)
                    n = saved = max(n, await self._start())
                    continue
                try:
                    events = await self._feed.after(n, FEED_BATCH)
                    await self.tell(events)
                    n = events[-1].n if events else n
                    if n > saved and loop.time() >= save_at:
                        await self._cursor.save(n)
                        saved, save_at = n, loop.time() + CURSOR_SECONDS
                except Exception as error:
                    _complain(error)
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                await self._pace.rest(ROUND_SECONDS, ROUND_MAX_SECONDS)
                if len(events) < FEED_BATCH:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(POLL_SECONDS):  # wait_for may lose a cancel
                            await self._events.wait()
        finally:
            if n > saved:
                await asyncio.shield(self._save_last(n))

    async def _start(self) -> int:
        """Where the last process stopped; the beginning at the very first start."""
        while True:
            try:
                return await self._cursor.load() or 0
            except Exception as error:
                _complain(error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _save_last(self, n: int) -> None:
        try:
            await self._cursor.save(n)
        except Exception as error:
            _complain(error)

    async def _tick(self, event: FeedEvent) -> None:
        """An order.ticker, if the room had none just now. Nobody misses a lost one."""
        if event.room is None:
            return
        now = self._now()
        if self._age(event) > TICKER_FRESH_MS or now - self._tickers.get(event.room, 0) < TICKER_MS:
            return
        if len(self._tickers) >= TICKER_ROOMS_MAX:
            self._tickers = {r: at for r, at in self._tickers.items() if now - at < TICKER_MS}
        self._tickers[event.room] = now
        with contextlib.suppress(rooms.errors.Refusal):
            await self._attached.advise(event.room, ticker(event))


def ticker(event: FeedEvent) -> dict[str, Any]:
    """What everybody in the room may know of an order."""
    order = msgspec.convert(msgspec.json.decode(event.data)["order"], Order)
    return {
        "type": "order.ticker",
        "at": event.at,
        "name": mask(order.buyer.name),
        "title": order.lines[0].title,
        "quantity": sum(line.quantity for line in order.lines),
    }


def mask(name: str) -> str:
    """`Alice` → `A**`: enough for the buyer to know it, too little for others."""
    return name[:1] + "**"


def _complain(error: Exception) -> None:
    """A refusal is a sentence; anything else is our mistake and needs its traceback."""
    inner = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
    if isinstance(inner, rooms.errors.Refusal | orders.errors.Refusal | Failure):
        log.warning("showcase: %s; trying again", inner)
    else:
        log.error("showcase: a step failed; trying again", exc_info=error)
