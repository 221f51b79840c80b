"""A shop for tests: a writer on a real database, clocks that a test moves, and short requests."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from liveserver.db import make_engine
from orders.ids import new_id
from orders.ledger import Ledger
from orders.ledger_sql import SqlLedger
from orders.news import News
from orders.requests import AnyRequest, CreateProduct, CreateSale, Reserve
from orders.schema_sql import metadata
from orders.service import Writer
from orders.shapes import FlashSale, Order, Product

START = 1_700_000_000_000


class Clock:
    """Wall and monotonic time in milliseconds; only the test moves them."""

    def __init__(self) -> None:
        self.wall = START
        self.mono = 0

    def advance(self, ms: int) -> None:
        self.wall += ms
        self.mono += ms


class Shop:
    """One writer and what it said."""

    def __init__(self, ledger: Ledger, clock: Clock, holder: str = "one", **options: Any) -> None:
        numbers = itertools.count(options.pop("first_number", 1))
        self.clock = clock
        self.news: list[News] = []
        self.writer = Writer(
            ledger,
            holder=holder,
            wall_ms=lambda: clock.wall,
            monotonic_ms=lambda: clock.mono,
            new_id=lambda prefix: new_id(prefix, clock.wall, lambda bits: next(numbers)),
            on_news=self.news.append,
            demo_payments=True,
            **options,
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self.writer.run())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def ask(self, request: AnyRequest) -> Any:
        return msgspec.json.decode(await self.writer.ask(request))

    async def product(self, sku: str = "mug", stock: int = 100, **fields: Any) -> Product:
        values: dict[str, Any] = {
            "merchant": "acme", "title": "Mug", "price_cents": 1000, "currency": "EUR",
        }  # fmt: skip
        request = CreateProduct(sku=sku, stock=stock, **(values | fields))
        return msgspec.convert(await self.ask(request), Product)

    async def sale(self, sku: str = "mug", units: int = 10, **fields: Any) -> FlashSale:
        values: dict[str, Any] = {
            "room": "demo", "show": "show1", "merchant": "acme", "price_cents": 600,
            "buyers": "guest",
        }  # fmt: skip
        request = CreateSale(sku=sku, units=units, **(values | fields))
        return msgspec.convert(await self.ask(request), FlashSale)

    async def reserve(self, sale: FlashSale, buyer: str, key: str = "k", **fields: Any) -> Order:
        return msgspec.convert(await self.ask(reserve(sale, buyer, key, **fields)), Order)


def reserve(sale: FlashSale | str, buyer: str, key: str = "k", **fields: Any) -> Reserve:
    """A reserve call of one unit by a guest."""
    sale_id = sale if isinstance(sale, str) else sale.id
    values: dict[str, Any] = {"buyer_name": buyer, "guest": True, "quantity": 1, "actor": buyer}
    return Reserve(flash_sale=sale_id, buyer=buyer, key=key, **(values | fields))


@asynccontextmanager
async def database(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine for a writer on fresh tables."""
    engine = make_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()


@asynccontextmanager
async def open_shop(url: str, **options: Any) -> AsyncIterator[tuple[Shop, AsyncEngine]]:
    """A running writer on a fresh database."""
    async with database(url) as engine:
        shop = Shop(SqlLedger(engine), Clock(), **options)
        shop.start()
        try:
            yield shop, engine
        finally:
            await shop.stop()
