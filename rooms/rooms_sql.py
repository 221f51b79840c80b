"""Rooms, shows and parts in SQL. A room's row is locked first, so its changes happen one by one."""

import json
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from rooms import schema_sql
from rooms.errors import WrongState
from rooms.room import Room
from rooms.store import Part, ReadProducts
from rooms.store_sql import SqlStore
from rooms.times import rfc3339

_room, _show, _part = schema_sql.room, schema_sql.show, schema_sql.room_part


class SqlRooms(SqlStore):
    """The port `rooms.store.RoomStore` on SQLite or PostgreSQL."""

    async def create(self, room: Room, parts: dict[str, bytes], *, at: int) -> None:
        row = {**msgspec.structs.asdict(room), "started_at": None, "created_at": at}
        rows = [
            {"room": room.id, "part": part, "version": 1, "body": body.decode()}
            for part, body in parts.items()
        ]
        try:
            async with self._writing() as connection:
                await connection.execute(sa.insert(_room).values(row))
                await connection.execute(sa.insert(_part), rows)
        except IntegrityError:
            raise WrongState(f"There is a room {room.id} already") from None

    async def get(self, id: str) -> Room | None:
        async with self._reading() as connection:
            row = (await connection.execute(sa.select(_room).where(_room.c.id == id))).first()
        return None if row is None else _as_room(row)

    async def page(
        self, state: str | None, after: str, limit: int, rehearsing: Collection[str] | None = ()
    ) -> list[Room]:
        query = sa.select(_room).where(_room.c.id > after).order_by(_room.c.id).limit(limit)
        if rehearsing is not None:
            hidden = (_room.c.state == "live") & _room.c.rehearsal
            query = query.where(sa.not_(hidden) | _room.c.id.in_(rehearsing))
        if state is not None:
            query = query.where(_room.c.state == state)
        async with self._reading() as connection:
            return [_as_room(row) for row in await connection.execute(query)]

    async def change(
        self, id: str, change: Callable[[Room], Room], *, at: int
    ) -> tuple[Room, int | None]:
        async with self._writing() as connection:
            old = await self._lock(connection, id)
            new = change(old)
            if new == old:
                return new, None
            await connection.execute(sa.update(_room).where(_room.c.id == id).values(_values(new)))
            await self._record_show(connection, old, new, at)
            version = await self._raise(connection, id, "room", msgspec.json.encode(new))
        return new, version

    async def put(self, id: str, part: str, body: bytes) -> int:
        async with self._writing() as connection:
            await self._lock(connection, id)
            return await self._raise(connection, id, part, body)

    async def put_shelf(
        self, id: str, product_ids: Sequence[str] | None, read: ReadProducts
    ) -> tuple[list[dict[str, object]], int]:
        async with self._writing() as connection:
            await self._lock(connection, id)
            if product_ids is None:
                stored = await connection.scalar(
                    sa.select(_part.c.body).where(_part.c.room == id, _part.c.part == "shelf")
                )
                product_ids = json.loads(stored or "[]")
            version = await self._raise(
                connection, id, "shelf", msgspec.json.encode(list(product_ids))
            )
            items = await read(list(product_ids))
        return items, version

    async def parts(self, id: str) -> dict[str, Part]:
        query = sa.select(_part.c.part, _part.c.body, _part.c.version).where(_part.c.room == id)
        async with self._reading() as connection:
            rows = await connection.execute(query)
            return {row.part: Part(row.body.encode(), row.version) for row in rows}

    async def with_part(self, part: str) -> dict[str, bytes]:
        query = sa.select(_part.c.room, _part.c.body).where(_part.c.part == part)
        async with self._reading() as connection:
            rows = await connection.execute(query)
            return {row.room: row.body.encode() for row in rows}

    async def rooms_showing(self, product_id: str) -> list[str]:
        quoted = json.dumps(product_id, ensure_ascii=False)
        query = sa.select(_part.c.room).where(
            _part.c.part == "shelf", _part.c.body.contains(quoted, autoescape=True)
        )
        async with self._reading() as connection:
            return list((await connection.scalars(query.order_by(_part.c.room))).all())

    async def live(self) -> list[str]:
        query = sa.select(_room.c.id).where(_room.c.state == "live").order_by(_room.c.id)
        async with self._reading() as connection:
            return list((await connection.scalars(query)).all())

    async def _lock(self, connection: AsyncConnection, id: str) -> Room:
        return _as_room(await self._locked(connection, id))

    async def _record_show(
        self, connection: AsyncConnection, old: Room, new: Room, at: int
    ) -> None:
        if old.state == "live" and (new.state != "live" or new.show != old.show):
            await connection.execute(
                sa.update(_show).where(_show.c.id == old.show).values(ended_at=at)
            )
        if new.state == "live" and new.show != old.show:
            started = at if new.started_at is None else _ms(new.started_at)  # as the room says
            await connection.execute(
                sa.insert(_show).values(
                    id=new.show, room=new.id, started_at=started, rehearsal=new.rehearsal
                )
            )


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _values(room: Room) -> dict[str, Any]:
    started = None if room.started_at is None else _ms(room.started_at)
    return {**msgspec.structs.asdict(room), "started_at": started}


def _as_room(row: Any) -> Room:
    return Room(
        id=row.id,
        title=row.title,
        state=row.state,
        show=row.show,
        started_at=None if row.started_at is None else rfc3339(row.started_at),
        merchant_ids=list(row.merchant_ids),
        rehearsal=bool(row.rehearsal),
    )
