"""Sales that start at a planned moment of the sale clock, whoever holds the lease by then."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from orders import schema_sql as t
from orders.audit_sql import audit
from orders.errors import Ended, Invalid, NotStarted, WrongState
from orders.ledger_sql import SqlLedger
from orders.requests import CancelSale, EditSale, Note, SetGrant
from tests.orders.shop import START, Clock, Shop, database

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NOTHING = Note(event="tick", merchants=[], data={})


class Office:
    """A database and the writer that holds its lease now."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.clock = Clock()
        self.starts = 0
        self.shop = self._next()

    def _next(self) -> Shop:
        self.starts += 1
        shop = Shop(
            SqlLedger(self.engine), self.clock, f"w{self.starts}", first_number=self.starts * 1_000
        )
        shop.start()
        return shop

    async def take_over(self) -> None:
        await self.shop.stop()
        self.shop = self._next()

    async def state(self) -> str:
        await self.shop.ask(NOTHING)
        async with self.engine.connect() as connection:
            state: str = (await connection.execute(select(t.flash_sale.c.state))).scalar_one()
            return state


@asynccontextmanager
async def office(url: str) -> AsyncIterator[Office]:
    async with database(url) as engine:
        opened = Office(engine)
        try:
            yield opened
        finally:
            await opened.shop.stop()


async def test_it_starts_and_ends_to_the_millisecond_under_another_holder(
    database_url: str,
) -> None:
    """Nothing but the stored row and the sale clock says when."""
    async with office(database_url) as it:
        await it.shop.product()
        sale = await it.shop.sale(starts_at=START + HOUR_MS, duration_seconds=60)
        assert sale.state == "scheduled"
        it.clock.advance(HOUR_MS - 1)
        await it.take_over()
        assert await it.state() == "scheduled"
        with pytest.raises(NotStarted):
            await it.shop.reserve(sale, "ann")
        it.clock.advance(1)
        await it.shop.reserve(sale, "ann")
        assert await it.state() == "running"
        it.clock.advance(59_999)
        await it.take_over()
        await it.shop.reserve(sale, "bob")
        it.clock.advance(1)
        with pytest.raises(Ended):
            await it.shop.reserve(sale, "cid")
        assert await it.state() == "ended"
        assert await audit(it.engine) == []


async def test_it_may_start_and_end_while_nobody_holds_the_lease(database_url: str) -> None:
    """Who takes over starts what has started meanwhile, and ends what is over."""
    async with office(database_url) as it:
        await it.shop.product()
        sale = await it.shop.sale(starts_at=START + HOUR_MS, duration_seconds=60)
        await it.shop.stop()
        it.clock.advance(HOUR_MS + 30_000)
        await it.take_over()
        assert await it.state() == "running"
        await it.shop.reserve(sale, "ann")
        other = await it.shop.sale(starts_at=it.clock.wall + 10, duration_seconds=1)
        await it.shop.stop()
        it.clock.advance(31_000)
        await it.take_over()
        with pytest.raises(Ended):
            await it.shop.reserve(other, "bob")
        assert await audit(it.engine) == []


async def test_it_is_moved_before_it_starts_and_never_after(database_url: str) -> None:
    """The end moves along, or where it is told; the past and far years are refused."""
    async with office(database_url) as it:
        await it.shop.product()
        sale = await it.shop.sale(starts_at=START + HOUR_MS, duration_seconds=60)

        async def move(**changes: int) -> dict[str, str]:
            changed: dict[str, str] = await it.shop.ask(
                EditSale(flash_sale=sale.id, changes=changes)
            )
            return changed

        for wrong in (START - 1, START + 31 * DAY_MS):
            with pytest.raises(Invalid, match="next 30 days"):
                await move(starts_at=wrong)
        with pytest.raises(Invalid):
            await move(starts_at=START + DAY_MS, ends_at=START + HOUR_MS + 60_000)
        later = await move(starts_at=START + DAY_MS)
        assert later["starts_at"] == "2023-11-15T22:13:20.000Z"
        assert later["ends_at"] == "2023-11-15T22:14:20.000Z"
        it.clock.advance(HOUR_MS)
        assert await it.state() == "scheduled"
        await move(starts_at=it.clock.wall + 10, ends_at=it.clock.wall + 20)
        it.clock.advance(10)
        await it.shop.reserve(sale, "ann")
        with pytest.raises(WrongState, match="has started"):
            await move(starts_at=it.clock.wall + 5)
        it.clock.advance(10)
        assert await it.state() == "ended"


async def test_units_are_held_from_the_plan_on_and_come_back_with_it(database_url: str) -> None:
    """Out of stock and counted in the grant; cancelled before the start, all of it is free."""
    async with office(database_url) as it:
        mug = await it.shop.product(stock=50)
        await it.shop.ask(SetGrant(product=mug.id, room="demo", units_max=10))
        sale = await it.shop.sale(merchant=None, units=10, starts_at=START + HOUR_MS)

        async def held() -> tuple[int, int]:
            async with it.engine.connect() as connection:
                stock = (await connection.execute(select(t.product_stock.c.committed))).scalar_one()
                used = (await connection.execute(select(t.sale_grant.c.used))).scalar_one()
            return stock, used

        assert await held() == (10, 10)
        cancelled = await it.shop.ask(CancelSale(flash_sale=sale.id, orders="honour"))
        assert (cancelled["state"], await held()) == ("cancelled", (0, 0))
        with pytest.raises(Invalid, match="not both"):
            await it.shop.sale(starts_at=START + HOUR_MS, countdown_seconds=5)
        it.clock.advance(2 * HOUR_MS)
        assert await it.state() == "cancelled"
