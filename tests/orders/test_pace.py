"""Followers rest longer while the loop is late, and never longer than they may."""

import asyncio
import time

from orders.pace_service import Pace


async def test_a_loop_in_time_asks_for_no_longer_rest() -> None:
    """Nothing measured, nothing changed."""
    pace = Pace()
    begun = time.monotonic()
    await pace.rest(0.01, 30.0)
    assert time.monotonic() - begun < 20.0


async def test_while_buyers_wait_the_others_rest_longer() -> None:
    """Nobody waits: a short rest. Hundreds wait: as long as it may be."""
    pace, waiting = Pace(), 400
    pace.waiting = lambda: waiting
    watch = asyncio.create_task(pace.run())
    try:
        async with asyncio.timeout(20):
            while pace.waiting_average < 300:  # noqa: ASYNC110 - it is looked at by time
                await asyncio.sleep(0.01)
            begun = time.monotonic()
            await pace.rest(0.01, 0.2)
            assert time.monotonic() - begun >= 0.2
            waiting = 0
            while pace.waiting_average > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        watch.cancel()


async def test_a_late_loop_is_noticed_and_rests_are_bounded() -> None:
    """A step that holds the loop makes it late; a rest is then at most what it may be."""
    pace = Pace()
    watch = asyncio.create_task(pace.run())
    try:
        async with asyncio.timeout(20):
            while pace.late_seconds < 0.01:
                time.sleep(0.1)  # noqa: ASYNC251 - a step that takes that long is what is tested
                await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await pace.rest(60.0, 0.01)
    finally:
        watch.cancel()
