"""
The ledger in memory, for simulations: the same guards as the database, and a place to fail.

`pause` is awaited wherever the real one waits for the database: a simulation stops, delays or kills
the writer there. One `Tables` outlives its writers, as a database does.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from orders.lease import RELEASED, Lease
from orders.ledger import (
    MAX_ENDED_IN_A_BATCH,
    Effects,
    Facts,
    LeaseLost,
    Loaded,
    MemoryWrong,
    OrderKey,
    Transaction,
    Wanted,
    follow,
)
from orders.rows import (
    VOID_WANTED,
    EdgeRow,
    GrantRow,
    LineRow,
    NoteRow,
    OrderRow,
    PaymentRow,
    ProductRow,
    SaleRow,
    StockChangeRow,
)


class Tables:
    """What is committed."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.products: dict[str, ProductRow] = {}
        self.grants: dict[tuple[str, str], GrantRow] = {}
        self.sales: dict[str, SaleRow] = {}
        self.units: dict[tuple[str, str], int] = {}
        self.orders: dict[str, OrderRow] = {}
        self.keys: dict[OrderKey, str] = {}
        self.payments: dict[tuple[str, str], PaymentRow] = {}
        self.lines: list[LineRow] = []
        self.edges: list[EdgeRow] = []
        self.notes: list[NoteRow] = []
        self.stock_changes: list[StockChangeRow] = []


class MemoryDatabase:
    """Tables, and the lock that one transaction at a time holds."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.lock = asyncio.Lock()


async def _no_pause(_place: str) -> None:
    return


class MemoryLedger:
    """One writer's access to a `MemoryDatabase`. `pause` is told where it is."""

    def __init__(
        self, database: MemoryDatabase, pause: Callable[[str], Awaitable[None]] = _no_pause
    ) -> None:
        self._database = database
        self._pause = pause

    async def read_lease(self) -> Lease | None:
        await self._pause("read lease")
        return self._database.tables.lease

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
            return taken

    async def renew_lease(self, fence: int, now: int) -> None:
        async with self._exclusive("renew lease") as tables:
            _beat(tables, fence, now)

    async def release_lease(self, fence: int, now: int) -> None:
        async with self._exclusive("release lease") as tables:
            if tables.lease is not None and tables.lease.fence == fence:
                tables.lease = Lease(RELEASED, fence, tables.lease.beat, now)

    async def load(self) -> Loaded:
        await self._pause("load")
        tables = self._database.tables
        sales = [copy.copy(row) for row in tables.sales.values() if row.is_open]
        ids = {row.id for row in sales}
        return Loaded(
            sales=sales,
            units=[(sale, who, n) for (sale, who), n in tables.units.items() if n and sale in ids],
            keys=[
                (row.buyer, row.key, row.flash_sale_id)
                for row in tables.orders.values()
                if row.flash_sale_id in ids and row.space == "client"
            ],
            last_n=_last_n(tables),
            next_due_at=_next_due(tables, -1),
            voids=[row.id for row in tables.sales.values() if row.void == VOID_WANTED],
        )

    async def counters(self) -> dict[str, int]:
        await self._pause("counters")
        sales = self._database.tables.sales.values()
        return {row.id: row.counter for row in sales if row.is_open}

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
        async with self._database.lock:
            await self._pause("begin")
            draft = copy.deepcopy(self._database.tables)
            _beat(draft, fence, now)
            yield MemoryTransaction(self._database, draft, self._pause)

    @asynccontextmanager
    async def _exclusive(self, place: str) -> AsyncIterator[Tables]:
        async with self._database.lock:
            await self._pause(place)
            yield self._database.tables


class MemoryTransaction:
    """A batch on a copy of the tables, which takes their place at the commit."""

    def __init__(
        self, database: MemoryDatabase, draft: Tables, pause: Callable[[str], Awaitable[None]]
    ) -> None:
        self._database = database
        self._draft = draft
        self._pause = pause

    async def read(self, wanted: Wanted) -> Facts:
        await self._pause("read")
        facts = Facts()
        _find(self._draft, wanted, facts)
        _find(self._draft, follow(wanted, facts), facts)
        return copy.deepcopy(facts)

    async def insert_orders(self, rows: list[OrderRow]) -> set[str]:
        await self._pause("insert orders")
        inserted = set()
        for row in rows:
            key = OrderKey(row.buyer, row.space, row.key)
            if key not in self._draft.keys:
                self._draft.keys[key] = row.id
                self._draft.orders[row.id] = copy.copy(row)
                inserted.add(row.id)
        return inserted

    async def write(self, effects: Effects) -> None:
        await self._pause("write")
        _write_products(self._draft, effects)
        _write_sales(self._draft, effects)
        _write_orders(self._draft, effects)

    async def commit(self) -> None:
        await self._pause("before commit")
        self._database.tables = self._draft
        await self._pause("after commit")


def _beat(tables: Tables, fence: int, now: int) -> None:
    lease = tables.lease
    if lease is None or lease.fence != fence or lease.holder == RELEASED:
        raise LeaseLost("another holder has the lease")
    tables.lease = Lease(lease.holder, fence, lease.beat + 1, now)


def _last_n(tables: Tables) -> int:
    newest = [rows[-1].n for rows in (tables.edges, tables.notes, tables.stock_changes) if rows]
    return max(newest, default=0)


def _next_due(tables: Tables, after: int) -> int | None:
    deadlines = [
        row.expires_at
        for row in tables.orders.values()
        if row.state == "reserved" and row.expires_at is not None and row.expires_at > after
    ]
    return min(deadlines, default=None)


def _find(tables: Tables, wanted: Wanted, facts: Facts) -> None:
    for key in wanted.keys & tables.keys.keys():
        facts.by_key[key] = tables.orders[tables.keys[key]]
    for order_id in wanted.orders & tables.orders.keys():
        facts.orders[order_id] = tables.orders[order_id]
    for sale_id in wanted.sales & tables.sales.keys():
        facts.sales[sale_id] = tables.sales[sale_id]
    for product_id in wanted.products & tables.products.keys():
        facts.products[product_id] = tables.products[product_id]
    for place in wanted.grants & tables.grants.keys():
        facts.grants[place] = tables.grants[place]
    for payment in wanted.payments & tables.payments.keys():
        facts.payments[payment] = tables.payments[payment]
    for asked in wanted.skus:
        facts.skus[asked] = [
            row.id
            for row in tables.products.values()
            if row.sku == asked.sku
            and (
                row.merchant == asked.merchant
                if asked.merchant is not None
                else (row.id, asked.room) in tables.grants
            )
        ]
    _find_ending(tables, wanted, facts)


def _find_ending(tables: Tables, wanted: Wanted, facts: Facts) -> None:
    if wanted.due_at is not None:
        due_at = wanted.due_at
        due = [
            row
            for row in tables.orders.values()
            if row.state == "reserved" and row.expires_at is not None and row.expires_at <= due_at
        ]
        due = sorted(due, key=lambda row: row.expires_at or 0)[:MAX_ENDED_IN_A_BATCH]
        facts.due = [row.id for row in due]
        facts.due_more = len(due) == MAX_ENDED_IN_A_BATCH
        facts.orders |= {row.id: row for row in due}
        facts.next_due_at = _next_due(tables, due_at)
    if wanted.void_sale is not None:
        void = [
            row
            for row in tables.orders.values()
            if row.flash_sale_id == wanted.void_sale
            and row.state in ("reserved", "pending_payment")
        ][:MAX_ENDED_IN_A_BATCH]
        facts.void = [row.id for row in void]
        facts.void_more = len(void) == MAX_ENDED_IN_A_BATCH
        facts.orders |= {row.id: row for row in void}


def _guard(holds: bool, what: str) -> None:
    if not holds:
        raise MemoryWrong(what)


def _write_products(tables: Tables, effects: Effects) -> None:
    for product in effects.new_products:
        taken = {(row.merchant, row.sku) for row in tables.products.values()}
        _guard((product.merchant, product.sku) not in taken, f"SKU {product.sku}")
        tables.products[product.id] = copy.copy(product)
    for product in effects.products:
        old = tables.products[product.id]
        new = tables.products[product.id] = copy.copy(product)
        new.total, new.committed = old.total, old.committed
    for stock in effects.stock:
        row = tables.products[stock.product_id]
        row.total += stock.total
        row.committed += stock.committed
        _guard(0 <= row.committed <= row.total, f"stock of {row.id}")
    for grant in effects.grants:
        place = (grant.product_id, grant.room)
        used = tables.grants[place].used if place in tables.grants else 0
        tables.grants[place] = copy.copy(grant)
        tables.grants[place].used = used
    for delta in effects.grants_used:
        room = tables.grants[(delta.product_id, delta.room)]
        room.used += delta.used
        inside = delta.used < 0 or room.units_max is None or room.used <= room.units_max
        _guard(room.used >= 0 and inside, f"grant of {room.room}")
    tables.stock_changes.extend(effects.stock_changes)


def _write_sales(tables: Tables, effects: Effects) -> None:
    for sale in effects.new_sales:
        tables.sales[sale.id] = copy.copy(sale)
    for change in effects.sales:
        row = tables.sales[change.id]
        _guard(row.counter == change.known, f"counter of {row.id}")
        row.sold += change.sold_delta
        row.counter += 1
        row.units, row.state, row.void = change.units, change.state, change.void
        row.per_buyer_limit, row.ends_at = change.per_buyer_limit, change.ends_at
        _guard(0 <= row.sold <= row.units, f"units of {row.id}")
    for delta in (*effects.units_returned, *effects.units_taken):
        key = (delta.flash_sale_id, delta.buyer)
        units = tables.units.get(key, 0) + delta.delta
        limit = tables.sales[delta.flash_sale_id].per_buyer_limit
        _guard(units >= 0 and (delta.delta < 0 or units <= limit), f"units of {delta.buyer}")
        tables.units[key] = units


def _write_orders(tables: Tables, effects: Effects) -> None:
    for move in effects.moves:
        row = tables.orders[move.id]
        _guard(row.state == move.known_state, f"state of {row.id}")
        row.state, row.sequence = move.state, move.sequence
        row.changes, row.paid_at = move.changes, move.paid_at
    for payment in effects.payments:
        place = (payment.provider, payment.id)
        _guard(place not in tables.payments, f"payment {payment.id}")
        tables.payments[place] = payment
    tables.lines.extend(effects.lines)
    tables.edges.extend(effects.edges)
    tables.notes.extend(effects.notes)
