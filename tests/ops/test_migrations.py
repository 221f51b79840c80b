"""The database's history: it builds exactly the tables in code, guards included."""

import asyncio
import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from liveserver import migrate
from liveserver.db import make_engine
from liveserver.migrations.tables import target_metadata

VERSION_TABLE = "alembic_version"


async def described(engine: AsyncEngine) -> set[str]:
    """Every column, constraint and index in the database's own words."""
    if engine.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    else:
        query = """
            SELECT conrelid::regclass::text, conname || ' ' || pg_get_constraintdef(oid)
              FROM pg_constraint WHERE connamespace = 'public'::regnamespace
            UNION ALL
            SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'
            UNION ALL
            SELECT table_name, concat_ws(' ', column_name, data_type, is_nullable,
                                         character_maximum_length, column_default)
              FROM information_schema.columns WHERE table_schema = 'public'
        """
    async with engine.connect() as connection:
        rows = (await connection.exec_driver_sql(query)).fetchall()
    words = set()
    for name, sql in rows:
        if not name.startswith(VERSION_TABLE):
            lines = re.split(r",?\s*\n", sql.strip())  # the order of constraints means nothing
            words |= {f"{name}: {' '.join(line.split()).rstrip(',')}" for line in lines}
    return words


async def other_database(url: str) -> str:
    """A second empty database beside the first."""
    if url.startswith("sqlite"):
        return url.replace("test.db", "other.db")
    engine = make_engine(url)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        await connection.exec_driver_sql("CREATE SCHEMA public")
    await engine.dispose()
    return url


async def test_the_history_builds_exactly_the_tables_in_code(database_url: str) -> None:
    """Compared in the database's own words, so that named CHECKs count too."""
    await migrate.upgrade(database_url)
    engine = make_engine(database_url)
    built = await described(engine)
    await engine.dispose()

    url = await other_database(database_url)
    engine = make_engine(url)
    async with engine.begin() as connection:
        for metadata in target_metadata:
            await connection.run_sync(metadata.create_all)
    wanted = await described(engine)
    await engine.dispose()
    hint = 'run `python -m liveserver.migrations.new "What it does"`'
    assert built == wanted, f"the migrations and the tables in code differ: {hint}"


async def test_alembic_sees_no_difference(database_url: str) -> None:
    """The usual comparison agrees, so that the next draft holds only what is new."""
    await migrate.upgrade(database_url)
    engine = make_engine(database_url)

    def compare(connection: sa.Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, target_metadata))  # type: ignore[arg-type]

    async with engine.connect() as connection:
        assert await connection.run_sync(compare) == []
    await engine.dispose()


async def test_upgrading_at_the_same_time_and_again_changes_nothing(database_url: str) -> None:
    """Several role processes start at once; one migrates, the others wait and find it done."""
    await asyncio.gather(*(migrate.upgrade(database_url) for _ in range(3)))
    await migrate.upgrade(database_url)
    engine = make_engine(database_url)
    async with engine.connect() as connection:
        rows = (await connection.exec_driver_sql("SELECT * FROM alembic_version")).fetchall()
    await engine.dispose()
    assert len(rows) == 1


async def test_a_newer_database_is_told_in_words(database_url: str) -> None:
    """An older server that starts during an upgrade, or after one that was taken back."""
    await migrate.upgrade(database_url)
    engine = make_engine(database_url)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    await engine.dispose()
    with pytest.raises(migrate.DatabaseError, match="newer version of the server"):
        await migrate.upgrade(database_url)


BAD_ROWS = {
    "committed more than there is": (
        "INSERT INTO product (id, merchant, sku, title, description, terms, seller_name,"
        " price_cents, currency, created_at)"
        " VALUES ('p', 'm', 's', 't', '', '', 'x', 1, 'CNY', 0)",
        "INSERT INTO product_stock (product_id, total, committed) VALUES ('p', 1, 2)",
    ),
    "units below nothing": (
        "INSERT INTO buyer_units (flash_sale_id, buyer, units) VALUES ('s', 'b', -1)",
    ),
    "a coupon beyond its budget": (
        "INSERT INTO coupon (id, merchant, code, kind, value, min_amount_cents, currency, budget,"
        " used, per_buyer_limit, starts_at, created_at)"
        " VALUES ('c', 'm', 'x', 'amount', 1, 0, 'CNY', 1, 2, 1, 0, 0)",
    ),
    "a role that does not exist": (
        "INSERT INTO account (name, display_name, password_hash, role, rooms, disabled, revision,"
        " created_at, changed_at) VALUES ('a', 'a', 'x', 'king', '[]', false, 1, 0, 0)",
    ),
    "a room in no known state": (
        "INSERT INTO room (id, title, state, merchant_ids, created_at)"
        " VALUES ('r', 't', 'gone', '[]', 0)",
    ),
    "stock of no product": (
        "INSERT INTO product_stock (product_id, total, committed) VALUES ('nobody', 1, 0)",
    ),
}


@pytest.mark.parametrize("wrong", BAD_ROWS)
async def test_the_database_itself_refuses_wrong_rows(database_url: str, wrong: str) -> None:
    """The last guard holds on a migrated database, whatever the code above does."""
    await migrate.upgrade(database_url)
    *before, bad = BAD_ROWS[wrong]
    engine = make_engine(database_url)
    async with engine.begin() as connection:
        for statement in before:
            await connection.exec_driver_sql(statement)
    with pytest.raises(IntegrityError):
        async with engine.begin() as connection:
            await connection.exec_driver_sql(bad)
    await engine.dispose()


async def test_every_check_has_a_name() -> None:
    """SQLite changes a table by copying it, and only named constraints are copied."""
    for metadata in target_metadata:
        for table in metadata.tables.values():
            for constraint in table.constraints:
                assert constraint.name, f"{table.name}: {constraint!r}"


async def test_a_database_that_is_not_there_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback, and no password."""
    monkeypatch.setattr(migrate, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(migrate.DatabaseError) as told:
        await migrate.upgrade(f"postgresql+asyncpg://me:hush@/shop?host={tmp_path}")
    assert "the database cannot be used" in str(told.value)
    assert "hush" not in str(told.value)
