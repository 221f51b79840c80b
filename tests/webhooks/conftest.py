"""The webhook service on real databases, with real receivers."""

import itertools
import secrets
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from liveserver.db import make_engine
from orders.addresses import Policy
from orders.feed import Feed
from orders.ids import new_id
from orders.webhooks_http import HttpSender
from orders.webhooks_service import Webhooks
from orders.webhooks_sql import SqlWebhooks, metadata
from tests.webhooks.parts import Clock, ListFeed, Make, Receiver, listening


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with listening() as one:
        yield one


@pytest.fixture
async def other_receiver() -> AsyncIterator[Receiver]:
    async with listening() as one:
        yield one


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def feed() -> ListFeed:
    return ListFeed()


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine over fresh tables, on each database."""
    engine = make_engine(database_url)
    async with engine.begin() as sql:
        await sql.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> SqlWebhooks:
    return SqlWebhooks(engine)


@pytest.fixture
async def make(store: SqlWebhooks, feed: ListFeed, clock: Clock) -> AsyncIterator[Make]:
    """Builds the service as one process would; loopback is exempt at the given ports."""
    senders: list[HttpSender] = []
    counter = itertools.count()

    def build(
        *receivers: Receiver,
        sender: HttpSender | None = None,
        feed: Feed = feed,
    ) -> Webhooks:
        policy = Policy(exempt=frozenset(("127.0.0.1", one.port) for one in receivers))
        sender = sender or HttpSender(policy)
        senders.append(sender)
        return Webhooks(
            store,
            sender,
            feed,
            clock,
            # ids of one moment sort in the order in which they were made
            lambda prefix: new_id(prefix, clock.ms, lambda _bits: next(counter)),
            random_bytes=secrets.token_bytes,
            policy=policy,
        )

    yield build
    for sender in senders:
        await sender.close()
