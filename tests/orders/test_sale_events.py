"""What merchants are told of a sale's stock and end, and who may buy in it."""

import asyncio
from typing import Any

import msgspec
import pytest

from orders import schema_sql as t
from orders.audit_sql import audit
from orders.errors import Forbidden, Invalid
from orders.requests import Cancel, CancelSale, EditProduct, EditSale, SetGrant
from tests.orders.shop import open_shop, reserve
from tests.orders.test_payments import rows_of
from tests.orders.test_shelf import order


async def told(engine: Any) -> list[tuple[str, str]]:
    """(event, what it is about), oldest first."""
    rows = sorted(await rows_of(engine, t.feed_note), key=lambda row: row.n)
    return [(row.type, next(iter(msgspec.json.decode(row.data)))) for row in rows]


async def test_a_sale_tells_when_it_runs_low_and_out_and_ends(database_url: str) -> None:
    """Each once for each time that it happens: units that come back may go again."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product(stock=100)
        sale = await shop.sale(units=20)
        for number in range(18):
            await shop.reserve(sale, f"b{number}")
        assert await told(engine) == [("stock.low", "flash_sale")]
        await shop.reserve(sale, "b18")
        last = await shop.reserve(sale, "b19")
        assert (await told(engine))[1:] == [("stock.sold_out", "flash_sale")]
        await shop.ask(Cancel(order=last.id))
        await shop.reserve(sale, "b20")
        await shop.ask(CancelSale(flash_sale=sale.id, orders="honour"))
        assert (await told(engine))[2:] == [
            ("stock.sold_out", "flash_sale"), ("flash_sale.ended", "flash_sale"),
        ]  # fmt: skip


async def test_a_product_tells_when_its_shelf_runs_low_and_out(database_url: str) -> None:
    """Counted in what nothing holds: orders from the shelf, and units given to a sale."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=20)
        await shop.ask(order({mug.id: 17}))
        assert await told(engine) == []
        await shop.ask(order({mug.id: 1}, "bob"))
        await shop.sale(units=2)
        assert await told(engine) == [("stock.low", "product"), ("stock.sold_out", "product")]


async def test_two_thousand_guests_get_nothing_of_a_sale_for_accounts(database_url: str) -> None:
    """However many sessions somebody opens: fifty units stay for those with an account."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product(stock=50)
        sale = await shop.sale(units=50, buyers="account")
        crowd = [shop.ask(reserve(sale, f"guest_{n}", guest=True)) for n in range(2_000)]
        results = await asyncio.gather(*crowd, return_exceptions=True)
        assert all(isinstance(result, Forbidden) for result in results)
        assert await rows_of(engine, t.orders) == []
        await shop.reserve(sale, "ann", guest=False)


async def test_a_grant_follows_its_use_and_never_falls_below_it(database_url: str) -> None:
    """A merchant may change a grant while a sale runs under it; refused in words below its use."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=50)
        await shop.ask(SetGrant(product=mug.id, room="demo", units_max=10))
        sale = await shop.sale(merchant=None, units=8)
        with pytest.raises(Invalid, match="8 units are used"):
            await shop.ask(SetGrant(product=mug.id, room="demo", units_max=7))
        with pytest.raises(Forbidden, match="8 are used"):
            await shop.ask(EditSale(flash_sale=sale.id, merchant="acme", changes={"units": 11}))
        await shop.ask(SetGrant(product=mug.id, room="demo", units_max=11))
        refilled = await shop.ask(
            EditSale(flash_sale=sale.id, merchant="acme", changes={"units": 11})
        )
        assert refilled["units_left"] == 11
        await shop.ask(EditSale(flash_sale=sale.id, merchant="acme", changes={"units": 2}))
        granted = await shop.ask(SetGrant(product=mug.id, room="demo", units_max=2))
        assert granted["used"] == 2
        assert await audit(engine) == []


async def test_an_edit_during_the_sale_leaves_orders_as_they_are(database_url: str) -> None:
    """Reserved stays reserved at its price; the limit counts for those who come after."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product(stock=50)
        sale = await shop.sale(units=10, per_buyer_limit=3)
        before = await shop.reserve(sale, "ann", quantity=3)
        await shop.ask(
            EditSale(
                flash_sale=sale.id, merchant="acme", changes={"per_buyer_limit": 1, "units": 3}
            )
        )
        with pytest.raises(Invalid, match="3 units are sold"):
            await shop.ask(EditSale(flash_sale=sale.id, merchant="acme", changes={"units": 2}))
        with pytest.raises(Invalid):
            await shop.ask(EditSale(flash_sale=sale.id, changes={"price_cents": 1}))
        (row,) = await rows_of(engine, t.orders)
        assert (row.state, row.quantity, row.amount_cents) == ("reserved", 3, before.amount_cents)
        assert await audit(engine) == []


async def test_an_edit_that_changes_nothing_is_no_version_and_no_news(database_url: str) -> None:
    """A page that saves what it read; the next real edit has a version that nobody has seen."""
    async with open_shop(database_url) as (shop, _engine):
        mug = await shop.product(stock=50, title="Mug")
        sale = await shop.sale(units=10)
        await shop.ask(SetGrant(product=mug.id, room="demo", units_max=20))
        told = len(shop.news)
        same = await shop.ask(EditSale(flash_sale=sale.id, merchant="acme", changes={"units": 10}))
        assert (same["version"], same["units_total"]) == (sale.version, 10)
        await shop.ask(EditProduct(product=mug.id, changes={"title": "Mug"}))
        await shop.ask(SetGrant(product=mug.id, room="demo", units_max=20))
        assert len(shop.news) == told
        edited = await shop.ask(
            EditSale(flash_sale=sale.id, merchant="acme", changes={"units": 11})
        )
        assert edited["version"] == sale.version + 1
        assert [one.version for one in shop.news[-1].sales] == [sale.version + 1]
