"""Money: started, late, double and wrong payments, refunds; each resolved exactly once."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from orders import schema_sql as t
from orders.audit_sql import audit
from orders.errors import Invalid, KeyConflict, NotFound, SoldOut, WrongState
from orders.reads_sql import Reads
from orders.requests import (
    Cancel,
    CancelSale,
    Complete,
    MarkPaid,
    Note,
    Pay,
    Refund,
    Ship,
    StartPayment,
    Verdict,
)
from tests.orders.shop import START, Shop, open_shop
from tests.orders.test_shelf import order
from tests.orders.test_writer import stock_of

HOLD_MS = 10_000


async def rows_of(engine: Any, table: Any) -> list[Any]:
    async with engine.connect() as connection:
        return list(await connection.execute(select(table)))


def paid(order_id: str, payment: str = "p1", amount: int = 600, **fields: Any) -> Verdict:
    """The provider has the money."""
    values = {"provider": "bank", "currency": "EUR", "paid": True} | fields
    return Verdict(order=order_id, payment=payment, amount_cents=amount, **values)


def unpaid(order_id: str, payment: str = "p1") -> Verdict:
    """The provider will never have it."""
    return Verdict(order=order_id, provider="bank", payment=payment, paid=False)


async def sold(shop: Shop, stock: int = 5, units: int = 2, **fields: Any) -> tuple[Any, Any, str]:
    """A product, its sale, and an order of one unit in it."""
    product = await shop.product(stock=stock)
    sale = await shop.sale(units=units, hold_seconds=HOLD_MS // 1000, **fields)
    return product, sale, (await shop.reserve(sale, "ann")).id


async def bought(shop: Shop) -> str:
    """An order of 1,000 cents that is paid."""
    product = await shop.product(stock=5)
    made = await shop.ask(order({product.id: 1}))
    await shop.ask(Pay(order=made["id"], provider="demo", payment="p", actor="ann"))
    return str(made["id"])


async def state_of(shop: Shop, engine: Any, order_id: str) -> str:
    await shop.ask(Note(event="tick", merchants=[], data={}))
    return next(row.state for row in await rows_of(engine, t.orders) if row.id == order_id)


async def test_shipped_completed_and_refunded_in_full(database_url: str) -> None:
    """Each step once, repeated without harm, and out of turn refused."""
    async with open_shop(database_url) as (shop, engine):
        one = await bought(shop)
        with pytest.raises(WrongState):
            await shop.ask(Complete(order=one))
        ship = Ship(order=one, carrier="DHL", tracking="T1", actor="acme")
        shipped = await shop.ask(ship)
        assert shipped["state"] == "shipped"
        assert (shipped["shipment"]["carrier"], shipped["shipment"]["tracking"]) == ("DHL", "T1")
        assert (await shop.ask(ship))["sequence"] == shipped["sequence"]
        with pytest.raises(WrongState):
            await shop.ask(Ship(order=one, carrier="DHL", tracking="T2"))
        assert (await shop.ask(Complete(order=one)))["state"] == "completed"
        assert (await shop.ask(Complete(order=one)))["state"] == "completed"
        back = await shop.ask(Refund(order=one, reason="broken", restock=False))
        assert (back["state"], back["refunded_cents"]) == ("refunded", 1000)
        events = [row.event for row in await rows_of(engine, t.order_edges) if row.event]
        assert sorted(events) == [
            "order.completed", "order.paid", "order.refunded", "order.reserved", "order.shipped",
        ]  # fmt: skip
        with pytest.raises(WrongState):
            await shop.ask(Refund(order=one, reason="again"))
        with pytest.raises(NotFound):
            await shop.ask(Ship(order="ord_none", carrier="", tracking=""))
        assert await audit(engine) == []


async def test_partial_refunds_leave_the_state_and_the_last_one_ends_it(database_url: str) -> None:
    """Restock only with the refund that completes the amount; a key makes repetitions harmless."""
    async with open_shop(database_url) as (shop, engine):
        one = await bought(shop)
        for amount, restock in ((0, False), (-1, False), (1001, False), (400, True)):
            with pytest.raises(Invalid):
                await shop.ask(Refund(order=one, reason="", amount_cents=amount, restock=restock))
        part = Refund(order=one, reason="late", amount_cents=400, key="k1")
        for _ in range(2):
            back = await shop.ask(part)
            assert (back["state"], back["refunded_cents"]) == ("paid", 400)
        with pytest.raises(Invalid):
            await shop.ask(Refund(order=one, reason="", amount_cents=601))
        end = await shop.ask(Refund(order=one, reason="", amount_cents=600, restock=True))
        assert (end["state"], end["refunded_cents"]) == ("refunded", 1000)
        stock = (await rows_of(engine, t.product_stock))[0]
        assert (stock.total, stock.committed) == (5, 0)
        refunds = await rows_of(engine, t.refunds)
        assert [(row.amount_cents, row.payment_id) for row in refunds] == [(400, "p"), (600, "p")]
        assert await audit(engine) == []


async def test_the_key_of_a_refund_belongs_to_that_refund(database_url: str) -> None:
    """With another amount it is a mistake to be told, not a refund that silently never happens."""
    async with open_shop(database_url) as (shop, engine):
        one = await bought(shop)
        part = {"order": one, "reason": "late", "key": "k1"}
        await shop.ask(Refund(amount_cents=400, **part))
        for other in ({"amount_cents": 300}, {}, {"amount_cents": 400, "restock": True}):
            with pytest.raises(KeyConflict):
                await shop.ask(Refund(**part, **other))
        rest = Refund(order=one, reason="", restock=True, key="k2")
        assert (await shop.ask(rest))["refunded_cents"] == 1000
        assert (await shop.ask(rest))["refunded_cents"] == 1000
        assert (await shop.ask(Refund(amount_cents=400, **part)))["refunded_cents"] == 1000
        with pytest.raises(KeyConflict):  # "all that is left" was another refund
            await shop.ask(Refund(**part))
        assert [row.amount_cents for row in await rows_of(engine, t.refunds)] == [400, 600]
        assert await audit(engine) == []


async def test_two_shops_may_use_the_same_reference(database_url: str) -> None:
    """A reference is the shop's own: what one marks as paid is no payment of the other."""
    async with open_shop(database_url) as (shop, engine):
        own, foreign = await shop.product(), await shop.product("pen", merchant="other")
        one = (await shop.ask(order({own.id: 1})))["id"]
        two = (await shop.ask(order({foreign.id: 1}, "bob")))["id"]
        await shop.ask(MarkPaid(order=one, payment="1001", merchant="acme"))
        await shop.ask(MarkPaid(order=two, payment="1001", merchant="other"))
        assert [await state_of(shop, engine, id_) for id_ in (one, two)] == ["paid", "paid"]
        assert await audit(engine) == []


async def test_payments_of_shops_with_like_names_go_back_apart(database_url: str) -> None:
    """`a` with payment `b_c` and `a_b` with payment `c` are two."""
    async with open_shop(database_url) as (shop, engine):
        for name, payment in (("a", "b_c"), ("a_b", "c")):
            product = await shop.product(name, merchant=name)
            one = (await shop.ask(order({product.id: 1}, name)))["id"]
            wrong = Verdict(
                order=one, provider=name, payment=payment, paid=True, amount_cents=1,
                currency="EUR", actor=name,
            )  # fmt: skip
            assert (await shop.ask(wrong))["outcome"] == "returned"
        assert len(await rows_of(engine, t.refunds)) == 2
        assert shop.writer.counts.stock_memory_wrong_total == 0
        assert await audit(engine) == []


async def test_a_refund_in_a_sale_frees_the_unit_only_with_restock(database_url: str) -> None:
    """Open sale or closed one."""
    async with open_shop(database_url) as (shop, engine):
        product, sale, one = await sold(shop, stock=5, units=2, per_buyer_limit=3)
        two = (await shop.reserve(sale, "ann", "k2")).id
        for each in (one, two):
            await shop.ask(MarkPaid(order=each, payment=f"m{each}"))
        await shop.ask(Refund(order=one, reason="", restock=True))
        three = (await shop.reserve(sale, "bob")).id
        await shop.ask(MarkPaid(order=three, payment="m3"))
        await shop.ask(CancelSale(flash_sale=sale.id, orders="honour"))
        await shop.ask(Refund(order=two, reason="", restock=False))
        assert await stock_of(engine, product.id) == (5, 2)
        await shop.ask(Refund(order=three, reason="", restock=True))
        assert await stock_of(engine, product.id) == (5, 1)
        assert await audit(engine) == []


async def test_a_started_payment_outlives_the_deadline(database_url: str) -> None:
    """pending_payment → payment_unknown: the unit stays held until the provider says."""
    async with open_shop(database_url) as (shop, engine):
        product, sale, one = await sold(shop, units=1)
        start = StartPayment(order=one, provider="bank", payment="p1", actor="ann")
        assert (await shop.ask(start))["state"] == "pending_payment"
        assert (await shop.ask(start))["sequence"] == 2
        shop.clock.advance(HOLD_MS)
        assert await state_of(shop, engine, one) == "payment_unknown"
        with pytest.raises(SoldOut):
            await shop.reserve(sale, "bob")
        assert (await shop.ask(paid(one)))["outcome"] == "paid"
        assert await state_of(shop, engine, one) == "paid"
        assert (await shop.ask(paid(one)))["outcome"] == "repeated"
        assert await stock_of(engine, product.id) == (5, 1)
        assert await audit(engine) == []


async def test_unknown_payments_that_never_come_end_the_order(database_url: str) -> None:
    """Only when the last of several is closed, and only after the deadline."""
    async with open_shop(database_url) as (shop, engine):
        _product, sale, one = await sold(shop, units=1)
        for payment in ("p1", "p2"):
            await shop.ask(StartPayment(order=one, provider="bank", payment=payment))
        assert (await shop.ask(unpaid(one, "p1")))["order"]["state"] == "pending_payment"
        shop.clock.advance(HOLD_MS)
        assert await state_of(shop, engine, one) == "payment_unknown"
        assert (await shop.ask(unpaid(one, "p1")))["order"]["state"] == "payment_unknown"
        assert (await shop.ask(unpaid(one, "p2")))["order"]["state"] == "expired"
        await shop.reserve(sale, "bob")
        assert await audit(engine) == []


async def test_a_late_payment_makes_a_new_paid_order_while_there_is_stock(
    database_url: str,
) -> None:
    """The dead order stays dead; the same notice again changes nothing; a second one goes back."""
    async with open_shop(database_url) as (shop, engine):
        product, _sale, one = await sold(shop, units=2)
        shop.clock.advance(HOLD_MS)
        assert await state_of(shop, engine, one) == "expired"
        late = await shop.ask(paid(one))
        new = late["order"]
        assert (late["outcome"], new["state"], new["replaces"]) == ("late", "paid", one)
        assert (new["amount_cents"], new["flash_sale"] is None) == (600, False)
        assert (await shop.ask(paid(one)))["outcome"] == "repeated"
        again = await shop.ask(paid(one, "p2"))
        assert (again["outcome"], again["refund"]["amount_cents"]) == ("returned", 600)
        assert (await shop.ask(paid(one, "p2")))["outcome"] == "repeated"
        assert await state_of(shop, engine, one) == "expired"
        assert len(await rows_of(engine, t.refunds)) == 1
        assert await stock_of(engine, product.id) == (5, 2)
        assert await audit(engine) == []


async def test_a_late_payment_without_stock_goes_back_once(database_url: str) -> None:
    """Sold to somebody else meanwhile."""
    async with open_shop(database_url) as (shop, engine):
        product, sale, one = await sold(shop, stock=1, units=1)
        await shop.ask(Cancel(order=one, actor="ann"))
        await shop.reserve(sale, "bob")
        for expected in ("returned", "repeated"):
            assert (await shop.ask(paid(one)))["outcome"] == expected
        assert len(await rows_of(engine, t.refunds)) == 1
        assert await stock_of(engine, product.id) == (1, 1)
        with pytest.raises(SoldOut):
            await shop.ask(MarkPaid(order=one, payment="cash"))
        assert await audit(engine) == []


async def test_a_late_payment_after_the_sale_takes_ordinary_stock(database_url: str) -> None:
    """An ended sale is honoured from the product, a cancelled one is not."""
    async with open_shop(database_url) as (shop, engine):
        product, sale, one = await sold(shop, units=2, duration_seconds=20)
        shop.clock.advance(20_000)
        late = await shop.ask(paid(one))
        assert (late["outcome"], late["order"]["flash_sale"]) == ("late", None)
        assert await stock_of(engine, product.id) == (5, 1)
        other = await shop.sale(units=1)
        two = (await shop.reserve(other, "bob")).id
        await shop.ask(Cancel(order=two))
        await shop.ask(CancelSale(flash_sale=other.id, orders="honour"))
        assert (await shop.ask(paid(two, "p2")))["outcome"] == "returned"
        back = await shop.ask(Refund(order=late["order"]["id"], reason="", restock=True))
        assert back["state"] == "refunded"
        assert await stock_of(engine, product.id) == (5, 0)
        assert sale.id != other.id
        assert await audit(engine) == []


async def test_double_and_wrong_payments_go_back_whole(database_url: str) -> None:
    """The order is paid once, by the payment of the right amount in the right currency."""
    async with open_shop(database_url) as (shop, engine):
        _product, _sale, one = await sold(shop)
        assert (await shop.ask(paid(one, "p1", 599)))["outcome"] == "returned"
        await shop.ask(StartPayment(order=one, provider="bank", payment="p2"))
        assert (await shop.ask(paid(one, "p2", 601, currency="USD")))["outcome"] == "returned"
        assert await state_of(shop, engine, one) == "pending_payment"
        assert (await shop.ask(paid(one, "p3")))["outcome"] == "paid"
        assert (await shop.ask(paid(one, "p4")))["outcome"] == "returned"
        with pytest.raises(WrongState):
            await shop.ask(MarkPaid(order=one, payment="cash"))
        refunds = {row.payment_id: row.amount_cents for row in await rows_of(engine, t.refunds)}
        assert refunds == {"p1": 599, "p2": 601, "p4": 600}
        for bad in (paid(one, "p5", -1), paid(one, "p5", currency="euro"), paid(one, "p\x00")):
            with pytest.raises(Invalid):
                await shop.ask(bad)
        assert await audit(engine) == []


async def test_marking_paid_twice_is_once(database_url: str) -> None:
    """The merchant's own reference; a dead order is made anew."""
    async with open_shop(database_url) as (shop, engine):
        _product, _sale, one = await sold(shop)
        mark = MarkPaid(order=one, payment="bank 1", actor="acme")
        assert (await shop.ask(mark))["state"] == "paid"
        assert (await shop.ask(mark))["sequence"] == 3
        other = await shop.product("pen", stock=1)
        dead = (await shop.ask(order({other.id: 1}, "bob")))["id"]
        await shop.ask(Cancel(order=dead))
        with pytest.raises(WrongState):
            await shop.ask(MarkPaid(order=dead, payment="bank 1"))
        new = await shop.ask(MarkPaid(order=dead, payment="bank 2"))
        assert (new["state"], new["replaces"]) == ("paid", dead)
        assert await shop.ask(MarkPaid(order=dead, payment="bank 2")) == new
        assert await audit(engine) == []


async def test_void_refunds_paid_orders_and_those_paid_while_unknown(database_url: str) -> None:
    """A voided sale keeps nobody's money."""
    async with open_shop(database_url) as (shop, engine):
        product, sale, one = await sold(shop, units=2, per_buyer_limit=2)
        two = (await shop.reserve(sale, "ann", "k2")).id
        await shop.ask(MarkPaid(order=one, payment="m1"))
        await shop.ask(StartPayment(order=two, provider="bank", payment="p2"))
        shop.clock.advance(HOLD_MS)
        assert await state_of(shop, engine, two) == "payment_unknown"
        await shop.ask(CancelSale(flash_sale=sale.id, orders="void"))
        assert await state_of(shop, engine, one) == "refunded"
        outcome = await shop.ask(paid(two, "p2"))
        assert (outcome["outcome"], outcome["order"]["state"]) == ("paid", "refunded")
        assert await stock_of(engine, product.id) == (5, 0)
        assert await audit(engine) == []


async def test_placed_paid_and_refunded_are_three_sums(database_url: str) -> None:
    """Each by its own moment; money that no order could take counts nowhere."""
    async with open_shop(database_url) as (shop, engine):
        pen = await shop.product("pen", stock=50, price_cents=300, merchant="other")
        mug = await shop.product("mug", stock=50, price_cents=700)
        one = (await shop.ask(order({mug.id: 2})))["id"]
        await shop.ask(order({mug.id: 1}, key="k2"))
        await shop.ask(order({pen.id: 1}, "bob"))
        await shop.ask(paid(one, "p1", 1400))
        await shop.ask(paid(one, "p2", 1400))
        shop.clock.advance(1000)
        await shop.ask(Refund(order=one, reason="", amount_cents=500))
        reads, day = Reads(engine), START + 10_000
        (total,) = await reads.turnover(0, day, merchant="acme")
        assert (total.placed_cents, total.paid_cents, total.refunded_cents) == (2100, 1400, 500)
        assert (total.placed_orders, total.paid_orders, total.refunds) == (2, 1, 1)
        (all_,) = await reads.turnover(0, day)
        assert (all_.currency, all_.placed_cents) == ("EUR", 2400)
        (later,) = await reads.turnover(START + 1000, day)
        assert (later.placed_cents, later.paid_cents, later.refunded_cents) == (0, 0, 500)
        assert await reads.turnover(0, START) == []
        assert await reads.turnover(0, day, room="demo") == []


def test_outcomes_hold_the_order_as_it_is() -> None:
    """The answer is one JSON object."""
    from orders.shapes import PaymentOutcome

    made = PaymentOutcome(outcome="paid", order=msgspec.Raw(b'{"id":"x"}'))
    assert msgspec.json.decode(msgspec.json.encode(made))["order"] == {"id": "x"}
