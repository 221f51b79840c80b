"""
The database of a server under test, seen from outside: what is stored, where the writer stands, and
what can be done to it. SQLite here; `loadtest.postgres` has the same over a real PostgreSQL.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

HOLD_SECONDS = 0.5  # how long a slow commit takes
HELD = (
    "SELECT count(*) FROM orders WHERE flash_sale_id = {}"
    " AND state IN ('reserved', 'pending_payment', 'payment_unknown')"
)
#: of orders that ended, and of the scarce sale's whose deadline is near: buyers begin no others
OPEN_PAYMENTS = "SELECT count(*) FROM payments WHERE state = 'open'"
#: whether the merchant's webhook queue lacks something of the feed
BEHIND = (
    "SELECT (SELECT coalesce(max(n), 0) FROM order_edges WHERE event IS NOT NULL)"
    " > (SELECT coalesce(max(n), 0) FROM feed_cursor WHERE name NOT LIKE 'showcase%')"
)


class Database(Protocol):
    """What cells ask of a database, and do to it."""

    kind: str  # sqlite | postgres

    @property
    def environ(self) -> dict[str, str]:
        """The settings that make a server use it."""

    @property
    def url(self) -> str:
        """For the checker."""

    async def keys(self) -> set[str]:
        """Of every committed order that a client asked for by it."""

    async def in_a_transaction(self) -> bool:
        """Whether the holder of the lease has a transaction open."""

    async def is_quiet(self, sale: str) -> bool:
        """Nothing of the sale or of a payment is undecided; the webhook queue has everything."""

    async def gone(self, seconds: float) -> str:
        """Nobody can write for so long; what shows it."""

    async def slow(self, seconds: float) -> str:
        """Every commit takes `HOLD_SECONDS` longer for so long; what shows it."""


class SqliteFile:
    """A file. It cannot be away, so somebody else holds its write lock."""

    kind = "sqlite"

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path = path
        self._shared = shared  # by servers with data directories of their own

    @property
    def environ(self) -> dict[str, str]:
        return {"LIVESERVER_DATABASE_URL": f"sqlite:///{self.path}"} if self._shared else {}

    @property
    def url(self) -> str:
        return str(self.path)

    async def keys(self) -> set[str]:
        return {row[0] for row in self._rows("SELECT key FROM orders WHERE space = 'client'")}

    async def in_a_transaction(self) -> bool:
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            return False
        except sqlite3.OperationalError:
            return True
        finally:
            connection.close()

    async def is_quiet(self, sale: str) -> bool:
        held = self._rows(HELD.format("?"), sale)[0][0]
        return not any((held, self._rows(OPEN_PAYMENTS)[0][0], self._rows(BEHIND)[0][0]))

    async def gone(self, seconds: float) -> str:
        with self.locked():
            await asyncio.sleep(seconds)
        return f"the write lock was taken for {seconds:.0f} s"

    async def slow(self, seconds: float) -> str:
        holds = 0
        while holds * HOLD_SECONDS < seconds:
            with self.locked():
                holds += 1
                await asyncio.sleep(HOLD_SECONDS)
            await asyncio.sleep(0.03)
        return f"the write lock was taken {holds} times for {HOLD_SECONDS * 1000:.0f} ms"

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.path, timeout=5)) as connection:
            return connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Somebody else holds the write lock."""
        connection = sqlite3.connect(self.path, timeout=5, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")
        finally:
            connection.close()
