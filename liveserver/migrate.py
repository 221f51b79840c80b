"""Bringing the database to the newest schema; safe when several processes start at once."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.util import CommandError
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from liveserver.db import make_engine

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent / "migrations"
#: any number, the same in every version: who migrates holds this lock of the database
ADVISORY_LOCK = 0x6C697665
PATIENCE_SECONDS = 15.0  # a database that is started beside us needs a moment
RETRY_SECONDS = 0.5


class DatabaseError(Exception):
    """The database cannot be brought up; the message says why in words, without the URL."""


async def upgrade(database_url: str) -> None:
    """
    Run all missing migrations in one transaction that holds the database's write lock.

    Waits PATIENCE_SECONDS for a database that does not answer. Raises DatabaseError.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            await _upgrade(database_url)
            return
        except CommandError as error:  # alembic does not know the revision that is there
            raise DatabaseError(
                f"the database belongs to a newer version of the server: {error}"
            ) from error
        except (OSError, DBAPIError) as error:
            temporary = isinstance(error, OSError) or error.connection_invalidated or _busy(error)
            if not temporary or time.monotonic() > deadline:
                raise DatabaseError(f"the database cannot be used: {words(error)}") from error
            logger.warning("waiting for the database: %s", words(error))
        await asyncio.sleep(RETRY_SECONDS)


async def _upgrade(database_url: str) -> None:
    engine = make_engine(database_url)
    if engine.dialect.name == "sqlite":
        # a table is changed on SQLite by copying it; that must not set off ON DELETE rules, and
        # the switch works only outside a transaction
        event.listen(engine.sync_engine, "connect", _foreign_keys_off)
    try:
        async with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
            await connection.run_sync(_run)
            if engine.dialect.name == "sqlite":
                await _check_foreign_keys(connection)
    finally:
        await engine.dispose()


def alembic_config(connection: sa.Connection | None = None) -> AlembicConfig:
    """What alembic needs to find the migrations, wherever the package is installed."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _run(connection: sa.Connection) -> None:
    command.upgrade(alembic_config(connection), "head")


def _foreign_keys_off(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    cursor.close()


async def _check_foreign_keys(connection: AsyncConnection) -> None:
    broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).fetchall()
    if broken:
        raise DatabaseError(f"a migration left rows without what they refer to: {broken[:5]}")


def _busy(error: DBAPIError) -> bool:
    words = str(error.orig)
    return "locked" in words or "starting up" in words or "too many clients" in words


def words(error: Exception) -> str:
    """The driver's own words: never the statement, never the URL."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
