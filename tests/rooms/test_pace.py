"""The rule of ticks: everyone keeps the tick that fits, and all together leave the loop room."""

import math

from hypothesis import given
from hypothesis import strategies as st

from rooms.pace import BUSY_MAX, TICK_SECONDS, Pace, budget, equal_share, tick

costs = st.lists(st.floats(1e-6, 3.0), min_size=1, max_size=30)  # seconds of a frame of each room
others = st.floats(0.0, 1.5)  # share of the loop's time for everything else


def ticks(frame_costs: list[float], other: float) -> list[float]:
    share = equal_share([cost / TICK_SECONDS for cost in frame_costs], budget(other))
    return [tick(TICK_SECONDS, cost, share) for cost in frame_costs]


@given(frame_costs=costs, other=others)
def test_frames_and_the_rest_leave_the_loop_room(frame_costs: list[float], other: float) -> None:
    """With every room at its tick, frames take at most what other work leaves of 70 %."""
    found = ticks(frame_costs, other)
    busy = sum(cost / wait for cost, wait in zip(frame_costs, found, strict=True))
    assert busy <= budget(other) * (1 + 1e-9)
    assert budget(other) >= 0.1 - 1e-9
    if other <= 0.6:
        assert busy + other <= BUSY_MAX * (1 + 1e-9)


@given(frame_costs=costs, other=others)
def test_nobody_waits_longer_than_it_must(frame_costs: list[float], other: float) -> None:
    """Either all rooms keep the shortest tick, or all of the budget is used."""
    found = ticks(frame_costs, other)
    assert all(wait >= TICK_SECONDS for wait in found)
    if any(wait > TICK_SECONDS for wait in found):
        busy = sum(cost / wait for cost, wait in zip(frame_costs, found, strict=True))
        assert math.isclose(busy, budget(other), rel_tol=1e-6)


@given(frame_costs=costs, other=others, more=st.floats(1.0, 50.0))
def test_a_room_that_grows_stretches_before_the_small_ones(
    frame_costs: list[float], other: float, more: float
) -> None:
    """The dearer the frame, the longer the tick; who stretches has the same share as the others."""
    found = ticks([*frame_costs, max(frame_costs) * more], other)
    assert found[-1] == max(found)
    in_order = sorted(zip(frame_costs, found[:-1], strict=True))
    assert [wait for _, wait in in_order] == sorted(found[:-1])


def test_ten_thousand_viewers_and_a_small_room() -> None:
    """About 135 ms for the crowd; the small room beside it keeps 50 ms."""
    crowd, small = ticks([10_000 * 10e-6, 50 * 10e-6], other=0.05)
    assert 0.13 < crowd < 0.14
    assert small == TICK_SECONDS


def test_must_arrive_does_not_wait_for_chat() -> None:
    """Its first event leaves at once; from then on all wait for the same tick."""
    pace = Pace(base=TICK_SECONDS)
    assert pace.due_at(0.05, urgent=True) < 0 > pace.due_at(0.05, urgent=False)
    pace.wrote(10.0, urgent=False)
    assert pace.due_at(0.05, urgent=True) < 10.0
    assert pace.due_at(0.05, urgent=False) == 10.05
    pace.wrote(10.01, urgent=True)
    assert pace.due_at(0.05, urgent=True) == pace.due_at(0.05, urgent=False) == 10.06


@given(measured=st.lists(st.floats(1e-6, 1e-3), max_size=50))
def test_what_a_write_costs_is_learnt(measured: list[float]) -> None:
    """The estimate stays within what was seen, and a frame to nobody teaches nothing."""
    pace = Pace(base=TICK_SECONDS)
    seen = [pace.a_write]
    for seconds in measured:
        pace.measured(seconds * 100, 100)
        pace.measured(seconds, 0)
        seen.append(seconds)
        assert min(seen) * 0.999 <= pace.a_write <= max(seen) * 1.001
