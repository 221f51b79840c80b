"""The outbox on the event loop of production."""

from rooms.bus import Outcome
from rooms.bus_memory import MemoryBus, MemoryServer
from rooms.outbox_service import Outbox
from tests.contracts.test_bus import kept

ALMOST_NOW_MS = 0.3  # rounds to no time at all: uvloop's handle of such a timer knows no time


async def test_what_is_due_in_no_time_does_not_stop_what_comes_behind_it() -> None:
    """Each caller has its answer, and none an exception of the loop's."""
    answers: list[list[Outcome] | Exception] = []

    async def restore(topic: str) -> None:
        raise AssertionError("chat needs no state")

    outbox = Outbox(MemoryBus(MemoryServer(), "a"), restore)
    for _ in range(3):
        outbox.post("x", [kept("chat:x", "{}")], answers.append, wait_ms=ALMOST_NOW_MS)
    await outbox.close()
    assert len(answers) == 3
    assert not [one for one in answers if isinstance(one, Exception)]
