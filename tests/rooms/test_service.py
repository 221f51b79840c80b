"""The use cases of rooms, on a real Valkey and a real database."""

import asyncio
import json
from typing import Any

import pytest

from rooms import bus_redis, channels
from rooms.bus import Tally
from rooms.errors import Invalid, NotFound, TooFast, Unavailable, WrongState
from rooms.room import Speaker

VIEWER = Speaker(id="u1", name="Mei")
STAFF = Speaker(id="u2", name="Host", badges=["streamer"])


def sale(id: str, left: int, version: int, **more: Any) -> bytes:
    return json.dumps(
        {
            "id": id,
            "state": "running",
            "units_left": left,
            "starts_at": "2026-09-21T14:05:00.000Z",
            "ends_at": "2026-09-21T14:10:00.000Z",
            "version": version,
            **more,
        }
    ).encode()


async def test_a_room_goes_live_and_ends_and_everybody_hears_it(stage: Any, unique: str) -> None:
    """Each change is one numbered event, and the snapshot is what the events said."""
    room = await stage.service.create(unique, " Tea  ", ["m1"], actor="boss")
    assert (room.title, room.state, room.show) == ("Tea", "idle", None)
    await stage.bus.attach(unique)
    live = await stage.service.start(unique, actor="host")
    assert live.state == "live" and live.started_at == "2026-09-21T14:13:20.000Z"
    with pytest.raises(WrongState):
        await stage.service.start(unique, actor="host")
    await stage.service.edit(unique, title="More tea", actor="host")
    await stage.service.edit(unique, title="More tea", actor="host")  # as it is: not told
    ended = await stage.service.end(unique, actor="host")
    assert (ended.state, ended.show) == ("ended", live.show)
    with pytest.raises(WrongState):
        await stage.service.end(unique, actor="host")
    again = await stage.service.start(unique, actor="host")
    assert again.show != live.show
    await stage.until(lambda: len(stage.events(f"room:{unique}")) == 4)
    assert [event["type"] for event in stage.events(f"room:{unique}")] == [
        "room.started",
        "room.updated",
        "room.ended",
        "room.started",
    ]
    assert [event["actor"] for event in stage.events(f"console:{unique}")] == ["host"] * 4
    snapshot = await stage.snapshot(unique)
    assert snapshot["room"]["show"] == again.show and snapshot["position"]["offset"] == 4


async def test_the_staff_hear_who_did_what(stage: Any, unique: str) -> None:
    """Their channel names the actor and what was pinned or written, not the whole shelf."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    await stage.bus.attach(unique)
    await stage.service.set_notice(unique, "Back soon", actor="host")
    await stage.service.pin(unique, None, actor="helper")
    await stage.until(lambda: len(stage.events(f"console:{unique}")) == 2)
    notice, pin = stage.events(f"console:{unique}")
    assert (notice["type"], notice["actor"], notice["text"]) == ("room.notice", "host", "Back soon")
    assert (pin["type"], pin["actor"], pin["product_id"]) == ("shelf.pinned", "helper", None)


async def test_a_room_that_exists_or_is_badly_named_cannot_be_made(stage: Any, unique: str) -> None:
    """The id is checked, and taken once."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    with pytest.raises(WrongState):
        await stage.service.create(unique, "Tea", [], actor="boss")
    for id in ("", "Ä", "a b", "a" * 41, "room:x", "A"):
        with pytest.raises(Invalid):
            await stage.service.create(id, "Tea", [], actor="boss")
    with pytest.raises(Invalid):
        await stage.service.create(f"{unique}b", "", [], actor="boss")


async def test_an_unknown_room_is_not_found_anywhere(stage: Any, unique: str) -> None:
    """No event, no state and no row comes from a room that nobody made."""
    service = stage.service
    for call in (
        service.get(unique),
        service.snapshot(unique),
        service.start(unique, actor="x"),
        service.set_notice(unique, "hello", actor="x"),
        service.set_shelf(unique, [], actor="x"),
        service.say(unique, VIEWER, b"", b'{"text":"hi"}'),
        service.throw(unique, VIEWER, b"", b'{"text":"hi"}'),
        service.like(unique, 1),
        service.rebuild(unique),
    ):
        with pytest.raises(NotFound):
            await call


async def test_rooms_are_listed_in_pages(stage: Any, unique: str) -> None:
    """The cursor of a page begins the next; the last has none."""
    for n in range(3):
        await stage.service.create(f"{unique}{n}", "Tea", [], actor="boss")
    await stage.service.start(f"{unique}1", actor="boss")
    first, cursor = await stage.service.list(limit=2)
    second, end = await stage.service.list(cursor=cursor, limit=2)
    assert [room.id[-1] for room in first + second] == ["0", "1", "2"] and end is None
    live, _ = await stage.service.list(state="live")
    assert [room.id for room in live] == [f"{unique}1"]


async def test_the_shelf_shows_products_numbered_and_pinned(stage: Any, unique: str) -> None:
    """Unknown products are refused, and a product that leaves the shelf is not pinned any more."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    items = await stage.service.set_shelf(unique, ["prd_2", "prd_1"], actor="host")
    assert items == [
        {"id": "prd_2", "stock": 10, "number": 1},
        {"id": "prd_1", "stock": 10, "number": 2},
    ]
    with pytest.raises(NotFound):
        await stage.service.set_shelf(unique, ["prd_1", "prd_x"], actor="host")
    with pytest.raises(Invalid):
        await stage.service.set_shelf(unique, ["prd_1", "prd_1"], actor="host")
    with pytest.raises(NotFound):
        await stage.service.pin(unique, "prd_3", actor="host")
    await stage.service.pin(unique, "prd_1", actor="host")
    snapshot = await stage.snapshot(unique)
    assert snapshot["shelf"] == items and snapshot["pinned"] == "prd_1"
    assert await stage.service.rooms_showing("prd_2") == [unique]
    await stage.service.set_shelf(unique, ["prd_2"], actor="host")
    assert (await stage.snapshot(unique))["pinned"] is None
    assert await stage.service.rooms_showing("prd_1") == []


async def test_a_changed_stock_shows_on_the_shelf(stage: Any, unique: str) -> None:
    """Many changes make few events, and the last one is shown."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    await stage.service.set_shelf(unique, ["prd_1"], actor="host")
    await stage.bus.attach(unique)
    for left in range(9, -1, -1):
        stage.shop.stock["prd_1"] = left
        await stage.service.refresh_shelf(unique)
        await asyncio.sleep(0)
    await stage.until(
        lambda: [e["items"][0]["stock"] for e in stage.events(f"room:{unique}")][-1:] == [0]
    )
    assert len(stage.events(f"room:{unique}")) <= 3


async def test_a_notice_comes_and_goes(stage: Any, unique: str) -> None:
    """Markup is text like any other."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    await stage.service.set_notice(unique, "<b>包邮</b>", actor="host")
    assert (await stage.snapshot(unique))["notice"] == "<b>包邮</b>"
    await stage.service.set_notice(unique, None, actor="host")
    assert (await stage.snapshot(unique))["notice"] is None
    with pytest.raises(Invalid):
        await stage.service.set_notice(unique, "x" * 501, actor="host")


async def test_sales_are_conflated_by_newest_version(stage: Any, unique: str) -> None:
    """The first news goes out at once, then at most one a tick; older versions never."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    await stage.bus.attach(unique)
    for version in range(1, 101):
        await stage.service.publish_sale(
            unique, "fs_1", sale("fs_1", 100 - version, version), version
        )
    await stage.service.publish_sale(unique, "fs_1", sale("fs_1", 99, 1), 1)
    await stage.until(
        lambda: [e["flash_sale"]["version"] for e in stage.events(f"room:{unique}")][-1:] == [100]
    )
    assert len(stage.events(f"room:{unique}")) <= 2
    assert [s["units_left"] for s in (await stage.snapshot(unique))["flash_sales"]] == [0]


async def test_sales_that_were_over_before_the_show_leave_the_room(stage: Any, unique: str) -> None:
    """The next show begins with a clean shop window, in the snapshot and on the bus."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    await stage.service.publish_sale(unique, "fs_1", sale("fs_1", 0, 5, state="ended"), 5)
    await stage.service.publish_sale(unique, "fs_2", sale("fs_2", 3, 5), 5)
    await stage.until_sales(unique, 2)
    await stage.service.start(unique, actor="host")
    assert [s["id"] for s in (await stage.snapshot(unique))["flash_sales"]] == ["fs_2"]
    found = await stage.bus.snapshot(unique)
    assert found is not None and "flash_sale:fs_1" not in found.parts


async def test_chat_is_numbered_and_kept(stage: Any, unique: str) -> None:
    """What is said comes back by the channel, cleaned, with the speaker as the server knows him."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    await stage.bus.attach(unique)
    said = [
        stage.service.say(unique, VIEWER, b'{"user":"u1"}', b'{"text":" hi ","x":1}'),
        stage.service.say(unique, STAFF, b"", b'{"text":"e\\u0301","reply_to":"msg_1"}'),
    ]
    outcomes = await asyncio.gather(*said)
    assert sorted(o.position.offset for o in outcomes if o.position) == [1, 2]
    await stage.until(lambda: len(stage.events(f"chat:{unique}")) == 2)
    first, second = stage.events(f"chat:{unique}")
    assert first["type"] == "chat" and first["text"] == "hi" and "reply_to" not in first
    assert first["user"] == {"id": "u1", "name": "Mei", "badges": []}
    assert (second["text"], second["reply_to"]) == ("é", "msg_1")
    assert len(stage.got) == 1  # one tick, one call, one delivery
    history = await stage.bus.history(unique, f"chat:{unique}", since=None, limit=-1)
    assert len(history.publications) == 2 and history.publications[0].info == b'{"user":"u1"}'


async def test_chat_beyond_the_cap_is_refused_but_staff_is_heard(stage: Any, unique: str) -> None:
    """Nothing is accepted and dropped: who is not heard is told."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    said = [stage.service.say(unique, VIEWER, b"", b'{"text":"hi"}') for _ in range(60)]
    answers = await asyncio.gather(*said, return_exceptions=True)
    refused = sum(isinstance(answer, TooFast) for answer in answers)
    assert 20 <= refused <= 30
    await stage.service.say(unique, STAFF, b"", b'{"text":"calm down"}')


async def test_danmaku_is_sampled_and_its_sender_gets_his_own(stage: Any, unique: str) -> None:
    """What is dropped is given back to be shown to its sender alone, and counted."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    await stage.bus.attach(unique)
    thrown = [
        stage.service.throw(unique, VIEWER, b"", b'{"text":"666","color":"#FF0000"}')
        for _ in range(40)
    ]
    own = [answer for answer in await asyncio.gather(*thrown) if answer]
    assert 15 <= len(own) <= 20
    item = json.loads(own[0])["items"][0]
    assert (item["text"], item["mode"], item["color"]) == ("666", "scroll", "#ff0000")
    assert await stage.service.throw(unique, STAFF, b"", b'{"text":"hello"}') is None
    await stage.until(lambda: len(stage.events(f"danmaku:{unique}")) == 41 - len(own))
    assert stage.events(f"danmaku:{unique}")[-1]["dropped"] == len(own)


async def test_viewers_and_likes_are_told_once_a_second(stage: Any, unique: str) -> None:
    """One `room.stats` while nothing changes, and the same figures in the snapshot."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    await stage.service.start(unique, actor="host")
    await stage.bus.attach(unique)
    stage.service.note_online(unique, 3)
    await stage.service.like(unique, 7)
    await stage.service.like(unique, 5)
    for _ in range(3):
        await stage.service._tick()
    await stage.until(lambda: stage.events(f"room:{unique}"))
    [stats] = stage.events(f"room:{unique}")
    assert (stats["type"], stats["online"], stats["likes"]) == ("room.stats", 3, 12)
    assert (await stage.snapshot(unique))["stats"] == {"online": 3, "likes": 12}
    with pytest.raises(Invalid):
        await stage.service.like(unique, 0)


async def test_likes_wait_for_a_database_that_is_away(
    stage: Any, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted once it is back, each once."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    await stage.service.like(unique, 7)
    stage.clock.ms += 60_000  # what is known of the room is too old

    async def away(_room: str) -> None:
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(stage.store, "get", away)
        await stage.service._tick()
        assert (await stage.bus.tally([tally(unique)]))[0].likes == 0
    await stage.service._tick()
    await stage.service._tick()
    assert (await stage.bus.tally([tally(unique)]))[0].likes == 7


def tally(room: str) -> Tally:
    """Asks for the totals and adds nothing."""
    return Tally(room=room, show="", online=0)


async def test_a_crowd_asks_the_database_for_a_room_twice(
    stage: Any, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reading is under way, all others share the next; nobody's is older than the question."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    read, asked = stage.store.get, list[str]()

    async def counted(room: str) -> Any:
        asked.append(room)
        return await read(room)

    monkeypatch.setattr(stage.store, "get", counted)
    found = await asyncio.gather(*(stage.service.get(unique) for _ in range(200)))
    assert {room.title for room in found} == {"Tea"}
    assert len(asked) <= 2
    await stage.service.edit(unique, title="Green tea", actor="boss")
    assert (await stage.service.get(unique)).title == "Green tea"


async def test_a_user_is_told_on_the_users_own_channel(stage: Any, unique: str) -> None:
    """Numbered and kept, for pages that are away."""
    await stage.service.tell_user(unique, {"type": "order.updated", "order": {"id": "ord_1"}})
    history = await stage.bus.history(f"#{unique}", f"#{unique}", since=None, limit=-1)
    [kept] = history.publications
    assert json.loads(kept.data) == {
        "type": "order.updated",
        "at": stage.clock.ms,
        "order": {"id": "ord_1"},
    }


async def test_a_lost_state_is_rebuilt_from_the_record_and_the_shop(
    stage: Any, unique: str
) -> None:
    """Shelf, pin, notice, sales and room come back as they were, under a new epoch."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    await stage.service.start(unique, actor="host")
    await stage.service.set_shelf(unique, ["prd_1"], actor="host")
    await stage.service.pin(unique, "prd_1", actor="host")
    await stage.service.set_notice(unique, "Welcome", actor="host")
    stage.shop.flash_sales[unique] = {"fs_1": (sale("fs_1", 3, 5), 5)}
    await stage.service.publish_sale(unique, "fs_1", sale("fs_1", 3, 5), 5)
    before = await stage.until_sales(unique, 1)
    await stage.lose(unique)
    after = await stage.snapshot(unique)
    changing = {"position", "server_time", "stats"}
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    assert after["position"]["epoch"] != before["position"]["epoch"]


async def test_a_change_during_a_lost_state_is_published_after_the_rebuild(
    stage: Any, unique: str
) -> None:
    """The state is put back first; a change that it holds already is not told twice."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    await stage.lose(unique)
    await stage.service.set_notice(unique, "still here", actor="host")
    assert (await stage.snapshot(unique))["notice"] == "still here"


async def test_live_rooms_are_said_again_and_nothing_new_comes_of_it(
    stage: Any, unique: str
) -> None:
    """What the bus has in the same version is dropped there."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    await stage.service.start(unique, actor="host")
    await stage.service.set_notice(unique, "Welcome", actor="host")
    before = (await stage.snapshot(unique))["position"]
    await stage.service._news.say_again(unique)
    assert (await stage.snapshot(unique))["position"] == before
    version = await stage.store.put(unique, "notice", b'"Missed"')
    assert version == 2
    await stage.service.republish_live_rooms()
    assert (await stage.snapshot(unique))["notice"] == "Missed"


async def test_what_was_recorded_while_the_bus_was_gone_is_told_when_it_is_back(
    own_stage: Any, own_server: Any, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is on record and acknowledged; the room learns of it from the record."""
    service = own_stage.service
    await service.create(unique, "Tea", [], actor="boss")
    await service.start(unique, actor="host")
    await own_stage.bus.attach(unique)
    before = (await own_stage.snapshot(unique))["position"]
    own_server.stop()
    monkeypatch.setattr(bus_redis, "CALL_SECONDS", 0.2)
    await service.set_notice(unique, "Welcome", actor="host")
    with pytest.raises(Unavailable):
        await service.say(unique, VIEWER, b"", b'{"text":"hi"}')
    with pytest.raises(Unavailable):
        await service.snapshot(unique)
    monkeypatch.undo()
    own_server.start()
    await own_stage.until(lambda: service._news.doubtful)
    await service._tick()
    after = await own_stage.snapshot(unique)
    assert after["notice"] == "Welcome" and after["room"]["state"] == "live"
    assert after["position"]["epoch"] != before["epoch"]
    await service.say(unique, VIEWER, b"", b'{"text":"hi again"}')
    await own_stage.until(lambda: own_stage.events(f"chat:{unique}"))


async def test_the_background_goes_on_after_a_failure(stage: Any, unique: str) -> None:
    """A tick that fails is logged and the next one does its work."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    await stage.bus.attach(unique)
    stage.service._news.unpublished.add(f"{unique}-unknown")
    stage.service.note_online(unique, 1)
    running = asyncio.create_task(stage.service.run())
    await stage.until(lambda: stage.events(f"room:{unique}"))
    running.cancel()
    assert stage.events(f"room:{unique}")[0]["type"] == "room.stats"


async def test_a_crowd_asking_for_the_snapshot_costs_few_reads(stage: Any, unique: str) -> None:
    """Who asks during a read shares the next one, so that no answer is older than its question."""
    await stage.service.create(unique, "Tea", [], actor="boss")
    reads = 0
    read = stage.bus.snapshot

    async def counted(room: str) -> Any:
        nonlocal reads
        reads += 1
        return await read(room)

    stage.bus.snapshot = counted
    crowd = [asyncio.create_task(stage.service.snapshot(unique)) for _ in range(100)]
    await asyncio.sleep(0)
    await stage.service.set_notice(unique, "new", actor="host")
    assert (await stage.snapshot(unique))["notice"] == "new"
    await asyncio.gather(*crowd)
    assert reads <= 3


async def test_an_operators_channel_is_published_as_its_namespace_says(
    stage: Any, unique: str
) -> None:
    """Kept and numbered with history, without a number else; newlines never split a frame."""
    channel = f"own:{unique}"
    rules = channels.Rules(history_size=2, history_ttl_seconds=60)
    await stage.bus.attach(channel)
    outcome = await stage.service.publish(channel, b'{\n"a": 1}', b"{}", rules)
    assert outcome.position.offset == 1
    plain = await stage.service.publish(channel, b"2", b"", channels.Rules())
    assert plain.position is None
    await stage.until(lambda: len(stage.events(channel)) == 2)
    history = await stage.bus.history(channel, channel, since=None, limit=-1)
    assert [b"\n" in p.data for p in history.publications] == [False]
    with pytest.raises(Invalid):
        await stage.service.publish(channel, b"{\n", b"", rules)
