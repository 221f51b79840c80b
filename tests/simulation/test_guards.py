"""
Is the simulation able to see? Each guard is taken away under the condition that makes it the last
one, and the simulation must turn red by the invariant that this guard keeps. With the guard in
place the same days are green, and show that the guard struck.

Where two guards overlap, the row names all that are removed: they are one wall.
"""

from dataclasses import dataclass, field, replace
from functools import cache

import pytest

from orders.service import Writer
from tests.simulation import plants, plants_money
from tests.simulation.day import Day, Plant, simulate
from tests.simulation.faults import Odds

SEEDS = range(8)
CALM = Odds.none()


@dataclass(frozen=True)
class Row:
    """
    One guard. `without` are the database's guards that go; `worse` is the writer without its own.
    `red` is the invariant that must be violated, `also` what may follow from it; `strikes` is what
    must have been seen with the guard in place.
    """

    name: str
    red: str
    strikes: str
    plant: Plant | None = None
    without: frozenset[str] = frozenset()
    worse: type[Writer] = Writer
    odds: Odds = field(default_factory=lambda: CALM)
    also: frozenset[str] = frozenset()


ROWS = (
    Row(
        "unique key", "I5", "guard unique key", plants.forgets_keys, frozenset({"unique key"}),
    ),
    Row(
        "answer after the commit", "I3", "crash before commit", worse=plants.Hasty,
        odds=replace(CALM, crash=0.02), also=frozenset({"I5", "I7"}),
    ),
    Row(
        "fence, with counter, units and the look each second", "I1", "guard fence",
        plants.two_holders, frozenset({"fence", "counter", "units"}), plants.Blind,
        also=frozenset({"I2", "I13"}),
    ),
    Row(
        "rowcount", "I2", "guard counter of sale", plants.second_client_cuts,
        frozenset({"rowcount"}), also=frozenset({"I1", "I13"}),
    ),
    Row(
        "counter", "I2", "guard counter of sale", plants.second_client_cuts,
        frozenset({"counter"}), also=frozenset({"I13"}),
    ),
    Row(
        "units", "I1", "guard units of sale", plants.believes_in_units, frozenset({"units"}),
    ),
    Row(
        "limit of a buyer", "I8", "guard units of b", plants.forgets_units, frozenset({"limit"}),
    ),
    Row(
        "state, with sequence", "I7", "guard state of ord", plants.second_client_cancels,
        frozenset({"state", "sequence"}), also=frozenset({"I2", "I9", "I8", "I1", "I3"}),
    ),
    Row(
        "memory after the commit, with counter and the look each second", "I13",
        "busy before commit", without=frozenset({"counter"}), worse=plants.Early,
        odds=replace(CALM, busy=0.1), also=frozenset({"I6"}),
    ),
    Row(
        "budget of a coupon", "I12", "guard budget of", plants_money.second_client_spends,
        frozenset({"coupon"}),
    ),
    Row(
        "limit of a coupon", "I12", "guard coupon of b", plants_money.second_client_sells,
        frozenset({"coupon limit"}),
    ),
    Row(
        "key of a refund, with sequence", "I10", "guard refund ref",
        plants_money.second_client_refunds, frozenset({"refund", "sequence"}),
        also=frozenset({"I9"}),
    ),
    Row(
        "state of a refunded order, with sequence", "I2", "guard state of ord",
        plants_money.second_client_pays_back, frozenset({"state", "sequence"}),
        also=frozenset({"I9", "I10", "I12"}),
    ),
)  # fmt: skip
NAMES = [row.name for row in ROWS]


@cache
def days(name: str, *, guarded: bool) -> list[Day]:
    """The days of a row, with its guard or without."""
    row = next(row for row in ROWS if row.name == name)
    return [
        simulate(
            seed,
            odds=row.odds,
            without=frozenset() if guarded else row.without,
            plant=row.plant,
            writer=Writer if guarded else row.worse,
            merchant=False,
        )
        for seed in SEEDS
    ]


@pytest.mark.parametrize("name", NAMES)
def test_without_the_guard_its_invariant_is_violated(name: str) -> None:
    """Red, and by nothing that has nothing to do with it."""
    row = next(row for row in ROWS if row.name == name)
    found = {invariant for day in days(name, guarded=False) for invariant in day.found}
    assert row.red in found
    assert found <= {row.red, *row.also}


@pytest.mark.parametrize("name", NAMES)
def test_with_the_guard_the_same_days_are_green(name: str) -> None:
    """The condition is there and the guard strikes, and nothing is violated."""
    row = next(row for row in ROWS if row.name == name)
    guarded = days(name, guarded=True)
    assert {day.seed: day.found for day in guarded if day.found} == {}
    strikes = sum(
        count for day in guarded for what, count in day.seen.items() if what.startswith(row.strikes)
    )
    assert strikes > 0
