"""
API keys: what programs of merchants and administrators send as Bearer. Shown once, kept hashed.

A key stands for the person who made it, within its scopes (`liveserver.scopes`). It is looked up at
every request, so a deleted key ends at once in every worker. An account that is closed, or gets
another role or shop, takes its keys with it (`people_sql.py`); a changed password leaves them.
"""

import hashlib
import logging
import re
import secrets
from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from liveserver.identity import Identity
from liveserver.problems import Refused
from liveserver.schema_sql import account as _account
from liveserver.schema_sql import api_key as _key

log = logging.getLogger(__name__)

PREFIX = "lsk_"  # tells a key from a token at a glance, and finds it where it was left lying
SECRET = re.compile(PREFIX + r"[A-Za-z0-9_-]{32}")
KEYS_MAX = 100  # of one shop, and of the administrators together
USED_MS = 3_600_000  # a use is noted once in so long


def looks_like_key(text: str) -> bool:
    """Whether a Bearer is an API key rather than a token."""
    return text.startswith(PREFIX)


def may_be_key(text: str) -> bool:
    """Whether it is worth looking for."""
    return SECRET.fullmatch(text) is not None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key without its secret. Times in milliseconds."""

    id: str
    name: str
    scopes: tuple[str, ...]
    hint: str
    maker: str
    merchant: str | None
    made_at: int
    used_at: int | None


class SqlApiKeys:
    """`now` is in milliseconds; `new_id` makes an id of a prefix."""

    def __init__(
        self,
        write_engine: AsyncEngine,
        read_engine: AsyncEngine,
        now: Callable[[], int],
        new_id: Callable[[str], str],
    ) -> None:
        self._write_engine = write_engine
        self._read_engine = read_engine
        self._now = now
        self._new_id = new_id

    async def make(self, who: Identity, name: str, scopes: tuple[str, ...]) -> tuple[ApiKey, str]:
        """
        A new key of 192 bits, and its secret.

        Raises:
            Refused: `invalid-state` if there are too many.
        """
        secret, shop = PREFIX + secrets.token_urlsafe(24), _shop(who)
        made = ApiKey(
            id=self._new_id("key"),
            name=name,
            scopes=scopes,
            hint=secret[-4:],
            maker=who.user,
            merchant=shop,
            made_at=self._now(),
            used_at=None,
        )
        count = sa.select(sa.func.count()).where(_key.c.merchant.is_not_distinct_from(shop))
        values = msgspec.structs.asdict(made) | {
            "scopes": list(scopes),
            "digest": _digest(secret),
            "role": who.role,
            "of_account": who.revision is not None,
        }
        async with self._write_engine.begin() as connection:
            if (await connection.scalar(count) or 0) >= KEYS_MAX:
                raise Refused("invalid-state", f"There are {KEYS_MAX} keys; delete one first.")
            await connection.execute(sa.insert(_key).values(values))
        return made, secret

    async def list(self, merchant: str | None) -> list[ApiKey]:
        """The keys of a shop, oldest first; None: of all shops and administrators."""
        query = sa.select(_key).order_by(_key.c.id)
        if merchant is not None:
            query = query.where(_key.c.merchant == merchant)
        async with self._read_engine.connect() as connection:
            return [_shape(row) for row in await connection.execute(query)]

    async def get(self, key_id: str) -> ApiKey | None:
        async with self._read_engine.connect() as connection:
            query = sa.select(_key).where(_key.c.id == key_id)
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _shape(row)

    async def delete(self, key_id: str) -> None:
        """Programs that send the key are refused from now on."""
        async with self._write_engine.begin() as connection:
            await connection.execute(sa.delete(_key).where(_key.c.id == key_id))

    async def holder(self, secret: str) -> Identity | None:
        """Whom the key stands for; None if there is no such key, or its account has changed."""
        query = (
            sa.select(_key, _account.c.display_name)
            .select_from(_key.outerjoin(_account, _account.c.name == _key.c.maker))
            .where(_key.c.digest == _digest(secret), sa.or_(~_key.c.of_account, _unchanged()))
        )
        async with self._read_engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        await self._note_use(row)
        return Identity(
            user=row.maker,
            name=(row.display_name if row.of_account else "") or row.name[:24],
            role=row.role,
            merchant=row.merchant,
            scopes=tuple(row.scopes),
        )

    async def _note_use(self, row: Any) -> None:
        """Once an hour; a database that is busy notes the next use."""
        now = self._now()
        if row.used_at is not None and now - row.used_at < USED_MS:
            return
        stale = sa.or_(_key.c.used_at.is_(None), _key.c.used_at <= now - USED_MS)
        try:
            async with self._write_engine.begin() as connection:
                await connection.execute(
                    sa.update(_key).where(_key.c.id == row.id, stale).values(used_at=now)
                )
        except DBAPIError as error:
            log.warning("the use of an API key was not noted: %s", error)


def _shop(who: Identity) -> str | None:
    """Whose key it is: an administrator's belongs to no shop."""
    return who.merchant if who.role == "merchant" else None


def _unchanged() -> sa.ColumnElement[bool]:
    """Whether the maker's account is open and still what it was."""
    return sa.and_(
        ~_account.c.disabled,
        _account.c.role == _key.c.role,
        sa.or_(
            _key.c.role != "merchant",
            _account.c.merchant.is_not_distinct_from(_key.c.merchant),
        ),
    )


def _shape(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        scopes=tuple(row.scopes),
        hint=row.hint,
        maker=row.maker,
        merchant=row.merchant,
        made_at=row.made_at,
        used_at=row.used_at,
    )


def _digest(key: str) -> str:
    """The key has 192 random bits: a plain hash cannot be guessed back."""
    return hashlib.sha256(key.encode()).hexdigest()
