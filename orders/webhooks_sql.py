"""
The webhook queue in SQL: endpoints, deliveries, and how far the feed is followed.

Same statements on SQLite and PostgreSQL. A delivery is *claimed* by moving its `due_at` to the end
of the claim and naming the claimer: when a sender dies, its deliveries fall due again by
themselves, and a sender that comes back too late finds its claim gone. On PostgreSQL two claimers
skip each other's rows; on SQLite writing transactions are one after the other anyway.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from orders.errors import Unavailable
from orders.failures_sql import ERRORS, failure_of
from orders.webhooks import health_after
from orders.webhooks_batches_sql import queue_up, store_outcomes
from orders.webhooks_ports import Finished
from orders.webhooks_shapes import DeliveryRow, EndpointRow, Health

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = sa.MetaData(naming_convention=NAMING)

log = logging.getLogger(__name__)

SQL_SECONDS = 15.0  # for one transaction; the largest ones write a few thousand rows
WEBHOOKS = "webhooks"  # the name of this follower's cursor

feed_cursor = sa.Table(
    "feed_cursor",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
)

endpoint = sa.Table(
    "webhook_endpoint",
    metadata,
    sa.Column("id", sa.String(60), primary_key=True),
    sa.Column("merchant", sa.String(200), nullable=False, index=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("events", sa.JSON, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("disabled_reason", sa.String(20)),
    sa.Column("secret", sa.String(100), nullable=False),
    sa.Column("old_secret", sa.String(100)),
    sa.Column("old_secret_until", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("failing_since", sa.BigInteger),
    sa.Column("paused_until", sa.BigInteger, nullable=False),
    sa.Column("replay_after", sa.BigInteger),
    sa.Column("replay_until", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.CheckConstraint("state IN ('active', 'disabled')", name="state"),
)

delivery = sa.Table(
    "webhook_delivery",
    metadata,
    sa.Column("id", sa.String(60), primary_key=True),
    sa.Column("endpoint", sa.ForeignKey(endpoint.c.id), nullable=False),
    sa.Column("merchant", sa.String(200), nullable=False),
    sa.Column("event_id", sa.String(60), nullable=False),
    sa.Column("type", sa.String(60), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", sa.BigInteger, nullable=False),
    sa.Column("claim", sa.String(60)),
    sa.Column("created_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("delivered_at", sa.BigInteger),
    sa.Column("last_attempt_at", sa.BigInteger),
    sa.Column("last_status", sa.Integer),
    sa.Column("last_error", sa.Text),
    sa.Column("last_response", sa.Text),
    sa.Column("duration_ms", sa.Integer),
    sa.UniqueConstraint("endpoint", "event_id"),
    sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="state"),
    sa.Index(None, "endpoint", "state", "due_at"),
    sa.Index(None, "merchant", "id"),
)


class SqlWebhooks:
    """
    The `Store` of the webhook service.

    Args:
        write_engine: On SQLite one that begins with `BEGIN IMMEDIATE`.
        read_engine: For reads that must not wait for a writer; the same one if there is no other.

    Every method raises `Unavailable` when the database does not answer.
    """

    def __init__(self, write_engine: AsyncEngine, read_engine: AsyncEngine | None = None) -> None:
        self._write_engine = write_engine
        self._read_engine = read_engine or write_engine

    # Endpoints

    async def add_endpoint(self, row: EndpointRow, endpoints_max: int) -> bool:
        async with _transaction(self._write_engine) as sql:
            mine = sa.select(sa.func.count()).where(endpoint.c.merchant == row.merchant)
            if (await sql.scalar(mine.select_from(endpoint)) or 0) >= endpoints_max:
                return False
            await sql.execute(endpoint.insert(), msgspec.structs.asdict(row))
            return True

    async def endpoint(self, merchant: str, endpoint_id: str) -> EndpointRow | None:
        async with _transaction(self._read_engine) as sql:
            return await _endpoint(sql, _of_merchant(merchant, endpoint_id))

    async def endpoints(self, merchant: str) -> list[EndpointRow]:
        query = endpoint.select().where(endpoint.c.merchant == merchant).order_by(endpoint.c.id)
        async with _transaction(self._read_engine) as sql:
            return [EndpointRow(**row._mapping) for row in await sql.execute(query)]

    async def change_endpoint(
        self, merchant: str, endpoint_id: str, change: Callable[[EndpointRow], EndpointRow]
    ) -> EndpointRow | None:
        async with _transaction(self._write_engine) as sql:
            query = _of_merchant(merchant, endpoint_id).with_for_update(key_share=True)
            row = await _endpoint(sql, query)
            if row is None:
                return None
            changed = change(row)
            await sql.execute(
                endpoint.update()
                .where(endpoint.c.id == endpoint_id)
                .values(msgspec.structs.asdict(changed))
            )
            return changed

    async def delete_endpoint(self, merchant: str, endpoint_id: str) -> bool:
        async with _transaction(self._write_engine) as sql:
            query = _of_merchant(merchant, endpoint_id).with_for_update()
            if await _endpoint(sql, query) is None:
                return False
            await sql.execute(delivery.delete().where(delivery.c.endpoint == endpoint_id))
            await sql.execute(endpoint.delete().where(endpoint.c.id == endpoint_id))
            return True

    # Deliveries

    async def add_delivery(self, row: DeliveryRow) -> None:
        async with _transaction(self._write_engine) as sql:
            await sql.execute(delivery.insert(), msgspec.structs.asdict(row))

    async def deliveries(
        self,
        merchant: str,
        *,
        endpoint: str | None,
        state: str | None,
        before: str | None,
        limit: int,
    ) -> list[DeliveryRow]:
        query = delivery.select().where(delivery.c.merchant == merchant)
        if endpoint is not None:
            query = query.where(delivery.c.endpoint == endpoint)
        if state is not None:
            query = query.where(delivery.c.state == state)
        if before is not None:
            query = query.where(delivery.c.id < before)
        query = query.order_by(delivery.c.id.desc()).limit(limit)
        async with _transaction(self._read_engine) as sql:
            return [DeliveryRow(**row._mapping) for row in await sql.execute(query)]

    async def delivery(self, merchant: str, delivery_id: str) -> DeliveryRow | None:
        query = delivery.select().where(
            delivery.c.id == delivery_id, delivery.c.merchant == merchant
        )
        async with _transaction(self._read_engine) as sql:
            row = (await sql.execute(query)).one_or_none()
            return None if row is None else DeliveryRow(**row._mapping)

    async def change_delivery(
        self, merchant: str, delivery_id: str, change: Callable[[DeliveryRow], DeliveryRow]
    ) -> DeliveryRow | None:
        query = delivery.select().where(
            delivery.c.id == delivery_id, delivery.c.merchant == merchant
        )
        async with _transaction(self._write_engine) as sql:
            row = (await sql.execute(query.with_for_update())).one_or_none()
            if row is None:
                return None
            changed = change(DeliveryRow(**row._mapping))
            await sql.execute(
                delivery.update()
                .where(delivery.c.id == delivery_id)
                .values(msgspec.structs.asdict(changed))
            )
            return changed

    async def failed(self, merchants: Sequence[str], since: int) -> int:
        """Deliveries of these shops, made since then (ms), that were given up."""
        d = delivery.c
        query = sa.select(sa.func.count()).where(
            d.merchant.in_(merchants), d.created_at >= since, d.state == "failed"
        )
        async with _transaction(self._read_engine) as sql:
            return int((await sql.execute(query)).scalar_one())

    async def prune(self, created_before: int, limit: int) -> int:
        old = sa.select(delivery.c.id).where(delivery.c.created_at < created_before).limit(limit)
        async with _transaction(self._write_engine) as sql:
            ids = list(await sql.scalars(old))
            if ids:
                await sql.execute(delivery.delete().where(delivery.c.id.in_(ids)))
            return len(ids)

    # Following the feed

    async def cursor(self) -> int:
        return await SqlCursor(self._read_engine, WEBHOOKS).load() or 0

    async def append(
        self,
        after: int,
        until: int,
        merchants: Sequence[str],
        make: Callable[[list[EndpointRow]], list[DeliveryRow]],
    ) -> bool:
        async with _transaction(self._write_engine) as sql:
            if not await _move_cursor(sql, WEBHOOKS, after, until):
                return False
            # Read after the feed was read: an endpoint that is not seen here was made later than
            # every event of this batch. The lock keeps it from being deleted before the commit.
            query = endpoint.select().where(
                endpoint.c.merchant.in_(merchants), endpoint.c.state == "active"
            )
            found = await sql.execute(query.with_for_update(read=True, key_share=True))
            rows = make([EndpointRow(**row._mapping) for row in found])
            if rows:
                await queue_up(sql, rows)
            return True

    async def replaying(self, limit: int) -> list[EndpointRow]:
        query = endpoint.select().where(endpoint.c.replay_after.is_not(None)).limit(limit)
        async with _transaction(self._read_engine) as sql:
            return [EndpointRow(**row._mapping) for row in await sql.execute(query)]

    async def replay(self, row: EndpointRow, reached: int | None, rows: list[DeliveryRow]) -> None:
        async with _transaction(self._write_engine) as sql:
            moved = await sql.execute(
                endpoint.update()
                .where(
                    endpoint.c.id == row.id,
                    endpoint.c.replay_after == row.replay_after,
                    endpoint.c.replay_until == row.replay_until,
                )
                .values(
                    replay_after=reached,
                    replay_until=None if reached is None else row.replay_until,
                )
            )
            if moved.rowcount and rows:
                insert = _insert(sql, delivery)
                again = insert.on_conflict_do_update(
                    index_elements=["endpoint", "event_id"],
                    set_={
                        "state": "pending",
                        "attempts": 0,
                        "due_at": insert.excluded.due_at,
                        "claim": None,
                        "delivered_at": None,
                    },
                    where=delivery.c.state != "pending",
                )
                await sql.execute(again, [msgspec.structs.asdict(one) for one in rows])

    # Sending

    async def due(self, now: int, busy: Sequence[str], limit: int) -> list[EndpointRow]:
        first = (
            sa.select(delivery.c.due_at)
            .where(delivery.c.endpoint == endpoint.c.id, delivery.c.state == "pending")
            .order_by(delivery.c.due_at)
            .limit(1)
            .scalar_subquery()
        )
        query = (
            endpoint.select()
            .where(
                endpoint.c.state == "active",
                endpoint.c.paused_until <= now,
                endpoint.c.id.not_in(busy),
                first <= now,
            )
            .order_by(first, endpoint.c.id)
            .limit(limit)
        )
        async with _transaction(self._read_engine) as sql:
            return [EndpointRow(**row._mapping) for row in await sql.execute(query)]

    async def claim(
        self, wanted: Sequence[tuple[str, int]], now: int, until: int, claim: str
    ) -> list[DeliveryRow]:
        rows: list[DeliveryRow] = []
        async with _transaction(self._write_engine) as sql:
            for endpoint_id, count in wanted:
                free = (
                    sa.select(delivery.c.id)
                    .where(
                        delivery.c.endpoint == endpoint_id,
                        delivery.c.state == "pending",
                        delivery.c.due_at <= now,
                    )
                    .order_by(delivery.c.due_at, delivery.c.id)
                    .limit(count)
                    .with_for_update(skip_locked=True)
                    .cte("free")  # evaluated once, so that the limit holds
                )
                taken = await sql.execute(
                    delivery.update()
                    .where(delivery.c.id.in_(sa.select(free.c.id)))
                    .values(due_at=until, claim=claim)
                    .returning(*delivery.c)
                )
                rows += sorted((DeliveryRow(**row._mapping) for row in taken), key=lambda r: r.id)
        return rows

    async def waiting(self, limit: int) -> int:
        pending = sa.select(delivery.c.id).where(delivery.c.state == "pending").limit(limit)
        async with _transaction(self._read_engine) as sql:
            counted = sa.select(sa.func.count()).select_from(pending.subquery())
            return int(await sql.scalar(counted) or 0)

    async def finish(self, finished: Sequence[Finished], now: int) -> None:
        async with _transaction(self._write_engine) as sql:
            await _change_health(sql, finished, now)
            await store_outcomes(sql, finished)

    async def release(self, rows: Sequence[DeliveryRow], now: int) -> None:
        async with _transaction(self._write_engine) as sql:
            for row in rows:
                await sql.execute(
                    delivery.update()
                    .where(delivery.c.id == row.id, delivery.c.claim == row.claim)
                    .values(due_at=now, claim=None)
                )


class SqlCursor:
    """How far one follower of the feed is, kept over restarts."""

    def __init__(self, engine: AsyncEngine, name: str) -> None:
        self._engine = engine
        self._name = name

    async def load(self) -> int | None:
        """The number saved last, None at the very first start."""
        query = sa.select(feed_cursor.c.n).where(feed_cursor.c.name == self._name)
        async with _transaction(self._engine) as sql:
            n: int | None = await sql.scalar(query)
            return n

    async def save(self, n: int) -> None:
        """Keep the number; a smaller one than the saved is ignored."""
        async with _transaction(self._engine) as sql:
            insert = _insert(sql, feed_cursor)
            await sql.execute(
                insert.on_conflict_do_update(
                    index_elements=["name"],
                    set_={"n": insert.excluded.n},
                    where=feed_cursor.c.n < insert.excluded.n,
                ),
                {"name": self._name, "n": n},
            )


@asynccontextmanager
async def _transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    try:
        async with asyncio.timeout(SQL_SECONDS), engine.begin() as sql:
            yield sql
    except ERRORS as error:
        log.warning("webhooks: %s", failure_of(error))
        raise Unavailable("the database does not answer: try again") from error


def _insert(sql: AsyncConnection, table: sa.Table) -> Any:
    """An INSERT with ON CONFLICT, which is spelled per dialect."""
    dialect = postgresql if sql.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def _of_merchant(merchant: str, endpoint_id: str) -> sa.Select[Any]:
    return endpoint.select().where(endpoint.c.id == endpoint_id, endpoint.c.merchant == merchant)


async def _endpoint(sql: AsyncConnection, query: sa.Select[Any]) -> EndpointRow | None:
    row = (await sql.execute(query)).one_or_none()
    return None if row is None else EndpointRow(**row._mapping)


async def _move_cursor(sql: AsyncConnection, name: str, after: int, until: int) -> bool:
    """Guarded move, so that of two followers only one queues a batch."""
    if after == 0:
        start = _insert(sql, feed_cursor).on_conflict_do_nothing()
        await sql.execute(start, {"name": name, "n": 0})
    moved = await sql.execute(
        feed_cursor.update()
        .where(feed_cursor.c.name == name, feed_cursor.c.n == after)
        .values(n=until)
    )
    return moved.rowcount == 1


async def _change_health(sql: AsyncConnection, finished: Sequence[Finished], now: int) -> None:
    """Fold the attempts into their endpoints, which are locked in the order of their ids."""
    ids = sorted({one.before.endpoint for one in finished})
    query = endpoint.select().where(endpoint.c.id.in_(ids)).order_by(endpoint.c.id)
    for row in (await sql.execute(query.with_for_update(key_share=True))).all():
        fields = {name: row._mapping[name] for name in Health.__struct_fields__}
        before = health = Health(**fields)
        for one in finished:
            if one.before.endpoint == row.id:
                health = health_after(health, one.answer, now)
        if health != before:
            await sql.execute(
                endpoint.update()
                .where(endpoint.c.id == row.id)
                .values(msgspec.structs.asdict(health))
            )
