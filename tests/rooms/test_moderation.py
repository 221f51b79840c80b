"""Moderation on a real bus and real databases: what holds, where, and what is on record of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import msgspec
import pytest

from liveserver.simplified import simplified
from rooms import audit
from rooms.audit import Deed
from rooms.bus_redis import RedisBus
from rooms.errors import Forbidden, Invalid, NotFound, Refusal, TooFast, Unavailable, WrongState
from rooms.folding import Folding
from rooms.guard_service import READ_AGAIN_MS, Guard
from rooms.moderation import Sanction
from rooms.moderation_service import Actor, Moderation
from rooms.moderation_sql import SqlModeration
from rooms.reports import Held, Report
from rooms.room import Room, Speaker
from rooms.rooms_sql import SqlRooms
from rooms.service import RoomService
from rooms.words import WordList
from tests.rooms.conftest import Clock, Shop, Stage

MOD = Actor("mod", "moderator")
ANN = Speaker(id="ann", name="Ann")
BEN = Speaker(id="ben", name="Ben")
FOLDING = Folding(simplified())


class Worker(Stage):
    """A stage whose rooms are guarded."""

    guard: Guard
    moderation: Moderation

    async def say(self, room: str, speaker: Speaker, text: str) -> None:
        data = msgspec.json.encode({"text": text})
        await self.service.say(room, speaker, b"", data)

    async def refused(self, room: str, speaker: Speaker, text: str) -> str:
        """The reason why this may not be said."""
        with pytest.raises(Refusal) as refusal:
            await self.say(room, speaker, text)
        return str(refusal.value.facts["reason"])

    async def kept(self, room: str) -> list[dict[str, Any]]:
        """What a newcomer reads."""
        read = await self.bus.history(room, f"chat:{room}", since=None, limit=-1)
        return [msgspec.json.decode(item.data) for item in read.publications]


@asynccontextmanager
async def working(
    url: str, store: SqlRooms, name: str, clock: Clock, archive: Any = None
) -> AsyncIterator[Worker]:
    bus, shop, ids = RedisBus(url, name), Shop(), count(1)
    records = SqlModeration(store._write_engine, store._read_engine)
    guard = Guard(bus, records, FOLDING, now=clock)

    def new_id(prefix: str) -> str:
        return f"{prefix}_{name}{next(ids):04d}"

    service = RoomService(bus, store, shop, node=name, now=clock, new_id=new_id, guard=guard)
    worker = Worker(service, bus, store, shop, clock)
    worker.guard = guard
    worker.moderation = Moderation(
        service, guard, records, bus, now=clock, new_id=new_id, archive=archive
    )
    await bus.start()
    try:
        yield worker
    finally:
        await service.close()
        await bus.close()


@pytest.fixture
async def worker(sqlite_store: SqlRooms, redis_url: str, unique: str) -> AsyncIterator[Worker]:
    async with working(redis_url, sqlite_store, unique, Clock()) as one:
        await one.service.create(unique, "Tea", [], actor="boss")
        yield one


async def test_slow_mode_counts_from_before_it_was_switched_on(worker: Worker, unique: str) -> None:
    """Who spoke just before waits as everybody does, so a page can tell it without asking."""
    await worker.say(unique, ANN, "one")
    worker.clock.ms += 4_000
    await worker.moderation.change_rules(unique, {"slow_mode_seconds": 10}, MOD)
    with pytest.raises(TooFast) as refusal:
        await worker.say(unique, ANN, "two")
    assert refusal.value.facts["retry_after"] == 6
    await worker.say(unique, BEN, "mine")
    worker.clock.ms += 6_000
    await worker.say(unique, ANN, "two")


async def test_slow_mode_waits_between_two_messages_of_one_person(
    worker: Worker, unique: str
) -> None:
    """Chat and danmaku share the wait; staff have none; what was refused costs nothing."""
    await worker.moderation.change_rules(unique, {"slow_mode_seconds": 10}, MOD)
    assert (await worker.snapshot(unique))["chat_rules"]["slow_mode_seconds"] == 10
    await worker.say(unique, ANN, "one")
    assert await worker.refused(unique, ANN, "two") == "slow-mode"
    with pytest.raises(TooFast) as refusal:
        await worker.service.throw(unique, ANN, b"", b'{"text":"two"}')
    assert refusal.value.facts["retry_after"] == 10
    await worker.service.say(unique, ANN, b"", b'{"text":"staff"}', staff=True)
    await worker.say(unique, BEN, "mine")
    worker.clock.ms += 10_000
    await worker.say(unique, ANN, "two")


async def test_full_mute_links_and_rate_are_refused_with_their_reasons(
    worker: Worker, unique: str
) -> None:
    """Each rule has its own stable reason, and the metrics count it."""
    await worker.moderation.change_rules(unique, {"links": False}, MOD)
    assert await worker.refused(unique, ANN, "see www.example.org") == "link"
    for n in range(4):
        await worker.say(unique, ANN, f"number {n} of something else {'abcd'[n] * 9}")
    assert await worker.refused(unique, ANN, "fast") == "too-fast"
    await worker.moderation.change_rules(unique, {"muted_all": True}, MOD)
    assert await worker.refused(unique, BEN, "hello") == "room-muted"
    await worker.service.say(unique, BEN, b"", b'{"text":"hello"}', staff=True)
    assert worker.guard.refused == {"link": 1, "too-fast": 1, "room-muted": 1}
    with pytest.raises(Invalid):
        await worker.moderation.change_rules(unique, {"slow_mode_seconds": 3601}, MOD)


async def test_a_mute_ends_by_itself_or_by_staff_and_a_ban_by_staff_alone(
    worker: Worker, unique: str
) -> None:
    """The room, the person and the staff are told; likes need no ban."""
    moderation = worker.moderation
    await worker.bus.attach(unique)
    await worker.bus.attach("#ann")
    await worker.say(unique, ANN, "hello there")
    muted = await moderation.mute(unique, "ann", 60, "spam", MOD)
    assert muted.name == "Ann"
    assert await worker.refused(unique, ANN, "again") == "muted"
    await worker.service.like(unique, 1, "ann")
    worker.clock.ms += 60_000
    await worker.say(unique, ANN, "again")
    await moderation.mute(unique, "ann", 600, "", MOD)
    await moderation.lift(unique, "mute", "ann", MOD)
    await moderation.lift(unique, "mute", "ann", MOD)  # lifting what is not there is no mistake
    await worker.say(unique, ANN, "third")
    await moderation.ban(unique, "ann", "fraud", MOD)
    assert await worker.refused(unique, ANN, "fourth") == "banned"
    with pytest.raises(Forbidden):
        await worker.service.like(unique, 1, "ann")
    assert [one.user for one in await moderation.sanctions(unique, "ban", "", 10)] == ["ann"]
    await moderation.lift(unique, "ban", "ann", MOD)
    await worker.say(unique, ANN, "fifth one")
    await worker.until(lambda: len(worker.events(f"room:{unique}")) == 5)
    told = [(e["type"].partition(".")[2], e.get("until")) for e in worker.events(f"room:{unique}")]
    assert told[0] == ("user_muted", "2026-09-21T14:14:20.000Z") and told[2] == ("user_muted", None)
    await worker.until(lambda: len(worker.events("#ann")) == 5)
    assert worker.events("#ann")[0]["reason"] == "spam" and "actor" not in worker.events("#ann")[0]


async def test_a_deleted_message_is_gone_for_newcomers_and_in_the_archive(
    sqlite_store: SqlRooms, redis_url: str, unique: str
) -> None:
    """A tombstone keeps its place in history, so that positions stay without a gap."""
    erased: list[tuple[str, list[str]]] = []

    class Archive:
        async def erase(self, room: str, channel: str, ids: Any, at: int) -> None:
            erased.append((channel, list(ids)))

        async def fate(self, room: str, channel: str, id: str) -> str:
            return "said" if id == "dmk_1" and not erased[1:] else "unknown"

    async with working(redis_url, sqlite_store, unique, Clock(), Archive()) as worker:
        await worker.service.create(unique, "Tea", [], actor="boss")
        await worker.bus.attach(unique)
        for speaker, text in ((ANN, "first words"), (BEN, "bad words"), (ANN, "last words")):
            await worker.say(unique, speaker, text)
        before = await worker.bus.history(unique, f"chat:{unique}", since=None, limit=-1)
        bad = (await worker.kept(unique))[1]["id"]
        await worker.moderation.delete(unique, bad, "abuse", MOD)
        after = await worker.bus.history(unique, f"chat:{unique}", since=None, limit=-1)
        kept = await worker.kept(unique)
        assert [item.get("text") for item in kept] == ["first words", None, "last words"]
        assert kept[1] == {"type": "deleted", "id": bad, "at": worker.clock.ms}
        assert after.publications[1].info == b""
        assert [item.offset for item in after.publications] == [1, 2, 3]
        assert after.position == before.position
        await worker.until(lambda: worker.events(f"room:{unique}"))
        [event] = worker.events(f"room:{unique}")
        assert (event["channel"], event["id"]) == (f"chat:{unique}", bad)
        assert erased == [(f"chat:{unique}", [bad])]
        await worker.moderation.delete(unique, "dmk_1", "", MOD)
        assert erased[-1] == (f"danmaku:{unique}", ["dmk_1"])
        for again in (bad, "dmk_1"):
            await worker.moderation.delete(unique, again, "", MOD)
        for never in ("msg_never", "dmk_2"):
            with pytest.raises(NotFound):
                await worker.moderation.delete(unique, never, "", MOD)
        assert len(worker.events(f"room:{unique}")) <= 2 and len(erased) == 2
        assert await worker.moderation.delete_of(unique, "ann", "spam", MOD) == 2
        assert {item["type"] for item in await worker.kept(unique)} == {"deleted"}
        [all_of_ann, _, first] = await worker.moderation.audit(unique, None, 10)
        said = {"user": {"id": "ben", "name": "Ben", "badges": []}, "text": "bad words"}
        assert first.details[bad] == said
        assert all_of_ann.target == "2 messages"


async def test_word_lists_refuse_mask_hold_and_except(worker: Worker, unique: str) -> None:
    """Also in danmaku and names; the lists of the server hold in every room."""
    moderation = worker.moderation
    await moderation.put_lists(
        unique,
        [
            WordList(name="contact", action="refuse", words=["微信"]),
            WordList(name="rude", action="mask", words=["笨蛋"]),
            WordList(name="look", action="hold", words=["合伙"]),
        ],
        MOD,
    )
    await moderation.put_lists("", [WordList(name="all", action="mask", words=["everywhere"])], MOD)
    assert await worker.refused(unique, ANN, "加 微.信") == "word"
    await worker.say(unique, ANN, "你是笨 蛋 吗 everywhere")
    assert (await worker.kept(unique))[-1]["text"] == "你是* * 吗 **********"
    with pytest.raises(Invalid):
        await worker.service.throw(unique, ANN, b"", '{"text":"微信"}'.encode())
    named = Speaker(id="cat", name="加微信找我")
    assert await worker.refused(unique, named, "hello") == "name"
    await worker.bus.attach("#ben")
    await worker.say(unique, BEN, "想合伙的来")
    assert "想合伙的来" not in str(await worker.kept(unique))
    [waiting] = await moderation.held(unique, "", 10)
    assert (waiting.user, waiting.text, waiting.list) == ("ben", "想合伙的来", "look")
    await moderation.decide_held(unique, waiting.id, "shown", MOD)
    assert (await worker.kept(unique))[-1]["id"] == waiting.id
    with pytest.raises(WrongState):
        await moderation.decide_held(unique, waiting.id, "refused", MOD)
    await worker.until(lambda: [e["state"] for e in worker.events("#ben")] == ["open", "shown"])
    await moderation.put_lists("", [], MOD)
    await moderation.put_lists(unique, [], MOD)
    await worker.say(unique, ANN, "加我微信")


async def test_a_repeat_is_refused_until_the_first_was_not_shown(
    worker: Worker, unique: str
) -> None:
    """What the bus did not take may be said again."""
    text = "这把茶壶今天特价只要九块九"
    await worker.say(unique, ANN, text)
    await worker.say(unique, ANN, text + "！")
    worker.clock.ms += 5_000
    assert await worker.refused(unique, ANN, text + "！！") == "repeated"
    # the cap of the room for those who write: thirty at once
    for n in range(28):
        await worker.say(unique, Speaker(id=f"u{n}", name=f"U{n}"), f"hello {n}")
    late, reasons = Speaker(id="late", name="Late"), list[str]()
    while "busy" not in reasons:
        worker.clock.ms += 40_000
        try:
            await worker.say(unique, late, "a quite new thing here")
        except TooFast as refusal:
            reasons.append(str(refusal.facts["reason"]))
    assert reasons == ["busy"]
    while (await worker.kept(unique))[-1]["user"]["id"] != "late":
        await asyncio.sleep(0.05)
        with suppress(TooFast):
            await worker.say(unique, late, "a quite new thing here")


async def test_reports_wait_with_what_was_said_and_are_decided_once(
    worker: Worker, unique: str
) -> None:
    """The text comes from the history; one report a person and message; the rate is limited."""
    moderation = worker.moderation
    await worker.say(unique, BEN, "bad words")
    id = (await worker.kept(unique))[0]["id"]

    async def report(who: str, **more: str) -> Report:
        return await moderation.report(
            unique, who, **{"message": "", "user": "", "reason": "abuse", "note": "", **more}
        )

    first = await report("ann", message=id, user="forged")
    assert (first.user, first.name, first.text) == ("ben", "Ben", "bad words")
    assert (await report("ann", message=id)).id == first.id
    second = await report("cat", message=id)
    for wrong in ({"message": "msg_none"}, {}, {"user": "x", "reason": "critical"}):
        with pytest.raises(Refusal):
            await report("ann", **wrong)
    for n in range(4):
        await report("ann", user=f"u{n}")
    with pytest.raises(TooFast):
        await report("ann", user="u9")
    worker.clock.ms += 600_000
    await report("ann", user="u9")
    await worker.bus.attach("#cat")
    await moderation.decide_report(unique, first.id, "upheld", MOD)
    with pytest.raises(WrongState):
        await moderation.decide_report(unique, second.id, "dismissed", MOD)
    upheld = await moderation.reports(unique, "upheld", "", 10)
    assert [one.id for one in upheld] == [first.id, second.id]
    await worker.until(lambda: [e["state"] for e in worker.events("#cat")] == ["upheld"])
    with pytest.raises(NotFound):
        await moderation.report(f"{unique}x", "ann", message="", user="u", reason="spam", note="")


async def test_everything_staff_did_is_on_record_in_a_whole_chain(
    worker: Worker, unique: str
) -> None:
    """Who, what, on whom, why; newest first, in pages."""
    moderation = worker.moderation
    await moderation.change_rules(unique, {"muted_all": True}, MOD)
    await moderation.mute(unique, "ann", 60, "spam", MOD)
    await moderation.lift(unique, "mute", "ann", MOD)
    await moderation.ban(unique, "ann", "", MOD)
    await moderation.put_lists(unique, [], MOD)
    page = await moderation.audit(unique, None, 3)
    rest = await moderation.audit(unique, page[-1].number, 10)
    entries = [*reversed(rest), *reversed(page)]
    assert [(one.number, one.action, one.target, one.reason) for one in entries] == [
        (1, "chat.rules", "", ""),
        (2, "mute", "ann", "spam"),
        (3, "unmute", "ann", ""),
        (4, "ban", "ann", "other"),
        (5, "word_lists", "", ""),
    ]
    assert {(one.actor, one.role) for one in entries} == {("mod", "moderator")}
    assert audit.first_broken(unique, entries) is None


async def test_without_the_database_the_last_rules_hold(
    worker: Worker, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chat goes on, and so do mutes; a room that was never read is not served."""
    await worker.moderation.mute(unique, "ann", 600, "", MOD)
    await worker.say(unique, BEN, "before")

    async def down(*_: object) -> None:
        raise Unavailable("The database does not answer")

    monkeypatch.setattr(worker.guard._store, "on_record", down)
    worker.clock.ms += READ_AGAIN_MS + 1
    await worker.guard.admit(unique, BEN, "while it is away")
    assert await worker.refused(unique, ANN, "hello") == "muted"
    worker.guard.forget()
    await worker.guard.admit(unique, BEN, "and when something changed")
    with pytest.raises(Unavailable):
        await worker.guard.admit(f"{unique}x", BEN, "never read")


async def test_the_record_is_the_same_on_both_databases(store: SqlRooms, unique: str) -> None:
    """Sanctions in order, reports and held messages within their limits, lists replaced whole."""
    records = SqlModeration(store._write_engine, store._read_engine)
    room = Room(id=unique, title="T", state="idle", show=None, started_at=None, merchant_ids=[])
    await store.create(room, {"room": b"{}"}, at=1)
    deed = Deed(actor="mod", role="moderator", action="mute")
    for user, until in (("b", 50), ("a", 90), ("b", 80), ("old", 20)):
        await records.sanction(unique, "mute", Sanction(user=user, until=until, at=10), deed)
    await records.sanction(unique, "ban", Sanction(user="auth0|7", at=10), deed)
    found = await records.on_record(unique, 30)
    assert found is not None and found.mutes == {"a": 90, "b": 80}
    assert found.bans == {"auth0|7"} and found.revisions == {}
    assert [one.user for one in await records.sanctions(unique, "mute", 30, "", 1)] == ["a"]
    assert [one.user for one in await records.sanctions(unique, "mute", 30, "a", 9)] == ["b"]
    assert await records.lift(unique, "ban", "auth0|7", deed, 30)
    assert not await records.lift(unique, "ban", "auth0|7", deed, 30)
    one = WordList(name="x", action="mask", words=["茶", "b"])
    await records.replace_lists(unique, [one], "r1", deed, 40)
    assert (await records.lists(unique)).lists == [one]
    await records.replace_lists(unique, [], "r2", deed, 41)
    assert (await records.lists(unique)).lists == []
    held = Held(
        id="h1", room=unique, channel="chat:x", user="u", name="U", text="t", list="l",
        data=b'{"a":1}', info=b"", at=5,
    )  # fmt: skip
    for n in range(3):
        await records.hold(msgspec.structs.replace(held, id=f"h{n}"))
    with pytest.raises(TooFast):
        await records.hold(msgspec.structs.replace(held, id="h9"))
    assert (await records.held(unique, "h0", 9))[0].data == b'{"a":1}'
    with pytest.raises(NotFound):
        await records.decide_held(unique, "none", "shown", deed, 6)
    numbers = [entry.number for entry in await records.audit(unique, None, 99)]
    assert numbers == list(range(len(numbers), 0, -1))
    assert await records.on_record(f"{unique}x", 1) is None
    with pytest.raises(NotFound):
        await records.sanctions(f"{unique}x", "mute", 1, "", 9)
