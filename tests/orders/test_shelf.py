"""Orders of several lines from the shelf: all or nothing, and never a unit too many."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.audit_sql import audit
from orders.decide_shelf import HOLD_MS, check_request
from orders.errors import (
    Forbidden,
    InFlight,
    Invalid,
    KeyConflict,
    NotFound,
    SoldOut,
)
from orders.requests import Cancel, CreateOrder, EditProduct, LineAsked, Pay, SetGrant
from tests.orders.shop import open_shop, reserve
from tests.orders.test_writer import stock_of


def order(lines: dict[str, int], buyer: str = "ann", key: str = "k", **fields: Any) -> CreateOrder:
    """An order of so many of each product."""
    asked = [LineAsked(product_id=product, quantity=many) for product, many in lines.items()]
    return CreateOrder(buyer=buyer, buyer_name=buyer, lines=asked, key=key, actor=buyer, **fields)


async def test_an_order_of_several_lines_holds_every_line(database_url: str) -> None:
    """Prices of the moment, one row a line, stock held; paid it stays, cancelled it goes back."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product("mug", stock=5, price_cents=700)
        pen = await shop.product("pen", stock=5, price_cents=200)
        made = await shop.ask(order({mug.id: 2, pen.id: 3}))
        assert (made["state"], made["amount_cents"], made["source"]) == ("reserved", 2000, "shop")
        assert [(x["sku"], x["quantity"], x["unit_price_cents"]) for x in made["lines"]] == [
            ("mug", 2, 700), ("pen", 3, 200),
        ]  # fmt: skip
        assert await stock_of(engine, mug.id) == (5, 2)
        paid = await shop.ask(Pay(order=made["id"], provider="demo", payment="p", actor="ann"))
        assert paid["state"] == "paid"
        other = await shop.ask(order({pen.id: 2}, "bob"))
        assert await stock_of(engine, pen.id) == (5, 5)
        await shop.ask(Cancel(order=other["id"], actor="bob"))
        assert await stock_of(engine, pen.id) == (5, 3)
        assert await audit(engine) == []


async def test_a_line_without_stock_refuses_the_whole_order(database_url: str) -> None:
    """Nothing half done."""
    async with open_shop(database_url) as (shop, engine):
        mug, pen = await shop.product("mug", stock=5), await shop.product("pen", stock=1)
        with pytest.raises(SoldOut):
            await shop.ask(order({mug.id: 1, pen.id: 2}))
        assert await stock_of(engine, mug.id) == (5, 0)
        assert await stock_of(engine, pen.id) == (1, 0)


async def test_the_shelf_sells_only_what_no_sale_holds(database_url: str) -> None:
    """Units of an open flash sale are not the shelf's."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product("mug", stock=5)
        sale = await shop.sale(units=4)
        with pytest.raises(SoldOut):
            await shop.ask(order({mug.id: 2}))
        await shop.ask(order({mug.id: 1}))
        await shop.reserve(sale, "bob")
        assert await stock_of(engine, mug.id) == (5, 5)
        assert await audit(engine) == []


async def test_a_crowd_at_the_shelf_never_gets_more_than_there_is(database_url: str) -> None:
    """A hundred orders of two products in every order, in few batches."""
    async with open_shop(database_url) as (shop, engine):
        mug, pen = await shop.product("mug", stock=30), await shop.product("pen", stock=20)
        asks = [
            order({mug.id: 1, pen.id: 1} if n % 2 else {pen.id: 1, mug.id: 1}, f"b{n}")
            for n in range(100)
        ]
        results = await asyncio.gather(
            *(shop.writer.ask(ask) for ask in asks), return_exceptions=True
        )
        assert sum(isinstance(result, bytes) for result in results) == 20
        assert sum(isinstance(result, SoldOut) for result in results) == 80
        assert await stock_of(engine, mug.id) == (30, 20)
        assert shop.writer.counts.stock_memory_wrong_total == 0


async def test_a_repeated_key_gets_the_same_bytes_whatever_came_since(database_url: str) -> None:
    """The order of its lines does not matter, anything else does; one way or the other."""
    async with open_shop(database_url) as (shop, _engine):
        mug, pen = await shop.product("mug", stock=5), await shop.product("pen", stock=5)
        first = await shop.writer.ask(order({mug.id: 1, pen.id: 2}))
        await shop.ask(EditProduct(product=mug.id, changes={"price_cents": 9}))
        assert await shop.writer.ask(order({pen.id: 2, mug.id: 1})) == first
        with pytest.raises(KeyConflict):
            await shop.writer.ask(order({pen.id: 1, mug.id: 1}))
        sale = await shop.sale(units=2)
        with pytest.raises(KeyConflict):
            await shop.writer.ask(reserve(sale, "ann", "k"))
        await shop.reserve(sale, "ann", "of the sale")
        with pytest.raises(KeyConflict):
            await shop.writer.ask(order({pen.id: 2, mug.id: 1}, key="of the sale"))
        two = await asyncio.gather(
            shop.writer.ask(order({mug.id: 1}, key="x")),
            shop.writer.ask(order({mug.id: 1}, key="x")),
            return_exceptions=True,
        )
        assert sum(isinstance(result, InFlight) for result in two) == 1


async def test_an_unpaid_shelf_order_expires(database_url: str) -> None:
    """Its units and its grant are free again at the deadline, not before."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product("mug", stock=1)
        await shop.ask(SetGrant(product=mug.id, room="demo", units_max=1))
        await shop.ask(order({mug.id: 1}, room="demo", show="s1"))
        shop.clock.advance(HOLD_MS - 1)
        with pytest.raises((SoldOut, Forbidden)):
            await shop.ask(order({mug.id: 1}, "bob", room="demo"))
        shop.clock.advance(1)
        await shop.ask(order({mug.id: 1}, "bob", room="demo"))
        assert await stock_of(engine, mug.id) == (1, 1)
        assert await audit(engine) == []


async def test_a_room_sells_only_inside_its_grants(database_url: str) -> None:
    """Granted at all, from the granted price, within the granted units, sales included."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product("mug", stock=50, price_cents=1000)
        with pytest.raises(Forbidden):
            await shop.ask(order({mug.id: 1}, room="demo"))
        await shop.ask(SetGrant(product=mug.id, room="demo", units_max=5))
        await shop.sale(units=3, merchant=None)
        with pytest.raises(Forbidden):
            await shop.ask(order({mug.id: 3}, room="demo"))
        made = await shop.ask(order({mug.id: 2}, room="demo"))
        assert (made["room"], made["source"]) == ("demo", "shelf")
        with pytest.raises(Forbidden):
            await shop.ask(order({mug.id: 1}, "bob", room="demo"))
        await shop.ask(order({mug.id: 1}, "cid"))
        assert await audit(engine) == []
        await shop.ask(Cancel(order=made["id"]))
        await shop.ask(SetGrant(product=mug.id, room="demo", units_max=5, min_price_cents=1001))
        with pytest.raises(Forbidden):
            await shop.ask(order({mug.id: 1}, "bob", room="demo"))
        assert await audit(engine) == []


async def test_bad_lines_are_refused_by_name(database_url: str) -> None:
    """Several shops or currencies, strangers, the same product twice, huge amounts."""
    async with open_shop(database_url) as (shop, _engine):
        mug = await shop.product("mug", stock=10**6, price_cents=10**11)
        dollar = await shop.product("usd", currency="USD")
        foreign = await shop.product("mug", merchant="other")
        bad: list[tuple[CreateOrder, type[Exception]]] = [
            (order({mug.id: 1, foreign.id: 1}), Invalid),
            (order({mug.id: 1, dollar.id: 1}), Invalid),
            (order({mug.id: 1, "prod_none": 1}), NotFound),
            (order({mug.id: 10**6}), Invalid),
        ]
        for request, refusal in bad:
            with pytest.raises(refusal):
                await shop.ask(request)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", "", "x\x00"]), st.integers(-1, 2)), max_size=4
    )
)
def test_only_lines_of_different_products_get_in(lines: list[tuple[str, int]]) -> None:
    """What the door lets through can be decided line by line."""
    asked = [LineAsked(product_id=product, quantity=many) for product, many in lines]
    request = CreateOrder(buyer="ann", buyer_name="", lines=asked, key="k")
    names = [product for product, _many in lines]
    good = (
        bool(lines)
        and len(set(names)) == len(names)
        and all(product in ("a", "b", "c") and many >= 1 for product, many in lines)
    )
    try:
        check_request(request)
    except Invalid:
        assert not good
    else:
        assert good


def test_quantities_are_whole_numbers() -> None:
    """A fraction, a text or a truth is no quantity."""
    for quantity in (1.5, "1", True, None):
        asked = LineAsked(product_id="a", quantity=quantity)  # type: ignore[arg-type]
        with pytest.raises(Invalid):
            check_request(CreateOrder(buyer="ann", buyer_name="", lines=[asked], key="k"))
    assert msgspec.json.decode(b'{"product_id":"a"}', type=LineAsked).quantity == 1
