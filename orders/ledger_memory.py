"""
The ledger in memory, for simulations: the same guards as the database, and places to fail.

`pause` is awaited wherever the real one waits for the database, and told where that is: a
simulation delays, refuses or kills the writer there. One `MemoryDatabase` outlives its writers.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from orders.lease import RELEASED, Lease
from orders.ledger import Effects, Facts, Loaded, OrderKey, Transaction, Wanted, follow
from orders.rows import VOID_WANTED, OrderRow
from orders.tables_memory import (
    Tables,
    beat,
    find,
    insert_orders,
    last_number,
    next_due,
    write_answers,
    write_orders,
    write_places,
    write_products,
    write_sales,
)

Pause = Callable[[str], Awaitable[None]]


class MemoryDatabase:
    """
    Tables, and the lock that one transaction at a time holds.

    `without` names guards (`orders.tables_memory.GUARDS`) that are taken away. `on_commit` is
    called after each commit.
    """

    def __init__(
        self,
        without: frozenset[str] = frozenset(),
        on_commit: Callable[[Tables], None] | None = None,
    ) -> None:
        self.tables = Tables(without)
        self.lock = asyncio.Lock()
        self._on_commit = on_commit

    def commit(self, draft: Tables) -> None:
        """Make the changes of a draft true."""
        self.tables.take(draft)
        if self._on_commit is not None:
            self._on_commit(self.tables)


async def _no_pause(_place: str) -> None:
    return


class MemoryLedger:
    """One writer's access to a `MemoryDatabase`. `pause` is told where it is."""

    def __init__(self, database: MemoryDatabase, pause: Pause = _no_pause) -> None:
        self._database = database
        self._pause = pause

    async def read_lease(self) -> Lease | None:
        await self._pause("read lease")
        lease = self._database.tables.lease
        await self._pause("lease read")
        return lease

    async def take_lease(self, holder: str, seen: Lease | None, now: int) -> Lease | None:
        async with self._exclusive("take lease") as tables:
            known = tables.lease
            if seen is None:
                taken = None if known is not None else Lease(holder, 1, 0, now)
            elif known is None or (known.fence, known.beat) != (seen.fence, seen.beat):
                taken = None
            else:
                taken = Lease(holder, seen.fence + 1, 0, max(now, seen.now))
            tables.lease = taken or known
        await self._pause("lease taken")
        return taken

    async def renew_lease(self, fence: int, now: int) -> None:
        async with self._exclusive("renew lease") as tables:
            beat(tables, fence, now)
        await self._pause("lease renewed")

    async def release_lease(self, fence: int, now: int) -> None:
        async with self._exclusive("release lease") as tables:
            if tables.lease is not None and tables.lease.fence == fence:
                tables.lease = Lease(RELEASED, fence, tables.lease.beat, now)

    async def load(self) -> Loaded:
        await self._pause("load")
        tables = self._database.tables
        sales = [copy.copy(row) for row in tables.sales.values() if row.is_open]
        ids = {row.id for row in sales}
        loaded = Loaded(
            sales=sales,
            units=[(sale, who, n) for (sale, who), n in tables.units.items() if n and sale in ids],
            keys=[
                (row.buyer, row.key, row.flash_sale_id)
                for row in tables.orders.values()
                if row.flash_sale_id in ids and row.space == "client"
            ],
            last_n=last_number(tables),
            next_due_at=next_due(tables, -1),
            shops=[copy.copy(row) for row in tables.shops.values()],
            voids=[row.id for row in tables.sales.values() if row.void == VOID_WANTED],
            waiting=[
                copy.copy(place)
                for _n, place in sorted(tables.places.items())
                if place.flash_sale_id in ids and place.state == "waiting"
            ],
        )
        await self._pause("loaded")
        return loaded

    async def counters(self) -> dict[str, int]:
        await self._pause("counters")
        sales = self._database.tables.sales.values()
        counters = {row.id: row.counter for row in sales if row.is_open}
        await self._pause("counters read")
        return counters

    async def answer_by_key(self, buyer: str, space: str, key: str) -> tuple[str, bytes] | None:
        await self._pause("answer by key")
        tables = self._database.tables
        order_id = tables.keys.get(OrderKey(buyer, space, key))
        if order_id is None:
            return None
        return tables.orders[order_id].fingerprint, tables.orders[order_id].answer.encode()

    def transaction(self, fence: int, now: int) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction(fence, now)

    @asynccontextmanager
    async def _transaction(self, fence: int, now: int) -> AsyncIterator[Transaction]:
        await self._pause("connect")
        await self._database.lock.acquire()
        transaction = self.begin(self._database, self._pause)
        try:
            await self._pause("begin")
            beat(transaction.draft, fence, now)
            yield transaction
        finally:
            transaction.end()

    def begin(self, database: MemoryDatabase, pause: Pause) -> "MemoryTransaction":
        """The transaction that holds the lock now."""
        return MemoryTransaction(database, pause)

    @asynccontextmanager
    async def _exclusive(self, place: str) -> AsyncIterator[Tables]:
        await self._pause("connect")
        async with self._database.lock:
            await self._pause(place)
            yield self._database.tables


class MemoryTransaction:
    """A batch on a draft of the tables. It holds the lock until its end."""

    def __init__(self, database: MemoryDatabase, pause: Pause) -> None:
        self.database = database
        self.draft = database.tables.draft()
        self.pause = pause
        self._is_over = False

    async def read(self, wanted: Wanted) -> Facts:
        await self.pause("read")
        facts = Facts()
        find(self.draft, wanted, facts)
        find(self.draft, follow(wanted, facts), facts)
        return facts

    async def insert_orders(self, rows: list[OrderRow]) -> set[str]:
        await self.pause("insert orders")
        return insert_orders(self.draft, rows)

    async def write(self, effects: Effects) -> None:
        await self.pause("write")
        write_products(self.draft, effects)
        write_sales(self.draft, effects)
        write_orders(self.draft, effects)
        write_places(self.draft, effects)
        write_answers(self.draft, effects)

    async def commit(self) -> None:
        await self.pause("before commit")
        self.database.commit(self.draft)
        self.end()
        await self.pause("after commit")

    def end(self) -> None:
        """Let the next one in. What is not committed by now never happened."""
        if not self._is_over:
            self._is_over = True
            self.database.lock.release()
