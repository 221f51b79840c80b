"""The way between processes, over a real Valkey."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from orders.door_redis import Names, RedisAsks, RedisDoor
from orders.errors import KeyConflict, SoldOut, Unavailable
from orders.ledger_sql import SqlLedger
from tests.orders.shop import Shop, open_shop, reserve


@asynccontextmanager
async def served(url: str, prefix: str, shop: Shop) -> AsyncIterator[None]:
    """The writer's end, running."""
    task = asyncio.create_task(RedisAsks(url, shop.writer, prefix=prefix).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def gateway(url: str, prefix: str, node: str, engine) -> AsyncIterator[RedisDoor]:  # type: ignore[no-untyped-def]
    """A gateway's end, running."""
    door = RedisDoor(url, node, SqlLedger(engine), prefix=prefix)
    await door.start()
    try:
        yield door
    finally:
        await door.close()


async def test_two_gateways_sell_fifty_units_to_two_hundred_buyers(
    redis_url: str, sqlite_url: str, unique: str
) -> None:
    """Answers and refusals reach the node that asked, as they would in one process."""
    async with (
        open_shop(sqlite_url) as (shop, engine),
        served(redis_url, unique, shop),
        gateway(redis_url, unique, f"{unique}a", engine) as one,
        gateway(redis_url, unique, f"{unique}b", engine) as two,
    ):
        await shop.product()
        sale = await shop.sale(units=50)
        results = await asyncio.gather(
            *((one, two)[n % 2].ask(reserve(sale, f"b{n}")) for n in range(200)),
            return_exceptions=True,
        )
        answered = [result for result in results if isinstance(result, bytes)]
        assert len(answered) == 50
        assert sum(isinstance(result, SoldOut) for result in results) == 150
        winner = next(n for n, result in enumerate(results) if isinstance(result, bytes))
        assert await one.ask(reserve(sale, f"b{winner}")) == results[winner]
        with pytest.raises(KeyConflict):
            await two.ask(reserve(sale, f"b{winner}", quantity=2))


async def test_a_lost_answer_is_found_in_the_database(
    redis_url: str, sqlite_url: str, unique: str
) -> None:
    """Nobody serves the queue: the order with the key, or a refusal that may be repeated."""
    async with (
        open_shop(sqlite_url) as (shop, engine),
        gateway(redis_url, unique, unique, engine) as door,
    ):
        await shop.product()
        sale = await shop.sale()
        made = await shop.writer.ask(reserve(sale, "ann"))
        found, missing = await asyncio.gather(
            door.ask(reserve(sale, "ann")), door.ask(reserve(sale, "bob")), return_exceptions=True
        )
        assert found == made
        assert isinstance(missing, Unavailable)


async def test_questions_that_nobody_waits_for_are_dropped_unread(
    redis_url: str, sqlite_url: str, unique: str
) -> None:
    """Older than five seconds by the clock of Redis, or unreadable."""
    async with (
        open_shop(sqlite_url) as (shop, engine),
        gateway(redis_url, unique, unique, engine) as door,
    ):
        await shop.product()
        sale = await shop.sale()
        redis = Redis.from_url(redis_url)
        queue = Names(unique).queue(1)
        await redis.rpush(queue, b'1 ["x",1,{"type":"note"}]', b"99999999999999 junk")
        async with served(redis_url, unique, shop):
            assert await door.ask(reserve(sale, "ann"))
        assert await redis.llen(queue) == 0
        assert shop.writer.counts.requests == 3  # the product, the sale, ann
        await redis.aclose()
