"""
Guards on the real databases: each is taken away where it is the last one, and the checker must turn
red by the invariant that it keeps; with the guard the same run is green, and the guard struck.

What is not different on a real database (crashes, order of steps, memory) is in
`tests/simulation/test_guards.py`; here are those that a database itself keeps, under its own locks.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine

from liveserver.db import make_engine
from loadtest import checker
from loadtest.books import Run, read_books
from loadtest.journal import Line
from orders import decide_orders, lease_sql, outcome, schema_sql, webhooks_sql
from orders import schema_sql as t
from orders.arrays_sql import update
from orders.desk import Desk
from orders.errors import Refusal, Unavailable
from orders.ledger import Effects
from orders.ledger_sql import SqlLedger
from orders.requests import Cancel, Reserve
from orders.rows import OrderRow
from orders.sale_draft import SaleDraft
from orders.shapes import FlashSale
from orders.statements_sql import MOVE_PLACES, PLACE_MOVE_FIELDS, SALE_FIELDS, UPDATE_SALES
from tests.orders.shop import Clock, Shop, reserve
from tests.orders.test_takeover import served
from tests.orders.test_waitlist import join

COUNTER = "AND flash_sale.counter = r.known"
UNITS = "AND flash_sale.sold + r.sold_delta <= r.units"


class Market:
    """Writers on one database, and what their buyers wrote down."""

    def __init__(self, engine: AsyncEngine, url: str) -> None:
        self.engine = engine
        self.url = url
        self.journal: list[Line] = []
        self.shops: list[Shop] = []

    def open(self, holder: str, without: str = "", without_place: str = "", **options: Any) -> Shop:
        """One more writer; `without` a guard of its statements on sales, or on places in line."""
        ledger = SqlLedger(self.engine)
        if without_place:
            assert without_place in MOVE_PLACES
            clause = MOVE_PLACES.replace(without_place, "")
            fields = PLACE_MOVE_FIELDS
            moves = update(self.engine.dialect.name, t.waitlist, fields, clause)
            ledger._statements.place_moves = moves
        if without:
            clause = UPDATE_SALES
            for guard in without.split("|"):
                assert guard in clause
                clause = clause.replace(guard, "")
            dialect = self.engine.dialect.name
            ledger._statements.sales = update(dialect, t.flash_sale, SALE_FIELDS, clause)
        first = 1 + 1_000 * len(self.shops)  # of its ids
        shop = Shop(ledger, Clock(), holder=holder, first_number=first, **options)
        shop.start()
        self.shops.append(shop)
        return shop

    async def sale(self, shop: Shop, units: int, limit: int = 5) -> FlashSale:
        await shop.product()
        sale = await shop.sale(units=units, per_buyer_limit=limit)
        self.journal.append({"kind": "sale", "sale": sale.id, "units": units, "limit": limit})
        return sale

    async def buy(
        self, shop: Shop, sale: FlashSale, buyer: str, key: str = "k", **more: Any
    ) -> Refusal | None:
        """One unit; the refusal, if it was refused. Both are written down."""
        refusal, body = None, b""
        try:
            body = await shop.writer.ask(reserve(sale, buyer, key, **more))
        except Refusal as error:
            refusal = error
        self.journal.append({
            "kind": "ask", "what": "reserve", "buyer": buyer, "sale": sale.id, "key": key,
            "quantity": 1, "price_cents": sale.price_cents, "body": body.decode(),
            "status": 409 if refusal else 201,
        })  # fmt: skip
        return refusal

    async def join(self, shop: Shop, sale: FlashSale, buyer: str) -> None:
        """Line up for one unit."""
        body = await shop.writer.ask(join(sale, buyer))
        self.journal.append({
            "kind": "ask", "what": "join", "buyer": buyer, "sale": sale.id, "key": "j",
            "quantity": 1, "body": body.decode(), "status": 201,
        })  # fmt: skip

    async def cancel(self, shop: Shop, buyer: str) -> None:
        """The buyer's one order that is reserved."""
        query = "SELECT id FROM orders WHERE state = 'reserved' AND buyer = :buyer"
        async with self.engine.connect() as connection:
            order = (await connection.execute(text(query), {"buyer": buyer})).scalar_one()
        body = await shop.writer.ask(Cancel(order=order))
        self.journal.append({
            "kind": "ask", "what": "cancel", "buyer": buyer, "order": order,
            "body": body.decode(), "status": 200,
        })  # fmt: skip

    async def violated(self) -> set[str]:
        """The invariants that the checker misses, read from the database itself."""
        for shop in self.shops:
            await shop.stop()
        books = await read_books(self.url)
        return {line.split()[0] for line in checker.check(Run(books, self.journal))}


@asynccontextmanager
async def market(url: str, *without: str) -> AsyncIterator[Market]:
    """Fresh tables, perhaps without some of their constraints."""
    tables = MetaData()
    for table in schema_sql.metadata.sorted_tables:
        copy = table.to_metadata(tables)
        copy.constraints = {rule for rule in copy.constraints if rule.name not in without}
    engine = make_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(tables.create_all)
        await connection.run_sync(webhooks_sql.metadata.create_all)
    found = Market(engine, url)
    try:
        yield found
    finally:
        for shop in found.shops:
            await shop.stop()
        await engine.dispose()


# ── the fence ───────────────────────────────────────────────────────────────────────────────────


async def two_holders(found: Market, without: str = "") -> Refusal | None:
    """The first holder stands still until another has sold the last unit, then goes on."""
    one = found.open("one", without)
    sale = await found.sale(one, units=1)
    two = found.open("two", without, dead_holder="one")
    await served(two)
    assert await found.buy(two, sale, "bob") is None
    if without:
        assert one.writer._merger.memory is not None
        one.writer._merger.memory.last_n += 100  # the ledger's numbers would collide
    return await found.buy(one, sale, "ann")


async def test_the_fence_stops_a_holder_that_was_succeeded(database_url: str) -> None:
    """It is told in its transaction's first statement, and sells nothing."""
    async with market(database_url) as found:
        refusal = await two_holders(found)
        assert isinstance(refusal, Unavailable)
        assert found.shops[0].writer.fence is None
        assert await found.violated() == set()


async def test_without_the_fence_a_unit_is_sold_twice(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With counter, units and the numbers of the ledger, which would notice as well."""

    async def beat(connection: Any, fence: int, now: int) -> bool:
        await connection.execute(text("UPDATE lease SET beat = beat + 1"))
        return True

    monkeypatch.setattr(lease_sql, "beat", beat)
    async with market(database_url, "ck_flash_sale_sold") as found:
        assert await two_holders(found, f"{COUNTER}|{UNITS}") is None
        assert await found.violated() == {"I1"}


# ── the counter of a sale ───────────────────────────────────────────────────────────────────────


async def cut_by_another(found: Market, shop: Shop, sale: FlashSale) -> None:
    """A second client takes a free unit out of the sale, with everything that belongs to it."""
    async with found.engine.begin() as connection:
        for statement in (
            "UPDATE flash_sale SET units = units - 1, counter = counter + 1",
            "UPDATE product_stock SET committed = committed - 1",
        ):
            await connection.execute(text(statement))
    assert await found.buy(shop, sale, "ann") is None


async def test_the_counter_notices_a_second_client(database_url: str) -> None:
    """The batch is rolled back, the memory loaded, and the buyer served from what is true."""
    async with market(database_url) as found:
        shop = found.open("one")
        sale = await found.sale(shop, units=3)
        await cut_by_another(found, shop, sale)
        assert shop.writer.counts.stock_memory_wrong_total == 1
        assert await found.violated() == set()


async def test_without_the_counter_the_edit_of_another_is_overwritten(database_url: str) -> None:
    """The units of the sale come back, those of the product do not."""
    async with market(database_url) as found:
        shop = found.open("one", COUNTER)
        sale = await found.sale(shop, units=3)
        await cut_by_another(found, shop, sale)
        assert await found.violated() == {"I2"}


# ── a place in line ─────────────────────────────────────────────────────────────────────────────


async def offer_again(found: Market, without: str = "") -> None:
    """Memory still lets a buyer wait to whom the unit was offered, when the unit comes back."""
    shop = found.open("one", without_place=without)
    sale = await found.sale(shop, units=1)
    assert await found.buy(shop, sale, "ann") is None
    await found.join(shop, sale, "bob")
    memory = shop.writer._merger.memory
    assert memory is not None
    waits = dict(memory.sales[sale.id].line)
    await found.cancel(shop, "ann")
    memory.sales[sale.id].line.update(waits)
    await found.cancel(shop, "bob")


async def test_a_place_is_offered_once_whatever_memory_believes(database_url: str) -> None:
    """The batch is rolled back, the memory loaded, and the unit stays free."""
    async with market(database_url) as found:
        await offer_again(found)
        assert found.shops[0].writer.counts.stock_memory_wrong_total == 1
        assert await found.violated() == set()


async def test_without_its_state_and_key_a_place_is_offered_twice(database_url: str) -> None:
    """One wish makes two orders; then the first one belongs to no place, and jumped the line."""
    async with market(database_url, "uq_orders_buyer_space_key") as found:
        await offer_again(found, " AND waitlist.state = 'waiting'")
        assert await found.violated() == {"I5", "I4", "Q1"}


# ── the unique key ──────────────────────────────────────────────────────────────────────────────


async def ask_twice(found: Market) -> None:
    """A key comes again when memory has forgotten it."""
    shop = found.open("one")
    sale = await found.sale(shop, units=5)
    assert await found.buy(shop, sale, "ann") is None
    memory = shop.writer._merger.memory
    assert memory is not None
    memory.keys.clear()
    assert await found.buy(shop, sale, "ann") is None


async def test_the_unique_key_answers_a_forgotten_one_with_the_same_bytes(
    database_url: str,
) -> None:
    """The second insert does nothing, and takes no unit."""
    async with market(database_url) as found:
        await ask_twice(found)
        first, second = (line["body"] for line in found.journal if line["kind"] == "ask")
        assert first == second and json.loads(first)["buyer"]["id"] == "ann"
        assert await found.violated() == set()


async def test_without_the_unique_key_one_wish_makes_two_orders(database_url: str) -> None:
    """And two answers."""
    async with market(database_url, "uq_orders_buyer_space_key") as found:
        await ask_twice(found)
        assert await found.violated() == {"I5"}


# ── the price ───────────────────────────────────────────────────────────────────────────────────


async def ask_for_one_cent(found: Market) -> None:
    """A buyer names a price of its own."""
    shop = found.open("one")
    sale = await found.sale(shop, units=5)
    assert await found.buy(shop, sale, "ann", metadata={"price_cents": 1}) is None


async def test_the_price_is_the_servers_business(database_url: str) -> None:
    """Whatever the buyer sends beside it."""
    async with market(database_url) as found:
        await ask_for_one_cent(found)
        (told,) = (json.loads(line["body"]) for line in found.journal if line["kind"] == "ask")
        assert (told["amount_cents"], told["metadata"]) == (600, {"price_cents": 1})
        assert await found.violated() == set()


async def test_with_the_price_from_the_client_orders_cost_what_it_likes(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is made, whole and wrong."""
    place = decide_orders.place_order

    def believe(desk: Desk, draft: SaleDraft, request: Reserve, space: str = "client") -> OrderRow:
        true = draft.row.price_cents
        draft.row.price_cents = request.metadata["price_cents"]
        row = place(desk, draft, request, space)
        draft.row.price_cents = true
        return row

    monkeypatch.setattr(decide_orders, "place_order", believe)
    async with market(database_url) as found:
        await ask_for_one_cent(found)
        assert await found.violated() == {"I3"}


# ── one transaction ─────────────────────────────────────────────────────────────────────────────


async def end_after_a_cancel(found: Market) -> None:
    """The process ends right after the commit that ended an order."""
    shop = found.open("one")
    sale = await found.sale(shop, units=5)
    assert await found.buy(shop, sale, "ann") is None
    await found.cancel(shop, "ann")
    await shop.stop()


async def test_what_an_order_held_is_free_in_the_commit_that_ends_it(database_url: str) -> None:
    """There is nothing left to do for which the process would be needed."""
    async with market(database_url) as found:
        await end_after_a_cancel(found)
        async with found.engine.connect() as connection:
            assert (await connection.execute(text("SELECT sold FROM flash_sale"))).scalar() == 0
        assert await found.violated() == set()


async def test_with_units_given_back_outside_the_transaction_they_are_lost(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends before it could do it."""
    effects = outcome.effects

    def leave_out(desk: Desk) -> Effects:
        out = effects(desk)
        for change in out.sales:
            change.sold_delta = max(0, change.sold_delta)  # the rest "in a moment"
        return out

    monkeypatch.setattr(outcome, "effects", leave_out)
    async with market(database_url) as found:
        await end_after_a_cancel(found)
        assert await found.violated() == {"I2"}
