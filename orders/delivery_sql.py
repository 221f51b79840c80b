"""Sealed addresses in SQL. Nothing here can read them; they go when their time is over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from orders import schema_sql as t
from orders.errors import Unavailable
from orders.failures_sql import ERRORS

SQL_SECONDS = 5.0  # whoever asked tries again
PURGE_LIMIT = 1_000  # rows a statement, so that it stays short


class SqlAddresses:
    """Addresses by order."""

    def __init__(self, write_engine: AsyncEngine, read_engine: AsyncEngine) -> None:
        self._write_engine = write_engine
        self._read_engine = read_engine

    async def put(self, order: str, merchant: str, sealed: str, now: int, purge_at: int) -> None:
        """Keep an address in the place of the one before. Raises `Unavailable`."""
        async with _connected(self._write_engine) as connection:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            insert = dialect.insert(t.address).values(
                order_id=order, merchant=merchant, sealed=sealed, given_at=now, purge_at=purge_at
            )
            changed = {
                name: getattr(insert.excluded, name) for name in ("sealed", "given_at", "purge_at")
            }
            await connection.execute(
                insert.on_conflict_do_update(index_elements=["order_id"], set_=changed)
            )
            await connection.commit()

    async def get(self, order: str) -> tuple[str, int] | None:
        """(sealed, given at), None when none was given or it was purged."""
        a = t.address.c
        async with _connected(self._read_engine) as connection:
            query = select(a.sealed, a.given_at).where(a.order_id == order)
            row = (await connection.execute(query)).one_or_none()
            return None if row is None else (row[0], row[1])

    async def purge(self, now: int) -> int:
        """Delete at most `PURGE_LIMIT` addresses whose time is over; how many."""
        a = t.address.c
        over = select(a.order_id).where(a.purge_at <= now).limit(PURGE_LIMIT)
        async with _connected(self._write_engine) as connection:
            result = await connection.execute(delete(t.address).where(a.order_id.in_(over)))
            await connection.commit()
            return result.rowcount


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    try:
        async with asyncio.timeout(SQL_SECONDS), engine.connect() as connection:
            yield connection
    except ERRORS as error:
        raise Unavailable("the database does not answer: try again") from error
