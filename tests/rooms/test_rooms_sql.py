"""Rooms on record: the same on SQLite and PostgreSQL."""

import asyncio

import msgspec
import pytest
import sqlalchemy as sa

from rooms import schema_sql
from rooms.errors import NotFound, WrongState
from rooms.room import Room
from rooms.rooms_sql import SqlRooms

AT = 1_790_000_000_000


def room(id: str = "tea", **more: object) -> Room:
    made = Room(
        id=id, title="Tea 茶", state="idle", show=None, started_at=None, merchant_ids=["m1", "m2"]
    )
    return msgspec.structs.replace(made, **more)


async def begin(store: SqlRooms, *ids: str) -> None:
    for id in ids:
        await store.create(room(id), {"room": b"{}"}, at=AT)


def live(show: str, started_at: str = "2026-09-21T14:13:20.007Z"):
    def change(old: Room) -> Room:
        return msgspec.structs.replace(old, state="live", show=show, started_at=started_at)

    return change


async def test_a_room_is_read_back_as_it_was_written(store: SqlRooms) -> None:
    """Every field, and None for a room that is not there."""
    await begin(store, "tea")
    assert await store.get("tea") == room()
    assert await store.get("nothing") is None
    with pytest.raises(WrongState):
        await begin(store, "tea")


async def test_changes_raise_the_version_and_record_shows(store: SqlRooms) -> None:
    """A show has a begin, and an end when the room leaves it."""
    await begin(store, "tea")
    changed, version = await store.change("tea", live("shw_1"), at=AT + 7)
    assert version == 2 and await store.get("tea") == changed
    assert changed.started_at == "2026-09-21T14:13:20.007Z"
    await store.change("tea", lambda old: msgspec.structs.replace(old, state="ended"), at=AT + 9)
    await store.change("tea", live("shw_2", "2026-09-21T14:13:20.011Z"), at=AT + 11)
    async with store._read_engine.connect() as connection:
        shows = (await connection.execute(sa.select(schema_sql.show).order_by("id"))).all()
    assert [(s.id, s.room, s.started_at, s.ended_at) for s in shows] == [
        ("shw_1", "tea", AT + 7, AT + 9),
        ("shw_2", "tea", AT + 11, None),
    ]
    assert (await store.parts("tea"))["room"].version == 4
    assert await store.live() == ["tea"]


async def test_a_show_begins_when_its_room_says_it_did(store: SqlRooms) -> None:
    """The room takes the time before the transaction does: both tell the earlier one."""
    await begin(store, "tea")
    changed, _ = await store.change("tea", live("shw_1"), at=AT + 60)
    async with store._read_engine.connect() as connection:
        [show] = (await connection.execute(sa.select(schema_sql.show))).all()
    assert changed.started_at == "2026-09-21T14:13:20.007Z" and show.started_at == AT + 7


async def test_what_is_as_it_was_keeps_its_version(store: SqlRooms) -> None:
    """The same title again is no change: nothing is written."""
    await begin(store, "tea")
    same, version = await store.change("tea", lambda old: msgspec.structs.replace(old), at=AT)
    assert (same, version) == (room(), None)
    assert (await store.parts("tea"))["room"].version == 1


async def test_a_refused_change_changes_nothing(store: SqlRooms) -> None:
    """The rule's refusal undoes all of it."""
    await begin(store, "tea")

    def refuse(old: Room) -> Room:
        raise WrongState("no")

    with pytest.raises(WrongState):
        await store.change("tea", refuse, at=AT)
    with pytest.raises(NotFound):
        await store.change("coffee", live("shw_1"), at=AT)
    assert await store.get("tea") == room()


async def test_versions_rise_by_one_even_when_many_write(store: SqlRooms) -> None:
    """Each change of a part has a version of its own."""
    await begin(store, "tea")
    versions = await asyncio.gather(
        *(store.put("tea", "notice", b'"%d"' % n) for n in range(5)),
        *(store.put("tea", "pinned", b"null") for _ in range(3)),
    )
    assert sorted(versions[:5]) == [1, 2, 3, 4, 5] and sorted(versions[5:]) == [1, 2, 3]
    newest = versions.index(5)
    assert (await store.parts("tea"))["notice"].body == b'"%d"' % newest
    with pytest.raises(NotFound):
        await store.put("coffee", "notice", b"null")


async def test_the_shelf_is_read_while_it_is_locked(store: SqlRooms) -> None:
    """A refresh reads the ids on record; what the reading refuses undoes the change."""
    await begin(store, "tea", "coffee")

    async def read(ids: list[str]) -> list[dict[str, object]]:
        if "bad" in ids:
            raise NotFound("bad")
        return [{"id": id} for id in ids]

    assert await store.put_shelf("tea", ["p_1", 'p"2'], read) == ([{"id": "p_1"}, {"id": 'p"2'}], 1)
    with pytest.raises(NotFound):
        await store.put_shelf("tea", ["bad"], read)
    assert await store.put_shelf("tea", None, read) == ([{"id": "p_1"}, {"id": 'p"2'}], 2)
    assert await store.put_shelf("coffee", None, read) == ([], 1)
    await store.put_shelf("coffee", ["px1"], read)
    assert await store.rooms_showing("p_1") == ["tea"]
    assert await store.rooms_showing('p"2') == ["tea"]
    assert await store.rooms_showing("p") == []


async def test_rooms_come_in_pages_by_id(store: SqlRooms) -> None:
    """After an id, of a state if wished."""
    await begin(store, "a", "c", "b")
    assert [r.id for r in await store.page(None, "", 2)] == ["a", "b"]
    assert [r.id for r in await store.page(None, "b", 2)] == ["c"]
    await store.change("b", live("shw_1"), at=AT)
    assert [r.id for r in await store.page("live", "", 9)] == ["b"]
