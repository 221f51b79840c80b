"""During an upgrade a writer works on tables that a newer version has made longer."""

from sqlalchemy import text

from orders import schema_sql as t
from orders.audit_sql import audit
from orders.requests import Pay, Refund, SetGrant
from tests.orders.shop import open_shop, reserve
from tests.orders.test_coupons import coupon
from tests.orders.test_shelf import order
from tests.orders.test_waitlist import join


async def test_a_column_that_a_writer_does_not_know_does_not_hurt_it(database_url: str) -> None:
    """It reads the columns that it knows by their names: orders, payments, coupons, grants, …"""
    async with open_shop(database_url) as (shop, engine):
        async with engine.begin() as connection:
            for table in t.metadata.sorted_tables:
                await connection.execute(
                    text(f"ALTER TABLE {table.name} ADD COLUMN next_word TEXT")
                )
        mug = await shop.product(stock=5)
        await shop.ask(SetGrant(product=mug.id, room="demo", units_max=5))
        await coupon(shop)
        bought = await shop.ask(order({mug.id: 1}, "ann", coupon="ten"))
        await shop.ask(Pay(order=bought["id"], provider="demo", payment="p"))
        refund = Refund(order=bought["id"], reason="broken", key="r", restock=True)
        assert (await shop.ask(refund))["state"] == (await shop.ask(refund))["state"] == "refunded"
        sale = await shop.sale(units=2, per_buyer_limit=2)
        first = await shop.writer.ask(reserve(sale, "bob"))
        assert shop.writer._merger.memory is not None
        shop.writer._merger.memory.keys.clear()
        assert await shop.writer.ask(reserve(sale, "bob")) == first
        await shop.reserve(sale, "dan")
        waits = await shop.writer.ask(join(sale, "cid"))
        assert await shop.writer.ask(join(sale, "cid")) == waits
        assert await audit(engine) == []
