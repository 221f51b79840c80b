"""Moderation over real sockets on two workers: what one decides holds on the other at once."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from liveserver.db import make_engine
from liveserver.simplified import simplified
from liveserver.talk_meters import watch_talk
from rooms import schema_sql
from rooms.bus_redis import RedisBus
from rooms.folding import Folding
from rooms.guard_service import Guard, Limits
from rooms.moderation_service import Actor, Moderation
from rooms.moderation_sql import SqlModeration
from rooms.rooms_sql import SqlRooms
from rooms.service import RoomService
from rooms.words import WordList
from tests.gateway.support import (
    Client,
    EmptyShop,
    Methods,
    Place,
    connected,
    eventually,
    now,
    serving,
)

MOD = Actor("mod", "moderator")


class Worker(NamedTuple):
    place: Place
    moderation: Moderation


@pytest.fixture
async def workers(
    redis_url: str, unique: str, tmp_path: Path
) -> AsyncIterator[tuple[Worker, Worker]]:
    """Two workers of one server, with room `unique` on record."""
    database = f"sqlite+aiosqlite:///{tmp_path}/rooms.db"
    async with AsyncExitStack() as stack:
        started = [await start(stack, database, redis_url, f"{unique}n{n}") for n in range(2)]
        await started[0].place.rooms.create(unique, "Tea", [], actor="boss")
        yield started[0], started[1]


async def start(stack: AsyncExitStack, database: str, redis_url: str, node: str) -> Worker:
    writing, reading = make_engine(database), make_engine(database, read_only=True)
    stack.push_async_callback(writing.dispose)
    stack.push_async_callback(reading.dispose)
    async with writing.begin() as connection:
        await connection.run_sync(schema_sql.metadata.create_all)
    ids, made = iter(range(10**6)), list[tuple[Moderation, Guard]]()

    def new_id(prefix: str) -> str:
        return f"{prefix}_{node}{next(ids)}"

    def make_rooms(bus: RedisBus) -> RoomService:
        records = SqlModeration(writing, reading)
        guard = Guard(bus, records, Folding(simplified()), now=now, limits=Limits(messages=50))
        rooms = RoomService(
            bus,
            SqlRooms(writing, reading),
            EmptyShop(),
            node=node,
            now=now,
            new_id=new_id,
            guard=guard,
        )
        moderation = Moderation(rooms, guard, records, bus, now=now, new_id=new_id)
        made.append((moderation, guard))
        return rooms

    place = await stack.enter_async_context(serving(redis_url, node, make_rooms, Methods()))
    [(moderation, guard)] = made
    watch_talk(place.metrics.registry, place.bus, guard)
    return Worker(place, moderation)


async def publish(client: Client, channel: str, text: str) -> tuple[int, str]:
    """Code and message of the error; (0, "") when it was taken."""
    reply = await client.ask("publish", channel=channel, data={"text": text})
    error = reply.get("error", {"code": 0, "message": ""})
    return error["code"], error["message"]


async def test_a_mute_on_one_worker_holds_on_the_other_before_the_answer_is_old(
    workers: tuple[Worker, Worker], unique: str
) -> None:
    """The room hears `user_muted`, the person `muted`; chat, danmaku and another tab are closed."""
    here, there = workers
    chat = f"chat:{unique}"
    async with (
        connected(there.place, there.place.token("ann", name="Ann")) as ann,
        connected(here.place, here.place.token("ann", name="Ann")) as tab,
        connected(there.place, there.place.token("ben", name="Ben")) as ben,
    ):
        await ben.ok("subscribe", channel=f"room:{unique}")
        assert await publish(ann, chat, "hello everybody") == (0, "")
        await here.moderation.mute(unique, "ann", 600, "spam", MOD)
        [told] = await ann.until(lambda: personal(ann, "moderation.muted"))
        assert (told["room"], told["reason"]) == (unique, "spam")
        code, message = await publish(ann, chat, "still there?")
        assert code == 103 and message.startswith(f"muted: You are muted until {told['until']}")
        assert (await publish(tab, f"danmaku:{unique}", "here?"))[0] == 103
        assert await publish(ben, chat, "hello ann") == (0, "")
        assert there.place.figure("node_delivery_lag_seconds_count") > 0
        [event] = await ben.until(lambda: ben.pubs(f"room:{unique}"))
        assert (event["type"], event["user"]) == ("moderation.user_muted", "ann")
        await there.moderation.lift(unique, "mute", "ann", MOD)
        await ann.until(lambda: len(personal(ann, "moderation.muted")) == 2)
        await tab.until(lambda: len(personal(tab, "moderation.muted")) == 2)
        assert await publish(tab, chat, "I am back again") == (0, "")


def personal(client: Client, kind: str) -> list[dict[str, Any]]:
    """Events of a kind on the person's own channel."""
    return [event for event in client.pubs("#ann") if event["type"] == kind]


async def test_a_worker_that_just_started_knows_who_is_muted(
    workers: tuple[Worker, Worker], unique: str, redis_url: str, tmp_path: Path
) -> None:
    """Its first message of the room waits until it has read what is on record."""
    here, _ = workers
    await here.moderation.ban(unique, "ann", "fraud", MOD)
    await here.moderation.change_rules(unique, {"links": False}, MOD)
    async with AsyncExitStack() as stack:
        database = f"sqlite+aiosqlite:///{tmp_path}/rooms.db"
        new = await start(stack, database, redis_url, f"{unique}n9")
        async with (
            connected(new.place, new.place.token("ann", name="Ann")) as ann,
            connected(new.place, new.place.token("ben", name="Ben")) as ben,
        ):
            code, message = await publish(ann, f"chat:{unique}", "first")
            assert code == 103 and message.startswith("banned: ")
            code, message = await publish(ben, f"chat:{unique}", "www.example.org")
            assert code == 1009 and message.startswith("link: ")
            await ben.ok("subscribe", channel=f"chat:{unique}")
            assert await publish(ben, f"chat:{unique}", "no link") == (0, "")
            await ben.until(lambda: ben.pubs(f"chat:{unique}"))
        figure = new.place.figure
        assert figure("guard_refused_messages_total", reason="banned") == 1
        assert figure("node_messages_sent_count_total", type="pub") == 1
        assert figure("node_messages_received_count_total", type="pub") >= 1
        assert figure("guard_refused_messages_total", reason="link") == 1


async def test_slow_mode_holds_for_a_person_and_not_for_a_worker(
    workers: tuple[Worker, Worker], unique: str
) -> None:
    """Who changes workers waits all the same, where somebody watches the room."""
    here, there = workers
    chat = f"chat:{unique}"
    await here.moderation.change_rules(unique, {"slow_mode_seconds": 600}, MOD)
    async with (
        connected(here.place, here.place.token("ann", name="Ann")) as ann,
        connected(there.place, there.place.token("ann", name="Ann")) as other,
        connected(there.place, there.place.token("ben", name="Ben")) as ben,
        connected(
            there.place, there.place.token("host", name="H", role="streamer", rooms=(unique,))
        ) as host,
    ):
        await ben.ok("subscribe", channel=chat)
        assert await publish(ben, chat, "so it is read there") == (0, "")
        assert await publish(ann, chat, "said on one worker") == (0, "")
        await ben.until(lambda: len(ben.pubs(chat)) == 2)
        code, message = await publish(other, chat, "and on the other")
        assert code == 111 and message.startswith("slow-mode: ") and message.endswith(" s")
        assert await publish(host, chat, "one") == (0, "") == await publish(host, chat, "two")


async def test_word_lists_are_in_force_everywhere_without_a_restart(
    workers: tuple[Worker, Worker], unique: str
) -> None:
    """Put on one worker, refused and masked on the other by the next message."""
    here, there = workers
    chat = f"chat:{unique}"
    async with connected(there.place, there.place.token("ann", name="Ann")) as ann:
        await ann.ok("subscribe", channel=chat)
        assert await publish(ann, chat, "加我微信") == (0, "")
        await ann.until(lambda: len(ann.pubs(chat)) == 1)
        lists = [
            WordList(name="contact", action="refuse", words=["微信"]),
            WordList(name="rude", action="mask", words=["笨蛋"]),
        ]
        await here.moderation.put_lists(unique, lists, MOD)
        await eventually(lambda: heard_at(there))
        code, message = await publish(ann, chat, "加我 微 信")
        assert code == 1009 and message.startswith("word: ")
        assert await publish(ann, chat, "你是笨蛋") == (0, "")
        await ann.until(lambda: len(ann.pubs(chat)) == 2)
        assert ann.pubs(chat)[-1]["text"] == "你是**"


async def heard_at(worker: Worker) -> bool:
    """The news has arrived, or the lists have been read again already."""
    return all(known.stale or known.filters for known in worker.moderation._guard._rooms.values())


async def test_a_deleted_message_leaves_every_screen_and_reaches_no_newcomer(
    workers: tuple[Worker, Worker], unique: str
) -> None:
    """Viewers of both workers are told; who comes or recovers later gets a tombstone."""
    here, there = workers
    chat, room = f"chat:{unique}", f"room:{unique}"
    async with connected(there.place, there.place.token("ann", name="Ann")) as ann:
        for channel in (room, chat):
            start = await ann.ok("subscribe", channel=channel, recoverable=True)
        assert await publish(ann, chat, "secret words") == (0, "")
        [line] = await ann.until(lambda: ann.pubs(chat))
        await here.moderation.delete(unique, line["id"], "privacy", MOD)
        [event] = await ann.until(lambda: ann.pubs(room))
        assert (event["type"], event["id"]) == ("moderation.message_deleted", line["id"])
    for worker in workers:
        async with connected(worker.place, worker.place.token("late", name="Late")) as late:
            since = {"recover": True, "epoch": start["epoch"], "offset": start.get("offset", 0)}
            answer = await late.ok("subscribe", channel=chat, recoverable=True, **since)
            history = await late.ok("history", channel=chat, limit=10)
            for told in (answer, history):
                assert "secret" not in str(told)
                assert [one["data"]["type"] for one in told["publications"]] == ["deleted"]
            assert answer["recovered"] is True
