"""What a database error means for a batch: try again, load again, halve it, or take the lease."""

import asyncio
import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from orders.ledger import BadData, Broken, Busy, Failure, MemoryWrong

#: SQLSTATE classes and codes of PostgreSQL.
BUSY_STATES = ("40", "55P03", "57014")  # serialization and dead-lock, lock and statement timeouts
DATA_STATES = ("22", "54")  # data exceptions, limits exceeded
CONSTRAINT_STATE = "23"


def failure_of(error: BaseException) -> Failure:
    """The `Failure` that `error` of SQLAlchemy, a driver or a time limit stands for."""
    if (
        isinstance(error, DBAPIError)
        and error.orig is not None
        and not error.connection_invalidated
    ):
        return _of_driver(error.orig)
    if isinstance(error, OverflowError | UnicodeError):
        return BadData(str(error))
    return Broken(f"{type(error).__name__}: {error}")


def _of_driver(error: BaseException) -> Failure:
    text = f"{type(error).__name__}: {error}"
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if isinstance(state, str):
        if state.startswith(BUSY_STATES):
            return Busy(text)
        if state.startswith(CONSTRAINT_STATE):
            return MemoryWrong(text)
        return BadData(text) if state.startswith(DATA_STATES) else Broken(text)
    return _of_sqlite(error, text)


def _of_sqlite(error: BaseException, text: str) -> Failure:
    if isinstance(error, sqlite3.IntegrityError):
        return MemoryWrong(text)
    if isinstance(error, sqlite3.OperationalError):
        return Busy(text) if "locked" in text or "busy" in text else Broken(text)
    if isinstance(error, sqlite3.DataError | sqlite3.InterfaceError | sqlite3.ProgrammingError):
        return BadData(text)
    # asyncpg names values that it cannot encode without a SQLSTATE
    return BadData(text) if "DataError" in text else Broken(text)


#: Everything that a call to the database may raise.
ERRORS = (
    SQLAlchemyError,
    OSError,
    asyncio.TimeoutError,
    OverflowError,
    UnicodeError,
    sqlite3.Error,
)
