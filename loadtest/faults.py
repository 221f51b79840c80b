"""
The fault runner: real processes, load running, one fault a cell, then the checker.

`python -m loadtest faults` runs all cells and writes the table; `--only F2,standby` some; `--short`
a few, with shorter faults; `--database postgres` on PostgreSQL. A cell fails when something was
violated, and also when it proves nothing: too few attempts, none in flight at the fault, none
acknowledged after it, no sign that it struck.
"""

import asyncio
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from loadtest import journal
from loadtest.cells import CELLS, UNGUARDED, Cell
from loadtest.report import ATTEMPTS, Result, count, write_report
from loadtest.scene import Hit, Missed, Scene, until
from loadtest.shop import Shop
from loadtest.stages import NotHere, staged
from loadtest.waves import SCARCE_HOLD_SECONDS, Waves

BEFORE_SECONDS = 1.5
ACKNOWLEDGED_BEFORE = 100
AFTER_SECONDS = 2.0
ACKNOWLEDGED_AFTER = 100
NAMES = ("I", "Q", "V", "W")  # of what the checker looks for begin with these
CELL_SECONDS = 150.0  # from the first wave to the last answer; a cell that hangs fails


@dataclass
class Turn:
    """One load at a time: the next cell starts its server while this one becomes quiet."""

    mine: asyncio.Event = field(default_factory=asyncio.Event)  # the cell before is over
    struck: asyncio.Event = field(default_factory=asyncio.Event)  # the load of this one has ended
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def alone(cls) -> "Turn":
        """Nobody is before it."""
        turn = cls()
        turn.mine.set()
        return turn


async def run_cell(
    cell: Cell,
    folder: Path,
    seconds: float,
    database: str = "sqlite",
    turn: Turn | None = None,
) -> Result:
    """One cell in an empty folder, from the start of the server to the checker's verdict."""
    result, begun = Result(cell), journal.now()
    if database in cell.not_on:
        result.not_here = cell.not_on[database]
        return result
    path = folder / "journal.jsonl"
    try:
        await _play(cell, folder, path, seconds, database, result, turn or Turn.alone())
    except NotHere as reason:
        result.not_here = str(reason)
        return result
    except (Missed, AssertionError, TimeoutError, aiohttp.ClientError) as error:
        result.bad.append(f"did not run: {type(error).__name__}: {error}"[:300])
    count(result, journal.read(path))
    result.judge_red()
    result.seconds = journal.now() - begun
    return result


async def _play(
    cell: Cell, folder: Path, path: Path, seconds: float, database: str, result: Result, turn: Turn
) -> None:
    with journal.Journal(path) as lines:
        async with staged(cell.stage, database, cell.workers, folder, cell.edits) as stage:
            async with Shop(stage.base) as shop:
                waves = Waves(shop, lines, seed=len(cell.name), habits=cell.habits)
                await waves.prepare()
                scene = Scene(stage.server, stage.database, waves, seconds, **stage.parts)
                await turn.mine.wait()
                async with asyncio.timeout(CELL_SECONDS):
                    hit = await _strike(cell, scene)
                    turn.struck.set()
                    await _quiet(scene)
                    if cell.settle is not None:
                        await cell.settle(scene)
                lines.note("strike", begun=hit.at, ended=hit.until, evidence=hit.evidence)
            result.evidence = hit.evidence
            url = stage.database.url
            result.bad = await asyncio.to_thread(run_checker, url, path, cell.outage_ms)


async def _strike(cell: Cell, scene: Scene) -> Hit:
    """Load, the fault, load; the waves have ended when this returns."""
    waves = scene.waves
    begun = journal.now()
    waves.start()
    try:
        await until(
            lambda: (
                journal.now() - begun > BEFORE_SECONDS and waves.acknowledged >= ACKNOWLEDGED_BEFORE
            ),
            "a shop that sells",
            seconds=30,
        )
        hit = await cell.strike(scene)
        enough = waves.acknowledged + ACKNOWLEDGED_AFTER
        await until(
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
        if await scene.database.is_quiet(scarce):
            break
        await asyncio.sleep(0.2)
    await asyncio.sleep(1.5)  # what pages show is pushed at most this much later
    await scene.waves.look()


def run_checker(database: str, lines: Path, outage_ms: int) -> list[str]:
    """The checker as a program of its own; its lines."""
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", "check", "--database", database,
         "--journal", str(lines), "--outage-ms", str(outage_ms)],
        capture_output=True, text=True, timeout=120, check=False,
        cwd=Path(__file__).resolve().parent.parent,
    )  # fmt: skip
    if done.returncode not in (0, 1):
        return [f"the checker failed: {done.stderr.strip()[-300:]}"]
    return [line for line in done.stdout.splitlines() if line.startswith(NAMES)]


def chosen(only: set[str], short: bool) -> list[tuple[Cell, float]]:
    """The cells to run and how long their faults last; `unguarded` stands for all of those."""
    if only == {"unguarded"}:
        return [(cell, cell.seconds) for cell in UNGUARDED]
    cells = [
        cell
        for cell in CELLS
        if not only or cell.fault in only or any(len(x) > 3 and x in cell.name for x in only)
    ]
    if not short:
        return [(cell, cell.seconds) for cell in cells]
    return [(cell, cell.short) for cell in cells if cell.short is not None]


def run(only: set[str], short: bool, folder: Path, report: Path | None, database: str) -> int:
    """All chosen cells; the number of failed ones. Cells that passed leave nothing behind."""
    cells = []
    for number, (cell, seconds) in enumerate(chosen(only, short), start=1):
        place = folder / f"{number:02d}-{cell.fault}"
        place.mkdir(parents=True)
        cells.append((cell, seconds, place))
    results = asyncio.run(_run_in_turn(cells, database))
    if report is not None:
        write_report(report, database, results, whole=not only and not short)
    return sum(bool(result.bad) for result in results)


async def _run_in_turn(cells: list[tuple[Cell, float, Path]], database: str) -> list[Result]:
    """One load after the other; the waiting for quiet and the next start are done together."""
    running, before = [], Turn.alone()
    before.over.set()
    async with asyncio.TaskGroup() as group:
        for cell, seconds, place in cells:
            turn = Turn(mine=before.over)
            running.append(group.create_task(_take(turn, cell, place, seconds, database)))
            await turn.struck.wait()
            before = turn
    return [task.result() for task in running]


async def _take(turn: Turn, cell: Cell, place: Path, seconds: float, database: str) -> Result:
    """One cell of many, which tells its successor how far it is."""
    try:
        result = await run_cell(cell, place, seconds, database, turn)
        await turn.mine.wait()  # rows are printed in their order
        result.judge_silence()
        print(result.row() + f" {result.seconds:.0f} s", flush=True)
        if not result.bad:
            shutil.rmtree(place, ignore_errors=True)
        return result
    finally:
        turn.struck.set()
        turn.over.set()
