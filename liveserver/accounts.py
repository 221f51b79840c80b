"""The accounts of a database, opened for one use by the command line or the supervisor."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from liveserver.db import make_engine
from liveserver.people import People
from liveserver.people_sql import SqlPeople


@asynccontextmanager
async def open_people(database_url: str) -> AsyncIterator[People]:
    """People over engines of their own, closed at the end."""
    write, read = make_engine(database_url), make_engine(database_url, read_only=True)
    people = People(SqlPeople(write, read), now=lambda: time.time_ns() // 1_000_000)
    try:
        yield people
    finally:
        await people.close()
        await write.dispose()
        await read.dispose()


async def setup_link(database_url: str, public_url: str) -> str | None:
    """The one-time link that makes the administrator; None once there is one. Ends older links."""
    async with open_people(database_url) as people:
        token = await people.setup_token()
    return None if token is None else f"{public_url}/setup?token={token}"
