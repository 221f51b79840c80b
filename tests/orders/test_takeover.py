"""One writer at a time: fences, take-overs, crashes, and a database that answers badly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from liveserver.db import make_engine
from orders.audit_sql import audit
from orders.errors import InFlight, LimitExceeded, SoldOut, Unavailable
from orders.lease import LEASE_MS, Lease, SaleClock, Watch
from orders.ledger import Broken, LeaseLost, Transaction
from orders.ledger_sql import POSTGRES_SETTINGS, SqlLedger
from orders.schema_sql import orders
from orders.times import rfc3339
from tests.orders.shop import Clock, Shop, database, open_shop, reserve


async def served(shop: Shop) -> None:
    """Wait until the shop's writer holds the lease; its clock runs meanwhile."""
    async with asyncio.timeout(30):
        while not shop.writer.is_serving:
            shop.clock.advance(100)
            await asyncio.sleep(0.01)


async def count_orders(engine) -> int:  # type: ignore[no-untyped-def]
    async with engine.connect() as connection:
        return (await connection.execute(select(func.count()).select_from(orders))).scalar_one()


def test_a_beaten_lease_is_left_alone_and_an_old_one_is_taken() -> None:
    """Only an unchanged (fence, beat) for 5 s on the candidate's own clock counts."""
    watch = Watch()
    assert watch.may_take(None, 0)
    assert not watch.may_take(Lease("a", 1, 0, 0), 0)
    assert not watch.may_take(Lease("a", 1, 1, 0), LEASE_MS)
    assert not watch.may_take(Lease("a", 1, 1, 0), 2 * LEASE_MS - 1)
    assert watch.may_take(Lease("a", 1, 1, 0), 2 * LEASE_MS)
    assert watch.may_take(Lease("", 1, 1, 0), 0), "given back"
    assert Watch("dead").may_take(Lease("dead", 1, 1, 0), 0), "known dead"


def test_the_sale_clock_never_runs_backwards() -> None:
    """A wall clock an hour behind or ahead moves no deadline once the clock runs."""
    clock = SaleClock(wall_ms=1_000, stored_ms=5_000, monotonic_ms=70)
    assert clock.now(70) == 5_000
    assert clock.now(170) == 5_100


async def test_the_second_writer_waits_until_the_first_gives_the_lease_back(
    database_url: str,
) -> None:
    async with database(database_url) as engine:
        clock = Clock()
        one, two = Shop(SqlLedger(engine), clock), Shop(SqlLedger(engine), clock, holder="two")
        one.start()
        await one.product()
        sale = await one.sale(units=2)
        two.start()
        await one.reserve(sale, "ann")
        assert not two.writer.is_serving
        await one.stop()
        await served(two)
        assert two.writer.fence == 2
        await two.reserve(sale, "bob")
        with pytest.raises(SoldOut):
            await two.reserve(sale, "cid")
        with pytest.raises(LimitExceeded):
            await two.reserve(sale, "ann", "other key")
        await two.stop()
        assert await audit(engine) == []


async def test_a_paused_writer_is_fenced_when_it_wakes_up(database_url: str) -> None:
    """Two writers that both believe to hold the lease: only the newer one's commits count."""
    async with database(database_url) as engine:
        clock = Clock()
        one = Shop(SqlLedger(engine), clock)
        one.start()
        await one.product()
        sale = await one.sale(units=1)
        old = SqlLedger(engine)
        lease = await old.read_lease()
        assert lease is not None
        taken = await old.take_lease("two", lease, clock.wall)
        assert taken is not None and taken.fence == 2
        with pytest.raises(Unavailable):
            await one.reserve(sale, "ann")
        with pytest.raises(LeaseLost):
            async with old.transaction(1, clock.wall):
                pass
        assert await count_orders(engine) == 0
        await one.stop()


async def test_a_dead_holders_lease_is_taken_at_once(database_url: str) -> None:
    """The supervisor knows that the process is gone: no five seconds without sales."""
    async with database(database_url) as engine:
        clock = Clock()
        ledger = SqlLedger(engine)
        await ledger.take_lease("gone", None, clock.wall)
        two = Shop(ledger, clock, holder="two", dead_holder="gone")
        two.start()
        async with asyncio.timeout(10):
            await two.product()
        assert two.writer.fence == 2
        await two.stop()


class SlowLease(SqlLedger):
    """A database that keeps who takes the lease waiting for three seconds."""

    clock: Clock

    async def take_lease(self, holder: str, seen: Lease | None, now: int) -> Lease | None:
        taken = await super().take_lease(holder, seen, now)
        self.clock.advance(3_000)
        return taken


async def test_a_slow_take_over_moves_no_deadline(database_url: str) -> None:
    """The sale clock starts with wall and monotonic time of one moment."""
    async with database(database_url) as engine:
        ledger = SlowLease(engine)
        clock = ledger.clock = Clock()
        shop = Shop(ledger, clock)
        shop.start()
        await shop.product()
        sale = await shop.sale(hold_seconds=60)
        order = await shop.reserve(sale, "ann")
        assert order.created_at == rfc3339(clock.wall)
        await shop.stop()


class CutLedger(SqlLedger):
    """A database whose connection is lost at the commit, before or after it happened."""

    cut = ""

    @asynccontextmanager
    async def _transaction(self, fence: int, now: int) -> AsyncIterator[Transaction]:
        async with super()._transaction(fence, now) as transaction:
            yield CutTransaction(transaction, self)  # type: ignore[misc]


class CutTransaction:
    def __init__(self, inner: Transaction, ledger: CutLedger) -> None:
        self._inner, self._ledger = inner, ledger
        self.read, self.write = inner.read, inner.write
        self.insert_orders = inner.insert_orders

    async def commit(self) -> None:
        cut, self._ledger.cut = self._ledger.cut, ""
        if cut != "before":
            await self._inner.commit()
        if cut:
            raise Broken("connection lost", outcome_unknown=True)


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_commit_of_unknown_outcome_gives_one_order_and_one_answer(
    database_url: str, cut: str
) -> None:
    """The lease is taken anew, the memory loaded, the request decided again by its key."""
    async with database(database_url) as engine:
        ledger = CutLedger(engine)
        shop = Shop(ledger, Clock())
        shop.start()
        await shop.product()
        sale = await shop.sale(units=2)
        ledger.cut = cut
        first = await shop.writer.ask(reserve(sale, "ann"))
        assert await shop.writer.ask(reserve(sale, "ann")) == first
        assert shop.writer.fence == 2
        assert await count_orders(engine) == 1
        assert await audit(engine) == []
        await shop.stop()


async def test_a_crash_between_commit_and_answer_is_healed_by_the_key(database_url: str) -> None:
    """The next writer finds the order and answers the very same bytes."""
    async with database(database_url) as engine:
        clock = Clock()
        one = Shop(SqlLedger(engine), clock)
        one.start()
        await one.product()
        sale = await one.sale(units=5)
        lost = await one.writer.ask(reserve(sale, "ann"))
        two = Shop(SqlLedger(engine), clock, holder="two", dead_holder="one")
        two.start()
        await served(two)
        assert await two.writer.ask(reserve(sale, "ann")) == lost
        assert msgspec.json.decode(lost)["buyer"]["id"] == "ann"
        await two.stop()
        await one.stop()


async def test_a_writer_that_stands_still_in_its_transaction_holds_nobody_off(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends what it left open, also in a session that has rolled back before."""
    monkeypatch.setitem(POSTGRES_SETTINGS, "idle_in_transaction_session_timeout", "200ms")
    async with database(postgres_url) as other:
        engine = make_engine(postgres_url)
        still, standby = SqlLedger(engine), SqlLedger(other)
        await still.read_lease()  # the session's first transaction ends with a rollback
        lease = await still.take_lease("one", None, 1)
        left = still.transaction(1, 2)
        transaction = await left.__aenter__()
        taken = await standby.take_lease("two", lease, 3)
        assert taken is not None and taken.fence == 2
        with pytest.raises(DBAPIError):
            await transaction.commit()
        assert not await left.__aexit__(None, None, None)
        await engine.dispose()


async def test_what_a_session_is_told_at_its_start_outlives_a_rollback(postgres_url: str) -> None:
    """Locks of any process that was cut off end by themselves."""
    async with database(postgres_url) as engine:
        for _ in range(2):
            async with engine.connect() as connection:
                shown = await connection.execute(text("SHOW idle_in_transaction_session_timeout"))
                assert shown.scalar_one() == "20s"


async def test_a_row_changed_by_somebody_else_makes_the_writer_load_again(
    database_url: str,
) -> None:
    """Within a second, or at the next batch that touches the sale: never sold on a wrong memory."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product()
        sale = await shop.sale(units=3)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE flash_sale SET sold = 3, counter = counter + 1"))
        with pytest.raises(SoldOut):
            await shop.reserve(sale, "ann")
        assert shop.writer.counts.stock_memory_wrong_total == 1


async def test_one_buyer_has_one_reservation_in_flight(sqlite_url: str) -> None:
    async with open_shop(sqlite_url) as (shop, _engine):
        await shop.product()
        sale = await shop.sale(units=5, per_buyer_limit=5)
        results = await asyncio.gather(
            *(shop.writer.ask(reserve(sale, "ann", f"k{n}")) for n in range(3)),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [bytes, InFlight, InFlight]


async def test_a_database_that_lets_nobody_in_is_broken_and_not_a_mistake_of_ours(
    postgres_url: str,
) -> None:
    """As while it starts or recovers: whoever asks hears of a failure, and may ask again."""
    nobody = make_url(postgres_url).set(database="nobody").render_as_string(hide_password=False)
    engine = make_engine(nobody)
    with pytest.raises(Broken):
        await SqlLedger(engine).read_lease()
    await engine.dispose()
