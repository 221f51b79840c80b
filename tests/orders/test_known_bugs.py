"""
Oversell and double-spend bugs that other shops published: none of them happens here.

Named after where they were found, in order that a reader can look them up. ACIDRain is the paper
"ACIDRain: Concurrency-Related Attacks on Database-Backed Web Applications" (SIGMOD 2017).
"""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from orders import schema_sql as t
from orders.audit_sql import audit
from orders.errors import Invalid, LimitExceeded, Refusal, SoldOut, WrongState
from orders.order import is_held
from orders.requests import (
    AdjustStock,
    AnyRequest,
    Cancel,
    EditProduct,
    EditSale,
    LineAsked,
    Pay,
    Refund,
)
from tests.orders.shop import Shop, open_shop, reserve
from tests.orders.test_coupons import coupon
from tests.orders.test_payments import rows_of
from tests.orders.test_shelf import order
from tests.orders.test_writer import stock_of


async def at_once(shop: Shop, asks: list[AnyRequest]) -> list[Any]:
    """All these requests without waiting for any: answers and refusals, in order."""
    results = await asyncio.gather(*map(shop.ask, asks), return_exceptions=True)
    strange = [r for r in results if isinstance(r, BaseException) and not isinstance(r, Refusal)]
    assert not strange
    return results


def done(results: list[Any]) -> list[Any]:
    return [result for result in results if not isinstance(result, BaseException)]


async def held(engine: Any, product: str) -> int:
    """Units of a product in orders that hold them."""
    rows = {row.id: row for row in await rows_of(engine, t.orders)}
    return sum(
        line.quantity
        for line in await rows_of(engine, t.order_lines)
        if line.product_id == product
        and is_held(rows[line.order_id].state, bool(rows[line.order_id].restocked))
    )


async def test_saleor_543_the_last_unit_has_one_buyer(database_url: str) -> None:
    """Concurrent checkouts of the last unit: one order, everybody else is told."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=1)
        results = await at_once(shop, [order({mug.id: 1}, f"b{n}") for n in range(50)])
        assert len(done(results)) == 1
        assert sum(isinstance(result, SoldOut) for result in results) == 49
        assert await stock_of(engine, mug.id) == (1, 1)


async def test_saleor_5334_every_order_has_its_units(database_url: str) -> None:
    """Of many orders at once none is made without its units being counted."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=40)
        sale = await shop.sale(units=20)
        asks = [order({mug.id: 1}, f"b{n}") for n in range(15)]
        results = await at_once(shop, [*asks, *(reserve(sale, f"c{n}") for n in range(15))])
        assert len(done(results)) == 30
        assert await held(engine, mug.id) == 30
        assert await stock_of(engine, mug.id) == (40, 20 + 15)
        assert await audit(engine) == []


async def test_medusa_16502_two_lines_do_not_share_a_unit(database_url: str) -> None:
    """Two lines of one product are not each checked against the same stock: they are refused."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=3)
        twice = order({mug.id: 2})
        twice.lines.append(LineAsked(product_id=mug.id, quantity=2))
        with pytest.raises(Invalid):
            await shop.ask(twice)
        assert await stock_of(engine, mug.id) == (3, 0)


async def test_medusa_16569_direct_reservations_do_not_lose_each_other(database_url: str) -> None:
    """Fifty at once on thirty units: thirty are taken, and thirty are counted."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=30)
        sale = await shop.sale(units=30)
        results = await at_once(shop, [reserve(sale, f"b{n}") for n in range(50)])
        assert len(done(results)) == await held(engine, mug.id) == 30
        assert await audit(engine) == []


async def test_medusa_12401_what_is_reserved_never_falls_below_zero(database_url: str) -> None:
    """An order that is cancelled many times, and falls due too, returns its units once."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=5)
        sale = await shop.sale(units=2, hold_seconds=1)
        taken = await shop.reserve(sale, "ann")
        shop.clock.advance(1_000)
        await at_once(shop, [Cancel(order=taken.id) for _ in range(10)])
        assert await stock_of(engine, mug.id) == (5, 2)
        units = [row.units for row in await rows_of(engine, t.buyer_units)]
        assert units == [0]
        assert await audit(engine) == []


async def test_vendure_3508_check_and_allocation_are_one(database_url: str) -> None:
    """A merchant takes stock away while buyers order: never more is held than there is."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=20)
        asks: list[AnyRequest] = []
        for number in range(20):
            asks.append(order({mug.id: 1}, f"b{number}"))
            asks.append(AdjustStock(product=mug.id, delta=-1, reason="count"))
        await at_once(shop, asks)
        total, committed = await stock_of(engine, mug.id)
        assert committed == await held(engine, mug.id) <= total
        assert await audit(engine) == []


async def test_vendure_1738_a_cart_from_before_the_last_unit_went_is_refused(
    database_url: str,
) -> None:
    """Filled while there was stock, checked out when there is less: all of it or nothing."""
    async with open_shop(database_url) as (shop, engine):
        mug, pot = await shop.product(stock=20), await shop.product("pot", stock=20)
        cart = order({mug.id: 5, pot.id: 1}, "ann")
        await shop.ask(order({mug.id: 17}, "bob"))
        with pytest.raises(SoldOut):
            await shop.ask(cart)
        assert await stock_of(engine, mug.id) == (20, 17)
        assert await stock_of(engine, pot.id) == (20, 0)
        await shop.ask(order({mug.id: 3}, "eve"))
        with pytest.raises(SoldOut):
            await shop.ask(order({mug.id: 1, pot.id: 1}, "ann", key="k2"))
        assert await held(engine, mug.id) == 20
        assert await audit(engine) == []


async def test_django_oscar_2102_every_checkout_at_once_is_in_the_count(database_url: str) -> None:
    """Ten buyers place their orders in the same moment: ten are allocated, not one."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=50)
        results = await at_once(shop, [order({mug.id: 2}, f"b{n}") for n in range(10)])
        assert len(done(results)) == 10
        assert await stock_of(engine, mug.id) == (50, 20)
        assert await held(engine, mug.id) == 20


async def test_django_shop_888_carts_with_the_last_unit_are_bought_once(database_url: str) -> None:
    """Each cart is sent twice by a hasty finger: one buyer has the unit, the other nothing."""
    async with open_shop(database_url) as (shop, engine):
        last, pot = await shop.product(stock=1), await shop.product("pot", stock=10)
        carts = [order({last.id: 1, pot.id: 1}, buyer) for buyer in ("ann", "bob")]
        results = await at_once(shop, [*carts, *carts])
        assert len({result["id"] for result in done(results)}) == 1
        assert any(isinstance(result, SoldOut) for result in results)  # or: the first is in flight
        assert await stock_of(engine, last.id) == (1, 1)
        assert await stock_of(engine, pot.id) == (10, 1)
        assert await audit(engine) == []


async def test_woocommerce_44273_a_refund_and_an_order_share_no_unit(database_url: str) -> None:
    """The unit that a refund puts back is sold once, however often both are asked at once."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=1)
        first = await shop.ask(order({mug.id: 1}))
        await shop.ask(Pay(order=first["id"], provider="demo", payment="p"))
        refund = Refund(order=first["id"], reason="broken", restock=True, key="r")
        asks: list[AnyRequest] = [refund, refund, *(order({mug.id: 1}, f"b{n}") for n in range(9))]
        await at_once(shop, asks)
        results = await at_once(shop, [order({mug.id: 1}, f"c{n}") for n in range(9)])
        assert await held(engine, mug.id) == 1
        assert await stock_of(engine, mug.id) == (1, 1)
        assert len(done(results)) <= 1
        assert await audit(engine) == []


async def test_woocommerce_44273_an_edit_and_an_order_share_no_unit(database_url: str) -> None:
    """Units are taken out of a sale while they are being sold."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=20)
        sale = await shop.sale(units=20)
        asks: list[AnyRequest] = []
        for number in range(20):
            asks.append(reserve(sale, f"b{number}"))
            asks.append(
                EditSale(flash_sale=sale.id, merchant="acme", changes={"units": 20 - number})
            )
        await at_once(shop, asks)
        (row,) = await rows_of(engine, t.flash_sale)
        assert await held(engine, mug.id) == row.sold <= row.units
        assert await stock_of(engine, mug.id) == (20, row.units)
        assert await audit(engine) == []


async def test_magento_3036_what_can_be_sold_never_falls_below_zero(database_url: str) -> None:
    """Stock is taken with the order, not after it: shelf and sale together never pass it."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=5)
        sale = await shop.sale(units=3)
        asks: list[AnyRequest] = [order({mug.id: 1}, f"b{n}") for n in range(10)]
        results = await at_once(shop, [*asks, *(reserve(sale, f"c{n}") for n in range(10))])
        assert len(done(results)) == 5
        assert await stock_of(engine, mug.id) == (5, 5)
        async with engine.connect() as connection:
            least = await connection.execute(
                select(func.min(t.product_stock.c.total - t.product_stock.c.committed))
            )
            assert least.scalar_one() == 0


async def test_acidrain_a_coupon_is_not_spent_twice(database_url: str) -> None:
    """Voucher double-spend: parallel orders of one buyer, and of many on a small budget."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=100, price_cents=1000)
        await coupon(shop, "once", budget_cents=100_000, per_buyer_limit=1)
        await coupon(shop, "few", budget_cents=300)
        for number in range(5):
            try:
                await shop.ask(order({mug.id: 1}, "ann", key=f"k{number}", coupon="once"))
            except LimitExceeded:
                assert number > 0
        crowd = [order({mug.id: 1}, f"b{n}", coupon="few") for n in range(20)]
        results = await at_once(shop, list(crowd))
        spent = sum(result["discount_cents"] for result in done(results))
        assert spent <= 300
        rows = {row.code: row.used for row in await rows_of(engine, t.coupon)}
        assert rows == {"once": 100, "few": spent}
        assert await audit(engine) == []


async def test_acidrain_a_limit_holds_against_parallel_keys(database_url: str) -> None:
    """One buyer with many tabs, each with its own key."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=20)
        sale = await shop.sale(units=20, per_buyer_limit=2)
        for round_ in range(3):
            await at_once(shop, [reserve(sale, "ann", f"k{round_}.{n}") for n in range(10)])
        assert await held(engine, mug.id) == 2
        assert await audit(engine) == []


async def test_acidrain_a_cart_is_paid_at_the_price_that_was_shown(database_url: str) -> None:
    """The total is fixed with the order: no edit between checkout and payment changes it."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=5, price_cents=1000)
        made = await shop.ask(order({mug.id: 1}))
        pay = Pay(order=made["id"], provider="demo", payment="p")
        edit = EditProduct(product=mug.id, changes={"price_cents": 1})
        await at_once(shop, [edit, pay])
        (payment,) = await rows_of(engine, t.payments)
        assert payment.amount_cents == made["amount_cents"] == 1000
        assert await audit(engine) == []


async def test_acidrain_one_payment_pays_one_order(database_url: str) -> None:
    """The same payment sent for two orders at once pays one of them."""
    async with open_shop(database_url) as (shop, _engine):
        mug = await shop.product(stock=5)
        first = await shop.ask(order({mug.id: 1}, "ann"))
        second = await shop.ask(order({mug.id: 1}, "bob"))
        asks: list[AnyRequest] = [
            Pay(order=made["id"], provider="demo", payment="same") for made in (first, second)
        ]
        results = await at_once(shop, asks)
        assert len(done(results)) == 1
        assert sum(isinstance(result, WrongState) for result in results) == 1


async def test_acidrain_an_order_is_paid_or_cancelled_never_both(database_url: str) -> None:
    """Stolen goods: cancelled for its units back, and paid for its goods, in one moment."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=20)
        sale = await shop.sale(units=20)
        made = [await shop.reserve(sale, f"b{n}") for n in range(10)]
        asks: list[AnyRequest] = []
        for number, one in enumerate(made):
            both: list[AnyRequest] = [
                Pay(order=one.id, provider="demo", payment=f"p{number}"), Cancel(order=one.id),
            ]  # fmt: skip
            asks += both if number % 2 else reversed(both)
        await at_once(shop, asks)
        states = {row.state for row in await rows_of(engine, t.orders)}
        assert states <= {"paid", "cancelled"}
        paid = sum(row.state == "paid" for row in await rows_of(engine, t.orders))
        assert paid == await held(engine, mug.id)
        assert await audit(engine) == []
