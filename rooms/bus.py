"""
The bus: numbers what happens in rooms, keeps the recent part of it, and carries it to every worker.

One rule makes everything else simple: *nothing is applied that the bus did not number*. A worker
that publishes learns of its own message the way all others do, by the delivery.

A **topic** is what workers subscribe to and what one numbering call covers: the room id for the
built-in channels (`room:x`, `chat:x`, `danmaku:x`, `console:x` share the topic `x`), the channel
itself for personal (`#user`) and operators' channels.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec


class Position(msgspec.Struct, frozen=True, gc=False):
    """A place in a channel's stream: the offset finds a gap, the epoch a lost history."""

    epoch: str
    offset: int


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message on its way into the numbering call."""

    channel: str
    data: bytes  # JSON without raw newlines; empty = a change of state that nobody is told of
    info: bytes = b""  # ClientInfo JSON, for a client's own publication
    numbered: bool = True  # False: advisory, gets no offset and is not stored
    history_size: int = 0  # how many publications the channel keeps; 0 = none
    history_ttl_seconds: int = 0
    part: str = ""  # the part of the room's state that `data` replaces whole
    body: bytes = b""  # the part's new JSON; b"null" removes the part
    version: int = 0  # a part not newer than the stored one is dropped
    droppable: bool = False  # sampled by the topic's bucket for danmaku
    capped: bool = False  # beyond the topic's cap for chat it is dropped, and its sender told so


#: topics and channels of the server's own begin with this; no client can name one
HIDDEN = "\x1f"
#: of a hidden channel that carries who comes to, and who leaves, the channel named behind it
JOIN, LEAVE = f"{HIDDEN}join:", f"{HIDDEN}leave:"


def kind_of(topic: str, channel: str) -> str:
    """What a message is, in Centrifugo's words: control, join, leave or pub."""
    if topic.startswith(HIDDEN):
        return "control"
    if not channel.startswith(HIDDEN):
        return "pub"
    return "join" if channel.startswith(JOIN) else "leave"


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What became of one message, in the order of the call."""

    dropped: bool = False  # sampled out, or a part that was not newer
    offset: int = 0
    epoch: str = ""  # empty for advisory messages, which have no position

    @property
    def position(self) -> Position | None:
        """Where it stands in its channel's stream."""
        return Position(self.epoch, self.offset) if self.epoch else None


class Publication(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message as subscribers get it. `offset` is 0 for advisory messages."""

    channel: str
    data: bytes
    info: bytes = b""
    epoch: str = ""
    offset: int = 0


class Delivery(msgspec.Struct, frozen=True):
    """What one numbering call put out, as every attached worker receives it."""

    topic: str
    publications: list[Publication]
    numbered_us: int = 0  # by the bus's clock, microseconds since 1970; 0 where nobody knows


class History(msgspec.Struct, frozen=True):
    """Publications of a channel in order of offset (reversed on request), and its top position."""

    publications: list[Publication]
    position: Position


class Snapshot(msgspec.Struct, frozen=True):
    """The parts of a room's state and the position of `room:<id>` they belong to, read together."""

    parts: dict[str, bytes]
    position: Position
    online: int = 0  # viewers over all workers
    likes: int = 0  # of the present show


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's counts of one room since its last tally."""

    room: str
    show: str  # likes start at 0 with each show; ids of shows sort by time
    online: int  # this worker's viewers
    likes: int = 0  # to be added


class Totals(msgspec.Struct, frozen=True):
    """The counts of a room over all workers. `due` asks this worker alone to publish them now."""

    online: int
    likes: int
    due: bool


class StateMissing(Exception):
    """
    The room's state is gone or was made under another run of the bus: `restore` it, then repeat.

    Nothing of the refused call was numbered, stored or sent.
    """


class Bus(Protocol):
    """
    The port. `bus_redis.py` is the real one, `bus_memory.py` is for the simulation.

    Every method raises `rooms.errors.Unavailable` when the bus does not answer in time. Calls are
    retry-safe: a replay of the same call by the transport returns the first outcome.
    """

    sent: Counter[str]  # for the metrics: messages by `kind_of`, of this process

    async def publish(self, topic: str, messages: Sequence[Message]) -> list[Outcome]:
        """
        Number, store and send out messages of one topic in ONE atomic call, in order.

        Raises `StateMissing` if one of them changes a part of a state that must be rebuilt first.
        """

    async def publish_many(
        self, batches: Sequence[tuple[str, Sequence[Message]]]
    ) -> list[list[Outcome]]:
        """
        `publish` for many different topics in one round trip: atomic for each topic, not together.

        Several batches may hold no message that changes a part of a state.
        """

    async def history(
        self,
        topic: str,
        channel: str,
        *,
        since: Position | None,
        limit: int,
        reverse: bool = False,
        most_bytes: int = 0,
    ) -> History:
        """
        Read a channel's recent publications.

        `since` excludes its own offset; None means from the oldest kept (from the newest when
        reversed). `limit` 0 asks for the position alone, negative for all that is kept; of these
        come as many as have `most_bytes` together, at least one (0 = any size). A channel's epoch
        and top offset exist from the first call on, even with nothing published.
        """

    async def forget(self, topic: str, channel: str) -> None:
        """Remove a channel's history. Its position stays."""

    async def amend(self, topic: str, channel: str, epoch: str, data: Mapping[int, bytes]) -> None:
        """
        Put other data in place of kept publications, by offset; their ClientInfo goes. Positions
        stay. Offsets that are not kept any more, and another epoch, are passed over.
        """

    async def snapshot(self, room: str) -> Snapshot | None:
        """The room's parts and position in one read; None if they must be rebuilt."""

    async def restore(
        self, room: str, parts: Mapping[str, tuple[bytes, int]], *, anew: bool = False
    ) -> bool:
        """
        Put back a missing state (part -> JSON, version) under a new epoch of `room:<id>`.

        False, and nothing changed, if the state is there; `anew` replaces it all the same.
        """

    async def tally(self, counts: Sequence[Tally]) -> list[Totals]:
        """Add likes and note viewers of many rooms in one call. Viewers fade without repeats."""

    async def attach(self, topic: str) -> None:
        """Deliver this topic's messages to this worker from now on. Returns once subscribed."""

    async def detach(self, topic: str) -> None:
        """Stop delivering this topic here."""

    async def positions(self, topics: dict[str, list[str]]) -> dict[str, Position]:
        """Top positions of the given channels (topic -> channels) in one call: the gap check."""

    def on_delivery(self, listener: Callable[[Delivery], None]) -> None:
        """Call `listener` for every delivery, in order per topic, on the loop, synchronously."""

    def on_reconnect(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a lost subscription is back: deliveries may be missing."""

    async def set_presence(self, channel: str, client: str, info: bytes, ttl_seconds: int) -> None:
        """Note that `client` is in `channel`, with its ClientInfo JSON, for that long."""

    async def clear_presence(self, channel: str, client: str) -> None:
        """`client` left `channel`."""

    async def presence(self, channel: str) -> dict[str, bytes]:
        """Who is in `channel`: client -> ClientInfo JSON."""

    async def start(self) -> None:
        """Connect, and begin to deliver."""

    async def close(self) -> None:
        """Stop delivering and let go of every connection."""
