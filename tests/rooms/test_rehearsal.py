"""What a rehearsal is: rules, and the use cases on a real Valkey and a real database."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms import rehearsal
from rooms.errors import Rehearses, WrongState
from rooms.room import Room

SALE = {"id": "rehearsal_1", "show": None, "version": 1}
TIMES = st.sampled_from(["2026-09-21T14:00:00.000Z", "2026-09-21T15:00:00.000Z"])
ROOMS = st.builds(
    Room,
    id=st.just("tea"),
    title=st.just("Tea"),
    state=st.sampled_from(["idle", "live", "ended"]),
    show=st.just("shw_0"),
    started_at=st.none() | TIMES,
    merchant_ids=st.just(["m1"]),
    rehearsal=st.booleans(),
)


@given(ROOMS, TIMES, st.booleans())
def test_a_show_or_a_rehearsal_begins_only_where_neither_is_on(
    room: Room, now: str, wish: bool
) -> None:
    """It is what was asked for, whatever the show before was, and time does not go back."""
    if room.state == "live":
        with pytest.raises(WrongState):
            rehearsal.begin(room, show="shw_1", started_at=now, rehearsal=wish)
        return
    begun = rehearsal.begin(room, show="shw_1", started_at=now, rehearsal=wish)
    assert (begun.state, begun.show, begun.rehearsal) == ("live", "shw_1", wish)
    assert begun.started_at is not None and begun.started_at >= max(now, room.started_at or "")
    assert rehearsal.is_on(begun) is wish


@given(ROOMS)
def test_nothing_is_sold_exactly_while_the_room_rehearses(room: Room) -> None:
    """A room whose last show was a rehearsal sells as any other does."""
    refuses = {
        check: _refusal(check, room) for check in (rehearsal.check_sells, rehearsal.check_is_on)
    }
    on = room.rehearsal and room.state == "live"
    assert refuses[rehearsal.check_sells] is (Rehearses if on else None)
    assert refuses[rehearsal.check_is_on] is (None if on else WrongState)


def _refusal(check: Any, room: Room) -> type[Exception] | None:
    try:
        check(room)
    except (Rehearses, WrongState) as refusal:
        return type(refusal)
    return None


async def test_a_rehearsal_is_listed_only_for_those_who_may_know(stage: Any, unique: str) -> None:
    """Rooms that rehearse are left out of pages without making them shorter; then they are back."""
    service, ids = stage.service, [f"{unique}{n}" for n in range(3)]
    for id in ids:
        await service.create(id, "Tea", [], actor="boss")
    await service.start(ids[0], actor="host", rehearsal=True)
    await service.start(ids[2], actor="host")

    async def listed(*more: Any, **chosen: Any) -> list[str]:
        return [room.id for room in (await service.list(*more, **chosen))[0]]

    assert await listed() == ids[1:]
    assert await listed(limit=1) == [ids[1]]
    assert await listed("live") == [ids[2]]
    assert await listed(rehearsing=[ids[0]]) == ids
    assert await listed(rehearsing=[ids[1]]) == ids[1:]
    assert await listed(rehearsing=None) == ids
    await service.end(ids[0], actor="host")
    assert await listed() == ids


async def test_a_tried_sale_is_seen_until_the_rehearsal_ends(stage: Any, unique: str) -> None:
    """It names its show, late joiners find it, and it is nowhere but in a rehearsal."""
    service = stage.service
    await service.create(unique, "Tea", [], actor="boss")
    for start in ({}, {"rehearsal": True}):
        with pytest.raises(WrongState):
            await service.try_sale(unique, SALE, actor="host")
        show = (await service.start(unique, actor="host", **start)).show
        if not start:
            with pytest.raises(WrongState):
                await service.try_sale(unique, SALE, actor="host")
            await service.end(unique, actor="host")
    await service.try_sale(unique, SALE, actor="host")
    seen = await stage.snapshot(unique)
    assert seen["rehearsal_sale"] == {**SALE, "show": show}
    assert seen["room"]["rehearsal"] is True and seen["flash_sales"] == []
    await stage.lose(unique)
    assert (await stage.snapshot(unique))["rehearsal_sale"] == {**SALE, "show": show}
    ended = await service.end(unique, actor="host")
    assert (ended.state, ended.rehearsal) == ("ended", True)
    assert (await stage.snapshot(unique))["rehearsal_sale"] is None
    real = await service.start(unique, actor="host")
    assert real.rehearsal is False
    assert msgspec.to_builtins(real) == (await stage.snapshot(unique))["room"]
