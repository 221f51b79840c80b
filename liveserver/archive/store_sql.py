"""The archive in SQL: SQLite and PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from liveserver.archive.entry import ENDED, GAP, SNAPSHOT, Entry, Line, Show
from liveserver.archive.schema_sql import archive_rule, show_events
from rooms.bus import Position
from rooms.errors import Unavailable
from rooms.reports import Fate, tombstone
from rooms.schema_sql import show as shows

LAST_LINES = 200  # numbered lines looked at for the end: chat of the last second may follow it
ROWS_MAX = 500  # of one statement: their values stay below what SQLite binds at once


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What the archive counts of a show. Viewers and likes as the room's stats told them."""

    messages: int
    danmaku: int
    deleted: int
    viewers_peak: int
    likes: int
    gaps: int


class SqlArchive:
    """Every method raises `rooms.errors.Unavailable` where the database does not answer."""

    def __init__(self, write_engine: AsyncEngine, read_engine: AsyncEngine) -> None:
        self._write = write_engine
        self._read = read_engine
        self._insert = (postgresql if write_engine.dialect.name == "postgresql" else sqlite).insert
        adding = self._insert(show_events).on_conflict_do_nothing()
        fields = Entry.__struct_fields__  # in the order of the table
        dialect = write_engine.dialect
        self._add = adding.compile(dialect=dialect, column_keys=fields, for_executemany=True).string

    async def add(self, entries: Sequence[Entry]) -> None:
        """Write all of them in one transaction; those that are there already change nothing."""
        async with self._writing() as connection:
            for start in range(0, len(entries), ROWS_MAX):
                # SQLAlchemy's own way to a row of parameters takes longer than a line of chat's
                rows = [msgspec.structs.astuple(one) for one in entries[start : start + ROWS_MAX]]
                await connection.exec_driver_sql(self._add, rows)

    async def erase(self, room: str, channel: str, ids: Sequence[str], at: int) -> None:
        """Put a tombstone in place of these messages of a channel; unknown ids pass."""
        t = show_events.c
        async with self._writing() as connection:
            for id in ids:
                await connection.execute(
                    sa.update(show_events)
                    .where(t.room == room, t.message == id, t.channel == channel)
                    .values(json=tombstone(id, at).decode(), type="deleted")
                )

    async def fate(self, room: str, channel: str, id: str) -> Fate:
        """What is on record of a message."""
        t = show_events.c
        of_it = (t.room == room, t.message == id, t.channel == channel)
        async with self._reading() as connection:
            kind = await connection.scalar(sa.select(t.type).where(*of_it).limit(1))
        return "unknown" if kind is None else "deleted" if kind == "deleted" else "said"

    async def tops(self, show: str) -> dict[str, Position]:
        """How far each numbered channel of a show is written."""
        t = show_events.c
        last = sa.select(sa.func.max(t.n)).where(t.show == show, t.offset > 0).group_by(t.channel)
        query = sa.select(t.channel, t.epoch, t.offset).where(t.n.in_(last))
        async with self._reading() as connection:
            rows = await connection.execute(query)
            return {channel: Position(epoch, offset) for channel, epoch, offset in rows}

    async def has_end(self, show: str) -> bool:
        """Whether the archive of a show reaches its end."""
        t = show_events.c
        query = sa.select(t.type).where(t.show == show, t.offset > 0).order_by(t.n.desc())
        async with self._reading() as connection:
            last = await connection.scalars(query.limit(LAST_LINES))
            return ENDED in last.all()

    async def lately(self, since: int) -> list[Show]:
        """Shows that are live or ended at `since` (milliseconds) or later, in order of id."""
        ended_at = shows.c.ended_at
        late = sa.or_(ended_at.is_(None), ended_at >= since)
        async with self._reading() as connection:
            rows = await connection.execute(_shows().where(late).order_by(shows.c.id))
            return [_show(row) for row in rows]

    async def prune(self, before: int, limit: int) -> int:
        """
        Delete at most `limit` lines of shows that ended before `before` (milliseconds).

        Returns how many there were; fewer than `limit` means that none are left.
        """
        t = show_events.c
        old = sa.select(shows.c.id).where(shows.c.ended_at < before)
        first = sa.select(t.n).where(t.show.in_(old)).limit(limit)
        async with self._writing() as connection:
            found = await connection.execute(sa.delete(show_events).where(t.n.in_(first)))
            return found.rowcount

    # --- reading -------------------------------------------------------------------------------

    async def show(self, id: str) -> Show | None:
        """One show."""
        async with self._reading() as connection:
            row = (await connection.execute(_shows().where(shows.c.id == id))).one_or_none()
        return None if row is None else _show(row)

    async def shows_of(
        self, room: str, before: str | None, limit: int, *, rehearsals: bool
    ) -> list[Show]:
        """Shows of a room, newest first, `rehearsals` too or not; ids of shows sort by time."""
        query = _shows().where(shows.c.room == room).order_by(shows.c.id.desc()).limit(limit)
        if not rehearsals:
            query = query.where(sa.not_(shows.c.rehearsal))
        if before is not None:
            query = query.where(shows.c.id < before)
        async with self._reading() as connection:
            return [_show(row) for row in await connection.execute(query)]

    async def lines(
        self,
        show: str,
        *,
        after: int = 0,
        limit: int,
        channel: str | None = None,
        types: Sequence[str] = (),
        since: int | None = None,
        until: int | None = None,
    ) -> list[Line]:
        """Lines of a show in the order in which they were written; times in milliseconds."""
        t = show_events.c
        columns = (t.n, t.channel, t.epoch, t.offset, t.at, t.type, t.json)
        query = sa.select(*columns).where(t.show == show, t.n > after).order_by(t.n).limit(limit)
        if channel is not None:
            query = query.where(t.channel == channel)
        if types:
            query = query.where(t.type.in_(types))
        if since is not None:
            query = query.where(t.at >= since)
        if until is not None:
            query = query.where(t.at < until)
        async with self._reading() as connection:
            return [Line(**row._mapping) for row in await connection.execute(query)]

    async def summary(self, show: str) -> Summary:
        """Counts of one show."""
        t = show_events.c
        counts = sa.select(t.type, sa.func.count()).where(t.show == show).group_by(t.type)
        stats = sa.select(t.json).where(t.show == show, t.type == "room.stats")
        peak = likes = 0
        async with self._reading() as connection:
            known: dict[str, int] = {kind: n for kind, n in await connection.execute(counts)}
            for (body,) in await connection.execute(stats):
                event = msgspec.json.decode(body)
                peak, likes = max(peak, event["online"]), max(likes, event["likes"])
        return Summary(
            messages=known.get("chat", 0),
            danmaku=known.get("danmaku", 0),
            deleted=known.get("deleted", 0),
            viewers_peak=peak,
            likes=likes,
            gaps=known.get(GAP, 0),
        )

    async def first_snapshot(self, show: str) -> Line | None:
        """The room's state where the archive of the show begins."""
        found = await self.lines(show, limit=1, types=(SNAPSHOT,))
        return found[0] if found else None

    # --- rules ---------------------------------------------------------------------------------

    async def set_open(self, room: str, open: bool) -> None:
        """Whether anybody may read what was shown and said in a room, once a show is over."""
        statement = self._insert(archive_rule).values(room=room, open=open)
        async with self._writing() as connection:
            await connection.execute(
                statement.on_conflict_do_update(index_elements=["room"], set_={"open": open})
            )

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._write.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError, TimeoutError) as problem:
            raise Unavailable("The archive's database does not answer") from problem

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._read.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError, TimeoutError) as problem:
            raise Unavailable("The archive's database does not answer") from problem


def _shows() -> sa.Select[Any]:
    rule = sa.func.coalesce(archive_rule.c.open, sa.true()).label("open")
    joined = shows.outerjoin(archive_rule, archive_rule.c.room == shows.c.room)
    s = shows.c
    columns = (s.id, s.room, s.started_at, s.ended_at, s.rehearsal)
    return sa.select(*columns, rule).select_from(joined)


def _show(row: Any) -> Show:
    return Show(
        id=row.id, room=row.room, started_at=row.started_at, ended_at=row.ended_at,
        open=bool(row.open) and not row.rehearsal, rehearsal=bool(row.rehearsal),
    )  # fmt: skip
