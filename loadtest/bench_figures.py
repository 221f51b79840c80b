"""
The whole table of figures: the writer alone and what a whole server shows, row by row, in Markdown.

`python -m loadtest figures` measures on SQLite and PostgreSQL one after the other. A row in which
other programs used the machine says so; it is to be measured again.
"""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from loadtest import bench_writer, figures_orders
from loadtest.figures_orders import Figure

WRITER_LEAST, RATIO_LEAST = 10_000, 10.0

Scenario = Callable[[str], Awaitable[Figure]]

SCENARIOS: dict[str, Scenario] = {
    "end-to-end": figures_orders.end_to_end,
    "refusals": figures_orders.refusals,
    "rush": figures_orders.rush,
    "due": figures_orders.due,
    "take-over": figures_orders.take_over,
}
NAMES = ("writer", *SCENARIOS)


def run(names: list[str], databases: list[str], seconds: float, runs: int) -> bool:
    """Print the table; whether everything that was asked was reached."""
    print(head(), flush=True)
    met = True
    for name in names or NAMES:
        for database in databases:
            for figure in measured(name, database, seconds, runs):
                print(figure.row(), flush=True)
                met = met and figure.met
    return met


def measured(name: str, database: str, seconds: float, runs: int) -> list[Figure]:
    """The rows of one scenario. One that breaks off is a row that was not met."""
    if name == "writer":
        return writer_alone(database, seconds, runs)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return [runner.run(_awaited(SCENARIOS[name](database)))]
    except (AssertionError, TimeoutError, OSError) as error:
        what = f"broke off: {type(error).__name__} {error}".replace("\n", " ")[:200]
        return [Figure(f"{name}, {database}", "", what, met=False)]


async def _awaited(figure: Awaitable[Figure]) -> Figure:
    return await figure


def writer_alone(database: str, seconds: float, runs: int) -> list[Figure]:
    """Its rate, and on PostgreSQL the ratio to one transaction for each order."""
    found = bench_writer.run([database], seconds, runs, quiet=True)[0]
    own, stored = found.micros()
    rows = [
        Figure(
            f"the writer alone, {database}",
            f"{WRITER_LEAST:,}/s",
            f"{found.rate:,.0f}/s; CPU {own:.0f} µs here, {stored:.0f} µs database for each order",
            found.rate >= WRITER_LEAST,
            found.disturbed,
        )
    ]
    if found.ratio is not None:
        usual = f"one transaction for each order, {bench_writer.CLIENTS} clients"
        rows.append(
            Figure(
                f"ratio to {usual}, {database}",
                f"{RATIO_LEAST:.0f}",
                f"{found.ratio:.1f} in the same time ({found.usual_rate:,.0f}/s),"
                f" {found.cpu_ratio:.1f} with the same CPU time",
                found.ratio >= RATIO_LEAST,
                found.disturbed,
            )
        )
    return rows


def head() -> str:
    """What was measured, where and when, and the head of the table."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
    ).stdout.strip()  # fmt: skip
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return (
        f"{machine()}, {today}, commit {commit or 'unknown'}.\n\n"
        "| figure | asked | measured | met |\n|---|---|---|---|"
    )


def machine() -> str:
    """Cores and processor, as Linux tells them."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0] if names else 'unknown processor'}"
