"""
How busy this process is, for what may come a little later: webhooks and buyers' news.

Buyers wait for the writer, and all else in its process has to leave it room. Followers never skip
anything; while many buyers wait, or the loop is late, they rest longer between their rounds and do
as much in each.
"""

import asyncio
from collections.abc import Callable

LOOK_SECONDS = 0.05  # between two looks at how late the loop is
SMOOTHING = 0.3  # of each look in the averages: a rush is noticed within some 0.2 s
LATE_SECONDS = 0.002  # this late, and a rest is twice as long
WAITING = 10  # so many requests without an answer, and a rest is twice as long


class Pace:
    """
    One for a process. Without `run` there is no hurry.

    `waiting` tells how many requests the writer has not answered yet.
    """

    def __init__(self) -> None:
        self.late_seconds = 0.0  # average time that the loop calls too late
        self.waiting_average = 0.0
        self.waiting: Callable[[], int] = lambda: 0

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            late = max(0.0, loop.time() - due)
            self.late_seconds += (late - self.late_seconds) * SMOOTHING
            self.waiting_average += (self.waiting() - self.waiting_average) * SMOOTHING

    async def rest(self, seconds: float, most: float) -> None:
        """Sleep `seconds`, longer the busier the process is, and `most` at the busiest."""
        busy = self.late_seconds / LATE_SECONDS + self.waiting_average / WAITING
        await asyncio.sleep(min(most, seconds * (1 + busy)))
