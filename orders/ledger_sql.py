"""
The ledger in SQL, SQLite and PostgreSQL alike.

A batch is one transaction: the fence first, which holds every other writer off to the end, then the
rows to decide from, locked, then one guarded statement a table. It needs an engine of its own,
whose transactions begin with BEGIN IMMEDIATE on SQLite (`liveserver.db.make_engine`).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Select, Table, delete, event, func, select, tuple_
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from orders import lease_sql
from orders import schema_sql as t
from orders.failures_sql import ERRORS, failure_of
from orders.lease import Lease
from orders.ledger import (
    KEEP_ANSWERS_MS,
    MAX_FORGOTTEN,
    Broken,
    Effects,
    Facts,
    LeaseLost,
    Loaded,
    MemoryWrong,
    OrderKey,
    SkuAsked,
    Transaction,
    Wanted,
    follow,
)
from orders.order import VOIDABLE
from orders.rows import (
    VOID_WANTED,
    AnswerRow,
    CouponRow,
    GrantRow,
    OrderRow,
    PaymentRow,
    PlaceRow,
    ProductRow,
    RefundRow,
    Row,
    SaleRow,
    ShopRow,
)
from orders.statements_sql import Statements

TRANSACTION_SECONDS = 10.0  # a half-open connection answers nothing at all
#: PostgreSQL ends what a paused or cut-off writer left open, so that the next one can go on; below
#: the 5 s of the lease.
POSTGRES_SETTINGS = {
    "statement_timeout": "4s",
    "lock_timeout": "4s",
    "idle_in_transaction_session_timeout": "4s",
    "tcp_user_timeout": "4s",
}


class SqlLedger:
    """The writer's access to the database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._statements = Statements(engine.dialect.name)
        if engine.dialect.name == "postgresql":
            event.listen(engine.sync_engine, "connect", _limit_waiting)

    async def read_lease(self) -> Lease | None:
        async with self._guarded() as connection:
            return await lease_sql.read(connection)

    async def take_lease(self, holder: str, seen: Lease | None, now: int) -> Lease | None:
        async with self._guarded() as connection:
            taken = await lease_sql.take(connection, holder, seen, now)
            await connection.commit()
            return taken

    async def renew_lease(self, fence: int, now: int) -> None:
        async with self._guarded() as connection:
            if not await lease_sql.beat(connection, fence, now):
                raise LeaseLost("another holder has the lease")
            await connection.commit()

    async def release_lease(self, fence: int, now: int) -> None:
        async with self._guarded() as connection:
            await lease_sql.release(connection, fence, now)
            await connection.commit()

    async def load(self) -> Loaded:
        async with self._guarded() as connection:
            return await _load(connection)

    async def counters(self) -> dict[str, int]:
        async with self._guarded() as connection:
            rows = await connection.execute(
                select(t.flash_sale.c.id, t.flash_sale.c.counter).where(_is_open())
            )
            return {row[0]: row[1] for row in rows}

    async def answer_by_key(self, buyer: str, space: str, key: str) -> tuple[str, bytes] | None:
        async with self._guarded() as connection:
            return await find_answer(connection, buyer, space, key)

    def transaction(self, fence: int, now: int) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction(fence, now)

    @asynccontextmanager
    async def _transaction(self, fence: int, now: int) -> AsyncIterator[Transaction]:
        transaction: SqlTransaction | None = None
        try:
            async with self._guarded() as connection:
                if not await lease_sql.beat(connection, fence, now):
                    raise LeaseLost("another holder has the lease")
                transaction = SqlTransaction(connection, self._statements)
                yield transaction
        except Broken as failure:
            if transaction is None or not transaction.committing:
                raise
            raise Broken(str(failure), outcome_unknown=True) from failure

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose errors are `Failure`s and whose waiting has an end."""
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS), self._engine.connect() as connection:
                yield connection
        except ERRORS as error:
            raise failure_of(error) from error


class SqlTransaction:
    """One batch inside its transaction."""

    def __init__(self, connection: AsyncConnection, statements: Statements) -> None:
        self._connection = connection
        self._do = statements
        self.committing = False  # from then on a lost connection says nothing about the outcome

    async def read(self, wanted: Wanted) -> Facts:
        facts = Facts()
        await self._read_into(facts, wanted)
        more = follow(wanted, facts)
        if more:
            await self._read_into(facts, more)
        return facts

    async def _read_into(self, facts: Facts, wanted: Wanted) -> None:
        if wanted.keys:
            rows = await self._do.by_key.run(self._connection, list(wanted.keys))
            for order in _rows(OrderRow, rows):
                facts.by_key[OrderKey(order.buyer, order.space, order.key)] = order
        await self._read_orders(facts, wanted)
        for asked in wanted.skus:
            facts.skus[asked] = await self._product_ids(asked)
            if asked.merchant is None and not facts.skus[asked]:
                anywhere = select(t.product.c.id).where(t.product.c.sku == asked.sku).limit(1)
                if (await self._connection.execute(anywhere)).first() is not None:
                    facts.skus_elsewhere.add(asked.sku)
        if wanted.sales:
            rows = await self._select(t.flash_sale, t.flash_sale.c.id.in_(sorted(wanted.sales)))
            facts.sales |= {sale.id: sale for sale in _rows(SaleRow, rows)}
        if wanted.products:
            await self._read_products(facts, sorted(wanted.products))
        if wanted.grants:
            rows = await self._do.grants_at.run(self._connection, sorted(wanted.grants))
            facts.grants |= {(row.product_id, row.room): row for row in _rows(GrantRow, rows)}
        if wanted.payments:
            rows = await self._do.payments_of.run(self._connection, sorted(wanted.payments))
            facts.payments |= {(row.provider, row.id): row for row in _rows(PaymentRow, rows)}
        if wanted.payments_of:
            orders = [(name,) for name in sorted(wanted.payments_of)]
            rows = await self._do.payments_of_orders.run(self._connection, orders)
            for payment in _rows(PaymentRow, rows):
                facts.payments_of.setdefault(payment.order_id, []).append(payment)
        if wanted.refunds:
            ids = [(name,) for name in sorted(wanted.refunds)]
            rows = await self._do.refunds_of.run(self._connection, ids)
            facts.refunds |= {row.id: row for row in _rows(RefundRow, rows)}

        await self._read_coupons(facts, wanted)
        if wanted.inbound:
            await self._read_inbound(facts, wanted)
        if wanted.places:
            rows = await self._do.places_by_key.run(self._connection, sorted(wanted.places))
            facts.places |= {(row.buyer, row.key): row for row in _rows(PlaceRow, rows)}
        if wanted.answers:
            rows = await self._do.answers_of.run(self._connection, sorted(wanted.answers))
            facts.answers |= {(row.owner, row.key): row for row in _rows(AnswerRow, rows)}

    async def _read_inbound(self, facts: Facts, wanted: Wanted) -> None:
        rows = await self._do.inbound_known.run(self._connection, sorted(wanted.inbound))
        facts.inbound |= {(known.merchant, known.id) for known in rows}

    async def _read_coupons(self, facts: Facts, wanted: Wanted) -> None:
        asked = sorted(wanted.coupons_asked)
        for statement, rows in (
            (self._do.coupons_of, [(name,) for name in sorted(wanted.coupons)]),
            (self._do.coupons_by_code, sorted(wanted.coupon_codes)),
            (self._do.coupons_asked, asked),
        ):
            if rows:
                found = await statement.run(self._connection, rows)
                facts.coupons |= {(row.merchant, row.code): row for row in _rows(CouponRow, found)}
        if asked:
            uses = await self._do.coupon_uses_asked.run(self._connection, asked)
            facts.coupon_uses |= {(use.coupon_id, use.buyer): use.used for use in uses}

    async def _read_orders(self, facts: Facts, wanted: Wanted) -> None:
        o = t.orders.c
        if wanted.orders:
            rows = await self._select(t.orders, o.id.in_(sorted(wanted.orders)))
            facts.orders |= {order.id: order for order in _rows(OrderRow, rows)}
        if wanted.due_at is not None:
            await self._read_due(facts, wanted.due_at, wanted.most_ended)
        if wanted.void_sale is not None:
            query = (
                select(t.orders)
                .where(o.flash_sale_id == wanted.void_sale)
                .where(o.state.in_(VOIDABLE))
                .where(o.id > wanted.void_after)
                .order_by(o.id)
                .limit(wanted.most_ended)
                .with_for_update()
            )
            found = _rows(OrderRow, await self._connection.execute(query))
            facts.void = [order.id for order in found]
            facts.void_more = len(found) == wanted.most_ended
            facts.orders |= {order.id: facts.orders.get(order.id, order) for order in found}

    async def _read_due(self, facts: Facts, due_at: int, most: int) -> None:
        o = t.orders.c
        held = select(t.orders).where(t.IS_TIMED)
        query = held.where(o.expires_at <= due_at).order_by(o.expires_at)
        query = query.limit(most).with_for_update()
        found = _rows(OrderRow, await self._connection.execute(query))
        facts.due = [order.id for order in found]
        facts.due_more = len(found) == most
        facts.orders |= {order.id: facts.orders.get(order.id, order) for order in found}
        facts.next_due_at = await _next_due(self._connection, due_at)

    async def _read_products(self, facts: Facts, ids: list[str]) -> None:
        locked = await self._select(t.product_stock, t.product_stock.c.product_id.in_(ids))
        stock = {row.product_id: (row.total, row.committed) for row in locked}
        rows = await self._connection.execute(select(t.product).where(t.product.c.id.in_(ids)))
        for row in rows:
            product = ProductRow(**row._mapping)
            product.total, product.committed = stock.get(product.id, (0, 0))
            facts.products[product.id] = product

    async def _product_ids(self, asked: SkuAsked) -> list[str]:
        p, g = t.product.c, t.sale_grant.c
        query = select(p.id).where(p.sku == asked.sku).order_by(p.id)
        if asked.merchant is not None:
            query = query.where(p.merchant == asked.merchant)
        else:
            query = query.join(t.sale_grant, g.product_id == p.id).where(g.room == asked.room)
        return [row[0] for row in await self._connection.execute(query)]

    async def _select(self, table: Table, *conditions: Any) -> CursorResult[Any]:
        """Rows of a table, locked in the order of their keys."""
        query: Select[Any] = select(table).where(*conditions)
        query = query.order_by(*table.primary_key.columns).with_for_update()
        found: CursorResult[Any] = await self._connection.execute(query)
        return found

    async def insert_orders(self, rows: list[OrderRow]) -> set[str]:
        ids = {row.id for row in rows}
        result = await self._do.orders.run(self._connection, rows)
        if result.rowcount == len(rows):  # nearly always; and then no id has to come back
            return ids
        known = select(t.orders.c.id).where(t.orders.c.id.in_(ids))
        return {row[0] for row in await self._connection.execute(known)}

    async def write(self, effects: Effects) -> None:
        do, out = self._do, effects
        new = [(row.id, 0, 0) for row in out.new_products]
        lowered = [row for row in out.grants_used if row.used < 0]
        raised = [row for row in out.grants_used if row.used > 0]
        coupons_back = [row for row in out.coupons_used if row.cents < 0]
        coupons_used = [row for row in out.coupons_used if row.cents >= 0]
        buyers_back = [row for row in out.coupon_buyers if row.uses < 0]
        buyers_used = [row for row in out.coupon_buyers if row.uses > 0]
        for statement, rows in (
            (do.shops, out.shops), (do.inbound, out.inbound),
            (do.new_coupons, out.new_coupons), (do.coupons_used, coupons_back),
            (do.coupons, out.coupons), (do.coupons_used, coupons_used),
            (do.coupon_buyers_back, buyers_back), (do.coupon_buyers, buyers_used),
            (do.coupon_uses, out.coupon_uses),
            (do.new_products, out.new_products), (do.new_stock, new), (do.products, out.products),
            (do.grants_used, lowered), (do.grants, out.grants), (do.grants_used, raised),
            (do.stock, out.stock),
            (do.stock_changes, out.stock_changes), (do.new_sales, out.new_sales),
            (do.sales, out.sales), (do.units_returned, out.units_returned),
            (do.units_taken, out.units_taken), (do.moves, out.moves), (do.lines, out.lines),
            (do.payments, out.payments), (do.payment_moves, out.payment_moves),
            (do.refunds, out.refunds), (do.edges, out.edges), (do.notes, out.notes),
            (do.place_moves, out.place_moves), (do.new_places, out.new_places),
            (do.answers, out.answers),
        ):  # fmt: skip
            if rows:
                result = await statement.run(self._connection, rows)
                if result.rowcount != len(rows):
                    what = statement.sql.split("\n")[0][:60]
                    raise MemoryWrong(f"{what}: {result.rowcount} of {len(rows)} rows")
        if out.answers:
            await self._forget_answers(out.answers[0].at - KEEP_ANSWERS_MS)

    async def _forget_answers(self, before: int) -> None:
        a = t.kept_answer.c
        old = select(a.owner, a.key).where(a.at < before).order_by(a.at).limit(MAX_FORGOTTEN)
        await self._connection.execute(delete(t.kept_answer).where(tuple_(a.owner, a.key).in_(old)))

    async def commit(self) -> None:
        self.committing = True
        await self._connection.commit()


T = TypeVar("T", bound=Row)


def _rows(kind: type[T], rows: CursorResult[Any]) -> list[T]:
    return [kind(**row._mapping) for row in rows]


def _is_open() -> Any:
    return t.IS_OPEN


async def _next_due(connection: AsyncConnection, after: int) -> int | None:
    o = t.orders.c
    query = select(func.min(o.expires_at)).where(t.IS_TIMED, o.expires_at > after)
    earliest: int | None = (await connection.execute(query)).scalar_one()
    return earliest


async def _load(connection: AsyncConnection) -> Loaded:
    s, o, u = t.flash_sale.c, t.orders.c, t.buyer_units.c
    sales = _rows(SaleRow, await connection.execute(select(t.flash_sale).where(_is_open())))
    ids = [sale.id for sale in sales]
    units = await connection.execute(
        select(u.flash_sale_id, u.buyer, u.units).where(u.flash_sale_id.in_(ids), u.units > 0)
    )
    keys = await connection.execute(
        select(o.buyer, o.key, o.flash_sale_id).where(o.flash_sale_id.in_(ids), o.space == "client")
    )
    voids = await connection.execute(select(s.id).where(s.void == VOID_WANTED).order_by(s.id))
    shops = _rows(ShopRow, await connection.execute(select(t.shop)))
    w = t.waitlist.c
    waiting = await connection.execute(
        select(t.waitlist).where(w.flash_sale_id.in_(ids), w.state == "waiting").order_by(w.n)
    )
    return Loaded(
        sales=sales,
        units=[(row[0], row[1], row[2]) for row in units],
        keys=[(row[0], row[1], row[2]) for row in keys],
        last_n=await last_number(connection),
        next_due_at=await _next_due(connection, -1),
        shops=shops,
        voids=[row[0] for row in voids],
        waiting=_rows(PlaceRow, waiting),
    )


async def last_number(connection: AsyncConnection) -> int:
    """The newest number that the writer gave to an edge, a note, a stock change or a place."""
    columns: Sequence[Any] = (
        t.order_edges.c.n, t.feed_note.c.n, t.stock_change.c.n, t.waitlist.c.n,
    )  # fmt: skip
    newest = [(await connection.execute(select(func.max(column)))).scalar() for column in columns]
    return max(number or 0 for number in newest)


async def find_answer(
    connection: AsyncConnection, buyer: str, space: str, key: str
) -> tuple[str, bytes] | None:
    """(fingerprint, answer) of the order with this key."""
    o = t.orders.c
    query = select(o.fingerprint, o.answer).where(o.buyer == buyer, o.space == space, o.key == key)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1].encode())


def _limit_waiting(connection: Any, _record: object) -> None:
    """For the session's whole life: without the commit the first rollback would undo it."""
    cursor = connection.cursor()
    for name, value in POSTGRES_SETTINGS.items():
        cursor.execute(f"SET {name} = '{value}'")
    cursor.close()
    connection.commit()
