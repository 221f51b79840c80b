"""What staff ask with a key is done once; what has none is never done after its waiter gave up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from sqlalchemy import select

from orders import waiting_service
from orders.decide_once import fingerprint
from orders.errors import Invalid, KeyConflict, OutcomeUnknown, Unavailable
from orders.ledger import KEEP_ANSWERS_MS, Broken
from orders.ledger_memory import MemoryDatabase, MemoryLedger
from orders.requests import AdjustStock, CancelSale, CreateCoupon, CreateSale
from orders.schema_sql import kept_answer
from orders.shapes import Product
from tests.orders.shop import Clock, Shop, open_shop


def more(product: Product, delta: int = 5, key: str | None = None) -> AdjustStock:
    return AdjustStock(product=product.id, delta=delta, reason="", actor="ann", key=key)


async def test_a_key_is_done_once_and_answered_with_the_same_bytes(database_url: str) -> None:
    """At once, after other changes, and by whoever it belongs to alone."""
    async with open_shop(database_url) as (shop, _engine):
        cup = await shop.product(stock=10)
        first, again = await asyncio.gather(
            *(shop.writer.ask(more(cup, key="k1")) for _ in range(2))
        )
        assert first == again
        await shop.ask(more(cup, 100))
        assert await shop.writer.ask(more(cup, key="k1")) == first
        with pytest.raises(KeyConflict):
            await shop.ask(more(cup, 6, "k1"))
        other = msgspec.structs.replace(more(cup, 6, "k1"), actor="bob")
        assert (await shop.ask(other))["stock"] == 10 + 5 + 100 + 6
        assert (await shop.ask(more(cup, key="k2")))["stock"] == 10 + 5 + 100 + 6 + 5


async def test_sales_and_coupons_are_made_once_for_their_key(database_url: str) -> None:
    """A sale whose show changed meanwhile is still the same wish; its end is one, too."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product(stock=10)
        sale = await shop.sale(units=3, key="k1")
        assert await shop.sale(units=3, key="k1", show="show2") == sale
        with pytest.raises(KeyConflict):
            await shop.sale(units=4, key="k1")
        end = CancelSale(flash_sale=sale.id, orders="honour", key="k2")
        assert await shop.ask(end) == await shop.ask(end)
        coupon = CreateCoupon(
            merchant="acme", code="c", kind="percent", value=10, currency="EUR",
            budget_cents=1000, key="k3",
        )  # fmt: skip
        assert await shop.ask(coupon) == await shop.ask(coupon)
        async with engine.connect() as connection:
            assert len((await connection.execute(select(kept_answer))).all()) == 3


async def test_a_refusal_leaves_the_key_free(database_url: str) -> None:
    """Nothing was done: the same key may come again, with the same wish or another."""
    async with open_shop(database_url) as (shop, _engine):
        cup = await shop.product(stock=1)
        with pytest.raises(Invalid):
            await shop.ask(more(cup, -5, "k1"))
        assert (await shop.ask(more(cup, -1, "k1")))["stock"] == 0


async def test_answers_are_kept_for_a_week(database_url: str) -> None:
    """Then the next kept answer lets the old ones be forgotten."""
    async with open_shop(database_url) as (shop, engine):
        cup = await shop.product(stock=0)
        await shop.ask(more(cup, key="old"))
        shop.clock.advance(KEEP_ANSWERS_MS)
        await shop.ask(more(cup, key="k1"))
        assert (await shop.ask(more(cup, key="old")))["stock"] == 5, "exactly a week"
        shop.clock.advance(1)
        await shop.ask(more(cup, key="k2"))
        async with engine.connect() as connection:
            keys = (await connection.execute(select(kept_answer.c.key))).scalars().all()
        assert sorted(keys) == ["k1", "k2"]


async def test_the_ledger_in_memory_keeps_answers_too() -> None:
    """The same rules, so that a simulation may repeat what staff do."""
    database = MemoryDatabase()
    shop = Shop(MemoryLedger(database), Clock())
    shop.start()
    cup = await shop.product(stock=0)
    first = await shop.writer.ask(more(cup, key="k1"))
    assert await shop.writer.ask(more(cup, key="k1")) == first
    with pytest.raises(KeyConflict):
        await shop.ask(more(cup, 6, "k1"))
    shop.clock.advance(KEEP_ANSWERS_MS + 1)
    await shop.ask(more(cup, key="k2"))
    assert (await shop.ask(more(cup, key="k1")))["stock"] == 15, "forgotten"
    await shop.stop()


def test_a_fingerprint_is_of_what_was_asked() -> None:
    """Not of who asks, of the key, or of what the server finds out by itself."""
    wish = CreateSale(room="r", show=None, sku="s", merchant=None, price_cents=1, units=1)
    changed = msgspec.structs.replace(wish, show="s2", key="k", actor="ann", per_buyer_limit=1)
    assert fingerprint(wish) == fingerprint(changed)
    assert fingerprint(wish) != fingerprint(msgspec.structs.replace(wish, per_buyer_limit=2))


class Gate:
    """Holds a memory ledger at one place, as a lock of the database or its disk would."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.closed = False
        self.broken = False
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, place: str) -> None:
        if self.closed and place == self.place:
            self.reached.set()
            await self.opened.wait()
            self.closed = False
            if self.broken:
                raise Broken("cut", outcome_unknown=True)

    def open(self) -> None:
        self.opened.set()


@asynccontextmanager
async def held(place: str) -> AsyncIterator[tuple[Shop, Gate, Product]]:
    gate = Gate(place)
    shop = Shop(MemoryLedger(MemoryDatabase(), gate), Clock())
    shop.start()
    cup = await shop.product(stock=10)
    try:
        yield shop, gate, cup
    finally:
        gate.open()
        await shop.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_service, "ANSWER_SECONDS", 0.05)


async def stock_of(shop: Shop, cup: Product) -> int:
    shop_stock: int = (await shop.ask(more(cup, 1)))["stock"]
    return shop_stock - 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("place", ["connect", "begin", "read"])
async def test_what_waits_for_the_database_is_taken_back(place: str) -> None:
    """Its waiter hears that it was not done, and it never is; a repeat does it once."""
    async with held(place) as (shop, gate, cup):
        gate.closed = True
        with pytest.raises(Unavailable, match="not done"):
            await shop.ask(more(cup))
        gate.open()
        assert await stock_of(shop, cup) == 10
        assert (await shop.ask(more(cup)))["stock"] == 16
        assert shop.writer.unanswered == 0


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("place", ["write", "before commit", "after commit"])
async def test_what_is_being_stored_is_told_to_be_looked_for(place: str) -> None:
    """Nobody knows then: it is no `unavailable`, after which clients try again."""
    async with held(place) as (shop, gate, cup):
        gate.closed = True
        with pytest.raises(OutcomeUnknown):
            await shop.ask(more(cup))
        gate.open()
        assert await stock_of(shop, cup) == 15


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("place", ["begin", "before commit"])
async def test_with_a_key_a_repeat_after_no_answer_does_it_once(place: str) -> None:
    """Whether the first try is still in line or just being stored."""
    async with held(place) as (shop, gate, cup):
        gate.closed = True
        with pytest.raises(Unavailable, match="same key"):
            await shop.ask(more(cup, key="k1"))
        gate.open()
        assert (await shop.ask(more(cup, key="k1")))["stock"] == 15
        assert await stock_of(shop, cup) == 15


@pytest.mark.parametrize("place", ["before commit", "after commit"])
async def test_a_commit_that_nobody_heard_of_is_told_truly(place: str) -> None:
    """Without a key: look first. With one it is decided again, and finds itself if it was done."""
    async with held(place) as (shop, gate, cup):
        gate.closed = gate.broken = True
        asked = asyncio.gather(
            shop.ask(more(cup)), shop.ask(more(cup, key="k1")), return_exceptions=True
        )
        await gate.reached.wait()
        gate.open()
        plain, keyed = await asked
        assert isinstance(plain, OutcomeUnknown)
        done = place == "after commit"
        assert keyed["stock"] == (20 if done else 15)
        assert await stock_of(shop, cup) == keyed["stock"]
