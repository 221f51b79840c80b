"""The writer on real databases: what buyers and merchants may rely on."""

import asyncio

import msgspec
import pytest
from sqlalchemy import func, select

from orders import outcome
from orders.desk import Desk
from orders.errors import (
    Ended,
    Forbidden,
    Invalid,
    KeyConflict,
    LimitExceeded,
    NotFound,
    NotStarted,
    PriceUnconfirmed,
    Refusal,
    SoldOut,
    WrongState,
)
from orders.ledger import Effects
from orders.requests import (
    AdjustStock,
    Cancel,
    CancelSale,
    EditProduct,
    EditSale,
    Note,
    Pay,
    SetGrant,
)
from orders.schema_sql import buyer_units, flash_sale, orders, product_stock
from tests.orders.shop import open_shop, reserve


async def stock_of(engine, product_id):  # type: ignore[no-untyped-def]
    async with engine.connect() as connection:
        row = await connection.execute(
            select(product_stock.c.total, product_stock.c.committed).where(
                product_stock.c.product_id == product_id
            )
        )
        return tuple(row.one())


async def test_a_reservation_takes_a_unit_and_a_payment_keeps_it(database_url: str) -> None:
    """reserve → pay: one order with its deadline, two more edges, stock sold once."""
    async with open_shop(database_url) as (shop, engine):
        product = await shop.product(stock=5)
        sale = await shop.sale(units=3)
        order = await shop.reserve(sale, "ann")
        assert (order.state, order.sequence, order.amount_cents) == ("reserved", 1, 600)
        paid = await shop.ask(Pay(order=order.id, provider="demo", payment="p1", actor="ann"))
        assert (paid["state"], paid["sequence"]) == ("paid", 3)
        assert paid["paid_at"] is not None
        async with engine.connect() as connection:
            row = (await connection.execute(select(flash_sale))).one()
        assert (row.units, row.sold) == (3, 1)
        assert await stock_of(engine, product.id) == (5, 3)
        assert shop.news[-1].last_edge > 0
        assert shop.writer.counts.stock_memory_wrong_total == 0


async def test_two_hundred_buyers_get_exactly_fifty_units(database_url: str) -> None:
    """All at once: fifty orders, a hundred and fifty told that it is sold out."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product(stock=50)
        sale = await shop.sale(units=50)
        results = await asyncio.gather(
            *(shop.writer.ask(reserve(sale, f"b{n}")) for n in range(200)), return_exceptions=True
        )
        assert sum(isinstance(result, bytes) for result in results) == 50
        assert sum(isinstance(result, SoldOut) for result in results) == 150
        async with engine.connect() as connection:
            assert (
                await connection.execute(select(func.count()).select_from(orders))
            ).scalar() == 50
        assert shop.news[-1].sales[0].state == "sold_out"


async def test_a_repeated_key_gets_the_same_bytes(database_url: str) -> None:
    """The stored answer, even after the order moved on; another body with the key is refused."""
    async with open_shop(database_url) as (shop, _engine):
        await shop.product()
        sale = await shop.sale(per_buyer_limit=3)
        first = await shop.writer.ask(reserve(sale, "ann", "k1", metadata={"a": "ä"}))
        assert await shop.writer.ask(reserve(sale, "ann", "k1")) == first
        order = msgspec.json.decode(first)
        await shop.ask(Pay(order=order["id"], provider="demo", payment="p", actor="ann"))
        assert await shop.writer.ask(reserve(sale, "ann", "k1")) == first
        with pytest.raises(KeyConflict):
            await shop.writer.ask(reserve(sale, "ann", "k1", quantity=2))
        await shop.ask(CancelSale(flash_sale=sale.id, orders="honour"))
        assert await shop.writer.ask(reserve(sale, "ann", "k1")) == first, "key before state"
        with pytest.raises(Ended):
            await shop.writer.ask(reserve(sale, "bob", "k1"))


async def test_a_key_of_another_sale_is_a_conflict_and_takes_no_unit(database_url: str) -> None:
    """The unique key decides where memory knows nothing, and nothing else of it is kept."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product()
        one, two = await shop.sale(units=1), await shop.sale(units=1)
        await shop.reserve(one, "ann", "k1")
        with pytest.raises(KeyConflict):
            await shop.writer.ask(reserve(two, "ann", "k1"))
        await shop.reserve(two, "bob", "k1")
        async with engine.connect() as connection:
            assert (
                await connection.execute(select(func.count()).select_from(orders))
            ).scalar() == 2


async def test_limits_clocks_and_strangers_are_refused(database_url: str) -> None:
    """Each refusal by its own name."""
    async with open_shop(database_url) as (shop, _engine):
        await shop.product()
        sale = await shop.sale(per_buyer_limit=2, countdown_seconds=10, duration_seconds=20)
        assert sale.state == "scheduled"
        with pytest.raises(NotStarted):
            await shop.reserve(sale, "ann")
        shop.clock.advance(9_999)
        with pytest.raises(NotStarted):
            await shop.reserve(sale, "ann")
        shop.clock.advance(1)
        await shop.reserve(sale, "ann", "k1", quantity=2)
        with pytest.raises(LimitExceeded):
            await shop.reserve(sale, "ann", "k2")
        for bad in (0, -1, 10**12):
            with pytest.raises((Invalid, LimitExceeded)):
                await shop.reserve(sale, "bob", quantity=bad)
        with pytest.raises(NotFound):
            await shop.writer.ask(reserve("sale_none", "bob"))
        with pytest.raises(Invalid):
            await shop.writer.ask(reserve(sale, "bob", "k\x00"))
        with pytest.raises(Invalid):
            await shop.writer.ask(reserve(sale, "bob", metadata={"x": "\ud800"}))
        shop.clock.advance(20_000)
        with pytest.raises(Ended):
            await shop.reserve(sale, "cid")
        accounts = await shop.sale(buyers="account")
        with pytest.raises(Forbidden):
            await shop.reserve(accounts, "dan")
        assert (await shop.reserve(accounts, "dan", guest=False)).state == "reserved"


async def test_an_unpaid_order_expires_at_its_deadline_and_frees_its_unit(
    database_url: str,
) -> None:
    """Not before, and the unit can be sold again, to the same buyer too."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product(stock=1)
        sale = await shop.sale(units=1, hold_seconds=30)
        first = await shop.reserve(sale, "ann")
        shop.clock.advance(29_999)
        with pytest.raises(SoldOut):
            await shop.reserve(sale, "bob")
        shop.clock.advance(1)
        second = await shop.reserve(sale, "ann", "again")
        assert second.id != first.id
        async with engine.connect() as connection:
            rows = await connection.execute(select(orders.c.id, orders.c.state))
            states = {row.id: row.state for row in rows}
            units = (await connection.execute(select(buyer_units.c.units))).scalar_one()
        assert states == {first.id: "expired", second.id: "reserved"}
        assert units == 1
        with pytest.raises(WrongState):
            await shop.ask(Pay(order=first.id, provider="demo", payment="late", actor="ann"))


async def test_a_cancelled_order_frees_its_unit_once(database_url: str) -> None:
    async with open_shop(database_url) as (shop, engine):
        product = await shop.product(stock=1)
        sale = await shop.sale(units=1)
        order = await shop.reserve(sale, "ann")
        for _ in range(2):
            gone = await shop.ask(Cancel(order=order.id, actor="ann"))
            assert (gone["state"], gone["sequence"]) == ("cancelled", 2)
        await shop.reserve(sale, "bob")
        with pytest.raises(SoldOut):
            await shop.reserve(sale, "cid")
        assert await stock_of(engine, product.id) == (1, 1)


async def test_a_closed_sale_gives_back_what_it_did_not_sell(database_url: str) -> None:
    """The rest at once, and the units of its orders when they end later."""
    async with open_shop(database_url) as (shop, engine):
        product = await shop.product(stock=10)
        await shop.ask(SetGrant(product=product.id, room="demo", units_max=8))
        sale = await shop.sale(units=8, merchant=None, hold_seconds=60)
        assert await stock_of(engine, product.id) == (10, 8)
        with pytest.raises(Forbidden, match="8 units, 8 are used"):
            await shop.sale(units=1, merchant=None)
        await shop.reserve(sale, "ann")
        await shop.reserve(sale, "bob")
        ended = await shop.ask(CancelSale(flash_sale=sale.id, orders="honour"))
        assert (ended["state"], ended["units_total"], ended["units_left"]) == ("cancelled", 2, 0)
        assert await stock_of(engine, product.id) == (10, 2)
        shop.clock.advance(60_000)
        assert (await shop.sale(units=8, merchant=None)).units_left == 8
        assert await stock_of(engine, product.id) == (10, 8)


async def test_voiding_cancels_every_unpaid_order(database_url: str) -> None:
    """In parts of at most 500; what is paid stays."""
    async with open_shop(database_url) as (shop, engine):
        product = await shop.product(stock=1300)
        sale = await shop.sale(units=1300)
        answers = await asyncio.gather(
            *(shop.writer.ask(reserve(sale, f"b{n}")) for n in range(1201))
        )
        paid = msgspec.json.decode(answers[7])["id"]
        await shop.ask(Pay(order=paid, provider="demo", payment="p", actor="b7"))
        await shop.ask(CancelSale(flash_sale=sale.id, orders="void"))
        for _ in range(20):  # each request is a batch, and each batch voids a part
            shop.clock.advance(1)
            await shop.ask(Note(event="room.ended", merchants=[], data={}))
            if await stock_of(engine, product.id) == (1300, 0):
                return
        pytest.fail("orders of a voided sale are left")


async def test_stock_is_never_taken_from_under_a_sale(database_url: str) -> None:
    async with open_shop(database_url) as (shop, _engine):
        product = await shop.product(stock=10)
        sale = await shop.sale(units=6)
        with pytest.raises(Invalid):
            await shop.ask(AdjustStock(product=product.id, delta=-5, reason="broken"))
        changed = await shop.ask(AdjustStock(product=product.id, delta=-4, reason="broken"))
        assert changed["stock"] == 0
        with pytest.raises(SoldOut):
            await shop.sale(units=1)
        with pytest.raises(SoldOut):
            await shop.ask(EditSale(flash_sale=sale.id, merchant="acme", changes={"units": 7}))
        smaller = await shop.ask(
            EditSale(flash_sale=sale.id, merchant="acme", changes={"units": 2})
        )
        assert (smaller["units_total"], smaller["version"] > sale.version) == (2, True)
        edited = await shop.ask(EditProduct(product=product.id, changes={"title": "Big mug"}))
        assert (edited["title"], edited["stock"]) == ("Big mug", 4)


async def test_a_streamer_sells_only_inside_the_grant(database_url: str) -> None:
    async with open_shop(database_url) as (shop, _engine):
        product = await shop.product()
        with pytest.raises(NotFound):
            await shop.sale("no such SKU", merchant=None)
        with pytest.raises(Forbidden, match="not granted"):
            await shop.sale(merchant=None)
        await shop.ask(SetGrant(product=product.id, room="demo", min_price_cents=500, units_max=5))
        with pytest.raises(Forbidden, match="from 500"):
            await shop.sale(merchant=None, price_cents=499, units=1)
        with pytest.raises(Forbidden, match="5 units"):
            await shop.sale(merchant=None, units=6)
        await shop.ask(EditProduct(product=product.id, changes={"list_price_cents": 1201}))
        with pytest.raises(PriceUnconfirmed):
            await shop.sale(merchant=None, price_cents=600, units=1)
        await shop.sale(merchant=None, price_cents=600, units=5, confirm_low_price=True)


async def test_a_streamer_refills_only_inside_the_grant(database_url: str) -> None:
    """More units need what a new sale of them would need; the merchant's own, no grant."""
    async with open_shop(database_url) as (shop, _engine):
        product = await shop.product()
        own = await shop.sale(units=1)
        await shop.ask(SetGrant(product=product.id, room="demo", min_price_cents=500, units_max=5))
        granted = await shop.sale(merchant=None, units=1)
        for sale in (own.id, granted.id):
            await shop.ask(EditSale(flash_sale=sale, merchant="acme", changes={"units": 2}))
        with pytest.raises(Forbidden, match="not granted"):
            await shop.ask(EditSale(flash_sale=own.id, changes={"units": 3}))
        await shop.ask(EditSale(flash_sale=own.id, changes={"units": 1}))
        with pytest.raises(Forbidden, match="5 units"):
            await shop.ask(EditSale(flash_sale=granted.id, changes={"units": 6}))
        await shop.ask(EditSale(flash_sale=granted.id, changes={"units": 5}))
        await shop.ask(SetGrant(product=product.id, room="demo", min_price_cents=601, units_max=9))
        with pytest.raises(Forbidden, match="from 601"):
            await shop.ask(EditSale(flash_sale=granted.id, changes={"units": 6}))


async def test_no_order_can_cost_more_than_a_payment_can_bring(database_url: str) -> None:
    """A limit that would allow it is refused where the sale is made or changed."""
    async with open_shop(database_url) as (shop, _engine):
        await shop.product(stock=10**9)
        with pytest.raises(Invalid, match="lower the limit"):
            await shop.sale(price_cents=10**11, per_buyer_limit=11)
        sale = await shop.sale(price_cents=10**11, per_buyer_limit=10)
        with pytest.raises(Invalid, match="lower the limit"):
            await shop.ask(EditSale(flash_sale=sale.id, changes={"per_buyer_limit": 11}))
        order = await shop.reserve(sale, "ann", quantity=10)
        assert order.amount_cents == 10**12


async def test_a_poisoned_request_fails_alone(database_url: str) -> None:
    """Whatever stands in the same batch with it is committed."""
    async with open_shop(database_url) as (shop, _engine):
        await shop.product()
        sale = await shop.sale(units=10)
        poison = Note(event="x", merchants=["acme"], data={"x": "\ud800"})
        results = await asyncio.gather(
            *(shop.writer.ask(reserve(sale, f"b{n}")) for n in range(5)),
            shop.writer.ask(poison),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [bytes] * 5 + [Invalid]
        assert all(not isinstance(result, Refusal) for result in results[:5])


async def test_a_request_that_cannot_be_turned_into_rows_stops_nobody_else(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in the code behind one kind of request is that request's alone."""
    effects = outcome.effects

    def stumble(desk: Desk) -> Effects:
        found = effects(desk)
        if any(order.buyer == "poison" for order in desk.new_orders.values()):
            raise LookupError("no such column")
        return found

    monkeypatch.setattr(outcome, "effects", stumble)
    async with open_shop(sqlite_url) as (shop, _engine):
        await shop.product()
        sale = await shop.sale(units=10)
        buyers = ["b1", "b2", "poison", "b3", "b4"]
        answers = await asyncio.gather(
            *(shop.writer.ask(reserve(sale, buyer)) for buyer in buyers), return_exceptions=True
        )
        assert [isinstance(answer, Invalid) for answer in answers] == [
            buyer == "poison" for buyer in buyers
        ]
        assert sum(isinstance(answer, bytes) for answer in answers) == 4
