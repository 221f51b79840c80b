"""
When what waits in each topic is written, and in which slices.

A room's frame leaves at once when its last tick is over, else when it is. A very large room is
written in slices, one in each turn of the loop, so that the others' frames and commands pass in
between. There is one timer for each topic in which something waits, and none for the others.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from rooms import pace
from rooms.audience import Topic
from rooms.channels import room_of
from rooms.fanout import Job
from rooms.hub import Hub
from rooms.pace import Pace

SLICE_VIEWERS = 1_000  # written in one turn of the loop: some 7 ms
PENDING_BYTES = 256 * 1024  # waiting in a topic: more does not wait for the tick
PENDING_MAX_BYTES = 4 * 1024 * 1024  # the same during a sliced frame; then the loop waits for it
MEASURE_SECONDS = 0.5  # between two looks at how busy the loop is
ACTIVE_SECONDS = 2.0  # a topic without a frame for so long wants none of the loop's time

log = logging.getLogger(__name__)

OnFrame = Callable[[float, Job], None]


class FanOut:
    """
    The clock of a hub. `busy_seconds` is the loop's thread's own time (`time.thread_time`).

    `on_frame(seconds, job)` is told of every frame: how long its oldest publication waited here
    until the last viewer had it, and what counted how much was written.
    """

    def __init__(self, hub: Hub, busy_seconds: Callable[[], float]) -> None:
        self._hub = hub
        self._busy_seconds = busy_seconds
        self._timers: dict[Topic, tuple[asyncio.Handle, float]] = {}  # and when they are due
        self._jobs: deque[tuple[Topic, Job, float]] = deque()  # with when its oldest item came
        self._active: dict[Topic, None] = {}
        self._share = pace.budget(0.0)  # of the loop's time, that no room may exceed
        self._other = 0.0  # share of the loop's time that is not for frames
        self._spent = 0.0  # seconds for frames since the last look
        self._looked: tuple[float, float] | None = None  # wall and busy time at the last look
        self.on_frame: OnFrame = lambda seconds, job: None
        hub.on_due(self._due)

    def _due(self, topic: Topic) -> None:
        """Something waits in the topic: write it, or see to it that it is written in time."""
        if topic.name.startswith("#") and topic.job is None:
            self._write_to_one(topic)
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        own = topic.pace or self._new_pace(topic)
        if own.since is None:
            own.since = now
        if topic.job is not None:
            if topic.pending_bytes > PENDING_MAX_BYTES:
                self._begin(topic, now)
            return
        at = own.due_at(self.tick(topic), urgent=topic.urgent)
        if at <= now or topic.pending_bytes > PENDING_BYTES:
            self._begin(topic, now)
            return
        timer = self._timers.get(topic)
        if timer is None or at < timer[1]:
            if timer is not None:
                timer[0].cancel()
            self._timers[topic] = (loop.call_at(at, self._tick_over, topic), at)

    def _write_to_one(self, topic: Topic) -> None:
        """
        One person's own channel: no tick, no slices, and too little to measure. A rush brings as
        many of these as orders.
        """
        job = self._hub.flush(topic)
        try:
            job.finish()
        except Exception:  # what cannot be encoded must not be missed in silence
            log.exception("a frame of %s failed", topic.name)
            for channel in list(topic.channels.values()):
                self._hub.lose(topic, channel)
        topic.job = None
        self.on_frame(0.0, job)

    def tick(self, topic: Topic) -> float:
        """Seconds between two frames of the topic as things are now; 0 = at once."""
        own = topic.pace
        if own is None or not own.base:
            return 0.0
        return pace.tick(own.base, own.cost(len(topic.of)), self._share)

    def _tick_over(self, topic: Topic) -> None:
        del self._timers[topic]
        if topic.pending and topic.job is None:
            self._begin(topic, asyncio.get_running_loop().time())

    def _new_pace(self, topic: Topic) -> Pace:
        rooms = any(room_of(name) is not None for name in topic.channels)
        ticks = [channel.rules.tick_ms / 1000 for channel in topic.channels.values()]
        topic.pace = Pace(base=pace.TICK_SECONDS if rooms else max(ticks, default=0.0))
        return topic.pace

    def _begin(self, topic: Topic, now: float) -> None:
        if timer := self._timers.pop(topic, None):
            timer[0].cancel()
        own = topic.pace
        assert own is not None
        since = now if own.since is None else own.since
        own.wrote(now, urgent=topic.urgent)
        if own.base:
            self._active[topic] = None
            self._look(now)
        self._step(topic, self._hub.flush(topic), since)

    def _step(self, topic: Topic, job: Job, since: float) -> None:
        """Write one slice; the rest takes further turns of the loop."""
        before, frames = self._busy_seconds(), job.frames
        try:
            job.step(SLICE_VIEWERS)
        except Exception:  # what cannot be encoded must not be missed in silence
            log.exception("a frame of %s failed", topic.name)
            for channel in list(topic.channels.values()):
                self._hub.lose(topic, channel)
        spent = self._busy_seconds() - before
        self._spent += spent
        if topic.pace is not None:
            topic.pace.measured(spent, job.frames - frames)
        if not job.done:
            self._jobs.append((topic, job, since))
            if len(self._jobs) == 1:
                asyncio.get_running_loop().call_soon(self._turn)
            return
        self._end(topic, job, since)

    def _turn(self) -> None:
        topic, job, since = self._jobs.popleft()
        more = bool(self._jobs)
        self._step(topic, job, since)
        if more:
            asyncio.get_running_loop().call_soon(self._turn)

    def _end(self, topic: Topic, job: Job, since: float) -> None:
        if topic.job is job:
            topic.job = None
        self.on_frame(asyncio.get_running_loop().time() - since, job)
        if topic.pending and topic.job is None:
            self._due(topic)

    def _look(self, now: float) -> None:
        """Twice a second: how busy is the loop, and what share of it may a room take?"""
        busy = self._busy_seconds()
        if self._looked is None:
            self._looked = (now, busy)
        elapsed = now - self._looked[0]
        if elapsed < MEASURE_SECONDS:
            return
        other = (busy - self._looked[1] - self._spent) / elapsed
        self._other += (other - self._other) / 2
        self._looked, self._spent = (now, busy), 0.0
        demands = []
        for topic in list(self._active):
            own = topic.pace
            if own is None or now - own.last > ACTIVE_SECONDS:
                del self._active[topic]
            else:
                demands.append(own.demand(len(topic.of)))
        self._share = pace.equal_share(demands, pace.budget(self._other))
