"""What a merchant's system tells: acted on once, old news ignored, strangers refused."""

from typing import Any

import pytest

from orders import schema_sql as t
from orders.audit_sql import audit
from orders.decide_shops import signature
from orders.errors import Invalid, NotFound, WrongState
from orders.requests import Cancel, EditShop, Inbound, SetSecret
from orders.webhooks import make_secret
from tests.orders.shop import Shop, open_shop
from tests.orders.test_payments import rows_of, sold, state_of
from tests.orders.test_shelf import order

SECRET = make_secret(bytes(range(32)))


def told(id_: str, event: str, order_id: str | None = None, **fields: Any) -> Inbound:
    return Inbound(merchant="acme", id=id_, event=event, order=order_id, **fields)


async def test_an_order_goes_its_way_by_messages(database_url: str) -> None:
    """Paid, shipped, partly refunded; each message once, whatever is repeated."""
    async with open_shop(database_url) as (shop, engine):
        _product, _sale, one = await sold(shop)
        for _ in range(2):
            await shop.ask(told("m1", "order.paid", one))
        assert await state_of(shop, engine, one) == "paid"
        await shop.ask(told("m1b", "order.paid", one))
        for _ in range(2):
            await shop.ask(told("m2", "order.refunded", one, amount_cents=100))
        await shop.ask(told("m3", "order.shipped", one, carrier="DHL", tracking="1"))
        assert await state_of(shop, engine, one) == "shipped"
        row = (await rows_of(engine, t.orders))[0]
        assert row.refunded_cents == 100
        await shop.ask(told("m4", "order.refunded", one, restock=True))
        await shop.ask(told("m5", "order.shipped", one))
        assert await state_of(shop, engine, one) == "refunded"
        assert len(await rows_of(engine, t.inbound)) == 6
        assert await audit(engine) == []


async def test_a_payment_that_comes_too_late_by_message_is_not_lost(database_url: str) -> None:
    """A new paid order, or the money goes back."""
    async with open_shop(database_url) as (shop, engine):
        _product, _sale, one = await sold(shop)
        await shop.ask(Cancel(order=one))
        await shop.ask(told("m1", "order.paid", one, payment="p1"))
        await shop.ask(told("m2", "order.paid", one, payment="p2"))
        states = sorted(row.state for row in await rows_of(engine, t.orders))
        assert states == ["cancelled", "paid"]
        assert [row.payment_id for row in await rows_of(engine, t.refunds)] == ["p2"]
        await shop.ask(told("m3", "order.cancelled", one))
        assert await audit(engine) == []


async def test_stock_is_adjusted_once(database_url: str) -> None:
    """By SKU, of the own shop alone."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product("mug", stock=5)
        await shop.product("pen", merchant="other")
        for _ in range(2):
            await shop.ask(told("m1", "stock.adjusted", sku="mug", delta=-2))
        totals = sorted(row.total for row in await rows_of(engine, t.product_stock))
        assert totals == [3, 100]
        refused: list[tuple[Inbound, type[Exception]]] = [
            (told("m2", "stock.adjusted", sku="pen", delta=1), NotFound),
            (told("m3", "stock.adjusted", sku="mug", delta=-4), Invalid),
            (told("m4", "stock.adjusted", sku="mug", delta=0), Invalid),
            (told("m5", "stock.exploded", sku="mug", delta=1), Invalid),
            (told("m6", "order.paid", "ord_none"), NotFound),
        ]
        for message, refusal in refused:
            with pytest.raises(refusal):
                await shop.ask(message)
        assert len(await rows_of(engine, t.inbound)) == 1
        assert await audit(engine) == []


async def test_foreign_orders_and_steps_out_of_turn_are_refused(database_url: str) -> None:
    """Nothing is remembered of what was refused: told again later, it may be right."""
    async with open_shop(database_url) as (shop, engine):
        _product, _sale, one = await sold(shop)
        foreign = await shop.product("pen", merchant="other")
        two = (await shop.ask(order({foreign.id: 1}, "bob")))["id"]
        with pytest.raises(NotFound):
            await shop.ask(told("m1", "order.paid", two))
        with pytest.raises(WrongState):
            await shop.ask(told("m2", "order.shipped", one))
        await shop.ask(told("m3", "order.paid", one))
        await shop.ask(told("m2", "order.shipped", one))
        with pytest.raises(WrongState):
            await shop.ask(told("m4", "order.cancelled", one))
        assert await state_of(shop, engine, one) == "shipped"


async def test_the_numbers_of_two_shops_payments_do_not_meet(database_url: str) -> None:
    """Each shop counts its payments as it likes; one shop's number never hides another's."""
    async with open_shop(database_url) as (shop, engine):
        _product, _sale, one = await sold(shop)
        foreign = await shop.product("pen", merchant="other")
        two = (await shop.ask(order({foreign.id: 1}, "bob")))["id"]
        await shop.ask(told("m1", "order.paid", one, payment="1001"))
        paid = Inbound(merchant="other", id="m1", event="order.paid", order=two, payment="1001")
        await shop.ask(paid)
        assert [await state_of(shop, engine, id_) for id_ in (one, two)] == ["paid", "paid"]
        assert await audit(engine) == []


async def test_a_payment_that_paid_another_order_is_refused_and_not_forgotten(
    database_url: str,
) -> None:
    """The shop is told that its order is not paid; under another number it is."""
    async with open_shop(database_url) as (shop, engine):
        _product, sale, one = await sold(shop)
        two = (await shop.reserve(sale, "bob")).id
        await shop.ask(told("m1", "order.paid", one, payment="p1"))
        with pytest.raises(WrongState):
            await shop.ask(told("m2", "order.paid", two, payment="p1"))
        assert await state_of(shop, engine, two) == "reserved"
        await shop.ask(told("m2", "order.paid", two, payment="p2"))
        assert await state_of(shop, engine, two) == "paid"
        assert await audit(engine) == []


async def test_a_message_without_what_it_is_about_says_so(database_url: str) -> None:
    """Not "no product None"."""
    async with open_shop(database_url) as (shop, _engine):
        with pytest.raises(Invalid, match="names a sku"):
            await shop.ask(told("m1", "stock.adjusted", delta=1))
        with pytest.raises(Invalid, match="names an order"):
            await shop.ask(told("m2", "order.paid"))


async def handed_off(shop: Shop) -> None:
    await shop.ask(SetSecret(merchant="acme", secret=SECRET))
    changes = {"checkout": "handoff", "checkout_url": "https://shop.example/pay?lang=en"}
    await shop.ask(EditShop(merchant="acme", changes=changes))


async def test_handoff_sends_buyers_away_with_a_signed_order(database_url: str) -> None:
    """From the shelf and from a sale, after a take-over too; the answer's bytes stay."""
    async with open_shop(database_url) as (shop, engine):
        product = await shop.product()
        with pytest.raises(Invalid):
            await shop.ask(EditShop(merchant="acme", changes={"checkout": "handoff"}))
        await handed_off(shop)
        made = await shop.ask(order({product.id: 1}))
        expected = f"&order={made['id']}&signature={signature(SECRET, made['id'])}"
        assert made["checkout_url"] == "https://shop.example/pay?lang=en" + expected
        sale = await shop.sale()
        assert (await shop.reserve(sale, "bob")).checkout_url is not None
        await shop.stop()
        other = Shop(shop.writer._ledger, shop.clock, holder="two", first_number=10**6)
        other.start()
        again = await other.ask(order({product.id: 1}, "cid"))
        assert again["checkout_url"] is not None
        await other.ask(EditShop(merchant="acme", changes={"checkout": "none"}))
        assert (await other.ask(order({product.id: 1}, "dan")))["checkout_url"] is None
        await other.stop()
        assert await audit(engine) == []


async def test_a_shop_is_edited_within_bounds(database_url: str) -> None:
    """Each bad value by name."""
    async with open_shop(database_url) as (shop, _engine):
        await shop.ask(SetSecret(merchant="acme", secret=SECRET))
        bad: list[dict[str, Any]] = [
            {}, {"checkout": "steal"}, {"keep_days": 0}, {"keep_days": "7"}, {"secret": "x"},
            {"checkout_url": "javascript:alert(1)"}, {"checkout_url": "https://u:p@x/"},
            {"checkout_url": "https://x/#f"}, {"checkout_url": "https://[x"},
        ]  # fmt: skip
        for changes in bad:
            with pytest.raises(Invalid):
                await shop.ask(EditShop(merchant="acme", changes=changes))
        shown = await shop.ask(EditShop(merchant="acme", changes={"checkout": "collect"}))
        assert shown == {
            "merchant": "acme", "checkout": "collect", "checkout_url": None, "keep_days": 30,
            "has_secret": True,
        }  # fmt: skip
