"""Providers are asked when a deadline has come, and their word ends every order that waits."""

import asyncio
from collections import Counter

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from orders import schema_sql as t
from orders.audit_sql import audit
from orders.errors import Unavailable
from orders.ledger_sql import SqlLedger
from orders.payments import NoAnswer, OpenPayment, Said
from orders.payments_demo import FAIL, LATE, NAME, TIMEOUT, DemoProvider, payment_id
from orders.payments_service import PAUSE_MS, Payments
from orders.payments_sql import SqlPayments
from orders.requests import AnyRequest, Cancel, CancelSale, Door, Pay, StartPayment, Verdict
from orders.shapes import FlashSale
from tests.orders.shop import Clock, Shop, database, open_shop
from tests.orders.test_payments import HOLD_MS, rows_of, state_of
from tests.orders.test_takeover import served


async def started(shop: Shop, outcomes: list[str], provider: str = NAME) -> dict[str, str]:
    """An order with a started payment for each outcome, just past its deadline."""
    await shop.product(stock=10)
    sale = await shop.sale(units=10, hold_seconds=HOLD_MS // 1000)
    orders = {}
    for outcome in outcomes:
        order = (await shop.reserve(sale, f"buyer of {outcome}")).id
        payment = payment_id(order, outcome)
        await shop.ask(StartPayment(order=order, provider=provider, payment=payment))
        if outcome == FAIL:
            await shop.ask(Verdict(order=order, provider=provider, payment=payment, paid=False))
        orders[outcome] = order
    shop.clock.advance(HOLD_MS)
    return orders


async def test_every_unknown_payment_ends(database_url: str) -> None:
    """Paid if the provider has the money, expired if it never will, in one round."""
    async with open_shop(database_url) as (shop, engine):
        orders = await started(shop, [LATE, TIMEOUT, FAIL])
        for order in orders.values():
            assert await state_of(shop, engine, order) == "payment_unknown"
        payments = Payments(
            SqlPayments(engine), shop.writer, {NAME: DemoProvider()}, lambda: shop.clock.mono
        )
        await payments.round()
        ends = {name: await state_of(shop, engine, order) for name, order in orders.items()}
        assert ends == {LATE: "paid", TIMEOUT: "expired", FAIL: "expired"}
        sold = [row.sold for row in await rows_of(engine, t.flash_sale)]
        assert sold == [1]
        assert await audit(engine) == []


class Moody:
    """A provider at the other end of a bad line."""

    def __init__(self) -> None:
        self.asked = 0
        self.mood: Exception | None = NoAnswer("later")

    async def close(self, payment: OpenPayment) -> Said:
        self.asked += 1
        if self.mood is not None:
            raise self.mood
        return Said(paid=True, amount_cents=payment.amount_cents, currency=payment.currency)


async def test_a_provider_without_an_answer_is_asked_again_ever_more_rarely(
    database_url: str,
) -> None:
    """The order keeps its unit meanwhile; a broken adapter is no worse than a silent one."""
    async with open_shop(database_url) as (shop, engine):
        orders = await started(shop, [TIMEOUT], provider="bank")
        order = orders[TIMEOUT]
        assert await state_of(shop, engine, order) == "payment_unknown"
        moody = Moody()
        payments = Payments(
            SqlPayments(engine), shop.writer, {"bank": moody}, lambda: shop.clock.mono
        )
        await payments.round()
        await payments.round()
        assert moody.asked == 1
        moody.mood = RuntimeError("broken")
        shop.clock.advance(PAUSE_MS)
        await payments.round()
        assert moody.asked == 2
        shop.clock.advance(PAUSE_MS)
        await payments.round()
        assert moody.asked == 2, "twice as long now"
        assert await state_of(shop, engine, order) == "payment_unknown"
        moody.mood = None
        shop.clock.advance(PAUSE_MS)
        await payments.round()
        assert await state_of(shop, engine, order) == "paid"
        unknown = Payments(SqlPayments(engine), shop.writer, {}, lambda: shop.clock.mono)
        await unknown.round()


class Away:
    """A writer that is being restarted, then one that decides."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.away = True

    async def ask(self, request: AnyRequest) -> bytes:
        if self.away:
            raise Unavailable("no answer in time: repeat with the same key")
        return await self._door.ask(request)


async def test_a_verdict_that_the_writer_did_not_take_is_passed_on_as_soon_as_it_does(
    sqlite_url: str,
) -> None:
    """However long that lasted: the provider has answered, so nobody waits for it again."""
    async with open_shop(sqlite_url) as (shop, engine):
        orders = await started(shop, [LATE])
        assert await state_of(shop, engine, orders[LATE]) == "payment_unknown"
        away = Away(shop.writer)
        payments = Payments(
            SqlPayments(engine), away, {NAME: DemoProvider()}, lambda: shop.clock.mono
        )
        for _ in range(5):
            await payments.round()
        away.away = False
        await payments.round()
        assert await state_of(shop, engine, orders[LATE]) == "paid"


async def test_only_the_holder_of_the_lease_asks_providers(sqlite_url: str) -> None:
    """A standby could not pass the answer on; it begins when it has taken over."""
    async with open_shop(sqlite_url) as (shop, engine):
        orders = await started(shop, [TIMEOUT], provider="bank")
        assert await state_of(shop, engine, orders[TIMEOUT]) == "payment_unknown"
        moody, holds = Moody(), asyncio.Event()
        looked = asyncio.Event()

        def is_holder() -> bool:
            looked.set()
            return holds.is_set()

        payments = Payments(
            SqlPayments(engine), shop.writer, {"bank": moody}, lambda: shop.clock.mono,
            is_holder=is_holder,
        )  # fmt: skip
        running = asyncio.create_task(payments.run())
        async with asyncio.timeout(10):
            await looked.wait()
            await asyncio.sleep(0)
            assert moody.asked == 0
            holds.set()
            while not moody.asked:  # noqa: ASYNC110 - a poll with a deadline
                await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def begun(shop: Shop, buyer: str, sale: FlashSale, outcome: str, provider: str = NAME) -> str:
    """An order with a started payment, well before its deadline."""
    order = (await shop.reserve(sale, buyer)).id
    payment = payment_id(order, outcome)
    await shop.ask(StartPayment(order=order, provider=provider, payment=payment))
    return order


async def money_of(engine: AsyncEngine) -> dict[str, str]:
    """The state of each payment."""
    return {row.id: row.state for row in await rows_of(engine, t.payments)}


async def test_the_payment_of_a_cancelled_order_is_closed_and_its_money_not_kept(
    database_url: str,
) -> None:
    """The order ends at once; what was paid makes a new order while there is one, or goes back."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product(stock=2)
        sale = await shop.sale(units=2, hold_seconds=HOLD_MS // 1000)
        never = await begun(shop, "ann", sale, TIMEOUT)
        taken = await begun(shop, "bob", sale, LATE)
        for order in (never, taken):
            assert (await shop.ask(Cancel(order=order)))["state"] == "cancelled"
        gone = await begun(shop, "cid", sale, LATE)
        await shop.ask(Cancel(order=gone))
        await shop.reserve(sale, "dan")  # now one unit is left for two payments
        payments = Payments(
            SqlPayments(engine), shop.writer, {NAME: DemoProvider()}, lambda: shop.clock.mono
        )
        for _ in range(2):
            await payments.round()
            money = await money_of(engine)
            assert money[payment_id(never, TIMEOUT)] == "closed"
            both = sorted(money[payment_id(order, LATE)] for order in (taken, gone))
            assert both == ["captured", "returned"]
            orders = Counter(row.state for row in await rows_of(engine, t.orders))
            assert orders == {"cancelled": 3, "paid": 1, "reserved": 1}
            assert [row.amount_cents for row in await rows_of(engine, t.refunds)] == [600]
        assert await audit(engine) == []


async def test_a_payment_beside_the_one_that_paid_goes_back(database_url: str) -> None:
    """The order is paid and served; nobody's second payment stays open at its provider."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product(stock=2)
        sale = await shop.sale(units=2, hold_seconds=HOLD_MS // 1000, per_buyer_limit=2)
        order = await begun(shop, "ann", sale, LATE)
        await shop.ask(StartPayment(order=order, provider=NAME, payment=payment_id(order, TIMEOUT)))
        await shop.ask(Pay(order=order, provider=NAME, payment=payment_id(order, "pay")))
        payments = Payments(
            SqlPayments(engine), shop.writer, {NAME: DemoProvider()}, lambda: shop.clock.mono
        )
        await payments.round()
        assert await money_of(engine) == {
            payment_id(order, "pay"): "captured",
            payment_id(order, LATE): "returned",
            payment_id(order, TIMEOUT): "closed",
        }
        assert [row.payment_id for row in await rows_of(engine, t.refunds)] == [
            payment_id(order, LATE)
        ]
        assert await state_of(shop, engine, order) == "paid"
        assert await audit(engine) == []


async def test_a_payment_that_may_still_pay_its_order_is_not_closed(database_url: str) -> None:
    """Before the deadline the buyer has the time that was promised."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product(stock=2)
        sale = await shop.sale(units=2, hold_seconds=HOLD_MS // 1000)
        order = await begun(shop, "ann", sale, LATE)
        payments = Payments(
            SqlPayments(engine), shop.writer, {NAME: DemoProvider()}, lambda: shop.clock.mono
        )
        await payments.round()
        assert await money_of(engine) == {payment_id(order, LATE): "open"}
        assert await state_of(shop, engine, order) == "pending_payment"


async def test_the_payments_of_a_voided_sale_are_settled_by_whoever_comes_next(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent provider, a restart, an answer: all is in SQL, however many, a part at a time."""
    monkeypatch.setattr("orders.payments_service.LOOK_LIMIT", 2)
    async with database(database_url) as engine:
        clock, moody = Clock(), Moody()
        one = Shop(SqlLedger(engine), clock)
        one.start()
        product = await one.product(stock=5)
        sale = await one.sale(units=5, hold_seconds=HOLD_MS // 1000)
        orders = [await begun(one, f"b{n}", sale, LATE, "bank") for n in range(5)]
        await one.ask(CancelSale(flash_sale=sale.id, orders="void"))
        for order in orders:
            assert await state_of(one, engine, order) == "cancelled"
        silent = Payments(SqlPayments(engine), one.writer, {"bank": moody}, lambda: clock.mono)
        await silent.round()
        assert moody.asked == 5
        assert set((await money_of(engine)).values()) == {"open"}
        await one.stop()

        two = Shop(SqlLedger(engine), clock, holder="two", first_number=1_000, dead_holder="one")
        two.start()
        await served(two)
        moody.mood = None
        payments = Payments(SqlPayments(engine), two.writer, {"bank": moody}, lambda: clock.mono)
        for _ in range(2):
            await payments.round()
            assert moody.asked == 10, "each once more"
            assert set((await money_of(engine)).values()) == {"returned"}
            assert len(await rows_of(engine, t.refunds)) == 5
        stock = (await rows_of(engine, t.product_stock))[0]
        assert (stock.product_id, stock.total, stock.committed) == (product.id, 5, 0)
        assert await audit(engine) == []
        await two.stop()


async def test_one_order_with_more_payments_than_a_look_has_all_of_them_settled(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silent ones in front do not hide those behind them."""
    monkeypatch.setattr("orders.payments_service.LOOK_LIMIT", 1)
    async with open_shop(sqlite_url) as (shop, engine):
        await shop.product(stock=1)
        sale = await shop.sale(units=1, hold_seconds=HOLD_MS // 1000)
        order = await begun(shop, "ann", sale, LATE, "absent")
        await shop.ask(StartPayment(order=order, provider=NAME, payment=payment_id(order, LATE)))
        shop.clock.advance(HOLD_MS)
        assert await state_of(shop, engine, order) == "payment_unknown"
        providers = {"absent": Moody(), NAME: DemoProvider()}
        payments = Payments(SqlPayments(engine), shop.writer, providers, lambda: shop.clock.mono)
        await payments.round()
        assert await state_of(shop, engine, order) == "paid"
