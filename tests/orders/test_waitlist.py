"""The waiting list of a sold-out sale, on every ledger: nobody is passed, nothing is sold twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from orders import waitlist
from orders.audit_sql import audit
from orders.errors import (
    Ended,
    Forbidden,
    KeyConflict,
    LimitExceeded,
    NotFound,
    NotStarted,
    SoldOut,
    WrongState,
)
from orders.ledger import Ledger
from orders.ledger_memory import MemoryDatabase, MemoryLedger
from orders.ledger_sql import SqlLedger
from orders.requests import (
    Cancel,
    CancelSale,
    EditSale,
    JoinWaitlist,
    LeaveWaitlist,
    Note,
    Pay,
    Refund,
    Verdict,
)
from orders.rows import PlaceRow
from orders.shapes import FlashSale, Order
from orders.waitlist import LineDraft
from tests.orders.shop import Clock, Shop, database, reserve

NOTHING = Note(event="tick", merchants=[], data={})


def join(sale: FlashSale | str, buyer: str, key: str = "j", **fields: Any) -> JoinWaitlist:
    """A wish to line up for one unit, of a guest."""
    sale_id = sale if isinstance(sale, str) else sale.id
    values: dict[str, Any] = {"buyer_name": buyer, "guest": True, "quantity": 1, "actor": buyer}
    return JoinWaitlist(flash_sale=sale_id, buyer=buyer, key=key, **(values | fields))


class Counter:
    """A shop on one kind of ledger, whose writer can be replaced, and what it has stored."""

    def __init__(self, kind: str, store: Any) -> None:
        self.kind = kind
        self.store = store
        self.clock = Clock()
        self.starts = 0
        self.shop = self.another()

    def ledger(self) -> Ledger:
        return MemoryLedger(self.store) if self.kind == "memory" else SqlLedger(self.store)

    def another(self) -> Shop:
        """The next writer, which is not started."""
        self.starts += 1
        return Shop(
            self.ledger(),
            self.clock,
            holder=f"w{self.starts}",
            first_number=self.starts * 1_000_000,
        )

    async def replace(self) -> None:
        """Another writer takes over and loads its memory."""
        await self.shop.stop()
        self.shop = self.another()
        self.shop.start()
        await self.shop.ask(NOTHING)

    async def orders(self) -> list[Order]:
        """All orders as they are, oldest first."""
        if self.kind == "memory":
            rows = [(row.answer, row.changes) for row in self.store.tables.orders.values()]
        else:
            query = "SELECT o.answer, o.changes FROM orders o JOIN order_edges e"
            query += " ON e.order_id = o.id AND e.sequence = 1 ORDER BY e.n"
            async with self.store.connect() as connection:
                rows = [(row[0], row[1]) for row in await connection.execute(text(query))]
        return [
            msgspec.convert(msgspec.json.decode(answer) | msgspec.json.decode(changes), Order)
            for answer, changes in rows
        ]

    async def held_by(self) -> list[str]:
        """Buyers of the orders that are reserved, in the order in which they came to be."""
        return [order.buyer.id for order in await self.orders() if order.state == "reserved"]

    async def check(self) -> None:
        assert self.shop.writer.counts.stock_memory_wrong_total == 0
        if self.kind != "memory":
            assert await audit(self.store) == []


@asynccontextmanager
async def open_counter(kind: str, url: str) -> AsyncIterator[Counter]:
    async with database(url) if kind != "memory" else _memory() as store:
        counter = Counter(kind, store)
        counter.shop.start()
        try:
            yield counter
        finally:
            await counter.shop.stop()


@asynccontextmanager
async def _memory() -> AsyncIterator[MemoryDatabase]:
    yield MemoryDatabase()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def kind_and_url(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Each kind of ledger, and where its tables are."""
    if request.param == "memory":
        return "memory", ""
    return request.param, request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
async def counter(kind_and_url: tuple[str, str]) -> AsyncIterator[Counter]:
    """The same rules on every ledger."""
    async with open_counter(*kind_and_url) as opened:
        yield opened


async def sold_out(
    counter: Counter, units: int = 1, **fields: Any
) -> tuple[FlashSale, list[Order]]:
    """A sale whose units are all reserved, each by somebody else."""
    await counter.shop.product(stock=50)
    sale = await counter.shop.sale(units=units, hold_seconds=10, **fields)
    return sale, [await counter.shop.reserve(sale, f"first{n}") for n in range(units)]


async def test_who_stands_first_is_offered_what_comes_back(counter: Counter) -> None:
    """By the order in which they came, each with a hold of its own; the rest moves up."""
    shop = counter.shop
    sale, (order,) = await sold_out(counter)
    ann = await shop.ask(join(sale, "ann"))
    bob = await shop.ask(join(sale, "bob"))
    assert (ann["state"], ann["position"], ann["waiting"]) == ("waiting", 1, 1)
    assert (bob["state"], bob["position"], bob["waiting"]) == ("waiting", 2, 2)
    shop.clock.advance(4_000)
    await shop.ask(Cancel(order=order.id))
    ann = await shop.ask(join(sale, "ann"))
    assert (ann["state"], ann["position"], ann["waiting"]) == ("offered", None, 1)
    assert (await shop.ask(join(sale, "bob")))["position"] == 1
    offer = (await counter.orders())[-1]
    assert (offer.id, offer.source, offer.state) == (ann["order"], "waitlist", "reserved")
    assert (offer.buyer.id, offer.amount_cents) == ("ann", 600)
    shop.clock.advance(9_999)
    await shop.ask(NOTHING)
    assert await counter.held_by() == ["ann"]
    shop.clock.advance(1)
    await shop.ask(NOTHING)
    assert await counter.held_by() == ["bob"], "unpaid at its own deadline: the next one's turn"
    bob = await shop.ask(join(sale, "bob"))
    await shop.ask(Pay(order=bob["order"], provider="demo", payment="p"))
    assert shop.news[-1].sales == [] or shop.news[-1].sales[0].state == "sold_out"
    await counter.check()


async def test_every_way_back_leads_to_the_line(counter: Counter) -> None:
    """Expiry, a cancel, a refund with restock and a refill are all offered in the same batch."""
    shop = counter.shop
    sale, (one, two) = await sold_out(counter, units=2)
    await shop.ask(Pay(order=two.id, provider="demo", payment="p"))
    for name in ("ann", "bob", "cid", "dan"):
        await shop.ask(join(sale, name))
    await shop.ask(Refund(order=two.id, reason="", restock=True))
    assert await counter.held_by() == [one.buyer.id, "ann"]
    refilled = await shop.ask(EditSale(flash_sale=sale.id, merchant="acme", changes={"units": 3}))
    assert (refilled["units_left"], refilled["state"]) == (0, "sold_out")
    shop.clock.advance(10_000)
    await shop.ask(NOTHING)
    assert await counter.held_by() == ["cid", "dan"], "the third unit is for everybody again"
    await shop.reserve(sale, "eve")
    await counter.check()


async def test_nobody_jumps_the_line(counter: Counter) -> None:
    """In the batch in which a unit comes back, before it, and after it."""
    shop = counter.shop
    sale, (order,) = await sold_out(counter)
    await shop.ask(join(sale, "ann"))
    results = await asyncio.gather(
        *(shop.writer.ask(reserve(sale, f"hasty{n}")) for n in range(20)),
        shop.writer.ask(Cancel(order=order.id)),
        *(shop.writer.ask(reserve(sale, f"late{n}")) for n in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, SoldOut) for result in results) == 40
    assert await counter.held_by() == ["ann"]
    with pytest.raises(SoldOut):
        await shop.reserve(sale, "another")
    await counter.check()


async def test_a_late_payment_does_not_jump_the_line_either(counter: Counter) -> None:
    """The unit went to whoever waited; the money goes back."""
    shop = counter.shop
    sale, (order,) = await sold_out(counter)
    await shop.ask(join(sale, "ann"))
    shop.clock.advance(10_000)
    told = await shop.ask(
        Verdict(
            order=order.id, provider="demo", payment="p", paid=True, amount_cents=600,
            currency="EUR",
        )
    )  # fmt: skip
    assert told["outcome"] == "returned"
    assert await counter.held_by() == ["ann"]
    await counter.check()


async def test_an_offer_is_of_what_there_is_and_of_what_one_may_have(counter: Counter) -> None:
    """At most the wish; nobody behind is passed over because of a larger wish in front."""
    shop = counter.shop
    sale, (one, two, three) = await sold_out(counter, units=3, per_buyer_limit=3)
    await shop.ask(join(sale, "ann", quantity=3))
    await shop.ask(join(sale, "bob", quantity=2))
    await shop.ask(Cancel(order=one.id))
    assert [(o.buyer.id, o.lines[0].quantity) for o in await counter.orders()][3:] == [("ann", 1)]
    await shop.ask(EditSale(flash_sale=sale.id, changes={"per_buyer_limit": 1}))
    await asyncio.gather(*(shop.ask(Cancel(order=order.id)) for order in (two, three)))
    assert [(o.buyer.id, o.lines[0].quantity) for o in await counter.orders()][4:] == [("bob", 1)]
    await counter.check()


async def test_who_has_enough_by_then_is_passed(counter: Counter) -> None:
    """The limit was lowered meanwhile; the place ends in words, and the next one is asked."""
    shop = counter.shop
    sale, (_one, two) = await sold_out(counter, units=2, per_buyer_limit=2)
    assert (await shop.ask(join(sale, "first0")))["position"] == 1
    await shop.ask(join(sale, "bob"))
    await shop.ask(EditSale(flash_sale=sale.id, changes={"per_buyer_limit": 1}))
    await shop.ask(Cancel(order=two.id))
    assert (await shop.ask(join(sale, "first0")))["state"] == "passed"
    assert await counter.held_by() == ["first0", "bob"]
    await counter.check()


async def test_one_place_a_buyer_and_one_place_a_key(counter: Counter) -> None:
    """The key gets its place for ever, in the state of now; with another wish it is a conflict."""
    shop = counter.shop
    sale, (order,) = await sold_out(counter, per_buyer_limit=2)
    await shop.ask(join(sale, "ann", "k1"))
    await shop.ask(join(sale, "bob"))
    assert (await shop.ask(join(sale, "ann", "k1")))["position"] == 1
    again = await shop.ask(join(sale, "ann", "k2"))
    assert (again["position"], again["waiting"]) == (1, 2)
    with pytest.raises(KeyConflict):
        await shop.ask(join(sale, "ann", "k1", quantity=2))
    with pytest.raises(WrongState, match="you wait for 1"):
        await shop.ask(join(sale, "ann", "k3", quantity=2))
    await shop.ask(LeaveWaitlist(flash_sale=sale.id, buyer="ann"))
    await shop.ask(LeaveWaitlist(flash_sale=sale.id, buyer="ann"))
    assert (await shop.ask(join(sale, "ann", "k1")))["state"] == "left"
    assert (await shop.ask(join(sale, "ann", "k4")))["position"] == 2, "behind bob now"
    await shop.ask(Cancel(order=order.id))
    assert await counter.held_by() == ["bob"]
    await counter.check()


async def test_only_who_may_buy_waits_and_only_for_what_is_sold_out(counter: Counter) -> None:
    """Each refusal by its own name."""
    shop = counter.shop
    await shop.product(stock=50)
    account = await shop.sale(units=1, buyers="account")
    await shop.reserve(account, "ann", guest=False)
    with pytest.raises(Forbidden):
        await shop.ask(join(account, "bob"))
    with pytest.raises(LimitExceeded):
        await shop.ask(join(account, "ann", guest=False))
    with pytest.raises(LimitExceeded):
        await shop.ask(join(account, "eve", guest=False, quantity=2))
    with pytest.raises(NotFound):
        await shop.ask(join("sale_none", "bob"))
    with pytest.raises(NotFound):
        await shop.ask(LeaveWaitlist(flash_sale="sale_none", buyer="bob"))
    open_one = await shop.sale(units=1)
    with pytest.raises(WrongState, match="reserve instead"):
        await shop.ask(join(open_one, "bob"))
    later = await shop.sale(units=1, countdown_seconds=10)
    with pytest.raises(NotStarted):
        await shop.ask(join(later, "bob", "j2"))
    await shop.ask(CancelSale(flash_sale=open_one.id, orders="honour"))
    with pytest.raises(Ended):
        await shop.ask(join(open_one, "bob", "j3"))
    await shop.ask(LeaveWaitlist(flash_sale=open_one.id, buyer="bob"))


@pytest.mark.parametrize("how", ["honour", "void", "end"])
async def test_the_end_of_the_sale_ends_the_line(counter: Counter, how: str) -> None:
    """Nobody is offered anything any more, and whoever asks is told that it is over."""
    shop = counter.shop
    sale, _orders = await sold_out(counter, duration_seconds=30)
    await shop.ask(join(sale, "ann"))
    if how == "end":
        shop.clock.advance(5_000)
        second = await shop.ask(EditSale(flash_sale=sale.id, changes={"ends_at": 1 + _now(shop)}))
        assert second["state"] == "sold_out"
        shop.clock.advance(1)
    else:
        await shop.ask(CancelSale(flash_sale=sale.id, orders=how))
    shop.clock.advance(10_000)
    await shop.ask(NOTHING)
    await shop.ask(NOTHING)
    assert await counter.held_by() == []
    place = await shop.ask(join(sale, "ann"))
    assert (place["state"], place["position"], place["waiting"]) == ("over", None, 0)
    await counter.check()


def _now(shop: Shop) -> int:
    return shop.clock.wall


async def test_a_new_holder_goes_on_with_the_same_line(counter: Counter) -> None:
    """Loaded from what is stored, in the same order; who left stays away; one offer a place."""
    sale, (order,) = await sold_out(counter)
    for name in ("ann", "bob", "cid", "dan"):
        await counter.shop.ask(join(sale, name))
    await counter.shop.ask(LeaveWaitlist(flash_sale=sale.id, buyer="bob"))
    await counter.replace()
    assert (await counter.shop.ask(join(sale, "cid")))["position"] == 2
    await counter.shop.ask(Cancel(order=order.id))
    await counter.replace()
    assert (await counter.shop.ask(join(sale, "ann")))["state"] == "offered"
    assert await counter.held_by() == ["ann"]
    counter.clock.advance(10_000)
    await counter.shop.ask(NOTHING)
    assert await counter.held_by() == ["cid"]
    await counter.check()


async def test_the_line_is_bounded(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one too many is told so; a large refill is offered in parts, to everybody in line."""
    monkeypatch.setattr(waitlist, "MAX_PLACES", 7)
    monkeypatch.setattr("orders.decide_waitlist.MAX_OFFERS_IN_A_BATCH", 3)
    shop = counter.shop
    sale, _orders = await sold_out(counter)
    await asyncio.gather(*(shop.ask(join(sale, f"b{n}")) for n in range(7)))
    with pytest.raises(SoldOut, match="list is full"):
        await shop.ask(join(sale, "one too many"))
    await shop.ask(EditSale(flash_sale=sale.id, merchant="acme", changes={"units": 9}))
    with pytest.raises(SoldOut):  # two parts are still to be offered
        await shop.reserve(sale, "hasty")
    async with asyncio.timeout(10):
        while len(await counter.held_by()) < 8:  # noqa: ASYNC110 - of another task's commits
            await asyncio.sleep(0.01)
    await shop.reserve(sale, "the ninth")
    await counter.check()


async def test_the_audit_finds_an_offer_without_a_place_and_a_place_that_was_passed(
    database_url: str,
) -> None:
    """An order of the list that nobody lined up for, and somebody who was jumped over."""
    async with open_counter("sql", database_url) as counter:
        shop = counter.shop
        sale, (order,) = await sold_out(counter)
        for name in ("ann", "bob", "cid"):
            await shop.ask(join(sale, name))
        await shop.ask(Cancel(order=order.id))
        assert await audit(counter.store) == []
        async with counter.store.begin() as connection:
            await connection.execute(
                text("UPDATE waitlist SET n = n + 1000 WHERE buyer IN ('ann', 'cid')")
            )
        (line,) = await audit(counter.store)
        assert line.startswith("waitlist.n") and "bob" in line
        async with counter.store.begin() as connection:
            await connection.execute(text("DELETE FROM waitlist"))
        (line,) = await audit(counter.store)
        assert line.startswith("orders of the waiting list")


# ── the line of one batch, alone ────────────────────────────────────────────────────────────────


def place(n: int, buyer: str) -> PlaceRow:
    return PlaceRow(
        n=n, flash_sale_id="s", buyer=buyer, buyer_name=buyer, guest=1, quantity=1, key=f"k{n}",
        metadata="{}", state="waiting", order_id=None, joined_at=0,
    )  # fmt: skip


STEPS = st.lists(
    st.tuples(st.sampled_from(["join", "leave", "offer", "commit"]), st.sampled_from("abcdef")),
    max_size=40,
)


@given(STEPS)
def test_a_line_is_a_list(steps: list[tuple[str, str]]) -> None:
    """Whatever joins, leaves and is offered, in one batch or over many: first in, first out."""
    model: list[PlaceRow] = []
    waiting: dict[str, PlaceRow] = {}
    line = LineDraft(waiting)
    for n, (step, buyer) in enumerate(steps, start=1):
        mine = next((other for other in model if other.buyer == buyer), None)
        assert (line.find(buyer) is None) == (mine is None)
        if step == "join" and mine is None:
            model.append(place(n, buyer))
            line.join(place(n, buyer))
        elif step == "leave" and mine is not None:
            model.remove(mine)
            found = line.find(buyer)
            assert found is not None
            line.end(found, "left")
        elif step == "offer" and model:
            first = line.first()
            assert first is not None and first.n == model.pop(0).n
            line.end(first, "offered", f"order{n}")
        elif step == "commit":
            line.commit()
            assert [other.n for other in waiting.values()] == [other.n for other in model]
            assert line.positions() == {row.n: at for at, row in enumerate(model, start=1)}
            line = LineDraft(waiting)
        assert len(line) == len(model)
