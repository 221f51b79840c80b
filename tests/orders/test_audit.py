"""The audit: silent about what is right, exact about what is not."""

from sqlalchemy import text

from orders.audit_sql import audit
from orders.requests import Cancel, CancelSale, Pay, SetGrant
from tests.orders.shop import open_shop


async def test_it_finds_nothing_after_every_kind_of_request(database_url: str) -> None:
    async with open_shop(database_url) as (shop, engine):
        product = await shop.product(stock=20)
        await shop.ask(SetGrant(product=product.id, room="demo", units_max=15))
        open_sale = await shop.sale(units=5, merchant=None)
        closed = await shop.sale(units=5, hold_seconds=10)
        orders = [await shop.reserve(closed, f"b{n}") for n in range(3)]
        await shop.reserve(open_sale, "ann")
        await shop.ask(Pay(order=orders[0].id, provider="demo", payment="p", actor="b0"))
        await shop.ask(CancelSale(flash_sale=closed.id, orders="honour"))
        await shop.ask(Cancel(order=orders[1].id, actor="b1"))
        assert await audit(engine) == []
        shop.clock.advance(10_000)
        await shop.reserve(open_sale, "bob")
        assert await audit(engine) == []


async def test_it_prints_exactly_the_row_that_a_hand_edited(database_url: str) -> None:
    async with open_shop(database_url) as (shop, engine):
        product = await shop.product(stock=20)
        sale = await shop.sale(units=5)
        order = await shop.reserve(sale, "ann")
        for sql, line in (
            ("UPDATE flash_sale SET sold = sold + {}",
             f"flash_sale.sold {sale.id}: stored 2, counted 1"),
            ("UPDATE product_stock SET committed = committed + {}",
             f"product_stock.committed {product.id}: stored 6, counted 5"),
            ("UPDATE product_stock SET total = total + {}",
             f"product_stock.total {product.id}: stored 21, counted 20"),
            ("UPDATE buyer_units SET units = units + {}",
             f"buyer_units.units {sale.id} ann: stored 2, counted 1"),
            ("UPDATE orders SET amount_cents = amount_cents + {}",
             f"orders.amount_cents {order.id}: stored 601, counted 600"),
        ):  # fmt: skip
            async with engine.begin() as connection:
                await connection.execute(text(sql.format(1)))
            assert await audit(engine) == [line]
            async with engine.begin() as connection:
                await connection.execute(text(sql.format(-1)))
        assert await audit(engine) == []
