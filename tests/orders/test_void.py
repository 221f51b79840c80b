"""Voiding a sale is worked off in batches; whoever dies between two of them leaves a rest."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from orders import schema_sql as t
from orders.audit_sql import audit
from orders.ledger import Broken, Transaction
from orders.ledger_sql import SqlLedger
from orders.requests import CancelSale, JoinWaitlist, Pay
from orders.rows import VOID_DONE, VOID_WANTED
from tests.orders.shop import Clock, Shop, database
from tests.orders.test_takeover import served

BATCH = 4  # orders that a batch ends in this test
UNPAID, PAID = 10, 5


class MortalLedger(SqlLedger):
    """The database of a process that is killed at one of its commits, and never comes back."""

    commits_to_live: int | None = None
    commits_first = False  # whether the last commit still happens

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self.died = asyncio.Event()

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[AsyncConnection]:
        if self.died.is_set():
            raise Broken("killed")
        async with super()._guarded() as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, fence: int, now: int) -> AsyncIterator[Transaction]:
        async with super()._transaction(fence, now) as transaction:
            yield MortalTransaction(transaction, self)  # type: ignore[misc]


class MortalTransaction:
    def __init__(self, inner: Transaction, ledger: MortalLedger) -> None:
        self._inner, self._ledger = inner, ledger
        self.read, self.write = inner.read, inner.write
        self.insert_orders = inner.insert_orders

    async def commit(self) -> None:
        ledger = self._ledger
        if ledger.commits_to_live is not None:
            ledger.commits_to_live -= 1
        is_last = ledger.commits_to_live == 0
        if not is_last or ledger.commits_first:
            await self._inner.commit()
        if is_last:
            ledger.died.set()
            raise Broken("killed", outcome_unknown=True)


async def states(engine: AsyncEngine) -> Counter[str]:
    async with engine.connect() as connection:
        return Counter(row[0] for row in await connection.execute(select(t.orders.c.state)))


async def void_of(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        found: int = (await connection.execute(select(t.flash_sale.c.void))).scalar_one()
        return found


@pytest.mark.parametrize("commits_first", [False, True])
async def test_a_void_cancel_goes_on_under_the_next_holder(
    database_url: str, monkeypatch: pytest.MonkeyPatch, commits_first: bool
) -> None:
    """Killed before or just after the commit of its second batch: in the end nothing is left."""
    monkeypatch.setattr("orders.decide.MAX_ENDED_IN_A_BATCH", BATCH)
    async with database(database_url) as engine:
        clock, ledger = Clock(), MortalLedger(engine)
        one = Shop(ledger, clock)
        one.start()
        product = await one.product(stock=50)
        sale = await one.sale(units=UNPAID + PAID)
        orders = await asyncio.gather(*(one.reserve(sale, f"b{n}") for n in range(UNPAID + PAID)))
        for order in orders[:PAID]:
            await one.ask(Pay(order=order.id, provider="demo", payment=order.id))
        await one.ask(
            JoinWaitlist(
                flash_sale=sale.id, buyer="ann", buyer_name="", guest=True, quantity=1, key="j"
            )
        )
        ledger.commits_first = commits_first
        ledger.commits_to_live = 3  # the cancel itself, a first batch of orders, the second
        await one.ask(CancelSale(flash_sale=sale.id, orders="void"))
        async with asyncio.timeout(20):
            await ledger.died.wait()
        left = UNPAID + PAID - BATCH * (1 + commits_first)
        ended = await states(engine)
        assert ended["reserved"] + ended["paid"] == left > 0
        assert await void_of(engine) == VOID_WANTED
        assert await audit(engine) == [], "half done, and every counter right"

        two = Shop(SqlLedger(engine), clock, holder="two", first_number=1_000, dead_holder="one")
        two.start()
        await served(two)
        async with asyncio.timeout(20):
            while await void_of(engine) != VOID_DONE:  # noqa: ASYNC110 - another task commits it
                await asyncio.sleep(0.01)
        assert await states(engine) == {"cancelled": UNPAID, "refunded": PAID}
        assert await audit(engine) == []
        async with engine.connect() as connection:
            stock = (await connection.execute(select(t.product_stock))).one()
            refunds = (await connection.execute(select(t.refunds.c.amount_cents))).all()
        assert (stock.product_id, stock.total, stock.committed) == (product.id, 50, 0)
        assert [row[0] for row in refunds] == [600] * PAID
        await two.stop()
        await one.stop()
