"""The feed's tail in memory says what the database says, or asks it."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from orders.feed import FeedEvent
from orders.feed_sql import SqlFeed
from orders.news import News
from orders.requests import Cancel, Pay
from orders.tail_service import TailedFeed
from tests.orders.shop import open_shop


def event(n: int) -> FeedEvent:
    return FeedEvent(n=n, type="order.paid", merchant="acme", at=n, data=b"{}")


class Committed:
    """The database: everything that was ever committed, and how often it was asked."""

    def __init__(self) -> None:
        self.events: list[FeedEvent] = []
        self.asked = 0

    async def after(self, n: int, limit: int) -> list[FeedEvent]:
        self.asked += 1
        return [event for event in self.events if event.n > n][:limit]

    async def last(self) -> int:
        return self.events[-1].n if self.events else 0


def commit(database: Committed, tail: TailedFeed | None, after: int, numbers: Sequence[int]) -> int:
    """A commit that gave these numbers, the last to nothing; told to the tail if it is ours."""
    events = [event(n) for n in numbers]
    database.events += events
    until = (numbers[-1] if numbers else after) + 1
    if tail is not None:
        tail.push(News(sales=[], products=[], last_edge=until, after=after, events=lambda: events))
    return until


@given(
    commits=st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=12),
    events_max=st.integers(1, 20),
    limit=st.integers(1, 7),
    start=st.integers(0, 40),
)
async def test_a_follower_hears_what_the_database_knows(
    commits: list[tuple[bool, int]], events_max: int, limit: int, start: int
) -> None:
    """
    Whoever wrote, wherever a follower begins and however little the tail holds: read on to the
    end, it has had every event once and in order.
    """
    database = Committed()
    tail = TailedFeed(database, events_max=events_max)
    last = 0
    for is_ours, count in commits:
        numbers = range(last + 1, last + 1 + count)
        last = commit(database, tail if is_ours else None, last, numbers)
    heard: list[FeedEvent] = []
    while more := await tail.after(heard[-1].n if heard else start, limit):
        assert len(more) <= limit
        heard += more
    assert heard == [event for event in database.events if event.n > start]


async def test_who_keeps_up_does_not_ask_the_database() -> None:
    """A follower at the number before a commit gets it from memory; at the end it asks."""
    database = Committed()
    tail = TailedFeed(database)
    last = commit(database, tail, 0, [1, 2])
    commit(database, tail, last, [4])
    assert [event.n for event in await tail.after(0, 10)] == [1, 2, 4]
    assert [event.n for event in await tail.after(2, 10)] == [4]
    assert database.asked == 0
    assert await tail.after(4, 10) == []
    assert database.asked == 1


async def test_memory_and_database_tell_the_same_of_real_orders(database_url: str) -> None:
    """Byte for byte, for new orders, payments and cancellations, and a sale that runs low."""
    async with open_shop(database_url) as (shop, engine):
        await shop.product()
        sale = await shop.sale(units=2, per_buyer_limit=2)
        one, two = await shop.reserve(sale, "ann"), await shop.reserve(sale, "bob")
        await shop.ask(Pay(order=one.id, provider="demo", payment="p1"))
        await shop.ask(Cancel(order=two.id, actor="bob"))
        told = [event for item in shop.news if item.events for event in item.events()]
        assert {event.type for event in told} >= {"order.reserved", "order.paid", "stock.sold_out"}
        assert told == await SqlFeed(engine).after(0, 100)
        tail = TailedFeed(Committed())
        for item in shop.news:
            tail.push(item)
        assert await tail.after(told[0].n - 1, 100) == told
