"""
Many deliveries in one statement: queueing a batch of the feed, and storing the outcomes of a round.

One statement for each delivery would cost more than everything else about it.
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from orders.arrays_sql import BIG, TEXT, Statement, select
from orders.webhooks_ports import Finished
from orders.webhooks_shapes import DeliveryRow

NEW_FIELDS = (
    ("id", TEXT), ("endpoint", TEXT), ("merchant", TEXT), ("event_id", TEXT), ("type", TEXT),
    ("body", TEXT), ("due_at", BIG), ("created_at", BIG),
)  # fmt: skip
OUTCOME_FIELDS = (
    ("id", TEXT), ("known", TEXT), ("state", TEXT), ("attempts", BIG), ("due_at", BIG),
    ("delivered_at", BIG), ("last_attempt_at", BIG), ("last_status", BIG), ("last_error", TEXT),
    ("last_response", TEXT), ("duration_ms", BIG),
)  # fmt: skip

QUEUE = """
INSERT INTO webhook_delivery
    (id, endpoint, merchant, event_id, type, body, state, attempts, due_at, created_at)
SELECT r.id, r.endpoint, r.merchant, r.event_id, r.type, {body}, 'pending', 0, r.due_at,
       r.created_at
FROM {r} WHERE true ON CONFLICT DO NOTHING
"""

#: Each only while its claim holds.
FINISH = """
UPDATE webhook_delivery SET state = r.state, attempts = r.attempts, due_at = r.due_at, claim = NULL,
    delivered_at = r.delivered_at, last_attempt_at = r.last_attempt_at,
    last_status = r.last_status, last_error = r.last_error, last_response = r.last_response,
    duration_ms = r.duration_ms
FROM {r} WHERE webhook_delivery.id = r.id AND webhook_delivery.claim = r.known
"""


def _queue(dialect: str) -> Statement:
    body = "CAST(r.body AS BLOB)" if dialect == "sqlite" else "convert_to(r.body, 'UTF8')"
    return select(dialect, NEW_FIELDS, QUEUE.replace("{body}", body))


_QUEUE = {dialect: _queue(dialect) for dialect in ("sqlite", "postgresql")}
_FINISH = {dialect: select(dialect, OUTCOME_FIELDS, FINISH) for dialect in ("sqlite", "postgresql")}


async def queue_up(sql: AsyncConnection, rows: Sequence[DeliveryRow]) -> None:
    """Insert new deliveries; those that are there already stay as they are."""
    await _QUEUE[sql.dialect.name].run(
        sql,
        [
            (
                row.id, row.endpoint, row.merchant, row.event_id, row.type, row.body.decode(),
                row.due_at, row.created_at,
            )
            for row in rows
        ],
    )  # fmt: skip


async def store_outcomes(sql: AsyncConnection, finished: Sequence[Finished]) -> None:
    """What became of claimed deliveries."""
    await _FINISH[sql.dialect.name].run(
        sql,
        [
            (
                one.before.id, one.before.claim, one.after.state, one.after.attempts,
                one.after.due_at, one.after.delivered_at, one.after.last_attempt_at,
                one.after.last_status, one.after.last_error, one.after.last_response,
                one.after.duration_ms,
            )
            for one in finished
        ],
    )  # fmt: skip
