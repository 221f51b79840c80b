"""
The hub's dealings with the bus: subscribing with recovery, the gap check, letting topics go.

The gap check compares the positions here with those of the bus, in one call, once a second, at
every reconnect (then all of them) and as soon as a delivery shows a gap. Rooms are looked at each
time; personal channels, of which there may be as many as viewers, take turns. redis-py subscribes
again in silence, so a lost message would otherwise be noticed with the next one, or never.
"""

import asyncio
import logging
from collections.abc import Callable

from rooms.audience import Channel, Topic, Viewer
from rooms.bus import Bus, History, Position
from rooms.channels import Rules
from rooms.errors import Refusal, Unavailable
from rooms.fanout import WriteMany, write_each
from rooms.fanout_service import FanOut
from rooms.hub import RECOVERY_BYTES, Entered, Gap, Hub
from rooms.reading_service import SharedPositions

CHECK_SECONDS = 1.0  # between two gap checks: how long a silent loss may go unnoticed
SINGLES_A_CHECK = 500  # topics of one channel that one check looks at: 5 ms of the bus's time
GRACE_SECONDS = 0.05  # a publication may be numbered but still on its way to us
LINGER_CHECKS = 30  # an unwatched topic stays attached that many checks, for who comes back
ATTEMPTS = 4  # reads until a history fits what is delivered meanwhile; then "try again"

log = logging.getLogger(__name__)


class Gone(Exception):
    """The viewer closed while its subscription was prepared."""


class HubService:
    """
    What the gateway holds: `hub`, the `fanout` that is its clock, and everything that waits.

    Raises `rooms.errors.Unavailable` when the bus does not answer.
    """

    def __init__(
        self,
        bus: Bus,
        busy_seconds: Callable[[], float],
        write_many: WriteMany = write_each,
    ) -> None:
        """
        `busy_seconds` is the time that the loop's thread worked: `time.thread_time`. `write_many`
        hands a frame to many sockets.
        """
        self.bus = bus
        self.hub = Hub(write_many)
        self._positions = SharedPositions(bus)
        self.fanout = FanOut(self.hub, busy_seconds)
        self._attaching: dict[str, asyncio.Lock] = {}
        self._idle_for: dict[str, int] = {}
        self._look_now = asyncio.Event()
        self._urgent = False
        self.gaps_filled = 0  # for the metrics
        bus.on_delivery(self.hub.deliver)
        bus.on_reconnect(self._reconnected)
        self.hub.on_gap(self._look_now.set)

    def _reconnected(self) -> None:
        self._urgent = True
        self._look_now.set()

    # --- subscribing -----------------------------------------------------------------------

    async def subscribe(
        self,
        viewer: Viewer,
        topic_name: str,
        channel_name: str,
        rules: Rules,
        *,
        since: Position | None = None,
        delta: bool = False,
        admit: Callable[[Entered], bool],
    ) -> None:
        """
        Add the viewer to the channel and hand `admit` its answer in the same step of the loop.

        `since` is the position it wants to recover from; `delta` says that it takes differences.
        `admit` writes the reply and returns True; False (the connection closed meanwhile, or
        refuses an unrecovered position) leaves the viewer outside. Nothing can be delivered between
        `admit` and the entry.
        """
        topic = self.hub.topic(topic_name)
        topic.waiting += 1
        try:
            await self._attach(topic)
            channel = self.hub.channel(topic, channel_name, rules)
            entered = await self._entered(topic, channel, since)
            if admit(entered):
                self.hub.enter(topic, channel, viewer, delta=delta)
        finally:
            topic.waiting -= 1
            self.hub.left.add(topic_name)

    def at_once(self, topic_name: str, channel_name: str) -> Entered | None:
        """The answer to who enters a channel in this step (`enter`), where nothing has to wait."""
        topic = self.hub.topics.get(topic_name)
        channel = topic and topic.channels.get(channel_name)
        if not topic or not channel or not topic.attached or topic.job is not None:
            return None
        if not channel.tracked:
            return Entered(None)
        here = channel.written
        return None if here is None else Entered(here)

    def enter(
        self, viewer: Viewer, topic_name: str, channel_name: str, rules: Rules, *, delta: bool
    ) -> None:
        """Add the viewer to a channel that `at_once` answered for, in the same step."""
        topic = self.hub.topic(topic_name)
        self.hub.enter(topic, self.hub.channel(topic, channel_name, rules), viewer, delta=delta)

    async def _attach(self, topic: Topic) -> None:
        if topic.attached:
            return
        lock = self._attaching.setdefault(topic.name, asyncio.Lock())
        async with lock:
            if not topic.attached:
                await self.bus.attach(topic.name)
                topic.attached = True
        if self._attaching.get(topic.name) is lock and not lock.locked():
            del self._attaching[topic.name]

    async def _entered(self, topic: Topic, channel: Channel, since: Position | None) -> Entered:
        if not channel.tracked:
            return Entered(None)
        most = channel.rules.recovery_max
        for attempt in range(ATTEMPTS):
            here = channel.written
            if here is not None and since is None:
                return Entered(here)
            if here is not None and since == here:
                return Entered(here, True)
            read = await self._read(topic, channel, since, most + 1)
            if since and len(read.publications) > most:  # too far behind to be worth it
                read = History([], read.position)
            entered = self.hub.settle(channel, read, since)
            if entered is not None:
                return entered
            self.hub.hasten(topic)  # it may ask from what waits for its tick here
            if attempt:  # another epoch here than there, or the client knows more than we
                await asyncio.sleep(GRACE_SECONDS)
                await self._fill(Gap(topic, channel))
        raise Unavailable("the channel changes too fast right now")

    async def _read(
        self, topic: Topic, channel: Channel, since: Position | None, limit: int
    ) -> History:
        """What follows `since`, or the position alone, which a crowd reads together."""
        if since is None:
            return History([], await self._positions.of(topic.name, channel.name))
        return await self.bus.history(
            topic.name, channel.name, since=since, limit=limit, most_bytes=RECOVERY_BYTES
        )

    def unsubscribe(self, viewer: Viewer, topic_name: str, channel_name: str) -> None:
        """The viewer leaves. The topic itself is let go later, by the check."""
        self.hub.leave(topic_name, channel_name, viewer)

    # --- the gap check ---------------------------------------------------------------------

    async def run(self) -> None:
        """Check forever. What the bus refuses is tried again a second later."""
        while True:
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._look_now.wait()
            except TimeoutError:
                pass
            self._look_now.clear()
            try:
                await self.check()
                await self.let_go()
            except Refusal as problem:
                log.warning("gap check: %s", problem.detail)

    async def check(self) -> None:
        """Compare all positions with the bus in one call, and fill what is missing."""
        urgent, self._urgent = self._urgent, False
        gaps = await self._look(everything=urgent)
        if gaps and not urgent and all(gap.channel.held is None for gap in gaps):
            tops = {gap.channel.name: gap.channel.position for gap in gaps}
            await asyncio.sleep(GRACE_SECONDS)
            gaps = [gap for gap in gaps if gap.channel.position == tops[gap.channel.name]]
        for gap in gaps:
            await self._fill(gap)

    async def _look(self, *, everything: bool) -> list[Gap]:
        tracked = self.hub.tracked() if everything else self.hub.tracked_in_turn(SINGLES_A_CHECK)
        if not tracked:
            return []
        return list(self.hub.behind(await self.bus.positions(tracked)))

    async def _fill(self, gap: Gap) -> None:
        here = gap.channel.position
        if here is None:
            return
        read = await self.bus.history(gap.topic.name, gap.channel.name, since=here, limit=-1)
        if gap.channel.position != here:  # deliveries went on meanwhile: nothing was lost,
            if gap.channel.held is not None or read.position.epoch != here.epoch:
                self._look_now.set()  # or not only; look again
            return
        self.gaps_filled += 1
        self.hub.fill(gap.topic, gap.channel, read)

    async def let_go(self) -> None:
        """Detach topics that nobody has watched for a while, and forget their channels."""
        for name in list(self.hub.left):
            topic = self.hub.topics.get(name)
            if topic is None or not topic.idle:
                self.hub.left.discard(name)
                self._idle_for.pop(name, None)
                continue
            checks = self._idle_for[topic.name] = self._idle_for.get(topic.name, 0) + 1
            if checks > LINGER_CHECKS:
                await self._detach(topic)

    async def _detach(self, topic: Topic) -> None:
        lock = self._attaching.setdefault(topic.name, asyncio.Lock())
        async with lock:
            if not topic.idle:
                return
            topic.attached = False
            topic.take_pending()  # for nobody
            for channel in topic.channels.values():
                channel.forget_position()
            await self.bus.detach(topic.name)
            if topic.idle:
                self.hub.forget(topic)
                self._attaching.pop(topic.name, None)
                self._idle_for.pop(topic.name, None)
