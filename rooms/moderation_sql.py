"""Sanctions, word lists, reports, held messages and the audit log in SQL."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms import schema_sql
from rooms.audit import DELETED, FIRST, Deed, Entry, entry
from rooms.errors import NotFound, TooFast, Unavailable, WrongState
from rooms.moderation import Kind, Lists, Sanction
from rooms.moderation_store import SERVER, OnRecord
from rooms.reports import (
    HELD_MAX,
    HELD_OF_USER_MAX,
    OF_REPORTER_MAX,
    OF_REPORTER_MS,
    OPEN_MAX,
    Held,
    HeldState,
    Report,
    ReportState,
)
from rooms.room import ChatRules
from rooms.store_sql import SqlStore
from rooms.words import WordList

SANCTIONS_MAX = 10_000  # of one kind in one room: a worker keeps them all, about 2 MB

_room, _part, _sanction = schema_sql.room, schema_sql.room_part, schema_sql.sanction
_list, _audit = schema_sql.word_list, schema_sql.audit_entry
_report, _held = schema_sql.report, schema_sql.held_message


class SqlModeration(SqlStore):
    """The port `rooms.moderation_store.ModerationStore` on SQLite or PostgreSQL."""

    async def on_record(self, room: str, now: int) -> OnRecord | None:
        lists = sa.select(_list.c.scope, _list.c.revision).distinct()
        sanctions = sa.select(_sanction.c.kind, _sanction.c.user, _sanction.c.until)
        async with self._reading() as connection:
            if (
                await connection.execute(sa.select(_room.c.id).where(_room.c.id == room))
            ).first() is None:
                return None
            rules = await _rules(connection, room)
            found = (await connection.execute(sanctions.where(_holds(room, now)))).all()
            revisions = await connection.execute(lists.where(_list.c.scope.in_((room, SERVER))))
            return OnRecord(
                rules=rules,
                mutes={row.user: row.until for row in found if row.kind == "mute"},
                bans=frozenset(row.user for row in found if row.kind == "ban"),
                revisions={row.scope: row.revision for row in revisions},
            )

    # --- word lists and rules ------------------------------------------------------------------

    async def lists(self, scope: str) -> Lists:
        query = sa.select(_list).where(_list.c.scope == scope).order_by(_list.c.place)
        async with self._reading() as connection:
            if scope:
                await _must_exist(connection, scope)
            rows = (await connection.execute(query)).all()
        found = [
            WordList(
                name=row.name, action=row.action, words=msgspec.json.decode(row.words, type=list)
            )
            for row in rows
        ]
        return Lists(rows[0].revision if rows else "", found)

    async def replace_lists(
        self, scope: str, lists: Sequence[WordList], revision: str, deed: Deed, at: int
    ) -> None:
        rows = [
            {
                "scope": scope,
                "name": one.name,
                "place": place,
                "action": one.action,
                "words": msgspec.json.encode(one.words).decode(),
                "revision": revision,
            }
            for place, one in enumerate(lists)
        ]
        async with self._writing() as connection:
            await self._record(connection, scope, deed, at)
            await connection.execute(sa.delete(_list).where(_list.c.scope == scope))
            if rows:
                await connection.execute(sa.insert(_list), rows)

    async def change_rules(
        self, room: str, change: Callable[[ChatRules], ChatRules], deed: Deed, at: int
    ) -> tuple[ChatRules, int]:
        async with self._writing() as connection:
            await self._record(connection, room, deed, at)
            new = change(await _rules(connection, room))
            version = await self._raise(connection, room, "chat_rules", msgspec.json.encode(new))
        return new, version

    # --- sanctions -----------------------------------------------------------------------------

    async def sanction(self, room: str, kind: Kind, what: Sanction, deed: Deed) -> None:
        of_kind = (_sanction.c.room == room) & (_sanction.c.kind == kind)
        over = _sanction.c.until <= what.at
        count = sa.select(sa.func.count()).select_from(_sanction).where(of_kind)
        async with self._writing() as connection:
            await self._record(connection, room, deed, what.at)
            await connection.execute(
                sa.delete(_sanction).where(of_kind, over | (_sanction.c.user == what.user))
            )
            if (await connection.scalar(count) or 0) >= SANCTIONS_MAX:
                raise WrongState(f"{SANCTIONS_MAX} people are sanctioned in this room already")
            values = {**msgspec.structs.asdict(what), "room": room, "kind": kind}
            await connection.execute(sa.insert(_sanction).values(values))

    async def lift(self, room: str, kind: Kind, user: str, deed: Deed, at: int) -> bool:
        here = _holds(room, at) & (_sanction.c.kind == kind) & (_sanction.c.user == user)
        async with self._writing() as connection:
            await self._locked(connection, room)
            done = await connection.execute(sa.delete(_sanction).where(here))
            if done.rowcount:
                await self._record(connection, room, deed, at)
        return done.rowcount > 0

    async def sanctions(
        self, room: str, kind: Kind, now: int, after: str, limit: int
    ) -> list[Sanction]:
        here = _holds(room, now) & (_sanction.c.kind == kind) & (_sanction.c.user > after)
        query = sa.select(_sanction).where(here).order_by(_sanction.c.user).limit(limit)
        async with self._reading() as connection:
            await _must_exist(connection, room)
            rows = await connection.execute(query)
            return [_as(Sanction, row) for row in rows]

    # --- the audit log -------------------------------------------------------------------------

    async def record(self, room: str, deed: Deed, at: int) -> None:
        async with self._writing() as connection:
            await self._record(connection, room, deed, at)

    async def was_deleted(self, room: str, message: str) -> bool:
        deeds = (_audit.c.room == room, _audit.c.action == DELETED, _audit.c.target == message)
        async with self._reading() as connection:
            found = await connection.execute(sa.select(sa.literal(1)).where(*deeds).limit(1))
            return found.first() is not None

    async def audit(self, scope: str, before: int | None, limit: int) -> list[Entry]:
        query = sa.select(_audit).where(_audit.c.room == scope)
        if before is not None:
            query = query.where(_audit.c.number < before)
        async with self._reading() as connection:
            if scope:
                await _must_exist(connection, scope)
            rows = await connection.execute(query.order_by(_audit.c.number.desc()).limit(limit))
            return [_as_entry(row) for row in rows]

    async def _record(self, connection: AsyncConnection, scope: str, deed: Deed, at: int) -> None:
        """Add the next link of the scope's chain; the room is locked from here on."""
        if scope:
            await self._locked(connection, scope)
        last = (
            await connection.execute(
                sa.select(_audit.c.number, _audit.c.hash)
                .where(_audit.c.room == scope)
                .order_by(_audit.c.number.desc())
                .limit(1)
            )
        ).first()
        number, previous = (last.number + 1, last.hash) if last else (1, FIRST)
        link = msgspec.structs.asdict(entry(deed, scope, number, at, previous))
        values = {**link, "room": scope, "details": msgspec.json.encode(deed.details).decode()}
        try:
            await connection.execute(sa.insert(_audit).values(values))
        except IntegrityError:  # two administrators at once, and nothing that they lock in common
            raise Unavailable("Somebody else is changing the same thing") from None

    # --- reports -------------------------------------------------------------------------------

    async def add_report(self, report: Report) -> Report:
        mine = (_report.c.room == report.room) & (_report.c.reporter == report.reporter)
        lately = mine & (_report.c.at > report.at - OF_REPORTER_MS)
        waiting = (_report.c.room == report.room) & (_report.c.state == "open")
        async with self._writing() as connection:
            await self._locked(connection, report.room)
            known = (
                await connection.execute(
                    sa.select(_report).where(mine, _report.c.about == report.about)
                )
            ).first()
            if known is not None:
                first: Report = _as(Report, known)
                return first
            if await _count(connection, _report, lately) >= OF_REPORTER_MAX:
                raise TooFast("You have reported a lot; wait some minutes", reason="too-fast")
            if await _count(connection, _report, waiting) >= OPEN_MAX:
                raise TooFast("Too many reports wait for this room's staff", reason="busy")
            values = {**msgspec.structs.asdict(report), "about": report.about}
            await connection.execute(sa.insert(_report).values(values))
        return report

    async def reports(
        self, room: str, state: ReportState | None, after: str, limit: int
    ) -> list[Report]:
        query = sa.select(_report).where(_report.c.room == room, _report.c.id > after)
        if state is not None:
            query = query.where(_report.c.state == state)
        async with self._reading() as connection:
            await _must_exist(connection, room)
            rows = await connection.execute(query.order_by(_report.c.id).limit(limit))
            return [_as(Report, row) for row in rows]

    async def decide_report(
        self, room: str, id: str, state: ReportState, deed: Deed, at: int
    ) -> list[Report]:
        async with self._writing() as connection:
            await self._locked(connection, room)
            query = sa.select(_report).where(_report.c.room == room, _report.c.id == id)
            one = (await connection.execute(query)).first()
            if one is None:
                raise NotFound("There is no such report in this room")
            if one.state != "open":
                raise WrongState("The report was decided already")
            await self._record(connection, room, deed, at)
            same = (_report.c.id == id) | (
                (_report.c.room == room)
                & (_report.c.message == one.message)
                & (one.message != "")
                & (_report.c.state == "open")
            )
            decided = {"state": state, "decided_by": deed.actor, "decided_at": at}
            changed = sa.update(_report).where(same).values(decided).returning(_report)
            return [_as(Report, row) for row in await connection.execute(changed)]

    # --- held messages -------------------------------------------------------------------------

    async def hold(self, held: Held) -> None:
        waiting = (_held.c.room == held.room) & (_held.c.state == "open")
        values = msgspec.structs.asdict(held)
        values |= {"data": held.data.decode(), "info": held.info.decode()}
        async with self._writing() as connection:
            await self._locked(connection, held.room)
            if await _count(connection, _held, waiting & (_held.c.user == held.user)) >= (
                HELD_OF_USER_MAX
            ):
                raise TooFast("Your earlier messages wait for staff", reason="too-fast")
            if await _count(connection, _held, waiting) >= HELD_MAX:
                raise TooFast("Too many messages wait for this room's staff", reason="busy")
            await connection.execute(sa.insert(_held).values(values))

    async def held(self, room: str, after: str, limit: int) -> list[Held]:
        query = sa.select(_held).where(
            _held.c.room == room, _held.c.state == "open", _held.c.id > after
        )
        async with self._reading() as connection:
            await _must_exist(connection, room)
            rows = await connection.execute(query.order_by(_held.c.id).limit(limit))
            return [_as_held(row) for row in rows]

    async def decide_held(self, room: str, id: str, state: HeldState, deed: Deed, at: int) -> Held:
        here = (_held.c.room == room) & (_held.c.id == id)
        async with self._writing() as connection:
            await self._locked(connection, room)
            one = (await connection.execute(sa.select(_held.c.state).where(here))).first()
            if one is None:
                raise NotFound("No such message waits in this room")
            if one.state != "open":
                raise WrongState("The message was decided already")
            await self._record(connection, room, deed, at)
            decided = {"state": state, "decided_by": deed.actor, "decided_at": at}
            changed = sa.update(_held).where(here).values(decided).returning(_held)
            return _as_held((await connection.execute(changed)).one())


def _holds(room: str, now: int) -> sa.ColumnElement[bool]:
    """Sanctions of a room that are not over."""
    lasting = sa.or_(_sanction.c.until.is_(None), _sanction.c.until > now)
    return sa.and_(_sanction.c.room == room, lasting)


async def _rules(connection: AsyncConnection, room: str) -> ChatRules:
    here = (_part.c.room == room) & (_part.c.part == "chat_rules")
    body = await connection.scalar(sa.select(_part.c.body).where(here))
    return ChatRules() if body is None else msgspec.json.decode(body, type=ChatRules)


async def _must_exist(connection: AsyncConnection, room: str) -> None:
    if (await connection.execute(sa.select(_room.c.id).where(_room.c.id == room))).first() is None:
        raise NotFound(f"There is no room {room}")


async def _count(connection: AsyncConnection, table: sa.Table, what: Any) -> int:
    counted = await connection.scalar(sa.select(sa.func.count()).select_from(table).where(what))
    return counted or 0


def _as(shape: type[Any], row: Any) -> Any:
    return shape(**{name: getattr(row, name) for name in shape.__struct_fields__})


def _as_held(row: Any) -> Held:
    values = {name: getattr(row, name) for name in Held.__struct_fields__}
    return Held(**{**values, "data": row.data.encode(), "info": row.info.encode()})


def _as_entry(row: Any) -> Entry:
    values = {name: getattr(row, name) for name in Entry.__struct_fields__}
    return Entry(**{**values, "details": msgspec.json.decode(row.details)})
