"""
Database engines: SQLite by default, PostgreSQL by URL; one place that knows their settings.

SQLite gets WAL, synchronous=FULL (an acknowledged order survives a power cut) and `BEGIN IMMEDIATE`
for every transaction of a writing engine, because a read transaction that turns into a write one
fails at once instead of waiting. Reads use an engine of their own (`BEGIN`), and never block.
"""

from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

#: 16 MB of log between two checkpoints. SQLite's own 1,000 pages are less than a batch of 1,000
#: orders writes, so that every commit of a rush would pay for a checkpoint.
CHECKPOINT_PAGES = 4_000
BUSY_TIMEOUT_MS = 5_000  # how long a gateway waits for the writer's transaction (about 10 ms each)
#: Locks of a process that stands still or was cut off do not outlive it by more than this. Longer
#: than any transaction of ours; the writer sets shorter times of its own.
POSTGRES_SETTINGS = {"idle_in_transaction_session_timeout": "20s", "tcp_user_timeout": "20s"}


def make_engine(url: str, *, read_only: bool = False, pool_size: int = 5) -> AsyncEngine:
    """
    An engine for `url` (`sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`).

    `read_only` on SQLite means plain `BEGIN`: a snapshot, no write lock.
    """
    if url.startswith("sqlite"):
        engine = create_async_engine(url, pool_size=pool_size, max_overflow=0)
        begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", lambda conn: conn.exec_driver_sql(begin))
        return engine
    engine = create_async_engine(url, pool_size=pool_size, max_overflow=0, pool_pre_ping=True)
    event.listen(engine.sync_engine, "connect", _prepare_postgres)
    return engine


def _prepare_postgres(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for name, value in POSTGRES_SETTINGS.items():
        cursor.execute(f"SET {name} = '{value}'")
    cursor.close()
    connection.commit()  # else the first rollback would undo it


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not emit BEGIN of its own
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "foreign_keys=ON",
        f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
