"""People and settings in SQL: SQLite and PostgreSQL."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from liveserver.people import Account, ShopSettings
from liveserver.problems import Refused
from liveserver.schema_sql import account as accounts
from liveserver.schema_sql import api_key, login_failure, setting

SETUP_TOKEN = "setup_token"
SETTINGS = ("shop_name", "language", "public_url")


class SqlPeople:
    """The adapter. Reads use their own engine, which never waits for a writer."""

    def __init__(self, write_engine: AsyncEngine, read_engine: AsyncEngine) -> None:
        self._write = write_engine
        self._read = read_engine
        dialect = postgresql if write_engine.dialect.name == "postgresql" else sqlite
        self._insert = dialect.insert

    async def account(self, name: str) -> tuple[Account, str] | None:
        async with self._read.connect() as connection:
            query = sa.select(accounts).where(accounts.c.name == name)
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (_account(row), row.password_hash)

    async def accounts(self, after: str, limit: int) -> list[Account]:
        query = (
            sa.select(accounts)
            .where(accounts.c.name > after)
            .order_by(accounts.c.name)
            .limit(limit)
        )
        async with self._read.connect() as connection:
            return [_account(row) for row in await connection.execute(query)]

    async def insert(self, account: Account, password_hash: str) -> bool:
        try:
            async with self._write.begin() as connection:
                await connection.execute(_insert_account(account, password_hash))
        except IntegrityError:
            return False
        return True

    async def change(self, name: str, changes: dict[str, Any], now: int) -> Account | None:
        statement = (
            sa.update(accounts)
            .where(accounts.c.name == name)
            .values(**changes, revision=accounts.c.revision + 1, changed_at=now)
            .returning(accounts)
        )
        async with self._write.begin() as connection:
            row = (await connection.execute(statement)).one_or_none()
            if row is not None:
                await connection.execute(_keys_that_end(row))
        return None if row is None else _account(row)

    async def changed_since(self, at: int) -> list[Account]:
        """Only those that matter to others: staff, and accounts with withdrawn tokens."""
        matters = sa.or_(accounts.c.revision > 1, accounts.c.role != "viewer")
        query = sa.select(accounts).where(accounts.c.changed_at >= at, matters)
        async with self._read.connect() as connection:
            return [_account(row) for row in await connection.execute(query)]

    async def has_admin(self) -> bool:
        query = sa.select(accounts.c.name).where(accounts.c.role == "admin").limit(1)
        async with self._read.connect() as connection:
            return (await connection.execute(query)).first() is not None

    async def count_attempt(self, key: str, now: int, window_ms: int) -> tuple[int, int]:
        """
        One statement, so that parallel attempts are all counted. Rows of past windows go; what one
        window can hold is bounded by how many passwords the hashing threads check in it.
        """
        over = login_failure.c.since <= now - window_ms
        statement = self._insert(login_failure).values(name=key, since=now, failures=1)
        statement = statement.on_conflict_do_update(
            index_elements=[login_failure.c.name],
            set_={
                "since": sa.case((over, now), else_=login_failure.c.since),
                "failures": sa.case((over, 1), else_=login_failure.c.failures + 1),
            },
        ).returning(login_failure.c.failures, login_failure.c.since)
        async with self._write.begin() as connection:
            failures, since = (await connection.execute(statement)).one()
            await connection.execute(sa.delete(login_failure).where(over))
        return failures, since

    async def clear_attempts(self, key: str) -> None:
        async with self._write.begin() as connection:
            await connection.execute(sa.delete(login_failure).where(login_failure.c.name == key))

    async def settings(self) -> ShopSettings:
        query = sa.select(setting.c.key, setting.c.value).where(setting.c.key.in_(SETTINGS))
        async with self._read.connect() as connection:
            found = {key: value for key, value in await connection.execute(query)}
        return ShopSettings(**found)

    async def save_settings(self, changes: dict[str, str]) -> None:
        async with self._write.begin() as connection:
            await self._put(connection, changes)

    async def offer_setup(self, token_hash: str) -> None:
        async with self._write.begin() as connection:
            await self._put(connection, {SETUP_TOKEN: token_hash})

    async def complete_setup(
        self, token_hash: str, account: Account, password_hash: str, settings: dict[str, str]
    ) -> bool:
        use_up = sa.delete(setting).where(
            setting.c.key == SETUP_TOKEN, setting.c.value == token_hash
        )
        try:
            async with self._write.begin() as connection:
                if (await connection.execute(use_up)).rowcount != 1:
                    return False
                await connection.execute(_insert_account(account, password_hash))
                await self._put(connection, settings)
        except IntegrityError:
            raise Refused("invalid-state", f"There is an account {account.name} already.") from None
        return True

    async def _put(self, connection: AsyncConnection, values: dict[str, str]) -> None:
        for key, value in values.items():
            statement = self._insert(setting).values(key=key, value=value)
            statement = statement.on_conflict_do_update(
                index_elements=[setting.c.key], set_={"value": value}
            )
            await connection.execute(statement)


def _insert_account(account: Account, password_hash: str) -> sa.Insert:
    return sa.insert(accounts).values(
        name=account.name,
        display_name=account.display_name,
        password_hash=password_hash,
        role=account.role,
        rooms=list(account.rooms),
        merchant=account.merchant,
        disabled=account.disabled,
        revision=account.revision,
        created_at=account.created_at,
        changed_at=account.created_at,
    )


def _keys_that_end(row: Any) -> sa.Delete:
    """API keys that the account made as somebody it is no longer."""
    k = api_key.c
    other_shop = sa.and_(k.role == "merchant", k.merchant.is_distinct_from(row.merchant))
    changed = sa.or_(sa.literal(row.disabled), k.role != row.role, other_shop)
    return sa.delete(api_key).where(k.maker == row.name, k.of_account, changed)


def _account(row: Any) -> Account:
    return Account(
        name=row.name,
        display_name=row.display_name,
        role=row.role,
        rooms=tuple(row.rooms),
        merchant=row.merchant,
        disabled=row.disabled,
        revision=row.revision,
        created_at=row.created_at,
    )
