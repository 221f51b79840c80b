"""
The hot path: one encode for each variant and set of channels, one write for each viewer.

A `Job` is one frame of a topic on its way to everyone who watched when it began. A very large room
takes several steps, between which the loop serves others. Who comes or goes in between gets its
frame first (`ahead`), so that whatever it is told next fits what it had.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rooms import fossil
from rooms.audience import Audience, Topic, Viewer
from rooms.bus import Publication
from rooms.frames import DeltaEncoding, Encoding
from rooms.protocol import one_line, watched

log = logging.getLogger(__name__)

Line = tuple[str, bool, bytes]  # channel, droppable, one message
WriteMany = Callable[[Sequence[Viewer], bytes], None]  # a frame to viewers who are `direct`


class _Way(NamedTuple):
    """What the lines of one channel of a frame have in common."""

    channel: str  # that is watched: who watches it gets its joins and leaves too
    droppable: bool
    tracked: bool
    head: bytes
    deltas: DeltaEncoding | None  # who gets these takes differences


class _Built(NamedTuple):
    """The finished bytes of some viewers."""

    full: bytes
    lean: bytes  # without the droppable lane
    messages: int  # in `full`


class Job:
    """`due` on its way to the viewers of `topic`."""

    __slots__ = (
        "_at",
        "_bases",
        "_built",
        "_due",
        "_early",
        "_lines",
        "_named",
        "_patches",
        "_places",
        "_rest",
        "_topic",
        "_write_many",
        "bytes",
        "frames",
        "messages",
    )

    def __init__(self, topic: Topic, due: Sequence[Publication], write_many: WriteMany) -> None:
        self._topic = topic
        self._write_many = write_many
        self._due = due
        self._named = frozenset(watched(item.channel) for item in due)
        self._rest = [
            (group.audience, group.everyone())
            for group in topic.groups.values()
            if not group.audience.channels.isdisjoint(self._named)
        ]
        self._at = 0  # in the last group of the rest
        self._early: set[Viewer] = set()
        self._places: dict[Viewer, tuple[int, int]] | None = None  # group and index, once asked for
        self._lines: dict[Encoding, list[Line]] = {}
        self._built: dict[Audience, _Built] = {}
        deltas = any(channel.rules.delta for channel in topic.channels.values())
        self._bases = [self._take_base(item) for item in due] if deltas else []
        self._patches: dict[int, bytes | None] = {}  # by the index in `due`
        self.frames = 0  # written so far, one a viewer
        self.messages = 0  # in these
        self.bytes = 0

    def _take_base(self, item: Publication) -> bytes | None:
        """The payload before this one, where a channel's subscribers may take differences."""
        channel = self._topic.channels[watched(item.channel)]
        if not channel.rules.delta or item.channel != channel.name:
            return None
        base, channel.base = channel.base, one_line(item.data)
        return base

    @property
    def with_bases(self) -> set[str]:
        """Channels of which differences can be made to what this job writes."""
        if not self._bases:
            return set()
        return {
            item.channel
            for item in self._due
            if item.channel in self._topic.channels and self._topic.channels[item.channel].base
        }

    @property
    def done(self) -> bool:
        return not self._rest

    def step(self, most: int) -> None:
        """Write to the next `most` viewers."""
        while self._rest and most > 0:
            audience, viewers = self._rest[-1]
            part = viewers[self._at : self._at + most]
            self._at += len(part)
            most -= len(part)
            if self._at >= len(viewers):
                self._rest.pop()
                self._at = 0
            if self._early:
                part = [viewer for viewer in part if viewer not in self._early]
            self._write(part, audience)

    def finish(self) -> None:
        """Write to everyone who is left, in this step."""
        while self._rest:
            self.step(len(self._rest[-1][1]))

    def ahead(self, viewer: Viewer) -> None:
        """The viewer is about to come or go: it gets its frame now, if it still has to get one."""
        if self._places is None:
            self._places = {
                one: (group, index)
                for group, (_, viewers) in enumerate(self._rest)
                for index, one in enumerate(viewers)
            }
        group, index = self._places.get(viewer, (len(self._rest), 0))
        last = len(self._rest) - 1
        if group > last or (group == last and index < self._at) or viewer in self._early:
            return
        self._early.add(viewer)
        self._write([viewer], self._rest[group][0])

    def _write(self, viewers: Sequence[Viewer], audience: Audience) -> None:
        frame, lean, messages = self._frames(audience)
        self.frames += len(viewers)
        self.messages += len(viewers) * messages
        self.bytes += len(viewers) * len(frame)
        write_all(viewers, frame, lean, self._write_many)

    def _frames(self, audience: Audience) -> _Built:
        """What these viewers get."""
        wanted = Audience(audience.channels & self._named, audience.variant)
        built = self._built.get(wanted)
        if built is None:
            built = self._built[wanted] = self._build(wanted)
        return built

    def _build(self, wanted: Audience) -> _Built:
        encoding = wanted.variant.encoding
        lines = self._lines.get(encoding)
        if lines is None:
            lines = self._lines[encoding] = self._encode(encoding)
        mine = [line for line in lines if line[0] in wanted.channels]
        kept = [line for _, droppable, line in mine if not droppable]
        full = wanted.variant.frames([line for _, _, line in mine])
        if len(kept) == len(mine):
            return _Built(full, full, len(mine))
        return _Built(full, wanted.variant.frames(kept) if kept else b"", len(mine))

    def _encode(self, encoding: Encoding) -> list[Line]:
        ways: dict[str, _Way] = {}
        lines = []
        for index, item in enumerate(self._due):
            way, first = ways.get(item.channel), False
            if way is None:
                way, first = self._way(encoding, item.channel), True
                ways[item.channel] = way
            if item.offset and not way.tracked:  # positions are for those who can recover by them
                item = Publication(channel=item.channel, data=item.data, info=item.info)
            if way.deltas is None:
                line = encoding.push(way.head, item)
            else:
                whole = first and way.deltas.fresh
                patch = None if whole else self._patch(index)
                line = way.deltas.push_after(way.head, item, patch)
            lines.append((way.channel, way.droppable, line))
        return lines

    def _way(self, encoding: Encoding, name: str) -> "_Way":
        channel = self._topic.channels[watched(name)]
        deltas = encoding if isinstance(encoding, DeltaEncoding) and name == channel.name else None
        head = channel.head(encoding, name)
        return _Way(channel.name, channel.droppable, channel.tracked, head, deltas)

    def _patch(self, index: int) -> bytes | None:
        """What makes this payload from the one before; made once."""
        base = self._bases[index] if self._bases else None
        if base is None:
            return None
        if index not in self._patches:
            self._patches[index] = fossil.create(base, one_line(self._due[index].data))
        return self._patches[index]


def write_each(viewers: Iterable[Viewer], frame: bytes) -> None:
    """A finished frame to each of these viewers, who are all `direct`: one after another."""
    for viewer in viewers:
        try:
            viewer.write(frame)
        except Exception:  # one socket's failure must not cost the others their frame
            _failed(viewer)


def write_all(viewers: Sequence[Viewer], frame: bytes, lean: bytes, write_many: WriteMany) -> None:
    """A frame to everyone, straight to the sockets of those for whom nothing waits."""
    direct = [viewer for viewer in viewers if viewer.direct]
    behind = (
        [viewer for viewer in viewers if not viewer.direct] if len(direct) < len(viewers) else ()
    )
    write_many(direct, frame)
    for viewer in behind:
        try:
            viewer.queue(frame, lean)
        except Exception:
            _failed(viewer)


def _failed(viewer: Viewer) -> None:
    log.exception("a write to a viewer failed")
    viewer.failed()
