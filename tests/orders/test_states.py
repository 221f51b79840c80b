"""What gateways refuse by themselves, and what they must pass on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from sqlalchemy import text

from orders.door_redis import Names, RedisAsks, RedisDoor
from orders.errors import Ended, KeyConflict, LimitExceeded, NotStarted, Refusal, SoldOut
from orders.ledger import Loaded
from orders.memory import Memory
from orders.reads_sql import Reads
from orders.requests import Cancel, CancelSale, EditSale
from orders.rows import SaleRow
from orders.sale import reserve_refusal
from orders.shapes import FlashSale
from orders.states import FRESH_MS, MAX_BUYERS, KnownStates, Outgoing, States
from orders.states_redis import StateListener, StateSender, channel
from tests.orders.shop import Shop, open_shop, reserve

NOW = 1_000_000


def row(**changes: Any) -> SaleRow:
    values: dict[str, Any] = {
        "id": "s", "room": "r", "show": None, "product_id": "p", "merchant": "m", "sku": "x",
        "title": "X", "price_cents": 1, "list_price_cents": None, "currency": "EUR", "units": 5,
        "sold": 5, "counter": 1, "state": "running", "per_buyer_limit": 1, "buyers": "guest",
        "hold_seconds": 60, "starts_at": NOW - 1_000, "ends_at": NOW + 60_000, "created_at": 0,
        "granted": 0, "void": 0,
    }  # fmt: skip
    return SaleRow(**(values | changes))


def memory(fence: int = 1, ordered: int = 0, **changes: Any) -> Memory:
    keys = [(f"b{n}", "k", "s") for n in range(ordered)]
    loaded = Loaded(
        sales=[row(**changes)], units=[], keys=keys, last_n=0, next_due_at=None, shops=[], voids=[]
    )
    return Memory(fence, loaded)


def told(outgoing: Outgoing, of: Memory) -> States:
    return outgoing.take(of, NOW, everything=True)


def heard(states: States, known: KnownStates | None = None, at: int = 0) -> KnownStates:
    known = known or KnownStates()
    for sale in known.hear(states, at, at):
        known.loaded(sale, known.loading(sale), {f"b{n}" for n in range(5)}, known.number(sale))
    return known


def test_a_fresh_state_refuses_a_stranger_and_never_a_buyer_with_an_order() -> None:
    """The buyer may be repeating a request, and then gets the order again."""
    known = heard(told(Outgoing(), memory(ordered=5)))
    assert isinstance(known.refusal(reserve("s", "stranger"), 0), SoldOut)
    assert known.refusal(reserve("s", "b3"), 0) is None
    assert known.refusal(reserve("another", "stranger"), 0) is None


def test_an_old_state_refuses_nobody() -> None:
    """After 3 s without news the holder is asked again."""
    known = heard(told(Outgoing(), memory(ordered=5)))
    assert known.refusal(reserve("s", "stranger"), FRESH_MS - 1) is not None
    assert known.refusal(reserve("s", "stranger"), FRESH_MS) is None


def test_a_message_that_lay_somewhere_is_as_old_as_its_stamp() -> None:
    """Heard just now, published five seconds ago."""
    known = KnownStates()
    known.hear(told(Outgoing(), memory(sold=5)), 1_000, 6_000)
    assert known.refusal(reserve("s", "stranger"), 6_000) is None


def test_nobody_is_refused_while_the_buyers_are_not_complete() -> None:
    """A list that is shorter than the state says is not taken either."""
    known = KnownStates()
    assert known.hear(told(Outgoing(), memory(ordered=5)), 0, 0) == ["s"]
    assert known.refusal(reserve("s", "stranger"), 0) is None
    known.loaded("s", known.loading("s"), {"b1"}, 5)
    assert known.refusal(reserve("s", "stranger"), 0) is None


def test_a_missing_message_makes_the_list_load_again() -> None:
    """Increments count only without a gap."""
    outgoing, of = Outgoing(), memory()
    known = heard(told(outgoing, of))
    for buyer, is_lost in (("one", False), ("two", True), ("three", False)):
        outgoing.changed("s", of.new_buyers({(buyer, "k"): "s"})["s"])
        message = outgoing.take(of, NOW, everything=False)
        if not is_lost:
            missing = known.hear(message, 0, 0)
    assert missing == ["s"]
    assert known.refusal(reserve("s", "two"), 0) is None
    known.loaded("s", known.loading("s"), {"one", "two", "three"}, known.number("s"))
    assert known.refusal(reserve("s", "two"), 0) is None
    assert known.refusal(reserve("s", "four"), 0) is not None


def test_a_message_is_bounded() -> None:
    """Too many new buyers at once: gateways load them."""
    outgoing, of = Outgoing(), memory()
    known = heard(told(outgoing, of))
    for n in range(MAX_BUYERS + 10):
        outgoing.changed("s", of.new_buyers({(f"n{n}", "k"): "s"})["s"])
    message = outgoing.take(of, NOW, everything=False)
    assert len(msgspec.json.encode(message)) < 10_000
    assert known.hear(message, 0, 0) == ["s"]


def test_a_sale_that_was_closed_is_told_once_more() -> None:
    """A stranger hears at once that it was cancelled; a buyer may still repeat a request."""
    outgoing, of = Outgoing(), memory(ordered=5)
    known = heard(told(outgoing, of))
    over = row(state="cancelled", counter=2)
    of.put(over, {})
    outgoing.changed("s", [])
    outgoing.closed(over)
    known.hear(outgoing.take(of, NOW, everything=False), 0, 0)
    refusal = known.refusal(reserve("s", "stranger"), 0)
    assert isinstance(refusal, Ended) and "cancelled" in refusal.detail
    assert known.refusal(reserve("s", "b3"), 0) is None
    assert outgoing.take(of, NOW, everything=True).sales == []


def test_an_older_holder_is_not_heard() -> None:
    """What a holder that lost its lease still says means nothing."""
    known = heard(told(Outgoing(), memory(fence=2, sold=0)))
    known.hear(told(Outgoing(), memory(fence=1, sold=5)), 0, 0)
    assert known.refusal(reserve("s", "stranger"), 0) is None


def test_a_sale_about_to_start_or_for_accounts_is_passed_on() -> None:
    """What the clock or the account decides is refused only when it is certain."""
    soon = heard(told(Outgoing(), memory(sold=0, state="scheduled", starts_at=NOW + 1_000)))
    assert isinstance(soon.refusal(reserve("s", "stranger"), 0), NotStarted)
    assert soon.refusal(reserve("s", "stranger"), 1_500) is None
    accounts = heard(told(Outgoing(), memory(buyers="account")))
    assert accounts.refusal(reserve("s", "stranger"), 0) is None


@given(
    sold=st.integers(0, 5), quantity=st.integers(1, 3), limit=st.integers(1, 3),
    starts=st.sampled_from((-1, 0, 1)), ends=st.sampled_from((0, 1, 60_000)),
    guest=st.booleans(), buyers=st.sampled_from(("account", "guest")),
)  # fmt: skip
def test_what_is_refused_is_what_the_holder_refuses(
    sold: int, quantity: int, limit: int, starts: int, ends: int, guest: bool, buyers: str
) -> None:
    """The same refusal, word for word, as long as nothing changed."""
    changes = {
        "sold": sold, "per_buyer_limit": limit, "starts_at": NOW + starts, "ends_at": NOW + ends,
        "buyers": buyers,
    }  # fmt: skip
    known = heard(told(Outgoing(), memory(**changes)))
    request = reserve("s", "stranger", quantity=quantity, guest=guest)
    found = known.refusal(request, 0)
    if found is not None:
        decided = reserve_refusal(row(**changes), request, 0, NOW)
        assert type(decided) is type(found)
        assert decided.detail == found.detail


# ── over the wire ───────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def running(*works: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(work()) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_gateway_refuses_by_itself_and_passes_on_what_changed(
    redis_url: str, database_url: str, unique: str
) -> None:
    """Sold out: refused here. A refill: sold again. A buyer's repeat: the same order."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product()
        sale = await shop.sale(units=2)
        reads = Reads(engine)
        listener = StateListener(
            redis_url, reads.buyers_of_sale, monotonic_ms=lambda: 0, prefix=unique
        )
        door = RedisDoor(redis_url, f"{unique}n", reads, prefix=unique, refusal=listener.refusal)
        asks = RedisAsks(redis_url, shop.writer, prefix=unique)
        sender = StateSender(redis_url, shop.writer, prefix=unique)
        async with running(asks.run, sender.run, listener.run):
            await door.start()
            try:
                first = await door.ask(reserve(sale, "b1"))
                await door.ask(reserve(sale, "b2"))
                await until(lambda: listener.refusal(reserve(sale, "b3")) is not None)
                asked = shop.writer.counts.requests
                with pytest.raises(SoldOut):
                    await door.ask(reserve(sale, "b3"))
                assert shop.writer.counts.requests == asked, "it went to the writer"
                assert await door.ask(reserve(sale, "b1")) == first
                await door.ask(EditSale(flash_sale=sale.id, merchant="acme", changes={"units": 3}))
                await until(lambda: listener.refusal(reserve(sale, "b3")) is None)
                await door.ask(reserve(sale, "b3"))
            finally:
                await door.close()


async def test_a_key_of_a_sale_that_is_over_still_gets_its_order(
    redis_url: str, database_url: str, unique: str
) -> None:
    """
    From a gateway that knew the sale, sold out and then over, and from one that never heard of it.
    In another sale the key is a conflict where it could buy, and refused as any other where not.
    """
    async with open_shop(database_url) as (shop, engine):
        await shop.product()
        sale, other = await shop.sale(units=1), await shop.sale(units=1)
        reads = Reads(engine)
        listener = StateListener(
            redis_url, reads.buyers_of_sale, monotonic_ms=lambda: 0, prefix=unique
        )
        knows = RedisDoor(redis_url, f"{unique}a", reads, prefix=unique, refusal=listener.refusal)
        new = RedisDoor(redis_url, f"{unique}b", reads, prefix=unique, refusal=lambda _asked: None)
        asks = RedisAsks(redis_url, shop.writer, prefix=unique)
        sender = StateSender(redis_url, shop.writer, prefix=unique)
        async with running(asks.run, sender.run, listener.run):
            await knows.start()
            await new.start()
            try:
                first = await knows.ask(reserve(sale, "b1"))
                await until(lambda: is_refused(listener, sale, SoldOut))
                await knows.ask(CancelSale(flash_sale=sale.id, orders="honour"))
                await until(lambda: is_refused(listener, sale, Ended))
                assert await knows.ask(reserve(sale, "b1")) == first
                assert await new.ask(reserve(sale, "b1")) == first
                with pytest.raises(KeyConflict):
                    await knows.ask(reserve(other, "b1"))
                await knows.ask(reserve(other, "b2"))
                await until(lambda: is_refused(listener, other, SoldOut))
                for door in (knows, new):
                    with pytest.raises(SoldOut):
                        await door.ask(reserve(other, "b1"))
                assert await knows.ask(reserve(sale, "b1")) == first
            finally:
                await knows.close()
                await new.close()


def is_refused(listener: StateListener, sale: FlashSale, kind: type[Refusal]) -> bool:
    return isinstance(listener.refusal(reserve(sale, "stranger")), kind)


async def test_a_gateway_that_comes_late_loads_the_buyers(
    redis_url: str, database_url: str, unique: str
) -> None:
    """It never refuses somebody whose order was made before it began to listen."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product()
        sale = await shop.sale(units=2)
        for buyer in ("b1", "b2"):
            await shop.reserve(sale, buyer)
        sender = StateSender(redis_url, shop.writer, prefix=unique)
        listener = StateListener(
            redis_url, Reads(engine).buyers_of_sale, monotonic_ms=lambda: 0, prefix=unique
        )
        async with running(sender.run, listener.run):
            await until(lambda: listener.refusal(reserve(sale, "b3")) is not None)
            assert listener.refusal(reserve(sale, "b1")) is None


async def test_only_the_newest_holder_publishes(
    redis_url: str, sqlite_url: str, unique: str
) -> None:
    """A holder whose fence was overtaken is not heard."""
    async with open_shop(sqlite_url) as (shop, _engine), Redis.from_url(redis_url) as redis:
        await shop.product()
        await shop.sale(units=2)
        await redis.set(Names(unique).fence, 99)
        async with redis.pubsub() as pubsub, asyncio.timeout(20):
            await pubsub.subscribe(channel(Names(unique)))
            sender = StateSender(redis_url, shop.writer, prefix=unique)
            async with running(sender.run):
                await until(lambda: not shop.writer.states_changed.is_set())
                await redis.delete(Names(unique).fence)
                async for message in pubsub.listen():
                    if message["type"] == "message":
                        break
        assert message["data"]


# ── in one process ──────────────────────────────────────────────────────────────────────────────


async def refusal_of(shop: Shop, *arguments: Any, **fields: Any) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await shop.writer.ask(reserve(*arguments, **fields))
    return refused.value


async def test_a_writer_refuses_at_once_what_its_memory_knows(sqlite_url: str) -> None:
    """No batch, no wait; a cancelled order's unit is sold again."""
    async with open_shop(sqlite_url) as (shop, _engine):
        await shop.product()
        sale = await shop.sale(units=1, per_buyer_limit=2)
        order = await shop.reserve(sale, "b1")
        asked = shop.writer.counts.requests
        assert isinstance(await refusal_of(shop, sale, "b2"), SoldOut)
        assert isinstance(await refusal_of(shop, sale, "b2", quantity=3), LimitExceeded)
        assert shop.writer.counts.requests == asked, "a batch was made"
        assert (await shop.reserve(sale, "b1")).id == order.id
        await shop.ask(Cancel(order=order.id))
        await shop.reserve(sale, "b2")


async def test_a_unit_that_is_due_to_come_back_is_not_refused(sqlite_url: str) -> None:
    """The hold has ended; the batch that ends the order sells its unit to who asks."""
    async with open_shop(sqlite_url) as (shop, _engine):
        await shop.product()
        sale = await shop.sale(units=1, hold_seconds=2)
        await shop.reserve(sale, "b1")
        shop.clock.advance(2_000)
        assert (await shop.reserve(sale, "b2")).state == "reserved"


def units_known(shop: Shop) -> int:
    states = shop.writer.take_states(everything=True)
    return 0 if states is None else states.sales[0].row.units


async def test_a_row_that_somebody_else_wrote_is_loaded_within_a_second(sqlite_url: str) -> None:
    """The holder looks at its sales' counters with each beat."""
    async with open_shop(sqlite_url) as (shop, engine):
        await shop.product()
        sale = await shop.sale(units=1)
        await shop.reserve(sale, "b1")
        async with engine.begin() as connection:
            await connection.execute(
                text("UPDATE flash_sale SET units = 2, counter = counter + 1 WHERE id = :id"),
                {"id": sale.id},
            )
        shop.clock.advance(1_100)
        await until(lambda: units_known(shop) == 2)
        assert shop.writer.counts.stock_memory_wrong_total == 1
        await shop.reserve(sale, "b2")
