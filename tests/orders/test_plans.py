"""What a query costs: SQLite tells by which index it looks."""

from pathlib import Path
from typing import Any

from sqlalchemy import event

from liveserver.db import make_engine
from liveserver.migrate import upgrade
from orders.ledger import Wanted
from orders.ledger_sql import SqlLedger
from orders.payments import FIRST
from orders.payments_sql import SqlPayments


async def test_deadlines_are_found_by_their_index(tmp_path: Path) -> None:
    """However many orders there are, a batch looks only at those that are due."""
    url = f"sqlite+aiosqlite:///{tmp_path}/plans.db"
    await upgrade(url)
    engine = make_engine(url)
    asked: list[tuple[str, Any]] = []
    try:
        ledger = SqlLedger(engine)
        lease = await ledger.take_lease("test", None, 0)
        assert lease is not None
        event.listen(
            engine.sync_engine, "before_cursor_execute",
            lambda _c, _cursor, statement, parameters, *_: asked.append((statement, parameters)),
        )  # fmt: skip
        async with ledger.transaction(lease.fence, 1) as transaction:
            await transaction.read(Wanted(due_at=1))
        about_deadlines = [row for row in asked if "expires_at" in row[0]]
        assert len(about_deadlines) == 2, "those that are due, and when the next one is"
        async with engine.connect() as connection:
            for statement, parameters in about_deadlines:
                plan = await connection.exec_driver_sql(
                    f"EXPLAIN QUERY PLAN {statement}", parameters
                )
                assert "ix_orders_due" in str(plan.all())
    finally:
        await engine.dispose()


async def test_payments_to_ask_for_are_found_by_their_indexes(tmp_path: Path) -> None:
    """However many orders and settled payments there are, a look passes over none of them."""
    url = f"sqlite+aiosqlite:///{tmp_path}/plans.db"
    await upgrade(url)
    engine = make_engine(url)
    asked: list[tuple[str, Any]] = []
    try:
        event.listen(
            engine.sync_engine, "before_cursor_execute",
            lambda _c, _cursor, statement, parameters, *_: asked.append((statement, parameters)),
        )  # fmt: skip
        waiting = SqlPayments(engine)
        await waiting.unknown(FIRST, 1)
        await waiting.left_open(FIRST, 1)
        looks = [row for row in asked if row[0].startswith("SELECT")]
        indexes = ("ix_orders_unknown", "ix_payments_open")
        async with engine.connect() as connection:
            for (statement, parameters), index in zip(looks, indexes, strict=True):
                plan = await connection.exec_driver_sql(
                    f"EXPLAIN QUERY PLAN {statement}", parameters
                )
                steps = str(plan.all())
                assert index in steps
                assert "SCAN" not in steps
    finally:
        await engine.dispose()
