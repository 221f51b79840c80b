"""
Random days of payments on the ledger in memory: whatever providers, buyers and merchants do, in
whatever order, every cent and every unit is where it belongs after each step.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orders.errors import Refusal
from orders.ledger_memory import MemoryDatabase, MemoryLedger
from orders.order import EDGES, PAYABLE, is_held
from orders.payments import NoAnswer, OpenPayment, Place, Said
from orders.payments_service import PAUSE_MAX_MS
from orders.payments_service import Payments as Asking
from orders.requests import (
    Cancel,
    CancelSale,
    Complete,
    CreateCoupon,
    Inbound,
    MarkPaid,
    Note,
    Refund,
    Ship,
    StartPayment,
    Verdict,
)
from tests.orders.shop import Clock, Shop, reserve
from tests.orders.test_shelf import order

buyers = st.sampled_from(["ann", "bob"])
payments = st.sampled_from(["p1", "p2", "p3"])
picks = st.integers(0, 5)
TICK = Note(event="tick", merchants=[], data={})


class Tables:
    """`orders.payments_service.Waiting` over the ledger in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def unknown(self, after: Place, limit: int) -> list[OpenPayment]:
        return self._found(after, limit, ("open", "closed"), lambda s: s == "payment_unknown")

    async def left_open(self, after: Place, limit: int) -> list[OpenPayment]:
        return self._found(after, limit, ("open",), lambda state: state not in PAYABLE)

    def _found(
        self, after: Place, limit: int, states: tuple[str, ...], is_meant: Callable[[str], bool]
    ) -> list[OpenPayment]:
        tables = self._database.tables
        found = [
            OpenPayment(
                provider=row.provider, id=row.id, order=row.order_id,
                amount_cents=row.amount_cents, currency=row.currency,
            )
            for row in tables.payments.values()
            if row.state in states and is_meant(tables.orders[row.order_id].state)
        ]  # fmt: skip
        return sorted((p for p in found if p.place > after), key=lambda p: p.place)[:limit]


class Bank:
    """A provider that has the money of some payments, not of others, and may be silent."""

    def __init__(self) -> None:
        self.has: frozenset[str] = frozenset()  # how the ids end of payments that it took
        self.is_silent = False

    async def close(self, payment: OpenPayment) -> Said:
        if self.is_silent:
            raise NoAnswer("later")
        if payment.id[-2:] not in self.has:
            return Said(paid=False)
        return Said(paid=True, amount_cents=payment.amount_cents, currency=payment.currency)


class Payments(RuleBasedStateMachine):
    """One product with few units, a sale, a coupon, and everybody at once."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.database = MemoryDatabase()
        self.clock = Clock()
        self.shop = Shop(MemoryLedger(self.database), self.clock)
        self.keys = 0
        self.bank = Bank()
        self.asking = self.new_asking()

    def new_asking(self) -> Asking:
        """As after a restart: whom it has asked is not remembered."""
        waiting = Tables(self.database)
        banks = {"bank": self.bank}
        return Asking(waiting, self.shop.writer, banks, lambda: self.clock.mono)

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def ask(self, *requests: Any) -> None:
        """All at once, so that they share a batch; refusals are answers like others."""

        async def all_of_them() -> list[Any]:
            asks = (self.shop.writer.ask(request) for request in requests)
            return await asyncio.gather(*asks, return_exceptions=True)

        for result in self.run(all_of_them()):
            assert isinstance(result, bytes | Refusal), result

    @initialize(stock=st.integers(2, 5))
    def open(self, stock: int) -> None:
        async def begin() -> None:
            self.shop.start()

        self.run(begin())
        self.product = self.run(self.shop.product(stock=stock, price_cents=1000))
        self.sale = self.run(
            self.shop.sale(units=2, hold_seconds=10, duration_seconds=30, per_buyer_limit=2)
        )
        coupon = CreateCoupon(
            merchant="acme", code="c", kind="amount", value=100, currency="EUR",
            budget_cents=250, per_buyer_limit=2,
        )  # fmt: skip
        self.ask(coupon)

    def teardown(self) -> None:
        try:
            if self.tables.products:
                self.bank.is_silent, self.asking = False, self.new_asking()
                self.settle()
        finally:
            self.run(self.shop.stop())
            self.loop.close()

    @property
    def tables(self) -> Any:
        return self.database.tables

    def pick(self, index: int) -> Any:
        rows = sorted(self.tables.orders.values(), key=lambda row: row.id)
        return rows[index % len(rows)]

    def key(self) -> str:
        self.keys += 1
        return f"k{self.keys}"

    @rule(buyer=buyers, other=buyers)
    def reserve(self, buyer: str, other: str) -> None:
        self.ask(reserve(self.sale, buyer, self.key()), reserve(self.sale, other, self.key()))

    @rule(buyer=buyers, many=st.integers(1, 2), coupon=st.sampled_from([None, "c"]))
    def order(self, buyer: str, many: int, coupon: str | None) -> None:
        self.ask(order({self.product.id: many}, buyer, self.key(), coupon=coupon))

    @precondition(lambda self: self.tables.orders)
    @rule(index=picks, payment=payments)
    def start(self, index: int, payment: str) -> None:
        one = self.pick(index).id
        self.ask(StartPayment(order=one, provider="bank", payment=f"{one}{payment}"))

    @precondition(lambda self: self.tables.orders)
    @rule(
        index=picks,
        some=st.lists(st.tuples(payments, st.booleans(), st.sampled_from([0, 0, 0, 1]))),
        together=st.booleans(),
    )
    def verdicts(self, index: int, some: list[tuple[str, bool, int]], together: bool) -> None:
        one = self.pick(index)
        asks = [
            Verdict(
                order=one.id, provider="bank", payment=f"{one.id}{payment}", paid=paid,
                amount_cents=one.amount_cents + wrong, currency="EUR",
            )
            for payment, paid, wrong in some
        ]  # fmt: skip
        if together:
            self.ask(*asks, Cancel(order=one.id))
        else:
            for ask in asks:
                self.ask(ask)

    @precondition(lambda self: self.tables.orders)
    @rule(index=picks, what=st.sampled_from(["cancel", "mark", "ship", "complete", "told"]))
    def move(self, index: int, what: str) -> None:
        one = self.pick(index).id
        told = Inbound(merchant="acme", id=self.key(), event="order.paid", order=one)
        requests = {
            "cancel": Cancel(order=one),
            "mark": MarkPaid(order=one, payment=f"m{one}"),
            "ship": Ship(order=one, carrier="", tracking=""),
            "complete": Complete(order=one),
            "told": told,
        }
        self.ask(requests[what], requests[what])

    @precondition(lambda self: self.tables.orders)
    @rule(
        index=picks,
        amount=st.sampled_from([None, 1, 300, 900, 1000]),
        restock=st.booleans(),
        key=st.sampled_from([None, "r1"]),
    )
    def refund(self, index: int, amount: int | None, restock: bool, key: str | None) -> None:
        one = self.pick(index).id
        ask = Refund(order=one, reason="", amount_cents=amount, restock=restock, key=key)
        self.ask(ask, ask)

    @rule(ms=st.sampled_from([1, 9_999, 10_000, 30_000, 900_000]))
    def wait(self, ms: int) -> None:
        self.clock.advance(ms)
        self.ask(TICK)

    @precondition(lambda self: self.tables.orders)
    @rule(index=picks, by=st.sampled_from(["bank", "demo"]))
    def pay_by_another(self, index: int, by: str) -> None:
        """Started with one payment, paid by a second one."""
        one = self.pick(index)
        second = f"{one.id}p2" if by == "bank" else f"demo_{one.id}"
        self.ask(
            StartPayment(order=one.id, provider="bank", payment=f"{one.id}p1"),
            Verdict(
                order=one.id, provider=by, payment=second, paid=True,
                amount_cents=one.amount_cents, currency="EUR",
            ),
        )  # fmt: skip

    @rule(has=st.frozensets(payments), silent=st.booleans(), restarted=st.booleans())
    def providers_are_asked(self, has: frozenset[str], silent: bool, restarted: bool) -> None:
        self.bank.has, self.bank.is_silent = has, silent
        if restarted:
            self.asking = self.new_asking()
        self.clock.advance(PAUSE_MAX_MS)
        if silent:
            self.run(self.asking.round())
        else:
            self.settle()

    def settle(self) -> None:
        """Whoever was asked and answered has no open payment left, unless its buyer may pay."""
        self.run(self.asking.round())
        for payment in self.tables.payments.values():
            state = self.tables.orders[payment.order_id].state
            assert payment.state != "open" or state in PAYABLE, (payment, state)
            assert state != "payment_unknown", payment

    @rule(how=st.sampled_from(["honour", "void"]))
    def cancel_sale(self, how: str) -> None:
        self.ask(CancelSale(flash_sale=self.sale.id, orders=how))
        self.ask(TICK)

    @invariant()
    def every_unit_is_held_once(self) -> None:
        if not self.tables.products:
            return
        held = [row for row in self.tables.orders.values() if is_held(row.state, row.restocked)]
        sale = self.tables.sales.get(self.sale.id)
        of_sale = sum(row.quantity for row in held if row.flash_sale_id is not None)
        others = sum(row.quantity for row in held if row.flash_sale_id is None)
        product = self.tables.products[self.product.id]
        if sale is not None:
            assert sale.sold == of_sale
            assert product.committed == sale.units + others <= product.total
        coupons = {use.order_id: use.cents for use in self.tables.coupon_uses}
        for coupon in self.tables.coupons.values():
            assert coupon.used == sum(coupons.get(row.id, 0) for row in held) <= coupon.budget
        assert self.shop.writer.counts.stock_memory_wrong_total == 0

    @invariant()
    def every_cent_is_in_one_order_or_went_back(self) -> None:
        refunds = list(self.tables.refunds.values())
        for row in self.tables.orders.values():
            captured = [
                payment.amount_cents
                for payment in self.tables.payments.values()
                if payment.order_id == row.id and payment.state == "captured"
            ]
            assert captured == ([] if row.paid_at is None else [row.amount_cents]), row
            back = [r.amount_cents for r in refunds if r.order_id == row.id and r.kind == "order"]
            assert row.refunded_cents == sum(back) <= row.amount_cents
            assert (row.state == "refunded") == (bool(back) and sum(back) == row.amount_cents)
        for payment in self.tables.payments.values():
            back = [
                r.amount_cents
                for r in refunds
                if r.kind == "payment" and r.payment_id == payment.id
            ]
            assert back == ([payment.amount_cents] if payment.state == "returned" else [])

    @invariant()
    def only_allowed_edges_happened(self) -> None:
        for step in self.tables.edges.values():
            assert (step.from_state, step.state) in EDGES


Payments.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestPayments = Payments.TestCase
