"""One contract, two buses: Redis or Valkey, and memory."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from rooms.bus import Bus, Delivery, Message, Outcome, Position, StateMissing, Tally
from rooms.bus_memory import MemoryBus, MemoryServer
from rooms.bus_redis import RedisBus

DEADLINE_SECONDS = 10
CLOCK_US = 1_000_000  # between two readings of a clock that may be set in between


async def until(condition: Callable[[], Any]) -> None:
    """Poll until something is true; fail after the deadline."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.005)


class Two:
    """Two nodes on one bus, and what each was delivered."""

    def __init__(self, one: Bus, two: Bus) -> None:
        self.one, self.two = one, two
        self.got: list[Delivery] = []
        two.on_delivery(self.got.append)

    @property
    def data(self) -> list[bytes]:
        return [p.data for delivery in self.got for p in delivery.publications]


@pytest.fixture(params=["redis", "memory"])
async def nodes(request: pytest.FixtureRequest, unique: str) -> AsyncIterator[Two]:
    one: Bus
    two: Bus
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        one, two = RedisBus(url, f"{unique}a"), RedisBus(url, f"{unique}b")
    else:
        server = MemoryServer()
        one, two = MemoryBus(server, "a"), MemoryBus(server, "b")
    await one.start()
    await two.start()
    yield Two(one, two)
    await one.close()
    await two.close()


def kept(channel: str, data: str, *, size: int = 100, ttl: int = 60, **more: Any) -> Message:
    return Message(
        channel=channel,
        data=data.encode(),
        history_size=size,
        history_ttl_seconds=ttl,
        **more,
    )


def part(room: str, name: str, body: str, version: int) -> Message:
    return kept(f"room:{room}", f'{{"to":{body}}}', part=name, body=body.encode(), version=version)


def offsets(outcomes: list[Outcome]) -> list[int]:
    return [outcome.position.offset for outcome in outcomes if outcome.position]


async def test_numbers_rise_by_one_per_channel_under_one_epoch(nodes: Two, unique: str) -> None:
    """Each channel counts for itself, whichever node publishes."""
    a, b = f"chat:{unique}", f"console:{unique}"
    first = await nodes.one.publish(unique, [kept(a, "1"), kept(b, "1"), kept(a, "2")])
    second = await nodes.two.publish(unique, [kept(a, "3"), kept(b, "2")])
    assert offsets(first + second) == [1, 1, 2, 3, 2]
    epochs = {o.position.epoch for o in (first[0], first[2], second[0]) if o.position}
    assert len(epochs) == 1 and "" not in epochs


async def test_everything_arrives_in_order_with_all_its_fields(nodes: Two, unique: str) -> None:
    """A delivery carries channel, data, info, epoch and offset, byte for byte."""
    channel = f"chat:{unique}"
    await nodes.two.attach(unique)
    outcomes = []
    for number in range(20):
        message = kept(channel, f'{{"n":{number},"text":"弹幕 1:2"}}', info=b'{"user":"u"}')
        outcomes += await nodes.one.publish(unique, [message])
    await until(lambda: len(nodes.data) == 20)
    got = [p for delivery in nodes.got for p in delivery.publications]
    assert [Position(p.epoch, p.offset) for p in got] == [o.position for o in outcomes]
    assert got[7].data == '{"n":7,"text":"弹幕 1:2"}'.encode()
    assert (got[7].channel, got[7].info) == (channel, b'{"user":"u"}')
    assert {delivery.topic for delivery in nodes.got} == {unique}


async def test_one_call_is_one_delivery(nodes: Two, unique: str) -> None:
    """What was numbered together arrives together."""
    await nodes.two.attach(unique)
    await nodes.one.publish(unique, [kept(f"chat:{unique}", "1"), kept(f"room:{unique}", "2")])
    await until(lambda: nodes.got)
    assert [p.data for p in nodes.got[0].publications] == [b"1", b"2"]


async def test_only_attached_topics_are_delivered(nodes: Two, unique: str) -> None:
    """Attach begins, detach ends, and other topics are never heard of."""
    channel = f"chat:{unique}"
    await nodes.two.attach(unique)
    await nodes.two.attach(f"{unique}x")
    await nodes.one.publish(unique, [kept(channel, "heard")])
    await until(lambda: nodes.data == [b"heard"])
    await nodes.two.detach(unique)
    await nodes.one.publish(unique, [kept(channel, "not heard")])
    await nodes.one.publish(f"{unique}x", [kept(f"chat:{unique}x", "last")])
    await until(lambda: b"last" in nodes.data)
    await nodes.two.attach(unique)
    await nodes.one.publish(unique, [kept(channel, "again")])
    await until(lambda: b"again" in nodes.data)
    assert nodes.data == [b"heard", b"last", b"again"]


async def test_history_pages_forwards(nodes: Two, unique: str) -> None:
    """`since` excludes its own offset, `limit` counts, 0 asks for the position alone."""
    channel = f"chat:{unique}"
    await nodes.one.publish(unique, [kept(channel, str(n)) for n in range(1, 6)])
    whole = await nodes.one.history(unique, channel, since=None, limit=-1)
    assert [p.data for p in whole.publications] == [b"1", b"2", b"3", b"4", b"5"]
    assert whole.position.offset == 5
    page = await nodes.two.history(
        unique, channel, since=Position(whole.position.epoch, 2), limit=2
    )
    assert [p.offset for p in page.publications] == [3, 4]
    assert {p.epoch for p in page.publications} == {whole.position.epoch}
    none = await nodes.two.history(unique, channel, since=None, limit=0)
    assert none.publications == [] and none.position == whole.position
    end = await nodes.two.history(unique, channel, since=whole.position, limit=-1)
    assert end.publications == [] and end.position == whole.position


async def test_history_pages_backwards(nodes: Two, unique: str) -> None:
    """Reversed, `since` means below it, and nothing is below the first."""
    channel = f"chat:{unique}"
    await nodes.one.publish(unique, [kept(channel, str(n)) for n in range(1, 6)])

    async def page(offset: int | None, limit: int) -> list[int]:
        since = None if offset is None else Position("", offset)
        found = await nodes.one.history(unique, channel, since=since, limit=limit, reverse=True)
        return [p.offset for p in found.publications]

    assert await page(None, 2) == [5, 4]
    assert await page(4, 2) == [3, 2]
    assert await page(2, 2) == [1]
    assert await page(1, 2) == []
    assert await page(0, -1) == []


async def test_a_page_of_history_is_bounded_in_bytes(nodes: Two, unique: str) -> None:
    """As many as fit, at least one, from the side where the page begins; without a bound all."""
    channel = f"chat:{unique}"
    await nodes.one.publish(unique, [kept(channel, str(n) * 100) for n in range(1, 6)])

    async def page(most_bytes: int, *, reverse: bool = False, limit: int = -1) -> list[int]:
        found = await nodes.one.history(
            unique, channel, since=None, limit=limit, reverse=reverse, most_bytes=most_bytes
        )
        assert found.position.offset == 5
        return [p.offset for p in found.publications]

    each = len((await nodes.one.history(unique, channel, since=None, limit=1)).publications[0].data)
    assert await page(3 * each + 1) == await page(3 * each) == [1, 2, 3]
    assert await page(3 * each, reverse=True) == [5, 4, 3]
    assert await page(1) == await page(500, limit=1) == [1]
    assert await page(0) == await page(10**6) == [1, 2, 3, 4, 5]


async def test_history_keeps_the_newest_and_offsets_show_the_hole(nodes: Two, unique: str) -> None:
    """A channel keeps its size and no more; what is gone is seen by the first offset."""
    channel = f"chat:{unique}"
    await nodes.one.publish(unique, [kept(channel, str(n), size=3) for n in range(1, 8)])
    found = await nodes.one.history(unique, channel, since=Position("", 1), limit=-1)
    assert [p.offset for p in found.publications] == [5, 6, 7]


async def test_a_channel_has_a_position_before_anything_is_published(
    nodes: Two, unique: str
) -> None:
    """The first call makes the epoch, and it stays."""
    channel = f"chat:{unique}"
    empty = await nodes.one.history(unique, channel, since=None, limit=0)
    assert empty.position.epoch and empty.position.offset == 0
    [outcome] = await nodes.two.publish(unique, [kept(channel, "1")])
    assert outcome.position == Position(empty.position.epoch, 1)


async def test_a_forgotten_history_leaves_the_position(nodes: Two, unique: str) -> None:
    """History goes, numbers go on."""
    channel = f"chat:{unique}"
    await nodes.one.publish(unique, [kept(channel, "1"), kept(channel, "2")])
    await nodes.two.forget(unique, channel)
    found = await nodes.one.history(unique, channel, since=None, limit=-1)
    assert found.publications == [] and found.position.offset == 2
    assert offsets(await nodes.one.publish(unique, [kept(channel, "3")])) == [3]


async def test_positions_of_many_topics_come_in_one_call(nodes: Two, unique: str) -> None:
    """The gap check sees every channel's top."""
    await nodes.one.publish(unique, [kept(f"chat:{unique}", "1"), kept(f"chat:{unique}", "2")])
    await nodes.one.publish(f"#{unique}", [kept(f"#{unique}", "1")])
    found = await nodes.two.positions(
        {unique: [f"chat:{unique}", f"room:{unique}"], f"#{unique}": [f"#{unique}"]}
    )
    assert {channel: position.offset for channel, position in found.items()} == {
        f"chat:{unique}": 2,
        f"room:{unique}": 0,
        f"#{unique}": 1,
    }
    assert await nodes.two.positions({}) == {}


async def test_advisory_messages_are_delivered_and_nothing_else(nodes: Two, unique: str) -> None:
    """No number, no history, no position in the outcome."""
    channel = f"room:{unique}"
    await nodes.two.attach(unique)
    [outcome] = await nodes.one.publish(
        unique, [Message(channel=channel, data=b"stats", numbered=False, history_size=10)]
    )
    assert outcome == Outcome()
    await until(lambda: nodes.data == [b"stats"])
    assert nodes.got[0].publications[0].offset == 0
    found = await nodes.one.history(unique, channel, since=None, limit=-1)
    assert found.publications == [] and found.position.offset == 0


async def test_parts_are_replaced_whole_by_newer_versions_only(nodes: Two, unique: str) -> None:
    """An older or equal version is dropped: not stored, not numbered, not sent."""
    await nodes.one.restore(unique, {"notice": (b'"a"', 5)})
    await nodes.two.attach(unique)
    outcomes = await nodes.one.publish(
        unique,
        [
            part(unique, "notice", '"old"', 4),
            part(unique, "notice", '"same"', 5),
            part(unique, "notice", '"new"', 6),
            part(unique, "flash_sale:1", '{"left":2}', 2**33 + 1),
            part(unique, "flash_sale:1", '{"left":3}', 2**33),
        ],
    )
    assert [outcome.dropped for outcome in outcomes] == [True, True, False, False, True]
    assert offsets(outcomes) == [0, 0, 1, 2, 2]
    await until(lambda: nodes.got)
    assert nodes.data == [b'{"to":"new"}', b'{"to":{"left":2}}']
    snapshot = await nodes.two.snapshot(unique)
    assert snapshot is not None and snapshot.position.offset == 2
    assert snapshot.parts == {"notice": b'"new"', "flash_sale:1": b'{"left":2}'}


async def test_null_removes_a_part_and_its_version_is_remembered(nodes: Two, unique: str) -> None:
    """What was removed does not come back by a late older event."""
    await nodes.one.restore(unique, {"notice": (b'"a"', 1), "pinned": (b"null", 1)})
    await nodes.one.publish(unique, [part(unique, "notice", "null", 3)])
    [late] = await nodes.one.publish(unique, [part(unique, "notice", '"late"', 2)])
    snapshot = await nodes.one.snapshot(unique)
    assert late.dropped and snapshot is not None and snapshot.parts == {}


async def test_a_change_without_data_is_told_to_nobody(nodes: Two, unique: str) -> None:
    """Parts can be tidied away without an event."""
    await nodes.one.restore(unique, {"flash_sale:1": (b"{}", 1), "notice": (b'"a"', 1)})
    await nodes.two.attach(unique)
    tidy = Message(
        channel=f"room:{unique}",
        data=b"",
        numbered=False,
        part="flash_sale:1",
        body=b"null",
        version=2,
    )
    await nodes.one.publish(unique, [tidy, kept(f"chat:{unique}", "next")])
    await until(lambda: nodes.got)
    snapshot = await nodes.one.snapshot(unique)
    assert nodes.data == [b"next"]
    assert snapshot is not None and snapshot.parts == {"notice": b'"a"'}
    assert snapshot.position.offset == 0


async def test_a_missing_state_has_no_snapshot_and_takes_no_change(nodes: Two, unique: str) -> None:
    """Nothing of a call that must wait for the state is numbered, stored or sent."""
    assert await nodes.one.snapshot(unique) is None
    with pytest.raises(StateMissing):
        await nodes.one.publish(
            unique, [kept(f"chat:{unique}", "1"), part(unique, "notice", '"a"', 1)]
        )
    found = await nodes.one.history(unique, f"chat:{unique}", since=None, limit=-1)
    assert found.publications == [] and found.position.offset == 0


async def test_a_state_is_restored_once(nodes: Two, unique: str) -> None:
    """The second of two that restore changes nothing; the numbers begin once."""
    assert await nodes.one.restore(unique, {"notice": (b'"one"', 1)})
    assert not await nodes.two.restore(unique, {"notice": (b'"two"', 2)})
    snapshot = await nodes.one.snapshot(unique)
    assert snapshot is not None and snapshot.parts == {"notice": b'"one"'}


async def test_a_state_replaced_anew_has_a_new_epoch(nodes: Two, unique: str) -> None:
    """Old snapshots must not be continued by events that belong to another state."""
    await nodes.one.restore(unique, {"notice": (b'"one"', 7)})
    before = await nodes.one.snapshot(unique)
    assert await nodes.one.restore(unique, {"notice": (b'"two"', 1)}, anew=True)
    after = await nodes.one.snapshot(unique)
    assert before is not None and after is not None
    assert after.parts == {"notice": b'"two"'}
    assert after.position.epoch != before.position.epoch


async def test_a_first_restore_keeps_the_epoch_that_subscribers_already_have(
    nodes: Two, unique: str
) -> None:
    """Who subscribed before the state was first built is not sent away."""
    before = await nodes.one.history(unique, f"room:{unique}", since=None, limit=0)
    await nodes.one.restore(unique, {})
    snapshot = await nodes.one.snapshot(unique)
    assert snapshot is not None and snapshot.position == before.position


async def test_droppable_messages_are_sampled_and_others_pass(nodes: Two, unique: str) -> None:
    """The bucket holds 20; what it drops is told in the outcome and reaches nobody."""
    await nodes.two.attach(unique)
    flood = [
        Message(channel=f"danmaku:{unique}", data=b"%d" % n, numbered=False, droppable=True)
        for n in range(60)
    ]
    staff = Message(channel=f"danmaku:{unique}", data=b"staff", numbered=False)
    outcomes = await nodes.one.publish(unique, [*flood, staff])
    passed = sum(not outcome.dropped for outcome in outcomes[:-1])
    assert 20 <= passed <= 25 and not outcomes[-1].dropped
    await until(lambda: nodes.got)
    assert len(nodes.data) == passed + 1 and nodes.data[-1] == b"staff"


async def test_chat_beyond_the_cap_is_refused_and_not_numbered(nodes: Two, unique: str) -> None:
    """The cap has a bucket of its own, apart from danmaku's."""
    flood = [kept(f"chat:{unique}", str(n), capped=True) for n in range(60)]
    outcomes = await nodes.one.publish(unique, flood)
    passed = sum(not outcome.dropped for outcome in outcomes)
    assert 30 <= passed <= 35
    found = await nodes.one.history(unique, f"chat:{unique}", since=None, limit=-1)
    assert found.position.offset == len(found.publications) == passed
    [danmaku] = await nodes.one.publish(
        unique, [Message(channel=f"danmaku:{unique}", data=b"1", numbered=False, droppable=True)]
    )
    assert not danmaku.dropped


async def test_the_caps_of_a_room_are_for_all_nodes_together(nodes: Two, unique: str) -> None:
    """Two workers let no more through than one."""
    chat = [kept(f"chat:{unique}", str(n), capped=True) for n in range(60)]
    danmaku = [
        Message(channel=f"danmaku:{unique}", data=b"%d" % n, numbered=False, droppable=True)
        for n in range(60)
    ]
    passed = {"chat": 0, "danmaku": 0}
    for node in (nodes.one, nodes.two):
        for name, flood in (("chat", chat), ("danmaku", danmaku)):
            outcomes = await node.publish(unique, flood)
            passed[name] += sum(not outcome.dropped for outcome in outcomes)
    assert 30 <= passed["chat"] < 60 and 20 <= passed["danmaku"] < 40


async def test_viewers_and_likes_are_summed_over_nodes(nodes: Two, unique: str) -> None:
    """Viewers are replaced per node, likes add up; one node is asked to publish, once."""
    [first] = await nodes.one.tally([Tally(room=unique, show="s1", online=3, likes=10)])
    [second] = await nodes.two.tally([Tally(room=unique, show="s1", online=4, likes=5)])
    [third] = await nodes.one.tally([Tally(room=unique, show="s1", online=2)])
    assert [(t.online, t.likes) for t in (first, second, third)] == [(3, 10), (7, 15), (6, 15)]
    assert first.due and not (second.due and third.due)
    await nodes.one.restore(unique, {})
    snapshot = await nodes.one.snapshot(unique)
    assert snapshot is not None and (snapshot.online, snapshot.likes) == (6, 15)


async def test_likes_begin_at_nought_with_each_show(nodes: Two, unique: str) -> None:
    """Late likes of the show before are not counted for this one."""
    await nodes.one.tally([Tally(room=unique, show="s1", online=0, likes=10)])
    [new] = await nodes.one.tally([Tally(room=unique, show="s2", online=0, likes=1)])
    [late] = await nodes.two.tally([Tally(room=unique, show="s1", online=0, likes=9)])
    assert (new.likes, late.likes) == (1, 1)


async def test_presence_is_kept_per_client_and_fades(nodes: Two, unique: str) -> None:
    """Who does not repeat is gone after the time; who leaves is gone at once."""
    channel = f"any:{unique}"
    await nodes.one.set_presence(channel, "c1", b'{"user":"1:2"}', 60)
    await nodes.two.set_presence(channel, "c2", b'{"user":"2"}', 60)
    await nodes.two.set_presence(channel, "c3", b"{}", 0)
    assert await nodes.one.presence(channel) == {"c1": b'{"user":"1:2"}', "c2": b'{"user":"2"}'}
    await nodes.one.clear_presence(channel, "c1")
    assert list(await nodes.two.presence(channel)) == ["c2"]


async def test_many_topics_are_published_in_one_call(nodes: Two, unique: str) -> None:
    """Each topic numbers its own, and every topic's messages keep their order."""
    topics = [f"#{unique}{number}" for number in range(30)]
    for topic in topics:
        await nodes.two.attach(topic)
    batches = [(topic, [kept(topic, '"a"'), kept(topic, '"b"')]) for topic in topics]
    outcomes = await nodes.one.publish_many(batches)
    assert [[o.position and o.position.offset for o in mine] for mine in outcomes] == [[1, 2]] * 30
    await until(lambda: len(nodes.got) == 30)
    assert nodes.data == [b'"a"', b'"b"'] * 30


async def test_nothing_to_publish_is_no_call(nodes: Two, unique: str) -> None:
    """An empty batch has no outcome and no delivery."""
    assert await nodes.one.publish(unique, []) == []
    assert await nodes.one.tally([]) == []


async def test_a_delivery_tells_when_it_was_numbered(redis_url: str, unique: str) -> None:
    """By the clock of the server, which is this machine's here, in microseconds."""
    bus, got = RedisBus(redis_url, unique), list[Delivery]()
    bus.on_delivery(got.append)
    await bus.start()
    await bus.attach(unique)
    before = time.time_ns() // 1_000
    await bus.publish(
        unique, [Message(channel=unique, data=b"1"), Message(channel=unique, data=b"2")]
    )
    await until(lambda: got)
    assert before - CLOCK_US <= got[0].numbered_us <= time.time_ns() // 1_000 + CLOCK_US
    assert [one.data for one in got[0].publications] == [b"1", b"2"]
    await bus.close()


@pytest.mark.parametrize("size", [0, 20, 200, 300, 70_000])
async def test_any_bytes_of_any_length_arrive_as_they_were(
    nodes: Two, unique: str, size: int
) -> None:
    """The bus does not ask whether what it carries is text."""
    await nodes.two.attach(unique)
    channel, data, info = f"chat:{unique}", b'"\xff\xfe' + b"x" * size + b'"', b'{"user":"\xc3"}'
    message = Message(channel=channel, data=data, info=info, history_size=5, history_ttl_seconds=60)
    await nodes.one.publish(unique, [message])
    await until(lambda: nodes.got)
    [publication] = nodes.got[0].publications
    assert (publication.data, publication.info, publication.offset) == (data, info, 1)
    read = await nodes.one.history(unique, channel, since=None, limit=-1)
    assert [one.data for one in read.publications] == [data]
