"""The ledger in memory behaves like the databases, so that a simulation on it means something."""

import asyncio

import pytest

from orders.errors import KeyConflict, SoldOut
from orders.ledger import MemoryWrong
from orders.ledger_memory import MemoryDatabase, MemoryLedger
from orders.requests import Cancel, CancelSale, Pay
from tests.orders.shop import Clock, Shop, reserve


async def test_the_writer_sells_on_it_as_on_a_database() -> None:
    database = MemoryDatabase()
    shop = Shop(MemoryLedger(database), Clock())
    shop.start()
    await shop.product(stock=60)
    sale = await shop.sale(units=50, hold_seconds=10)
    results = await asyncio.gather(
        *(shop.writer.ask(reserve(sale, f"b{n}")) for n in range(200)), return_exceptions=True
    )
    assert sum(isinstance(result, bytes) for result in results) == 50
    assert sum(isinstance(result, SoldOut) for result in results) == 150
    first, second, *_rest = database.tables.orders.values()
    assert await shop.writer.ask(reserve(sale, first.buyer)) == first.answer.encode()
    with pytest.raises(KeyConflict):
        await shop.writer.ask(reserve(sale, first.buyer, quantity=2))
    await shop.ask(Pay(order=first.id, provider="demo", payment="p", actor="x"))
    await shop.ask(Cancel(order=second.id, actor="x"))
    await shop.ask(CancelSale(flash_sale=sale.id, orders="void"))
    shop.clock.advance(10_000)
    await shop.product(sku="other")
    async with asyncio.timeout(10):  # a batch ends a part of them, the next ones the rest
        while any(row.state == "reserved" for row in database.tables.orders.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    states = sorted(order.state for order in database.tables.orders.values())
    assert states.count("refunded") == 1
    assert set(states) <= {"refunded", "cancelled", "expired"}
    product = next(row for row in database.tables.products.values() if row.sku == "mug")
    assert (product.total, product.committed) == (60, 0)
    await shop.stop()


async def test_it_refuses_what_a_guard_of_the_database_refuses() -> None:
    """A sale changed behind the writer's back: its counter is not what memory knows."""
    database = MemoryDatabase()
    shop = Shop(MemoryLedger(database), Clock())
    shop.start()
    await shop.product()
    sale = await shop.sale(units=1)
    database.tables.sales[sale.id].counter += 1
    database.tables.sales[sale.id].sold = 1
    with pytest.raises((SoldOut, MemoryWrong)):
        await shop.reserve(sale, "ann")
    assert shop.writer.counts.stock_memory_wrong_total == 1
    await shop.stop()
