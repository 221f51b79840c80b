"""Whole evenings in a room with everything failing: in the end all see the same room."""

from collections import Counter

import pytest

from rooms.bus import Message
from rooms.bus_memory import MemoryBus
from rooms.hub_service import HubService
from tests.simulation.evening import spend

SEEDS = 40
NIGHTLY_SEEDS = 3_000
PART = 50

HAPPENS = ("lost_call", "lost_answer", "lost_delivery", "restart", "empty", "flush", "away",
           "killed", "say", "sell", "show", "heard", "gaps")  # fmt: skip


def run(seeds: range) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in seeds:
        evening = spend(seed)
        assert not evening.found, f"seed {seed}: {evening.found}"
        seen += evening.seen
    return seen


def test_in_the_end_everybody_sees_the_same_room() -> None:
    """
    Calls and deliveries are lost, workers killed, the bus restarted, emptied, away: nobody misses
    or repeats an event without being told, and record, bus, viewers and archive agree.
    """
    seen = run(range(SEEDS))
    assert not [what for what in HAPPENS if not seen[what]], seen


def first_wrong(seeds: range) -> str:
    """What the first evening that goes wrong found."""
    for seed in seeds:
        if found := spend(seed).found:
            return found[0]
    return ""


def test_without_the_gap_check_somebody_misses_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery that got lost with nothing after it is found by comparing positions alone."""

    async def never(_hub: HubService) -> None:
        return

    monkeypatch.setattr(HubService, "check", never)
    assert first_wrong(range(SEEDS)).startswith("p")


def test_without_versions_an_old_change_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers publish in another order than they recorded: the newest must stand."""
    kept = MemoryBus._is_dropped

    def careless(bus: MemoryBus, topic: str, message: Message) -> bool:
        return not message.part and kept(bus, topic, message)

    monkeypatch.setattr(MemoryBus, "_is_dropped", careless)
    assert " is not " in first_wrong(range(SEEDS))


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(0, NIGHTLY_SEEDS, PART))
def test_they_agree_after_thousands_of_evenings(first: int) -> None:
    run(range(SEEDS + first, SEEDS + first + PART))
