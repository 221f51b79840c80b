"""
What this worker knows of every topic that somebody here watches, and what arrives of them.

A delivery of the bus waits in its topic until `flush`: at once where nobody listens to `on_due`,
else when `fanout_service.py` says that its tick has come.

A delivery that does not follow on its channel's position is a gap; the channel then holds what
comes until `hub_service.py` has filled the gap from history. What cannot be filled ends in
`Viewer.lost`, never in silence.

Everything here is one step of the event loop: no waiting, no clock, no I/O but writing to viewers.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from rooms import protocol
from rooms.audience import Channel, Topic, Viewer
from rooms.bus import Delivery, History, Position, Publication
from rooms.channels import Rules, room_of, topic_of
from rooms.fanout import Job, WriteMany, write_each

HELD = 1_000  # publications kept while a gap is filled; more than any history would return
RECOVERY_BYTES = 512 * 1024  # of one recovery, which cannot be split; more is "not recovered"


class Entered(NamedTuple):
    """What a new subscriber is told: it has had everything up to `position`."""

    position: Position | None  # None: the channel keeps no positions
    recovered: bool = False
    missed: Sequence[Publication] = ()


class Gap(NamedTuple):
    """A channel of which publications are missing here."""

    topic: Topic
    channel: Channel


class Hub:
    """All topics watched on this worker."""

    def __init__(self, write_many: WriteMany = write_each) -> None:
        self._write_many = write_many
        self.topics: dict[str, Topic] = {}
        self.rooms: dict[str, Topic] = {}  # of these, the ones of many channels
        self.left: set[str] = set()  # topics that somebody left, and nobody may watch any more
        self._single: OrderedDict[str, Topic] = OrderedDict()  # the others, by their gap checks
        self._broken: set[str] = set()  # topics of which publications may be missing
        self._on_gap: Callable[[], None] = lambda: None
        self._on_due: Callable[[Topic], None] = self._flush_whole

    def on_gap(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a delivery shows that publications are missing."""
        self._on_gap = listener

    def on_due(self, listener: Callable[[Topic], None]) -> None:
        """Call `listener` when something waits in a topic; it calls `flush` when it is time."""
        self._on_due = listener

    def topic(self, name: str) -> Topic:
        return self.topics.setdefault(name, Topic(name))

    def forget(self, topic: Topic) -> None:
        """Nobody watches it and the bus does not carry it here any more."""
        self.topics.pop(topic.name, None)
        self.rooms.pop(topic.name, None)
        self._single.pop(topic.name, None)

    def viewers_of(self, topic: str, channel: str) -> int:
        """How many viewers watch the channel on this worker."""
        found = self.topics.get(topic)
        state = found.channels.get(channel) if found else None
        return state.viewers if state else 0

    # --- coming and going ------------------------------------------------------------------

    def channel(self, topic: Topic, name: str, rules: Rules) -> Channel:
        """The state of a channel here, made when it is the first time."""
        state = topic.channels.get(name)
        if state is None:
            state = topic.channels[name] = Channel(name, rules)
            if room_of(name) is not None:
                self.rooms[topic.name] = topic
            else:
                self._single[name] = topic
        return state

    def enter(self, topic: Topic, channel: Channel, viewer: Viewer, *, delta: bool = False) -> None:
        """From now on the viewer gets what follows on what was written of the channel."""
        if topic.job is not None:
            topic.job.ahead(viewer)
        topic.enter(viewer, channel, delta=delta)

    def leave(self, topic_name: str, channel_name: str, viewer: Viewer) -> None:
        """The viewer gets nothing more of the channel. Unknown ones are ignored."""
        topic = self.topics.get(topic_name)
        if topic is None:
            return
        if topic.job is not None:
            topic.job.ahead(viewer)
        if channel := topic.channels.get(channel_name):
            topic.leave(viewer, channel)
        self.left.add(topic_name)

    def settle(self, channel: Channel, read: History, requested: Position | None) -> Entered | None:
        """
        Make the answer for a subscriber who enters in this very step, from a history just read.

        The read may be behind or ahead of what was delivered here meanwhile: what lies past the
        position is cut off (it will be delivered), what is missing up to it comes from `recent`.
        The position that counts is that of what was written: what waits for its tick will come.
        None means that the two do not fit together, and one has to read again.
        """
        if not self._place(channel, read.position):
            return None
        here = channel.written
        assert here is not None
        if here.epoch != read.position.epoch:
            return None
        if requested is None:
            return Entered(here)
        if requested.epoch not in ("", here.epoch) or requested.offset > read.position.offset:
            return Entered(here)
        if requested.offset > here.offset:
            return None  # it heard more on another worker than has arrived here yet
        missed = [item for item in read.publications if item.offset <= here.offset]
        later = [
            item
            for item in channel.recent or ()
            if read.position.offset < item.offset <= here.offset and item.offset > requested.offset
        ]
        if here.offset > read.position.offset and (
            not later or later[0].offset > max(read.position.offset, requested.offset) + 1
        ):
            return None  # longer ago than `recent` reaches
        missed += later
        if not _unbroken(missed, requested.offset, here.offset) or _size(missed) > RECOVERY_BYTES:
            return Entered(here)
        return Entered(here, True, missed)

    def _place(self, channel: Channel, top: Position) -> bool:
        """Give a channel its first position: where the read ended, plus what came since."""
        if channel.position is not None:
            return True
        recent = channel.recent or ()
        since = [item for item in recent if item.offset > top.offset]
        if any(item.epoch != top.epoch for item in recent):
            channel.recent = None  # of an epoch that ended while this was read
            return False
        if not _unbroken(since, top.offset, top.offset + len(since)):
            return False
        channel.position = Position(top.epoch, since[-1].offset if since else top.offset)
        return True

    # --- deliveries ------------------------------------------------------------------------

    def deliver(self, delivery: Delivery) -> None:
        """Take what the bus delivered, in order; it is written to everyone at the topic's tick."""
        topic = self.topics.get(delivery.topic)
        if topic is None:
            return
        for item in delivery.publications:
            channel = topic.channels.get(protocol.watched(item.channel))
            if channel is None:
                continue
            if not item.offset or not channel.tracked or self._follows(channel, item):
                topic.put_pending(channel, item)
            elif channel.position is not None and channel.position.epoch != item.epoch:
                self.lose(topic, channel)
        if topic.pending:
            self._on_due(topic)

    def flush(self, topic: Topic) -> Job:
        """
        Begin to write what waits. It counts as written at once: whoever enters now gets the next.

        The caller steps the job to its end, or `finish`es it, before the next flush.
        """
        if topic.job is not None:
            topic.job.finish()
        topic.job = Job(topic, topic.take_pending(), self._write_many)
        for channel in topic.job.with_bases:
            topic.settle_fresh(channel)
        return topic.job

    def hasten(self, topic: Topic) -> None:
        """Write what waits now."""
        if topic.pending:
            self._flush_whole(topic)

    def _flush_whole(self, topic: Topic) -> None:
        self.flush(topic).finish()
        topic.job = None

    def _follows(self, channel: Channel, item: Publication) -> bool:
        """Whether this publication is the very next of its channel; if so, count it."""
        here = channel.position
        if here is None:
            channel.remember(item)  # a first read is under way and will want it
            return False
        if item.epoch != here.epoch or item.offset <= here.offset:
            return False
        if channel.held is not None:
            channel.held.append(item)
            return False
        if item.offset != here.offset + 1:
            channel.held = deque([item], maxlen=HELD)
            self._broken.add(topic_of(channel.name))
            self._on_gap()
            return False
        channel.position = Position(here.epoch, item.offset)
        channel.remember(item)
        return True

    def fill(self, topic: Topic, channel: Channel, read: History) -> None:
        """Close a gap with a history read since the channel's position; a hole is told."""
        here = channel.position
        if here is None:
            return
        if read.position.epoch != here.epoch or read.position.offset < here.offset:
            self.lose(topic, channel)
            return
        held = channel.held or ()
        known = {item.offset: item for item in (*held, *read.publications) if item.offset}
        missing = [known[offset] for offset in sorted(known) if offset > here.offset]
        top = max(read.position.offset, missing[-1].offset if missing else 0)
        if not _unbroken(missing, here.offset, top):
            self.lose(topic, channel)
            return
        channel.held = None
        channel.position = Position(here.epoch, top)
        for item in missing:
            channel.remember(item)
            topic.put_pending(channel, item)
        if missing:
            self._on_due(topic)

    def lose(self, topic: Topic, channel: Channel) -> None:
        """Publications are gone for good: everybody is told and has to subscribe again."""
        self._flush_whole(topic)  # what is known to be right still reaches everyone
        viewers = list(topic.viewers_of(channel.name))
        channel.forget_position()
        for viewer in viewers:
            topic.leave(viewer, channel)
            viewer.lost(channel.name)
        self.left.add(topic.name)

    def behind(self, tops: dict[str, Position]) -> Iterator[Gap]:
        """Channels of `tops` whose top position on the bus is not the position here."""
        for name, top in tops.items():
            topic = self.topics.get(topic_of(name))
            channel = topic and topic.channels.get(name)
            here = channel and channel.position
            if not topic or not channel or not here:
                continue
            if top.epoch != here.epoch or top.offset > here.offset or channel.held is not None:
                yield Gap(topic, channel)

    def tracked(self) -> dict[str, list[str]]:
        """Topic -> channels with a position, for the gap check."""
        return _tracked(self.topics.values())

    def tracked_in_turn(self, most: int) -> dict[str, list[str]]:
        """
        The same for one round: all rooms and gaps, and of the topics that are one channel `most`.

        A worker may hold as many personal channels as viewers; those take turns.
        """
        single = dict(islice(self._single.items(), most))
        for name in single:
            self._single.move_to_end(name)
        due = self.rooms | single
        self._broken = {name for name in self._broken if self._is_broken(name)}
        due |= {name: self.topics[name] for name in self._broken}
        return _tracked(due.values())

    def _is_broken(self, name: str) -> bool:
        topic = self.topics.get(name)
        return topic is not None and any(one.held is not None for one in topic.channels.values())


def _tracked(topics: Iterable[Topic]) -> dict[str, list[str]]:
    found = {
        topic.name: [item.name for item in topic.channels.values() if item.position is not None]
        for topic in topics
    }
    return {topic: channels for topic, channels in found.items() if channels}


def _unbroken(items: Sequence[Publication], after: int, top: int) -> bool:
    """Whether the items are exactly the offsets `after` + 1 … `top`."""
    return len(items) == top - after and all(
        item.offset == after + step for step, item in enumerate(items, 1)
    )


def _size(items: Iterable[Publication]) -> int:
    return sum(len(item.data) + len(item.info) + 32 for item in items)
