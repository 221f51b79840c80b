"""
Whole days of buyers, gateways, two writers, a transport and a database, with everything that can
fail failing: what must hold, holds.

A failure names its seed; `python -m tests.simulation SEED` runs that day again and prints it.
"""

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.day import simulate
from tests.simulation.faults import Odds

SEEDS = 200
NIGHTLY_SEEDS = 10_000
PART = 50  # seeds a test, so that a failure is near its name

#: What must have happened somewhere in the days of `SEEDS`, or they prove nothing.
HAPPENS = (
    "orders", "refusals", "kill", "crash before commit", "crash after commit", "stop before commit",
    "stop after commit", "commit detached", "late commit", "broken after commit", "busy write",
    "question lost", "question twice", "answer lost", "answer twice", "news lost", "flush",
    "gateway killed", "clean restart", "look failed",
    "refused by a gateway", "states lost", "place waiting", "place offered", "place over",
    "coupon used", "coupon refused", "refund of a part", "refund of all", "refund into stock",
    "refund again", "refund refused",
)  # fmt: skip


def run(seeds: range) -> Counter[str]:
    """All these days; what happened in them."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        day = simulate(seed)
        assert not day.found, f"seed {seed}: {day.found}"
        seen += day.seen
    return seen


def test_what_must_hold_holds_on_every_day() -> None:
    """Crashes, pauses and lost messages at every wait: no invariant is violated."""
    seen = run(range(SEEDS))
    assert not [what for what in HAPPENS if not seen[what]], seen


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(0, NIGHTLY_SEEDS, PART))
def test_it_holds_on_ten_thousand_days(first: int) -> None:
    """The same on the days that `make test` has no time for."""
    run(range(SEEDS + first, SEEDS + first + PART))


def test_a_day_without_faults_sells_and_refuses() -> None:
    """Nobody is told to try again when nothing is wrong, and everybody is answered."""
    for seed in range(5):
        day = simulate(seed, odds=Odds.none())
        assert not day.found, f"seed {seed}: {day.found}"
        assert day.seen["orders"] and not day.seen["kill"]


def test_a_seed_is_a_day() -> None:
    """
    The same seed gives the same day, in this process and in others: the order of sets, which
    differs between processes, decides nothing.
    """
    seeds = (3, 19, 42)
    here = [simulate(seed).digest for seed in seeds]
    assert here == [simulate(seed).digest for seed in seeds]
    code = f"from tests.simulation.day import simulate\nfor s in {seeds}: print(simulate(s).digest)"
    there = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": "."},
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert there.stdout.split() == here
