"""
A list of rows as the source of one statement: `json_each` on SQLite, `unnest` on PostgreSQL.

One statement a table and batch is what makes the writer fast; both databases take a thousand rows
in one parameter (SQLite) or one a column (PostgreSQL).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Table
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection

from orders.rows import Row

BIG, TEXT = "bigint", "text"


class Source(NamedTuple):
    """`sql` is a FROM item called `r` with these columns."""

    columns: tuple[str, ...]
    sql: str
    is_sqlite: bool

    def parameters(self, rows: Sequence[Row] | Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
        """What the statement is executed with."""
        if self.is_sqlite:
            return (msgspec.json.encode(rows).decode(),)
        tuples = [msgspec.structs.astuple(row) if isinstance(row, Row) else row for row in rows]
        return tuple(list(column)[:] for column in zip(*tuples, strict=True))[: len(self.columns)]


def source(dialect: str, columns: Sequence[tuple[str, str]]) -> Source:
    """A source of rows whose fields are `columns`, as (name, `BIG` or `TEXT`)."""
    names = tuple(name for name, _type in columns)
    quoted = [f'"{name}"' for name in names]
    if dialect == "sqlite":
        fields = ", ".join(
            f"json_extract(value, '$[{index}]') AS {name}" for index, name in enumerate(quoted)
        )
        return Source(names, f"(SELECT {fields} FROM json_each(?)) AS r", True)
    arrays = ", ".join(f"${index + 1}::{type_}[]" for index, (_name, type_) in enumerate(columns))
    return Source(names, f"unnest({arrays}) AS r({', '.join(quoted)})", False)


def table_columns(table: Table) -> list[tuple[str, str]]:
    """The columns of a table as a source wants them."""
    return [
        (column.name, BIG if isinstance(column.type, BigInteger) else TEXT)
        for column in table.columns
    ]


class Statement(NamedTuple):
    """One statement over a source of rows."""

    source: Source
    sql: str

    async def run(
        self, connection: AsyncConnection, rows: Sequence[Row] | Sequence[tuple[Any, ...]]
    ) -> CursorResult[Any]:
        """Execute it for all rows at once."""
        return await connection.exec_driver_sql(self.sql, self.source.parameters(rows))


def insert(dialect: str, table: Table, tail: str = "") -> Statement:
    """`INSERT INTO table SELECT …` of whole rows; `tail` is an ON CONFLICT or RETURNING clause."""
    rows = source(dialect, table_columns(table))
    names = ", ".join(f'"{name}"' for name in rows.columns)
    # WHERE true: SQLite would otherwise read ON CONFLICT as a join condition.
    sql = f'INSERT INTO "{table.name}" ({names}) SELECT {names} FROM {rows.sql} WHERE true {tail}'
    return Statement(rows, sql)


def update(dialect: str, table: Table, fields: Sequence[tuple[str, str]], clause: str) -> Statement:
    """`UPDATE table SET clause` where `clause` joins `r`, a source of `fields`, by itself."""
    rows = source(dialect, fields)
    head, _where, condition = clause.partition(" WHERE ")
    return Statement(rows, f'UPDATE "{table.name}" SET {head} FROM {rows.sql} WHERE {condition}')


def select(dialect: str, fields: Sequence[tuple[str, str]], clause: str) -> Statement:
    """`clause` with `{r}` in the place of a source of `fields`."""
    rows = source(dialect, fields)
    return Statement(rows, clause.replace("{r}", rows.sql))
