"""
How often a room gets a frame: ticks that stretch with the audience.

A frame costs one write for each viewer, whatever it holds; so the tick, not the message rate,
decides how busy the loop is. Every room may have a frame each `base` seconds as long as all of them
together fit into the budget. When they do not, the budget is shared max-min fair: rooms that want
less than an equal share keep their tick, the others get the equal share and a longer tick.
"""

from collections.abc import Iterable

import msgspec

TICK_SECONDS = 0.05  # of a room: nobody feels it, and many messages share a frame
BUSY_MAX = 0.8  # of the loop's time; the rest absorbs bursts, so that latency stays bounded
OTHER_MAX = 0.6  # other work counts no more than this: frames always keep a fifth of the time
WRITE_SECONDS = 10e-6  # one write, until it was measured
SMOOTHING = 0.2  # weight of the newest measurement


def budget(other: float) -> float:
    """The share of the loop's time for frames while other work takes the share `other`."""
    return BUSY_MAX - min(max(other, 0.0), OTHER_MAX)


def equal_share(demands: Iterable[float], budget: float) -> float:
    """
    The greatest share that nobody may exceed when all demands together must fit into `budget`.

    A demand is a share of the loop's time. The whole budget if they fit as they are.
    """
    waiting = sorted(demands)
    if sum(waiting) <= budget:
        return budget
    left = budget
    for at, demand in enumerate(waiting):
        share = left / (len(waiting) - at)
        if demand > share:
            return share
        left -= demand
    return budget  # only rounding leads here


def tick(base: float, cost: float, share: float) -> float:
    """Seconds between two frames that cost `cost` seconds each, of a room with this share."""
    return max(base, cost / share)


class Pace(msgspec.Struct):
    """When a topic had its last frames, and what they cost. Times in seconds of one clock."""

    base: float  # seconds between two frames while there is time for it; 0 = at once
    last: float = float("-inf")  # the last frame
    last_urgent: float = float("-inf")  # the last one that held something of the must-arrive lane
    a_write: float = WRITE_SECONDS  # measured seconds for one viewer
    samples: int = 0  # of these
    since: float | None = None  # the first of what waits came then

    def due_at(self, tick: float, *, urgent: bool) -> float:
        """
        When the next frame may leave.

        The must-arrive lane does not wait for a tick that chat began: its first event leaves at
        once and takes along what waits. From then on the room has one frame a tick.
        """
        return (self.last_urgent if urgent else self.last) + tick

    def wrote(self, now: float, *, urgent: bool) -> None:
        self.last = now
        self.since = None
        if urgent:
            self.last_urgent = now

    def measured(self, seconds: float, viewers: int) -> None:
        """A frame to so many viewers took so long."""
        if viewers:
            self.samples += 1
            weight = max(SMOOTHING, 1 / self.samples)
            self.a_write += weight * (seconds / viewers - self.a_write)

    def cost(self, viewers: int) -> float:
        """Expected seconds of a frame."""
        return self.a_write * viewers

    def demand(self, viewers: int) -> float:
        """The share of the loop's time that frames at the base tick would take."""
        return self.cost(viewers) / self.base
