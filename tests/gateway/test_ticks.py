"""The clock of the fan-out, in virtual time: what leaves when, and in which pieces."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rooms.audience import Channel, Topic
from rooms.bus import Delivery, History, Position, Publication
from rooms.channels import CHAT, DANMAKU, ROOM, Rules
from rooms.fanout_service import PENDING_BYTES, SLICE_VIEWERS, FanOut
from rooms.frames import JSON_TEXT
from rooms.hub import Hub
from rooms.pace import BUSY_MAX
from tests.simulation.loop import VirtualLoop

Story = Callable[["Stage"], Awaitable[None]]


class Seat:
    """A viewer that notes when it was written what; a write costs the stage its time."""

    def __init__(self, stage: "Stage") -> None:
        self.variant = JSON_TEXT
        self.direct = True
        self.stage = stage
        self.frames: list[tuple[float, int]] = []  # when, and how many messages
        self.broken = False

    def write(self, frame: bytes) -> None:
        self.stage.busy += self.stage.write_seconds
        self.frames.append((round(self.stage.now, 3), frame.count(b'"push"')))

    def queue(self, frame: bytes, lean: bytes) -> None:
        self.write(frame)

    def lost(self, channel: str) -> None:
        self.broken = True

    def failed(self) -> None:
        self.broken = True


class Stage:
    """A hub with its clock, and rooms in it."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.busy = 0.0
        self.write_seconds = 0.0
        self.fanout = FanOut(self.hub, lambda: self.busy)
        self.offsets: dict[str, int] = {}
        self.heard: list[int] = []
        self.fanout.on_frame = lambda seconds, job: self.heard.append(job.frames)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def channel(self, name: str, rules: Rules) -> tuple[Topic, Channel]:
        topic = self.hub.topic(name.rpartition(":")[2])
        channel = self.hub.channel(topic, name, rules)
        if channel.tracked and channel.position is None:
            self.hub.settle(channel, History([], Position("e", 0)), None)
        return topic, channel

    def seat(self, *channels: tuple[str, Rules]) -> Seat:
        seat = Seat(self)
        for name, rules in channels:
            topic, channel = self.channel(name, rules)
            self.hub.enter(topic, channel, seat)
        return seat

    def crowd(self, count: int, name: str, rules: Rules = CHAT) -> list[Seat]:
        return [self.seat((name, rules)) for _ in range(count)]

    def say(self, name: str, data: bytes = b"1") -> None:
        offset = self.offsets[name] = self.offsets.get(name, 0) + 1
        item = Publication(channel=name, data=data, epoch="e", offset=offset)
        self.hub.deliver(Delivery(name.rpartition(":")[2], [item]))


def play(story: Story) -> None:
    async def run() -> None:
        await story(Stage())

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


def test_the_first_line_leaves_at_once_and_the_rest_with_the_tick() -> None:
    """One frame each 50 ms, whatever comes in between."""

    async def story(stage: Stage) -> None:
        seat = stage.seat(("chat:x", CHAT))
        for _ in range(12):
            stage.say("chat:x")
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert seat.frames == [(0.0, 1), (0.05, 5), (0.1, 5), (0.15, 1)] or seat.frames == [
            (0.0, 1), (0.05, 4), (0.1, 5), (0.15, 2),
        ]  # fmt: skip
        await asyncio.sleep(1)
        stage.say("chat:x")
        assert len(seat.frames) == 5

    play(story)


def test_an_event_that_must_arrive_takes_along_what_waits() -> None:
    """It leaves at once between two ticks of chat; a second one waits for the room's tick."""

    async def story(stage: Stage) -> None:
        seat = stage.seat(("chat:x", CHAT), ("room:x", ROOM), ("danmaku:x", DANMAKU))
        stage.say("chat:x")
        await asyncio.sleep(0.01)
        stage.say("chat:x")
        stage.say("danmaku:x")
        assert seat.frames == [(0.0, 1)]
        stage.say("room:x")
        assert seat.frames[1:] == [(0.01, 3)]
        await asyncio.sleep(0.01)
        stage.say("room:x")
        stage.say("chat:x")
        await asyncio.sleep(0.1)
        assert seat.frames[2:] == [(0.06, 2)]

    play(story)


def test_operators_channels_have_the_tick_that_they_were_given() -> None:
    """None by default; with `tick_ms`, that one."""

    async def story(stage: Stage) -> None:
        plain, slow = stage.seat(("a", Rules())), stage.seat(("b", Rules(tick_ms=200)))
        for _ in range(10):
            stage.say("a")
            stage.say("b")
        assert plain.frames == [(0.0, 1)] * 10
        await asyncio.sleep(0.5)
        assert slow.frames == [(0.0, 1), (0.2, 9)]

    play(story)


def test_ticks_stretch_with_the_audience() -> None:
    """A crowd of 400 at 1 ms a write cannot have 20 frames a second; the small room can."""

    async def story(stage: Stage) -> None:
        stage.write_seconds = 0.001
        crowd, small = stage.crowd(400, "chat:big"), stage.seat(("chat:small", CHAT))
        for _ in range(1_000):
            stage.say("chat:big")
            stage.say("chat:small")
            await asyncio.sleep(0.01)
        assert stage.busy / stage.now < BUSY_MAX + 0.05
        assert len(small.frames) > 150
        assert 10 < len(crowd[0].frames) < 25
        assert sum(count for _, count in crowd[0].frames) > 900

    play(story)


def test_a_large_room_is_written_in_slices_and_others_pass_in_between() -> None:
    """Its frame takes several turns of the loop; a small room's takes none."""

    async def story(stage: Stage) -> None:
        crowd = stage.crowd(SLICE_VIEWERS * 3 + 5, "chat:big")
        small = stage.seat(("chat:small", CHAT))
        stage.say("chat:big")
        written = sum(bool(seat.frames) for seat in crowd)
        assert written == SLICE_VIEWERS
        stage.say("chat:small")
        assert small.frames
        late = stage.seat(("chat:big", CHAT))
        stage.say("chat:big")  # waits for the first to be through, and then for its tick
        await asyncio.sleep(0.2)
        assert all([count for _, count in seat.frames] == [1, 1] for seat in crowd)
        assert [count for _, count in late.frames] == [1]
        assert stage.heard == [1, len(crowd), len(crowd) + 1]

    play(story)


def test_what_grows_too_large_does_not_wait_for_the_tick() -> None:
    """The bound on what waits in a topic is a frame's size."""

    async def story(stage: Stage) -> None:
        seat = stage.seat(("chat:x", CHAT))
        stage.say("chat:x")
        for _ in range(3):
            stage.say("chat:x", b'"%s"' % (b"x" * (PENDING_BYTES // 2)))
        assert [count for _, count in seat.frames] == [1, 2]
        await asyncio.sleep(0.1)
        assert [count for _, count in seat.frames] == [1, 2, 1]

    play(story)


@pytest.mark.parametrize("slices", [1, 3])
def test_a_lost_epoch_tells_everyone_after_what_was_right(slices: int) -> None:
    """What waits is written first, a frame under way is finished, then all are told."""

    async def story(stage: Stage) -> None:
        crowd = stage.crowd(SLICE_VIEWERS * slices - 7, "chat:x")
        stage.say("chat:x")
        stage.say("chat:x")
        lost = Publication(channel="chat:x", data=b"1", epoch="another", offset=1)
        stage.hub.deliver(Delivery("x", [lost]))
        assert all(sum(count for _, count in seat.frames) == 2 for seat in crowd)
        assert all(seat.broken for seat in crowd)
        await asyncio.sleep(1)
        assert stage.hub.topic("x").job is None

    play(story)


def test_who_enters_while_lines_wait_is_told_where_it_stands() -> None:
    """Its position is that of what was written; what waits reaches it with the tick."""

    async def story(stage: Stage) -> None:
        stage.seat(("chat:x", CHAT))
        stage.say("chat:x")
        stage.say("chat:x")
        topic, channel = stage.channel("chat:x", CHAT)
        read = History([], Position("e", 2))  # the bus is further
        entered = stage.hub.settle(channel, read, None)
        assert entered is not None and entered.position == Position("e", 1)
        late = Seat(stage)
        stage.hub.enter(topic, channel, late)
        assert stage.hub.settle(channel, read, Position("e", 2)) is None  # ahead of us: hasten
        stage.hub.hasten(topic)
        again = stage.hub.settle(channel, read, Position("e", 2))
        assert again is not None and again.recovered
        await asyncio.sleep(0.1)
        assert late.frames == [(0.0, 1)]

    play(story)
