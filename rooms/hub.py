"""
Who watches what on this worker, where each channel stands here, and the plain loop that tells them.

A delivery of the bus is encoded once for each set of channels that viewers of its topic watch, as a
finished WebSocket frame, and written to each viewer; nothing in that loop waits or encodes again.

Positions are kept per channel, not per viewer: everybody who watches a channel here has had exactly
the publications up to the channel's position. A delivery that does not follow on it is a gap; the
channel then holds what comes until `hub_service.py` has filled the gap from history. What cannot be
filled ends in `Viewer.lost`, never in silence.

Everything here is one step of the event loop: no waiting, no clock, no I/O but `Viewer.write`.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from rooms import protocol
from rooms.bus import Delivery, History, Position, Publication

RECENT = 512  # publications a channel remembers, to close the gap between a slow read and now
HELD = 1_000  # publications kept while a gap is filled; more than any history would return
FRAME_BYTES = 256 * 1024  # of one text frame; one SDK refuses more than 1 MiB
RECOVERY_BYTES = 512 * 1024  # of one recovery, which cannot be split; more is "not recovered"

log = logging.getLogger(__name__)


class Viewer(Protocol):
    """One connection as the hub sees it. Callable at any time, also after it has closed."""

    slow: bool  # past the soft mark: ask `write_slow` instead of `write`

    def write(self, frame: bytes, /) -> None:
        """Hand a finished frame to the socket. Never waits."""

    def write_slow(self, frame: bytes, /) -> None:
        """The same past the soft mark; the frame holds no droppable lane and may be empty."""

    def lost(self, channel: str, /) -> None:
        """Publications of the channel are gone for good. The viewer has left it already."""

    def failed(self, /) -> None:
        """A write raised. Close at once."""


class Channel:
    """One watched channel on this worker."""

    __slots__ = ("droppable", "head", "held", "name", "position", "recent", "tracked", "viewers")

    def __init__(self, name: str, *, tracked: bool, droppable: bool) -> None:
        self.name = name
        self.tracked = tracked  # publications are numbered and recoverable
        self.droppable = droppable
        self.head = protocol.channel_head(name)
        self.position: Position | None = None  # None until the first read told it
        self.recent: deque[Publication] = deque(maxlen=RECENT)
        self.held: deque[Publication] | None = None  # not None: a gap is being filled
        self.viewers: dict[Viewer, None] = {}

    def forget_position(self) -> None:
        self.position = None
        self.recent.clear()
        self.held = None


class Group:
    """The viewers of a topic who watch exactly the same channels of it."""

    __slots__ = ("_snapshot", "channels", "viewers")

    def __init__(self, channels: frozenset[str]) -> None:
        self.channels = channels
        self.viewers: dict[Viewer, None] = {}
        self._snapshot: list[Viewer] | None = None

    def add(self, viewer: Viewer) -> None:
        self.viewers[viewer] = None
        self._snapshot = None

    def discard(self, viewer: Viewer) -> None:
        self.viewers.pop(viewer, None)
        self._snapshot = None

    def everyone(self) -> list[Viewer]:
        """A list that stays as it is while viewers leave during the loop over it."""
        if self._snapshot is None:
            self._snapshot = list(self.viewers)
        return self._snapshot


class Topic:
    """What the bus delivers together: the channels of a room, or one channel."""

    __slots__ = ("attached", "channels", "groups", "name", "of", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.attached = False
        self.waiting = 0  # subscriptions being prepared: the topic must stay
        self.channels: dict[str, Channel] = {}
        self.groups: dict[frozenset[str], Group] = {}
        self.of: dict[Viewer, Group] = {}

    @property
    def idle(self) -> bool:
        return not self.of and not self.waiting

    def watch(self, viewer: Viewer, channel: str) -> None:
        group = self.of.get(viewer)
        self._move(viewer, (group.channels if group else frozenset()) | {channel})

    def unwatch(self, viewer: Viewer, channel: str) -> None:
        if group := self.of.get(viewer):
            self._move(viewer, group.channels - {channel})

    def _move(self, viewer: Viewer, channels: frozenset[str]) -> None:
        if old := self.of.pop(viewer, None):
            old.discard(viewer)
            if not old.viewers:
                del self.groups[old.channels]
        if channels:
            group = self.groups.setdefault(channels, Group(channels))
            group.add(viewer)
            self.of[viewer] = group


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

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.frames_written = 0  # for the metrics: one a viewer and frame
        self._on_gap: Callable[[], None] = lambda: None
        self._turn = 0  # where the next round of the gap check begins

    def on_gap(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a delivery shows that publications are missing."""
        self._on_gap = listener

    def topic(self, name: str) -> Topic:
        return self.topics.setdefault(name, Topic(name))

    def viewers_of(self, topic: str, channel: str) -> int:
        """How many viewers watch the channel on this worker."""
        found = self.topics.get(topic)
        state = found.channels.get(channel) if found else None
        return len(state.viewers) if state else 0

    # --- coming and going ------------------------------------------------------------------

    def channel(self, topic: Topic, name: str, *, tracked: bool, droppable: bool) -> Channel:
        """The state of a channel here, made when it is the first time."""
        state = topic.channels.get(name)
        if state is None:
            state = topic.channels[name] = Channel(name, tracked=tracked, droppable=droppable)
        return state

    def enter(self, topic: Topic, channel: Channel, viewer: Viewer) -> None:
        """From now on the viewer gets what follows the channel's position."""
        channel.viewers[viewer] = None
        topic.watch(viewer, channel.name)

    def leave(self, topic_name: str, channel_name: str, viewer: Viewer) -> None:
        """The viewer gets nothing more of the channel. Unknown ones are ignored."""
        topic = self.topics.get(topic_name)
        if topic is None:
            return
        topic.unwatch(viewer, channel_name)
        if channel := topic.channels.get(channel_name):
            channel.viewers.pop(viewer, None)

    def settle(self, channel: Channel, read: History, requested: Position | None) -> Entered | None:
        """
        Make the answer for a subscriber who enters in this very step, from a history just read.

        The read may be behind or ahead of what was delivered here meanwhile: what lies past the
        position is cut off (it will be delivered), what is missing up to it comes from `recent`.
        None means that the two do not fit together, and one has to read again.
        """
        if not self._place(channel, read.position):
            return None
        here = channel.position
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
            for item in channel.recent
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
        since = [item for item in channel.recent if item.offset > top.offset]
        if any(item.epoch != top.epoch for item in channel.recent):
            channel.recent.clear()  # of an epoch that ended while this was read
            return False
        if not _unbroken(since, top.offset, top.offset + len(since)):
            return False
        channel.position = Position(top.epoch, since[-1].offset if since else top.offset)
        return True

    # --- deliveries ------------------------------------------------------------------------

    def deliver(self, delivery: Delivery) -> None:
        """Take what the bus delivered, in order, and write it to everyone it is for."""
        topic = self.topics.get(delivery.topic)
        if topic is None:
            return
        due: list[Publication] = []
        for item in delivery.publications:
            channel = topic.channels.get(protocol.watched(item.channel))
            if channel is None:
                continue
            if not item.offset or not channel.tracked or self._follows(channel, item):
                due.append(item)
            elif channel.position is not None and channel.position.epoch != item.epoch:
                self._write(topic, due)
                due = []
                self.lose(topic, channel)
        if due:
            self._write(topic, due)

    def _follows(self, channel: Channel, item: Publication) -> bool:
        """Whether this publication is the very next of its channel; if so, count it."""
        here = channel.position
        if here is None:
            channel.recent.append(item)  # a first read is under way and will want it
            return False
        if item.epoch != here.epoch or item.offset <= here.offset:
            return False
        if channel.held is not None:
            channel.held.append(item)
            return False
        if item.offset != here.offset + 1:
            channel.held = deque([item], maxlen=HELD)
            self._on_gap()
            return False
        channel.position = Position(here.epoch, item.offset)
        channel.recent.append(item)
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
        channel.recent.extend(missing)
        if missing:
            self._write(topic, missing)

    def lose(self, topic: Topic, channel: Channel) -> None:
        """Publications are gone for good: everybody is told and has to subscribe again."""
        viewers = list(channel.viewers)
        channel.viewers.clear()
        channel.forget_position()
        for viewer in viewers:
            topic.unwatch(viewer, channel.name)
            viewer.lost(channel.name)

    def behind(self, tops: dict[str, Position]) -> Iterator[Gap]:
        """Channels whose top position on the bus is not the position here."""
        for topic in list(self.topics.values()):
            for channel in list(topic.channels.values()):
                top, here = tops.get(channel.name), channel.position
                if here is None or top is None:
                    continue
                if top.epoch != here.epoch or top.offset > here.offset or channel.held is not None:
                    yield Gap(topic, channel)

    def tracked(self) -> dict[str, list[str]]:
        """Topic -> channels with a position, for the gap check."""
        found = {
            topic.name: [item.name for item in topic.channels.values() if item.position is not None]
            for topic in self.topics.values()
        }
        return {topic: channels for topic, channels in found.items() if channels}

    def tracked_in_turn(self, most: int) -> dict[str, list[str]]:
        """
        The same for one round: all rooms and gaps, and of the topics that are one channel `most`.

        A worker may hold as many personal channels as viewers; those take turns.
        """
        tracked = self.tracked()
        single = [topic for topic, channels in tracked.items() if channels == [topic]]
        if len(single) <= most:
            return tracked
        self._turn %= len(single)
        due = {*single[self._turn : self._turn + most]}
        self._turn += most
        return {
            topic: channels
            for topic, channels in tracked.items()
            if channels != [topic] or topic in due or self._is_broken(topic)
        }

    def _is_broken(self, topic: str) -> bool:
        return any(channel.held is not None for channel in self.topics[topic].channels.values())

    # --- the hot path ----------------------------------------------------------------------

    def _write(self, topic: Topic, due: list[Publication]) -> None:
        """One encode for each set of channels, one write for each viewer."""
        lines: list[tuple[str, bool, bytes]] = []
        for item in due:
            name = protocol.watched(item.channel)
            channel = topic.channels[name]
            lines.append((name, channel.droppable, _line(channel, item)))
        built: dict[frozenset[str], tuple[bytes, bytes]] = {}
        named = frozenset(name for name, _, _ in lines)
        for group in list(topic.groups.values()):
            wanted = group.channels & named
            if not wanted:
                continue
            if wanted not in built:
                built[wanted] = _frames(lines, wanted)
            frame, lean = built[wanted]
            self.frames_written += len(group.viewers)
            _write_all(group.everyone(), frame, lean)


def _write_all(viewers: Sequence[Viewer], frame: bytes, lean: bytes) -> None:
    """The loop that decides how many viewers a core can serve."""
    rest = iter(viewers)
    viewer: Viewer | None = None
    while True:
        try:
            for viewer in rest:
                if viewer.slow:
                    viewer.write_slow(lean)
                else:
                    viewer.write(frame)
            return
        except Exception:  # one socket's failure must not cost the others their frame
            log.exception("a write to a viewer failed")
            assert viewer is not None
            viewer.failed()


def _line(channel: Channel, item: Publication) -> bytes:
    head = channel.head if item.channel == channel.name else protocol.channel_head(item.channel)
    if item.offset and not channel.tracked:  # positions are for those who can recover by them
        item = Publication(channel=item.channel, data=item.data, info=item.info)
    return protocol.push(head, item)


def _frames(
    lines: Iterable[tuple[str, bool, bytes]], wanted: frozenset[str]
) -> tuple[bytes, bytes]:
    """The finished frame for these channels, and the one without the droppable lane."""
    mine = [(droppable, line) for name, droppable, line in lines if name in wanted]
    full = protocol.frames((line for _, line in mine), FRAME_BYTES)
    if not any(droppable for droppable, _ in mine):
        return full, full
    return full, protocol.frames((line for droppable, line in mine if not droppable), FRAME_BYTES)


def _unbroken(items: Sequence[Publication], after: int, top: int) -> bool:
    """Whether the items are exactly the offsets `after` + 1 … `top`."""
    return len(items) == top - after and all(
        item.offset == after + step for step, item in enumerate(items, 1)
    )


def _size(items: Iterable[Publication]) -> int:
    return sum(len(item.data) + len(item.info) + 32 for item in items)
