"""Coupons: never more than the budget, never more often than a buyer may, given back at the end."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders import schema_sql as t
from orders.audit_sql import audit
from orders.decide_coupons import worth
from orders.decide_shelf import HOLD_MS
from orders.errors import Ended, Invalid, LimitExceeded, NotFound, NotStarted, SoldOut
from orders.requests import Cancel, CreateCoupon, EditCoupon, MarkPaid, Refund
from tests.orders.shop import START, Shop, open_shop
from tests.orders.test_payments import paid, rows_of, state_of
from tests.orders.test_shelf import order


async def coupon(shop: Shop, code: str = "ten", **fields: Any) -> Any:
    """A coupon of 100 cents off, for one order of a buyer, with a large budget."""
    values = {
        "merchant": "acme", "kind": "amount", "value": 100, "currency": "EUR",
        "budget_cents": 100_000,
    } | fields  # fmt: skip
    return await shop.ask(CreateCoupon(code=code, **values))


async def used(engine: Any) -> list[tuple[str, int]]:
    return sorted((row.code, row.used) for row in await rows_of(engine, t.coupon))


async def test_a_coupon_takes_its_worth_off_the_order(database_url: str) -> None:
    """Amount, percent rounded down, from a threshold, in one currency, at its time."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=50, price_cents=999)
        await coupon(shop)
        await coupon(shop, "half", kind="percent", value=50)
        await coupon(shop, "big", min_amount_cents=1998, value=50)
        await coupon(shop, "usd", currency="USD")
        await coupon(shop, "soon", starts_at=START + 1000, ends_at=START + 2000)
        await coupon(shop, "other", merchant="elsewhere")
        made = await shop.ask(order({mug.id: 1}, coupon="ten"))
        assert (made["amount_cents"], made["discount_cents"]) == (899, 100)
        assert made["coupon"]["code"] == "ten"
        made = await shop.ask(order({mug.id: 1}, "bob", coupon="half"))
        assert (made["amount_cents"], made["discount_cents"]) == (500, 499)
        refused: list[tuple[str, type[Exception]]] = [
            ("big", Invalid), ("usd", Invalid), ("soon", NotStarted), ("other", NotFound),
            ("none", NotFound), ("ten", LimitExceeded), ("x\x00", Invalid),
        ]  # fmt: skip
        for number, (code, refusal) in enumerate(refused):
            with pytest.raises(refusal):
                await shop.ask(order({mug.id: 1}, key=f"r{number}", coupon=code))
        assert (await shop.ask(order({mug.id: 2}, key="b", coupon="big")))["amount_cents"] == 1948
        shop.clock.advance(1000)
        await shop.ask(order({mug.id: 1}, key="s", coupon="soon"))
        shop.clock.advance(1000)
        with pytest.raises(Ended):
            await shop.ask(order({mug.id: 1}, "bob", "s", coupon="soon"))
        assert await audit(engine) == []


async def test_a_budget_is_never_overspent(database_url: str) -> None:
    """Forty buyers at once for a budget of seven discounts."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=50)
        await coupon(shop, budget_cents=799)
        results = await asyncio.gather(
            *(shop.writer.ask(order({mug.id: 1}, f"b{n}", coupon="ten")) for n in range(40)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, bytes) for result in results) == 7
        assert sum(isinstance(result, SoldOut) for result in results) == 33
        assert await used(engine) == [("ten", 700)]
        assert shop.writer.counts.stock_memory_wrong_total == 0
        assert await audit(engine) == []


async def test_an_order_that_ends_gives_its_coupon_back(database_url: str) -> None:
    """Cancelled, expired, refunded with restock; kept by one that is refunded without."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=50)
        await coupon(shop, budget_cents=100)
        one = (await shop.ask(order({mug.id: 1}, key="1", coupon="ten")))["id"]
        await shop.ask(Cancel(order=one))
        await shop.ask(order({mug.id: 1}, key="2", coupon="ten"))
        shop.clock.advance(HOLD_MS)
        three = (await shop.ask(order({mug.id: 1}, key="3", coupon="ten")))["id"]
        await shop.ask(MarkPaid(order=three, payment="m3"))
        with pytest.raises(LimitExceeded):
            await shop.ask(order({mug.id: 1}, key="4", coupon="ten"))
        await shop.ask(Refund(order=three, reason="", restock=True))
        four = (await shop.ask(order({mug.id: 1}, key="5", coupon="ten")))["id"]
        assert (await shop.ask(paid(one, amount=900)))["outcome"] == "returned"
        await shop.ask(MarkPaid(order=four, payment="m4"))
        await shop.ask(Refund(order=four, reason=""))
        assert await state_of(shop, engine, four) == "refunded"
        assert await used(engine) == [("ten", 100)]
        assert await audit(engine) == []


async def test_a_coupon_is_edited_within_what_is_used(database_url: str) -> None:
    """Budget not under what is spent; ended by its end; codes stay taken."""
    async with open_shop(database_url) as (shop, engine):
        mug = await shop.product(stock=50)
        made = await coupon(shop, per_buyer_limit=2)
        await shop.ask(order({mug.id: 1}, coupon="ten"))
        for bad in ({"budget_cents": 99}, {"code": "x"}, {}, {"ends_at": 1}, {"budget_cents": "1"}):
            with pytest.raises(Invalid):
                await shop.ask(EditCoupon(coupon=made["id"], changes=bad))
        with pytest.raises(Invalid, match=r"ends_at must lie between \d{4}-\d\d-\d\dT"):
            await shop.ask(EditCoupon(coupon=made["id"], changes={"ends_at": 1}))
        changed = await shop.ask(EditCoupon(coupon=made["id"], changes={"budget_cents": 100}))
        assert (changed["budget_cents"], changed["used_cents"]) == (100, 100)
        with pytest.raises(SoldOut):
            await shop.ask(order({mug.id: 1}, key="2", coupon="ten"))
        with pytest.raises(NotFound):
            await shop.ask(EditCoupon(coupon="cpn_none", changes={"budget_cents": 1}))
        with pytest.raises(Invalid):
            await coupon(shop)
        for fields in ({"kind": "gift"}, {"value": 0}, {"kind": "percent", "value": 101}):
            with pytest.raises(Invalid):
                await coupon(shop, "bad", **fields)
        assert await audit(engine) == []


@given(st.sampled_from(["amount", "percent"]), st.integers(1, 100), st.integers(0, 10**6))
def test_a_discount_is_never_more_than_the_order(kind: str, value: int, amount: int) -> None:
    """Nor less than nothing, and of a share the shop keeps the rest of the division."""
    cents = worth(kind, value, amount)
    assert 0 <= cents <= amount
    if kind == "percent":
        assert cents * 100 <= amount * value
