"""One simulated day: a seed in, what happened and what was violated out."""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from orders.service import Writer
from tests.simulation.checker import Checker, Journal, stored_and_shown
from tests.simulation.clients import Market
from tests.simulation.faults import Killed, Odds
from tests.simulation.loop import VirtualLoop
from tests.simulation.world import World

TROUBLE_SECONDS = 20.0  # how long faults happen
QUIET_SECONDS = 25.0  # stopped processes go on after at most 12, holds end after at most 10
PATIENCE_SECONDS = 200.0  # for all clients to be done

Plant = Callable[[World], Callable[[str], None]]


@dataclass
class Day:
    """`found`: violated invariants, each with its first finding. `digest` tells days apart."""

    seed: int
    found: dict[str, str]
    seen: Counter[str]
    digest: str
    trail: list[str]


def simulate(
    seed: int,
    *,
    odds: Odds | None = None,
    without: frozenset[str] = frozenset(),
    plant: Plant | None = None,
    writer: type[Writer] = Writer,
    merchant: bool = True,
) -> Day:
    """
    Run one day.

    Args:
        seed: Decides everything.
        odds: Of faults; drawn from the seed when None.
        without: Guards that the database lacks.
        plant: Called with the world once the first sale is open; what it returns is told of every
            wait of a writer, and may change what is in memory or in the database.
        writer: The writer under test.
        merchant: Whether somebody changes sales; without, there is one that lasts all day.
    """
    logging.getLogger("orders").setLevel(logging.CRITICAL + 1)
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(_day(seed, odds, without, plant, writer, merchant))
    finally:
        logging.getLogger("orders").setLevel(logging.NOTSET)


async def _day(
    seed: int,
    odds: Odds | None,
    without: frozenset[str],
    plant: Plant | None,
    writer: type[Writer],
    merchant: bool,
) -> Day:
    random = Random(seed)
    checker, journal = Checker(lenient=plant is not None), Journal()

    def complain(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A task that nobody waits for has died: killed, which is fine, or by a mistake."""
        killed = isinstance(context.get("exception"), Killed)
        checker.must("error", killed, f"{context['message']}: {context.get('exception')!r}")

    asyncio.get_running_loop().set_exception_handler(complain)
    world = World(
        random, odds or Odds.draw(random), without=without, on_commit=checker.at_commit,
        writer=writer,
    )  # fmt: skip
    world.start()
    market = Market(world, journal, changes=merchant)
    await market.open()
    if plant is not None:
        world.plant = plant(world)
    world.calm = False
    clients = [asyncio.create_task(market.merchant())] if merchant else []
    clients += [
        asyncio.create_task(market.buyer(f"b{number}")) for number in range(random.randint(4, 20))
    ]
    await asyncio.sleep(TROUBLE_SECONDS)
    world.calm = True
    world.plant = lambda _place: None
    if plant is not None:
        world.kill_writers()  # what was planted in memory is gone with it
    _done, late = await asyncio.wait(clients, timeout=PATIENCE_SECONDS)
    checker.must("answered", not late, f"{len(late)} clients are not done")
    for client in clients:
        if client.done():
            client.result()
    await asyncio.sleep(QUIET_SECONDS)
    await _settle(world)
    checker.at_end(world, journal)
    await world.stop()
    checker.must("error", not world.errors, "".join(world.errors[:1]))
    return _report(seed, world, checker, journal)


async def _settle(world: World) -> None:
    """Memory follows the commit by a moment, and this may be that moment: look a few times."""
    for _look in range(20):
        stored, shown = stored_and_shown(world)
        if stored == shown:
            return
        await asyncio.sleep(0.1)


def _report(seed: int, world: World, checker: Checker, journal: Journal) -> Day:
    world.seen["orders"] = len(journal.taken)
    world.seen["refusals"] = journal.refused
    world.seen["commits"] = checker.commits
    tables = world.database.tables
    whole = repr((world.trail, sorted(tables.orders.items()), list(tables.edges.values())))
    digest = hashlib.sha256(whole.encode()).hexdigest()
    return Day(seed, checker.found, world.seen, digest, world.trail)
