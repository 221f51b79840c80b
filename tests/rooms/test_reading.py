"""Positions that a crowd asks for at once: few calls, and everybody's own answer."""

import asyncio
from typing import Any

import pytest

from rooms.bus import Position
from rooms.errors import Unavailable
from rooms.reading_service import SharedPositions


class Slow:
    """A bus that answers when told to."""

    def __init__(self) -> None:
        self.calls: list[dict[str, list[str]]] = []
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.broken = False

    async def positions(self, topics: dict[str, list[str]]) -> dict[str, Position]:
        self.calls.append(topics)
        self.begun.set()
        await self.go_on.wait()
        if self.broken:
            raise Unavailable("away")
        return {
            name: Position(name, len(self.calls)) for names in topics.values() for name in names
        }


async def test_a_crowd_shares_two_calls() -> None:
    """The first goes alone, all who come meanwhile share the next; each gets its own channel."""
    bus: Any = Slow()
    positions = SharedPositions(bus)
    first = asyncio.create_task(positions.of("#0", "#0"))
    await bus.begun.wait()
    others = [asyncio.create_task(positions.of(f"#{n}", f"#{n}")) for n in range(100)]
    await asyncio.sleep(0)
    others[5].cancel()
    bus.go_on.set()
    found = await asyncio.gather(*others, return_exceptions=True)
    assert await first == Position("#0", 1)
    assert found[0] == Position("#0", 2), "an answer older than the question"
    assert isinstance(found.pop(5), asyncio.CancelledError)
    assert {one.epoch for one in found if isinstance(one, Position)} == {
        f"#{n}" for n in range(100) if n != 5
    }
    assert len(bus.calls) == 2


async def test_everybody_learns_that_the_bus_is_away_and_the_next_are_served() -> None:
    """The failure is told to all who shared the call, and does not stay."""
    bus: Any = Slow()
    bus.broken = True
    bus.go_on.set()
    positions = SharedPositions(bus)
    found = await asyncio.gather(
        *(positions.of("x", name) for name in ("a", "b")), return_exceptions=True
    )
    assert all(isinstance(one, Unavailable) for one in found)
    bus.broken = False
    assert await positions.of("x", "a") == Position("a", 2)
    bus.broken = True
    with pytest.raises(Unavailable):
        await positions.of("x", "a")
