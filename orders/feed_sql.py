"""
The feed in SQL: edges of orders that tell something, and the writer's notes, by one number.

One statement reads both tables, because the cursor may only pass a number when everything before
it was seen: two statements could see a note and miss an edge that was committed in between.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from orders.failures_sql import ERRORS, failure_of
from orders.feed import FeedEvent
from orders.rows import merged

READ_SECONDS = 5.0  # followers try again; nothing is lost by giving up

AFTER = text("""
SELECT * FROM (
    SELECT e.n AS n, e.event AS type, o.merchant AS merchant, e.at AS at, o.buyer AS buyer,
           o.answer AS body, e.changes AS changes, NULL AS room
    FROM order_edges e JOIN orders o ON o.id = e.order_id
    WHERE e.n > :n AND e.event IS NOT NULL ORDER BY e.n LIMIT :limit
) edges
UNION ALL
SELECT * FROM (
    SELECT f.n, f.type, f.merchant, f.at, NULL, f.data, NULL, f.room
    FROM feed_note f WHERE f.n > :n ORDER BY f.n LIMIT :limit
) notes
ORDER BY n LIMIT :limit
""")

LAST = text("""
SELECT (SELECT max(n) FROM order_edges) AS edge, (SELECT max(n) FROM feed_note) AS note
""")


class _Place(msgspec.Struct):
    """The part of an order that an event is addressed by."""

    room: str | None = None


class SqlFeed:
    """`orders.feed.Feed` over the writer's tables."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def after(self, n: int, limit: int) -> list[FeedEvent]:
        async with self._connect() as connection:
            rows = await connection.execute(AFTER, {"n": n, "limit": limit})
            return [_event(row) for row in rows]

    async def last(self) -> int:
        async with self._connect() as connection:
            row = (await connection.execute(LAST)).one()
            return max(row.edge or 0, row.note or 0)

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(READ_SECONDS), self._engine.connect() as connection:
                yield connection
        except ERRORS as error:
            raise failure_of(error) from error


def _event(row: Any) -> FeedEvent:
    if row.changes is None:
        data, room = row.body.encode(), row.room
    else:
        data = b'{"order":' + merged(row.body, row.changes) + b"}"
        room = msgspec.json.decode(row.body, type=_Place).room
    return FeedEvent(
        n=row.n,
        type=row.type,
        merchant=row.merchant,
        at=row.at,
        data=data,
        buyer=row.buyer,
        room=room,
    )
