"""
Stream keys: what OBS and its like send as Bearer. One a room, shown once, kept as a hash.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from liveserver.schema_sql import stream_key as _key

PREFIX = "sk_"  # tells a key from a token at a glance


def looks_like_key(text: str) -> bool:
    """Whether a Bearer is a stream key rather than a token."""
    return text.startswith(PREFIX)


class SqlStreamKeys:
    """`now` is in milliseconds."""

    def __init__(
        self, write_engine: AsyncEngine, read_engine: AsyncEngine, now: Callable[[], int]
    ) -> None:
        self._write_engine = write_engine
        self._read_engine = read_engine
        self._now = now

    async def rotate(self, room: str) -> str:
        """A new key of 192 bits; the room's earlier one ends with it."""
        key = PREFIX + secrets.token_urlsafe(24)
        values = {"digest": _digest(key), "made_at": self._now()}
        async with self._write_engine.begin() as connection:
            done = await connection.execute(
                sa.update(_key).where(_key.c.room == room).values(values)
            )
            if done.rowcount == 0:
                await connection.execute(sa.insert(_key).values(room=room, **values))
        return key

    async def is_valid(self, room: str, key: str) -> bool:
        """Whether this is the room's present key."""
        query = sa.select(_key.c.digest).where(_key.c.room == room)
        async with self._read_engine.connect() as connection:
            known = await connection.scalar(query)
        return known is not None and hmac.compare_digest(known, _digest(key))


def _digest(key: str) -> str:
    """The key has 192 random bits: a plain hash cannot be guessed back."""
    return hashlib.sha256(key.encode()).hexdigest()
