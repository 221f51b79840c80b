"""
Who watches what of a topic on this worker, and where each channel stands here.

Positions are kept per channel, not per viewer: everybody who watches a channel here has had exactly
the publications up to what was written of it. Viewers who watch the same channels by the same
variant are one group, which gets one and the same frame.
"""

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rooms.bus import Position, Publication
from rooms.channels import Rules
from rooms.frames import Encoding, Variant

if TYPE_CHECKING:
    from rooms.fanout import Job
    from rooms.pace import Pace

RECENT = 512  # publications a channel remembers, to close the gap between a slow read and now


class Viewer(Protocol):
    """One connection as the hub sees it. Callable at any time, also after it has closed."""

    variant: Variant  # the same for as long as it watches anything
    direct: bool  # nothing waits for its socket: ask `write`, else `queue`
    fd: int  # of its socket, while `direct`

    def write(self, frame: bytes, /) -> None:
        """Hand a finished frame to the socket. Never waits."""

    def wrote(self, frame: bytes, result: int, /) -> None:
        """
        The system was handed the frame for this viewer among others: bytes taken, or a negative
        errno. Not called where it took everything.
        """

    def queue(self, frame: bytes, lean: bytes, /) -> None:
        """The same behind what waits; `lean` holds no droppable lane and may be empty."""

    def lost(self, channel: str, /) -> None:
        """Publications of the channel are gone for good. The viewer has left it already."""

    def failed(self, /) -> None:
        """A write raised. Close at once."""


class Channel:
    """One watched channel on this worker."""

    __slots__ = (
        "_heads",
        "base",
        "held",
        "name",
        "position",
        "recent",
        "rules",
        "unwritten",
        "viewers",
    )

    def __init__(self, name: str, rules: Rules) -> None:
        self.name = name
        self.rules = rules
        self.position: Position | None = None  # of what arrived; None until the first read told it
        self.unwritten = 0  # of these, how many numbered ones wait for their tick
        self.recent: deque[Publication] | None = None
        self.held: deque[Publication] | None = None  # not None: a gap is being filled
        self.viewers = 0
        self.base: bytes | None = None  # the last payload written, for differences to it
        self._heads: dict[tuple[Encoding, str], bytes] = {}

    @property
    def tracked(self) -> bool:
        """Publications are numbered and recoverable."""
        return self.rules.has_history

    @property
    def droppable(self) -> bool:
        return self.rules.lane == "droppable"

    @property
    def written(self) -> Position | None:
        """What every viewer here has had, and a new one is told."""
        here = self.position
        if here is None or not self.unwritten:
            return here
        return Position(here.epoch, here.offset - self.unwritten)

    def remember(self, item: Publication) -> None:
        if self.recent is None:
            self.recent = deque(maxlen=RECENT)
        self.recent.append(item)

    def forget_position(self) -> None:
        self.position = None
        self.unwritten = 0
        self.recent = None
        self.held = None

    def head(self, encoding: Encoding, channel: str) -> bytes:
        """What each push of `channel` (this one, its joins, its leaves) begins with."""
        head = self._heads.get((encoding, channel))
        if head is None:
            head = self._heads[encoding, channel] = encoding.head(channel)
        return head


class Audience(NamedTuple):
    """What decides which bytes a viewer gets."""

    channels: frozenset[str]  # of one topic
    variant: Variant


class Group:
    """The viewers of a topic who get the same bytes."""

    __slots__ = ("_snapshot", "audience", "viewers")

    def __init__(self, audience: Audience) -> None:
        self.audience = audience
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

    __slots__ = (
        "attached",
        "channels",
        "groups",
        "job",
        "name",
        "of",
        "pace",
        "pending",
        "pending_bytes",
        "urgent",
        "waiting",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.attached = False
        self.waiting = 0  # subscriptions being prepared: the topic must stay
        self.channels: dict[str, Channel] = {}
        self.groups: dict[Audience, Group] = {}
        self.of: dict[Viewer, Group] = {}
        self.pending: list[Publication] = []  # arrived, and waiting for their tick
        self.pending_bytes = 0
        self.urgent = False  # some of it is of the must-arrive lane
        self.pace: Pace | None = None  # None: nothing was written yet
        self.job: Job | None = None  # a frame on its way to everyone, in slices

    @property
    def idle(self) -> bool:
        return not self.of and not self.waiting

    def enter(self, viewer: Viewer, channel: Channel, *, delta: bool = False) -> None:
        """`delta`: it takes differences. Such a channel is a topic of its own."""
        group = self.of.get(viewer)
        before = group.audience.channels if group else frozenset[str]()
        if channel.name not in before:
            channel.viewers += 1
            variant = viewer.variant.delta if delta else None
            self._move(viewer, before | {channel.name}, variant)

    def leave(self, viewer: Viewer, channel: Channel) -> None:
        group = self.of.get(viewer)
        if group and channel.name in group.audience.channels:
            channel.viewers -= 1
            self._move(viewer, group.audience.channels - {channel.name})

    def viewers_of(self, channel: str) -> Iterator[Viewer]:
        """Everyone who watches the channel, while others may leave."""
        for group in list(self.groups.values()):
            if channel in group.audience.channels:
                yield from group.everyone()

    def put_pending(self, channel: Channel, item: Publication) -> None:
        """It waits for the topic's tick."""
        if item.offset and channel.tracked:
            channel.unwritten += 1
        self.pending.append(item)
        self.pending_bytes += len(item.data)
        self.urgent = self.urgent or channel.rules.lane == "must_arrive"

    def take_pending(self) -> list[Publication]:
        """What waited, which counts as written from now on."""
        due, self.pending = self.pending, []
        self.pending_bytes, self.urgent = 0, False
        for channel in self.channels.values():
            channel.unwritten = 0
        return due

    def settle_fresh(self, channel: str) -> None:
        """Who takes differences of the channel has had a whole publication now."""
        for audience, group in list(self.groups.items()):
            if audience.variant.then is not None and channel in audience.channels:
                for viewer in group.everyone():
                    self._move(viewer, audience.channels, audience.variant.then)

    def _move(
        self, viewer: Viewer, channels: frozenset[str], variant: Variant | None = None
    ) -> None:
        if old := self.of.pop(viewer, None):
            old.discard(viewer)
            if not old.viewers:
                del self.groups[old.audience]
        if channels:
            audience = Audience(channels, variant or viewer.variant)
            group = self.groups.get(audience)
            if group is None:
                group = self.groups[audience] = Group(audience)
            group.add(viewer)
            self.of[viewer] = group
