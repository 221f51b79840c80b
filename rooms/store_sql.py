"""What the stores of rooms share: connections with a time limit, and the lock on a room's row."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from rooms import schema_sql
from rooms.errors import NotFound, Unavailable

CALL_SECONDS = 6.0  # longer than SQLite's busy timeout, so that its own error comes first


class SqlStore:
    """Base of the adapters. Reads use their own engine, which never waits for a writer."""

    def __init__(self, write_engine: AsyncEngine, read_engine: AsyncEngine) -> None:
        self._write_engine = write_engine
        self._read_engine = read_engine

    async def _locked(self, connection: AsyncConnection, id: str) -> Any:
        """The row of a room, which nobody else changes meanwhile. Raises NotFound."""
        query = sa.select(schema_sql.room).where(schema_sql.room.c.id == id).with_for_update()
        row = (await connection.execute(query)).first()
        if row is None:
            raise NotFound(f"There is no room {id}")
        return row

    async def _raise(self, connection: AsyncConnection, id: str, part: str, body: bytes) -> int:
        """Replace a part and raise its version. The room is locked."""
        parts = schema_sql.room_part
        here = (parts.c.room == id) & (parts.c.part == part)
        version: int = (await connection.scalar(sa.select(parts.c.version).where(here)) or 0) + 1
        values = {"version": version, "body": body.decode()}
        if version > 1:
            await connection.execute(sa.update(parts).where(here).values(values))
        else:
            await connection.execute(sa.insert(parts).values(room=id, part=part, **values))
        return version

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        with _problems():
            async with asyncio.timeout(CALL_SECONDS), self._write_engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        with _problems():
            async with asyncio.timeout(CALL_SECONDS), self._read_engine.connect() as connection:
                yield connection


class _problems:
    """What the database says, as a refusal that tells to try again."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, problem: BaseException | None, trace: object) -> None:
        if isinstance(problem, IntegrityError):
            return
        if isinstance(problem, SQLAlchemyError | TimeoutError | OSError):
            raise Unavailable("The database does not answer") from problem
