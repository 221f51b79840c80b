"""Providers are asked when a deadline has come, and their word ends every order that waits."""

import asyncio

from orders import schema_sql as t
from orders.audit_sql import audit
from orders.errors import Unavailable
from orders.payments import NoAnswer, OpenPayment, Said
from orders.payments_demo import FAIL, LATE, NAME, TIMEOUT, DemoProvider, payment_id
from orders.payments_service import PAUSE_MS, Payments
from orders.payments_sql import SqlPayments
from orders.requests import AnyRequest, Door, StartPayment, Verdict
from tests.orders.shop import Shop, open_shop
from tests.orders.test_payments import HOLD_MS, rows_of, state_of


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
