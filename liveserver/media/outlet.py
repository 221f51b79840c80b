"""
One viewer's end of one track, and the loop that passes packets on.

A viewer starts at the newest keyframe: what was sent since is passed to it from the ring, with the
times drawn together so that it does not play behind the others. From then on it gets each packet as
it comes. Nothing is ever queued for one viewer.
"""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from liveserver.media.rtp import TS
from liveserver.media.srtp import Address, Sender
from liveserver.media.track import PENDING_MAX, Piece, Track

SLICE_SECONDS = 0.004  # of passing on without a break; then others have their turn
CATCH_UP_SECONDS = 0.005  # between two parts of a start
CATCH_UP_PACKETS = 48  # in one part: 10,000 a second, what a browser's socket holds for sure
SQUEEZE = 5  # bits: times of a start are drawn together 32-fold
RESENDS_PER_SECOND = 1_000  # to one viewer; more is no loss but a broken way


class Outlet:
    """`key` is the viewer's SRTP context; `out` and `to` change when it moves."""

    __slots__ = ("_anchor", "_budget", "_from", "closed", "key", "number", "out", "since", "to",
                 "track")  # fmt: skip

    def __init__(
        self, track: Track, number: int, key: Any, out: socket.socket, to: Address
    ) -> None:
        self.track = track
        self.number = number  # payload type in the viewer's own description
        self.key = key
        self.out = out
        self.to = to
        self.since = 0  # index of the first piece that it gets as it comes
        self.closed = False
        self._from = -1  # where its start begins
        self._anchor = (-1, 0)  # where its start ends: index and time
        self._budget = (0.0, 0.0)

    def start_at(self, index: int) -> None:
        """Begin with pieces of before."""
        head = self.track.at(self.track.head)
        self._from = self.since = index
        self._anchor = (self.track.head, head.timestamp if head else 0)

    def dress(self, piece: Piece) -> bytes:
        """A piece as this viewer gets it, in its start and after."""
        end, time_ = self._anchor
        if not self._from <= piece.index <= end:
            return self.track.plain(piece, self.number)
        back = (time_ - piece.timestamp) % TS
        if back >= TS // 2:
            back = 0
        return self.track.dressed(piece, self.number, (time_ - (back >> SQUEEZE)) % TS)

    def resend(self, seqs: Sequence[int], sender: Sender, now: float) -> int:
        """Send again what is still there; how many."""
        left, at = self._budget
        left = min(RESENDS_PER_SECOND, left + (now - at) * RESENDS_PER_SECOND)
        found = [piece for piece in map(self.track.by_seq, seqs) if piece is not None]
        found = [piece for piece in found if piece.index >= min(self._from, self.since)]
        found = found[: int(left)]
        self._budget = (left - len(found), now)
        if found:
            sender.send([self.dress(piece) for piece in found], self.key, self.out, self.to)
        return len(found)


class _Job:
    """Some packets of a track on their way to all who were watching when they came."""

    def __init__(self, track: Track) -> None:
        self.track = track
        self.pieces, track.pending = track.pending, []
        self.viewers = track.live
        self.done = 0
        self._plains: dict[int, list[bytes]] = {}

    def step(self, sender: Sender, until: float) -> bool:
        """Pass on until the time is over; whether all is done."""
        first = self.pieces[0].index
        viewers, at = self.viewers, self.done
        clock = time.monotonic
        while at < len(viewers):
            outlet = viewers[at]
            at += 1
            if outlet.closed:
                continue
            plains = self._plains.get(outlet.number)
            if plains is None:
                made = [self.track.plain(piece, outlet.number) for piece in self.pieces]
                plains = self._plains[outlet.number] = made
            if outlet.since > first:
                pairs = zip(self.pieces, plains, strict=True)
                plains = [plain for piece, plain in pairs if piece.index >= outlet.since]
            sender.send(plains, outlet.key, outlet.out, outlet.to)
            if clock() > until:
                break
        self.done = at
        return at >= len(viewers)


class Forwarder:
    """All tracks of the process, in slices so that the loop stays free for everything else."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.overflows = 0  # packets given up because the process could not keep up
        self._queue: deque[Track] = deque()
        self._jobs: dict[Track, _Job] = {}
        self._catching: dict[Outlet, int] = {}  # -> next index
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, outlet: Outlet, want_keyframe: Callable[[], None]) -> None:
        """A viewer joins a track: sound at once, a picture from a keyframe on."""
        track = outlet.track
        if track.kind != "video":
            outlet.since = outlet._from = track.head + 1
            track.live = (*track.live, outlet)
            return
        start = track.since_keyframe()
        if start is None:
            track.waiting.add(outlet)
            want_keyframe()
            return
        outlet.start_at(start)
        self._catching[outlet] = start
        self._catch_up()

    def leave(self, outlet: Outlet) -> None:
        outlet.closed = True
        self._catching.pop(outlet, None)
        outlet.track.leave(outlet)

    def took(self, track: Track, piece: Piece) -> None:
        """A packet came and is kept; it is passed on in this turn of the loop or soon after."""
        if piece.begins and track.waiting:
            for outlet in track.waiting:
                outlet.since = outlet._from = piece.index
            track.live = (*track.live, *track.waiting)
            track.waiting.clear()
        if len(track.pending) > PENDING_MAX:
            self.overflows += track.drop_pending()
            return
        if len(track.pending) == 1 and track not in self._jobs and track not in self._queue:
            self._queue.append(track)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        until = time.monotonic() + SLICE_SECONDS
        self._scheduled = False
        while self._queue:
            track = self._queue[0]
            job = self._jobs.get(track)
            if job is None:
                if not track.pending:
                    self._queue.popleft()
                    continue
                job = self._jobs[track] = _Job(track)
            if not job.step(self.sender, until):
                break
            del self._jobs[track]
            self._queue.rotate(-1)
        if self._queue and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _catch_up(self) -> None:
        """The next part of every start; a timer runs only while there are some."""
        for outlet, at in list(self._catching.items()):
            track = outlet.track
            end = min(at + CATCH_UP_PACKETS, track.head + 1)
            pieces = [piece for piece in map(track.at, range(at, end)) if piece is not None]
            plains = [outlet.dress(piece) for piece in pieces]
            self.sender.send(plains, outlet.key, outlet.out, outlet.to)
            if end > track.head:
                del self._catching[outlet]
                outlet.since = end
                track.live = (*track.live, outlet)
            else:
                self._catching[outlet] = end
        if self._catching and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CATCH_UP_SECONDS, self._again)

    def _again(self) -> None:
        self._timer = None
        self._catch_up()
