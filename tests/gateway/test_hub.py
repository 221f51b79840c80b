"""The hub's rules alone: whatever is lost, late or read meanwhile, nobody misses or repeats one."""

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rooms.audience import Channel, Topic
from rooms.bus import Delivery, History, Position, Publication
from rooms.channels import CHAT, DANMAKU, Rules
from rooms.frames import JSON, JSON_TEXT, Framing, Variant
from rooms.hub import Hub
from rooms.protocol import JOIN

NAME = "chat:x"
KEPT = 4  # publications in the history of the model


class Watcher:
    """A viewer that notes what it is written."""

    def __init__(self) -> None:
        self.variant = JSON_TEXT
        self.written: list[bytes] = []
        self.direct = True
        self.had: list[int] = []
        self.pushes: list[dict[str, Any]] = []
        self.frames = 0
        self.gone = False

    def write(self, frame: bytes) -> None:
        self.frames += 1
        for push in decoded(frame):
            self.pushes.append(push)
            if push.get("pub", {}).get("offset"):
                self.had.append(push["pub"]["offset"])

    def queue(self, frame: bytes, lean: bytes) -> None:
        self.write(lean)

    def lost(self, channel: str) -> None:
        self.gone = True

    def failed(self) -> None:
        self.gone = True


def decoded(frame: bytes) -> list[dict[str, Any]]:
    """The pushes of one finished text frame."""
    if not frame:
        return []
    head = 2 if frame[1] < 126 else 4
    assert frame[0] == 0x81 and len(frame) < 65_536
    return [json.loads(line)["push"] for line in frame[head:].split(b"\n")]


def numbered(offset: int, epoch: str = "e1", channel: str = NAME) -> Publication:
    return Publication(channel=channel, data=b"%d" % offset, epoch=epoch, offset=offset)


class World:
    """A bus in miniature, of which deliveries may be lost or late, and one hub."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.topic = self.hub.topic("x")
        self.channel = self.hub.channel(self.topic, NAME, CHAT)
        self.epoch = 1
        self.kept: list[Publication] = []
        self.top = 0
        self.on_the_way: list[Publication] = []
        self.reads: list[tuple[History, int | None]] = []
        self.inside: list[tuple[Watcher, int]] = []

    def read(self, since: int | None) -> History:
        wanted = [item for item in self.kept if since is not None and item.offset > since]
        return History(wanted, Position(f"e{self.epoch}", self.top))

    def publish(self) -> None:
        self.top += 1
        item = numbered(self.top, f"e{self.epoch}")
        self.kept = [*self.kept, item][-KEPT:]
        self.on_the_way.append(item)

    def arrive(self, count: int) -> None:
        due, self.on_the_way = self.on_the_way[:count], self.on_the_way[count:]
        if due:
            self.hub.deliver(Delivery("x", due))

    def lose_one(self) -> None:
        if self.on_the_way:
            del self.on_the_way[0]

    def restart(self) -> None:
        self.epoch, self.top, self.kept = self.epoch + 1, 0, []

    def begin(self, since: int | None) -> None:
        self.reads.append((self.read(since), since))

    def finish(self) -> None:
        """A subscriber's read came back: it enters, or would read again."""
        if not self.reads:
            return
        read, since = self.reads.pop(0)
        asked = None if since is None else Position(read.position.epoch, since)
        entered = self.hub.settle(self.channel, read, asked)
        if entered is None:
            return
        assert entered.position is not None
        watcher = Watcher()
        if entered.recovered:
            assert since is not None
            watcher.had += [item.offset for item in entered.missed]
            start = since
        else:
            start = entered.position.offset
        assert start + len(watcher.had) == entered.position.offset
        self.hub.enter(self.topic, self.channel, watcher)
        self.inside.append((watcher, start))

    def check(self) -> None:
        """The gap check, with all answers at once."""
        tops = {NAME: Position(f"e{self.epoch}", self.top)}
        for gap in self.hub.behind(tops):
            assert gap.channel.position is not None
            self.hub.fill(gap.topic, gap.channel, self.read(gap.channel.position.offset))

    def is_well(self) -> None:
        for watcher, start in self.inside:
            had = watcher.had
            assert had == list(range(start + 1, start + 1 + len(had))), "missed or repeated"


STEPS = st.lists(
    st.one_of(
        st.just(("publish",)),
        st.tuples(st.just("arrive"), st.integers(1, 4)),
        st.just(("lose_one",)),
        st.tuples(st.just("begin"), st.none() | st.integers(0, 8)),
        st.just(("finish",)),
        st.just(("check",)),
        st.just(("restart",)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS)
def test_every_viewer_has_an_unbroken_row_or_is_told(steps: list[tuple[Any, ...]]) -> None:
    """Publications, losses, late reads, restarts in any order; in the end all are up to date."""
    world = World()
    for name, *arguments in steps:
        getattr(world, name)(*arguments)
        world.is_well()
    world.arrive(len(world.on_the_way))
    world.check()
    world.is_well()
    for watcher, start in world.inside:
        assert watcher.gone or start + len(watcher.had) == world.top


def _watching(hub: Hub, *names: str, droppable: str = "") -> tuple[Watcher, Topic]:
    topic, watcher = hub.topic("x"), Watcher()
    for name in names:
        rules = DANMAKU if name == droppable else Rules()
        channel: Channel = hub.channel(topic, name, rules)
        hub.enter(topic, channel, watcher)
    return watcher, topic


def test_one_encode_for_all_who_see_the_same() -> None:
    """Viewers of the same channels get the very same bytes object."""
    hub = Hub()
    frames: list[bytes] = []
    for _ in range(5):
        watcher, _ = _watching(hub, "room:x", "chat:x")
        watcher.write = frames.append  # type: ignore[method-assign]
    hub.deliver(Delivery("x", [numbered(1), numbered(2, channel="room:x")]))
    assert len(frames) == 5 and len({id(frame) for frame in frames}) == 1


def test_a_slow_viewer_loses_the_droppable_lane_alone() -> None:
    """The rest of the same delivery still reaches it, in order."""
    hub = Hub()
    watcher, _ = _watching(hub, "room:x", "danmaku:x", droppable="danmaku:x")
    both = [numbered(1, channel="danmaku:x"), numbered(2, channel="room:x")]
    hub.deliver(Delivery("x", both))
    watcher.direct = False
    hub.deliver(Delivery("x", both))
    assert [push["channel"] for push in watcher.pushes] == ["danmaku:x", "room:x", "room:x"]


def test_a_write_that_fails_costs_nobody_else_a_frame() -> None:
    """The loop goes on with the next viewer, each written to once."""
    hub = Hub()
    watchers = [_watching(hub, "chat:x")[0] for _ in range(3)]

    def broken(frame: bytes) -> None:
        raise OSError("gone")

    watchers[1].write = broken  # type: ignore[method-assign]
    hub.deliver(Delivery("x", [numbered(1)]))
    assert [watcher.frames for watcher in watchers] == [1, 0, 1]
    assert [watcher.gone for watcher in watchers] == [False, True, False]


def test_advice_passes_beside_the_numbers() -> None:
    """Not-numbered events and joins reach viewers even while a gap is being filled."""
    hub = Hub()
    topic, watcher = hub.topic("x"), Watcher()
    channel = hub.channel(topic, NAME, CHAT)
    hub.settle(channel, History([], Position("e1", 5)), None)
    hub.enter(topic, channel, watcher)
    advice = Publication(channel=NAME, data=b'"stats"')
    joined = Publication(channel=JOIN + NAME, data=b'{"user":"u","client":"c"}')
    hub.deliver(Delivery("x", [numbered(8), advice, joined]))  # 6 and 7 are missing
    assert [("pub" in push, "join" in push) for push in watcher.pushes] == [
        (True, False),
        (False, True),
    ]
    missing = [numbered(6), numbered(7)]
    hub.fill(topic, channel, History(missing, Position("e1", 7)))
    assert watcher.had == [6, 7, 8]


def test_channels_without_history_show_no_positions() -> None:
    """An offset that nobody can recover by would only mislead an SDK."""
    hub = Hub()
    watcher, _ = _watching(hub, "plain:x")
    hub.deliver(Delivery("x", [numbered(3, channel="plain:x")]))
    assert watcher.pushes == [{"channel": "plain:x", "pub": {"data": 3}}]


def test_a_recovery_that_would_not_fit_into_a_frame_is_not_recovered() -> None:
    """The viewer loads the state instead; the SDK's connection must not break on it."""
    hub = Hub()
    channel = hub.channel(hub.topic("x"), NAME, CHAT)
    big = [
        Publication(channel=NAME, data=b'"%s"' % (b"x" * 300_000), epoch="e1", offset=n)
        for n in (1, 2)
    ]
    entered = hub.settle(channel, History(big, Position("e1", 2)), Position("e1", 0))
    assert entered is not None and not entered.recovered and not entered.missed


def test_personal_channels_take_turns_in_the_gap_check() -> None:
    """Rooms and gaps are looked at in every round, everything else within a few."""
    hub = Hub()
    for n in range(10):
        channel = hub.channel(hub.topic(f"#{n}"), f"#{n}", CHAT)
        channel.position = Position("e1", 0)
    hub.channel(hub.topic("x"), NAME, CHAT).position = Position("e1", 0)
    rounds = [hub.tracked_in_turn(4) for _ in range(3)]
    assert all("x" in looked for looked in rounds)
    assert all(len(looked) <= 5 for looked in rounds)
    assert {topic for looked in rounds for topic in looked} == set(hub.tracked())
    hub.deliver(Delivery("#0", [numbered(5, channel="#0")]))
    assert all("#0" in hub.tracked_in_turn(4) for _ in range(3))
    assert hub.tracked_in_turn(100) == hub.tracked()


def test_each_variant_is_built_once_from_the_same_publications() -> None:
    """Two kinds of connections in one room: each gets its own bytes, made when first needed."""
    built: list[str] = []

    def framing(name: str) -> Framing:
        def frames(lines: Iterable[bytes]) -> bytes:
            built.append(name)
            return name.encode() + b" " + b" ".join(lines)

        return frames

    hub = Hub()
    watchers = []
    for name in ("a", "b", "a"):
        watcher = Watcher()
        watcher.variant = next(
            (w.variant for w in watchers if w.variant.name == name),
            Variant(name, JSON, framing(name)),
        )
        watcher.write = watcher.written.append  # type: ignore[method-assign]
        hub.enter(topic := hub.topic("x"), hub.channel(topic, NAME, Rules()), watcher)
        watchers.append(watcher)
    built.clear()  # of the pings
    hub.deliver(Delivery("x", [numbered(1)]))
    assert sorted(built) == ["a", "b"]
    assert [bytes(watcher.written[0][:2]) for watcher in watchers] == [b"a ", b"b ", b"a "]


def test_who_comes_or_goes_during_a_sliced_frame_has_it_once() -> None:
    """The frame reaches exactly those who were there when it began, each once, before they go."""
    hub = Hub()
    topic = hub.topic("x")
    channel = hub.channel(topic, NAME, CHAT)
    hub.settle(channel, History([], Position("e1", 0)), None)
    hub.on_due(lambda _: None)
    watchers = [Watcher() for _ in range(9)]
    for watcher in watchers:
        hub.enter(topic, channel, watcher)
    hub.deliver(Delivery("x", [numbered(1)]))
    assert channel.written == Position("e1", 0)
    job = hub.flush(topic)
    assert channel.written == Position("e1", 1)
    job.step(4)
    hub.leave("x", NAME, watchers[1])
    hub.leave("x", NAME, watchers[6])
    hub.leave("x", NAME, watchers[6])
    late = Watcher()
    hub.enter(topic, channel, late)
    job.step(2)
    assert not job.done
    job.finish()
    assert [watcher.had for watcher in watchers] == [[1]] * 9
    assert late.had == [] and job.frames == 9
