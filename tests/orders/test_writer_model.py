"""
The writer with SQLite against a model of a dozen lines, over random days of a shop.

Times come from the boundaries: just before, at and just after the moment when something turns.
After every step the audit must be clean and every unit must be where the model has it.
"""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from orders import schema_sql as t
from orders.audit_sql import audit
from orders.errors import Refusal
from orders.ledger_sql import SqlLedger
from orders.requests import (
    AdjustStock,
    Cancel,
    CancelSale,
    EditSale,
    JoinWaitlist,
    LeaveWaitlist,
    Note,
    Pay,
)
from tests.orders.shop import Clock, Shop, database, reserve

HOLD_MS, DURATION_MS, COUNTDOWN_MS = 10_000, 30_000, 5_000
OPEN = ("scheduled", "running")
NOTHING = Note(event="tick", merchants=[], data={})

buyers = st.sampled_from(["ann", "bob", "cid"])
keys = st.sampled_from(["k1", "k2", "k3", "k4"])
picks = st.integers(0, 3)
attempts = st.tuples(buyers, keys, st.integers(1, 2))


class Model:
    """What must be true, as plainly as it can be said."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.sales: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.places: dict[tuple[str, str], dict[str, Any]] = {}  # by (buyer, key)

    def held(self, sale: str, buyer: str | None = None) -> int:
        return sum(
            order["quantity"]
            for order in self.orders.values()
            if order["sale"] == sale
            and order["state"] in ("reserved", "paid")
            and buyer in (None, order["buyer"])
        )

    def committed(self) -> int:
        return sum(
            sale["units"] if sale["state"] in OPEN else self.held(sale_id)
            for sale_id, sale in self.sales.items()
        )

    def turn(self, now: int) -> None:
        for sale in self.sales.values():
            if sale["state"] in OPEN:
                if now >= sale["ends"]:
                    sale["state"] = "ended"
                elif now >= sale["starts"]:
                    sale["state"] = "running"
        for order in self.orders.values():
            if order["state"] == "reserved" and now >= order["expires"]:
                order["state"] = "expired"

    def line(self, sale_id: str) -> list[dict[str, Any]]:
        """Who waits, first to last."""
        if self.sales[sale_id]["state"] not in OPEN:
            return []
        waits = [place for place in self.places.values() if place["state"] == "waiting"]
        return [place for place in waits if place["sale"] == sale_id]

    def offer(self, now: int) -> None:
        """What came back goes to those who wait; their orders are called by their places."""
        for sale_id, sale in self.sales.items():
            for place in self.line(sale_id):
                left = sale["units"] - self.held(sale_id)
                if sale["state"] != "running" or left <= 0:
                    break
                still = sale["limit"] - self.held(sale_id, place["buyer"])
                quantity = min(place["quantity"], left, still)
                place["state"] = "offered" if quantity > 0 else "passed"
                if quantity > 0:
                    self.orders[f"{place['buyer']} {place['key']}"] = {
                        "sale": sale_id, "buyer": place["buyer"], "quantity": quantity,
                        "state": "reserved", "expires": now + HOLD_MS,
                    }  # fmt: skip

    def join(self, sale_id: str, buyer: str, key: str, quantity: int) -> str:
        """The name of the outcome: a problem's, "new" or a state of the place."""
        known = self.places.get((buyer, key))
        if known is not None:
            same = (known["sale"], known["quantity"]) == (sale_id, quantity)
            return self._shown(known) if same else "idempotency-conflict"
        line = self.line(sale_id)
        mine = next((place for place in line if place["buyer"] == buyer), None)
        if mine is not None:
            return "waiting" if mine["quantity"] == quantity else "invalid-state"
        refusal = self._refusal(sale_id, buyer, quantity)
        if refusal in ("ended", "not-started", "limit-exceeded"):
            return refusal
        left = self.sales[sale_id]["units"] - self.held(sale_id)
        return "invalid-state" if left and not line else "new"

    def _shown(self, place: dict[str, Any]) -> str:
        is_open = self.sales[place["sale"]]["state"] in OPEN
        return "over" if place["state"] == "waiting" and not is_open else place["state"]

    def reserve(self, sale_id: str, buyer: str, key: str, quantity: int) -> str:
        """The name of the outcome: a problem's, "new" or "repeat"."""
        sale = self.sales[sale_id]
        known = self.keys.get((buyer, key))
        refusal = self._refusal(sale_id, buyer, quantity)
        if known is None:
            return refusal or "new"
        order = self.orders[known]
        # A key of a sale that is over is not in memory: an open sale refuses before it is seen.
        seen = self.sales[order["sale"]]["state"] in OPEN or sale["state"] not in OPEN
        if refusal and not seen:
            return refusal
        same = (order["sale"], order["quantity"]) == (sale_id, quantity)
        return "repeat" if same else "idempotency-conflict"

    def _refusal(self, sale_id: str, buyer: str, quantity: int) -> str | None:
        sale = self.sales[sale_id]
        if sale["state"] not in OPEN:
            return "ended"
        if sale["state"] == "scheduled":
            return "not-started"
        if self.held(sale_id, buyer) + quantity > sale["limit"]:
            return "limit-exceeded"
        if self.held(sale_id) + quantity > sale["units"]:
            return "sold-out"
        return None


class ShopDays(RuleBasedStateMachine):
    """Random requests, times and restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.folder = tempfile.TemporaryDirectory(prefix="shop")
        self.starts = 0
        self.answers: dict[str, bytes] = {}
        self.voided = False

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(stock=st.integers(5, 12), first=st.lists(attempts, min_size=2, max_size=5))
    def open(self, stock: int, first: list[tuple[str, str, int]]) -> None:
        url = f"sqlite+aiosqlite:///{self.folder.name}/shop.db"
        self.engine = self.run(self.stack.enter_async_context(database(url)))
        self.clock = Clock()
        self.model = Model(stock)
        self._start()
        self.product = self.run(self.shop.product(stock=stock))
        self.create_sale(units=2, limit=2, countdown=False)  # sold out soon: people line up
        self.reserve(0, first)

    def _start(self) -> None:
        self.starts += 1
        self.shop = Shop(
            SqlLedger(self.engine),
            self.clock,
            holder=f"w{self.starts}",
            first_number=self.starts * 1_000_000,
        )
        self.run(self._begin())

    async def _begin(self) -> None:
        self.shop.start()

    def teardown(self) -> None:
        if self.starts:
            self.run(self.shop.stop())
            self.run(self.stack.aclose())
        self.loop.close()
        self.folder.cleanup()

    def ask(self, request: Any) -> tuple[str, Any]:
        self.model.turn(self.clock.wall)
        try:
            return "done", self.run(self.shop.writer.ask(request))
        except Refusal as refusal:
            return refusal.problem, None

    def pick(self, things: dict[str, Any], index: int) -> str:
        return sorted(things)[index % len(things)]

    @rule(units=st.integers(1, 4), limit=st.integers(1, 3), countdown=st.booleans())
    def create_sale(self, units: int, limit: int, countdown: bool) -> None:
        self.model.turn(self.clock.wall)
        fits = self.model.committed() + units <= self.model.total
        try:
            sale = self.run(
                self.shop.sale(
                    units=units, per_buyer_limit=limit, hold_seconds=HOLD_MS // 1000,
                    duration_seconds=DURATION_MS // 1000,
                    countdown_seconds=COUNTDOWN_MS // 1000 if countdown else 0,
                )
            )  # fmt: skip
        except Refusal as refusal:
            assert not fits and refusal.problem == "sold-out"
            return
        assert fits
        starts = self.clock.wall + (COUNTDOWN_MS if countdown else 0)
        self.model.sales[sale.id] = {
            "units": units, "limit": limit, "starts": starts, "ends": starts + DURATION_MS,
            "state": "scheduled" if countdown else "running",
        }  # fmt: skip

    @rule(index=picks, some=st.lists(attempts, min_size=1, max_size=4))
    def reserve(self, index: int, some: list[tuple[str, str, int]]) -> None:
        for buyer, key, quantity in some:
            self._reserve(self.pick(self.model.sales, index), buyer, key, quantity)

    def _reserve(self, sale_id: str, buyer: str, key: str, quantity: int) -> None:
        self.model.turn(self.clock.wall)
        expected = self.model.reserve(sale_id, buyer, key, quantity)
        outcome, answer = self.ask(reserve(sale_id, buyer, key, quantity=quantity))
        if expected == "new":
            assert outcome == "done"
            order = msgspec.json.decode(answer)["id"]
            assert order not in self.model.orders
            self.model.keys[(buyer, key)] = order
            self.answers[order] = answer
            self.model.orders[order] = {
                "sale": sale_id, "buyer": buyer, "quantity": quantity, "state": "reserved",
                "expires": self.clock.wall + HOLD_MS,
            }  # fmt: skip
        elif expected == "repeat":
            assert answer == self.answers[self.model.keys[(buyer, key)]]
        else:
            assert outcome == expected

    @rule(index=picks, some=st.lists(attempts, min_size=1, max_size=4))
    def join(self, index: int, some: list[tuple[str, str, int]]) -> None:
        for buyer, key, quantity in some:
            self._join(self.pick(self.model.sales, index), buyer, key, quantity)

    def _join(self, sale_id: str, buyer: str, key: str, quantity: int) -> None:
        self.model.turn(self.clock.wall)
        expected = self.model.join(sale_id, buyer, key, quantity)
        request = JoinWaitlist(
            flash_sale=sale_id, buyer=buyer, buyer_name=buyer, guest=True, quantity=quantity,
            key=key,
        )  # fmt: skip
        outcome, answer = self.ask(request)
        if expected == "new":
            self.model.places[(buyer, key)] = {
                "sale": sale_id, "buyer": buyer, "key": key, "quantity": quantity,
                "state": "waiting",
            }  # fmt: skip
        if outcome != "done":
            assert outcome == expected
            return
        place, line = msgspec.json.decode(answer), self.model.line(sale_id)
        assert place["state"] == ("waiting" if expected == "new" else expected)
        stands = [at for at, mine in enumerate(line, start=1) if mine["buyer"] == buyer]
        waits = place["state"] == "waiting"
        assert (place["position"], place["waiting"]) == (stands[0] if waits else None, len(line))

    @rule(index=picks, buyer=buyers)
    def leave(self, index: int, buyer: str) -> None:
        sale_id = self.pick(self.model.sales, index)
        assert self.ask(LeaveWaitlist(flash_sale=sale_id, buyer=buyer))[0] == "done"
        for place in self.model.line(sale_id):
            if place["buyer"] == buyer:
                place["state"] = "left"

    @rule(index=picks, ms=st.sampled_from([0, 1, COUNTDOWN_MS]))
    def move_start(self, index: int, ms: int) -> None:
        sale_id = self.pick(self.model.sales, index)
        sale, starts = self.model.sales[sale_id], self.clock.wall + ms
        outcome, _answer = self.ask(EditSale(flash_sale=sale_id, changes={"starts_at": starts}))
        assert outcome == ("done" if sale["state"] == "scheduled" else "invalid-state")
        if outcome == "done":
            sale["starts"], sale["ends"] = starts, starts + DURATION_MS

    @precondition(lambda self: self.model.orders)
    @rule(index=picks, repeat=st.booleans())
    def pay(self, index: int, repeat: bool) -> None:
        order_id = self.pick(self.model.orders, index)
        order = self.model.orders[order_id]
        request = Pay(order=order_id, provider="demo", payment=f"p{order_id}", actor="x")
        outcome, _answer = self.ask(request)
        payable = order["state"] in ("reserved", "paid", "refunded")  # repeated: no change
        assert outcome == ("done" if payable else "invalid-state")
        if payable:
            if order["state"] == "reserved":
                order["state"] = "paid"
            if repeat:
                assert self.ask(request)[0] == "done"

    @precondition(lambda self: self.model.orders)
    @rule(index=picks)
    def cancel(self, index: int) -> None:
        order_id = self.pick(self.model.orders, index)
        order = self.model.orders[order_id]
        outcome, _answer = self.ask(Cancel(order=order_id, actor="x"))
        possible = order["state"] in ("reserved", "cancelled")
        assert outcome == ("done" if possible else "invalid-state")
        if possible:
            order["state"] = "cancelled"

    @rule(index=picks, how=st.sampled_from(["honour", "void"]))
    def cancel_sale(self, index: int, how: str) -> None:
        sale_id = self.pick(self.model.sales, index)
        sale = self.model.sales[sale_id]
        outcome, _answer = self.ask(CancelSale(flash_sale=sale_id, orders=how))
        assert outcome == ("done" if sale["state"] in OPEN else "invalid-state")
        if outcome == "done":
            sale["state"] = "cancelled"
            self.voided |= how == "void"
            for order in self.model.orders.values():
                if how == "void" and order["sale"] == sale_id:
                    ends = {"reserved": "cancelled", "paid": "refunded"}
                    order["state"] = ends.get(order["state"], order["state"])

    @rule(index=picks, units=st.integers(1, 6))
    def resize_sale(self, index: int, units: int) -> None:
        sale_id = self.pick(self.model.sales, index)
        sale = self.model.sales[sale_id]
        outcome, _answer = self.ask(
            EditSale(flash_sale=sale_id, merchant="acme", changes={"units": units})
        )
        if sale["state"] not in OPEN:
            assert outcome == "invalid-state"
        elif units < self.model.held(sale_id):
            assert outcome == "validation"
        elif self.model.committed() + units - sale["units"] > self.model.total:
            assert outcome == "sold-out"
        else:
            assert outcome == "done"
            sale["units"] = units

    @precondition(lambda self: self.model.orders)
    @rule(delta=st.sampled_from([-3, -1, 1, 3]))
    def adjust(self, delta: int) -> None:
        outcome, _answer = self.ask(AdjustStock(product=self.product.id, delta=delta, reason="x"))
        fits = self.model.committed() <= self.model.total + delta
        assert outcome == ("done" if fits else "validation")
        if fits:
            self.model.total += delta

    @rule(ms=st.sampled_from([10_000, 9_999, 1, 30_000, 29_999, 5_000, 4_999]))
    def wait(self, ms: int) -> None:
        self.clock.advance(ms)

    @rule(clean=st.booleans())
    def restart(self, clean: bool) -> None:
        """Another writer takes over, after a clean end or because the first is known dead."""
        if clean:
            self.run(self.shop.stop())
        else:
            self.run(self._take_over())
        self._start()

    async def _take_over(self) -> None:
        ledger = SqlLedger(self.engine)
        lease = None
        while lease is None:
            lease = await ledger.take_lease("", await ledger.read_lease(), self.clock.wall)
        await self.shop.stop()

    @invariant()
    def everything_is_where_the_model_has_it(self) -> None:
        if not self.starts:
            return
        self.model.offer(self.clock.wall)  # at the end of the batch that this step was
        assert self.ask(NOTHING)[0] == "done"
        self.model.offer(self.clock.wall)
        if self.voided:
            assert self.ask(NOTHING)[0] == "done"  # its orders end in the batch after
        self.run(self._compare())

    async def _compare(self) -> None:
        assert await audit(self.engine) == []
        async with self.engine.connect() as connection:
            sales = {row.id: row for row in await connection.execute(select(t.flash_sale))}
            orders = {row.id: row for row in await connection.execute(select(t.orders))}
            stock = (await connection.execute(select(t.product_stock))).one()
            places = (await connection.execute(select(t.waitlist).order_by(t.waitlist.c.n))).all()
        for place in places:  # the model calls an offered order by its place
            if f"{place.buyer} {place.key}" in self.model.orders:
                offered = self.model.orders.pop(f"{place.buyer} {place.key}")
                self.model.orders[place.order_id] = offered
        assert [(row.buyer, row.key, row.state) for row in places] == [
            (buyer, key, place["state"]) for (buyer, key), place in self.model.places.items()
        ]
        assert (stock.total, stock.committed) == (self.model.total, self.model.committed())
        assert {key: row.state for key, row in orders.items()} == {
            key: order["state"] for key, order in self.model.orders.items()
        }
        for sale_id, sale in self.model.sales.items():
            assert sales[sale_id].state == sale["state"]
            assert sales[sale_id].sold == self.model.held(sale_id)
        assert self.shop.writer.counts.stock_memory_wrong_total == 0


ShopDays.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestShopDays = ShopDays.TestCase
