"""The short set of faults: real processes, load running, the checker's verdict."""

import asyncio
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest import altered, faults, report
from loadtest.cells import CELLS, UNGUARDED, Cell
from loadtest.journal import Journal, read
from loadtest.versions import NEXT_VERSION
from tests.e2e.test_deadline import REVIVES

SHORT = faults.chosen(set(), short=True)
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("cell", "seconds"), SHORT, ids=[cell.name for cell, _ in SHORT])
async def test_the_shop_survives(cell: Cell, seconds: float, tmp_path: Path) -> None:
    """Nothing is violated, and the cell proves it: in flight, struck, sold again afterwards."""
    result = await faults.run_cell(cell, tmp_path, seconds)
    assert result.not_here or result.bad == [], result.row()


@pytest.mark.nightly
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_all_faults_are_survived(database: str, tmp_path: Path) -> None:
    """The whole table, as `python -m loadtest faults` runs it."""
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", "faults", "--database", database, "--folder", tmp_path],
        cwd=ROOT, capture_output=True, text=True, timeout=3_600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.nightly
@pytest.mark.parametrize("cell", UNGUARDED, ids=[cell.name for cell in UNGUARDED])
async def test_without_its_guard_a_cell_is_red(cell: Cell, tmp_path: Path) -> None:
    """By the named check alone: the runner can see what the guard keeps."""
    result = await faults.run_cell(cell, tmp_path, cell.seconds)
    assert result.bad == [], result.row()


def test_the_places_of_all_edits_are_in_the_code(tmp_path: Path) -> None:
    """Else a cell without its guard, or the next version of F18, could no longer be made."""
    for number, cell in enumerate(UNGUARDED):
        altered.alter(tmp_path / str(number), cell.edits)
    altered.alter(tmp_path / "revives", REVIVES)
    altered.alter(tmp_path / "next", NEXT_VERSION)
    assert "next_word" in (tmp_path / "next" / "orders" / "states.py").read_text()


def test_only_what_was_wanted_red_passes_as_red() -> None:
    """Green without the guard, or red by something else as well, is a failed cell."""
    cell = UNGUARDED[0]
    for bad, left in (([], 1), (["W1 a"], 0), (["W1 a", "I2 b"], 3), (["I2 b"], 2)):
        result = report.Result(cell, bad=list(bad))
        result.judge_red()
        assert len(result.bad) == left, bad


def test_a_cell_starts_while_the_one_before_becomes_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But there is one load at a time, and a cell that cannot run lets the others go on."""
    told: list[str] = []

    async def play(
        cell: Cell, _folder: Path, _seconds: float, _database: str, turn: faults.Turn
    ) -> report.Result:
        told.append(f"start {cell.name}")
        if cell.name != "b":
            await turn.mine.wait()
            told.append(f"load {cell.name}")
            turn.struck.set()
            await asyncio.sleep(0.05)
            told.append(f"over {cell.name}")
        return report.Result(cell)

    monkeypatch.setattr(faults, "run_cell", play)
    cells = [dataclasses.replace(CELLS[0], name=name) for name in "abc"]
    monkeypatch.setattr(faults, "chosen", lambda _only, _short: [(cell, 0.0) for cell in cells])
    assert faults.run(set(), False, tmp_path, None, "sqlite") == 0
    assert told[:3] == ["start a", "load a", "start b"]
    assert told.index("over a") < told.index("load c")


def test_a_cell_that_proves_nothing_has_failed() -> None:
    """None in flight at the fault, or nobody served after it: no evidence, no pass."""
    cell = CELLS[0]
    result = report.Result(cell)
    asks = [
        {"kind": "ask", "what": "reserve", "key": n, "status": 201, "sent": n, "told": n + 0.5}
        for n in range(2_000)
    ]
    strike = {"kind": "strike", "begun": 1_999.7, "ended": 1_999.8}
    report.count(result, [*asks, strike])
    assert result.bad == [
        "proves nothing: 0 in flight at the fault", "proves nothing: 0 acknowledged after it",
    ]  # fmt: skip
    result = report.Result(dataclasses.replace(cell))
    report.count(result, [*asks, strike | {"begun": 1_000.2, "ended": 1_001.0}])
    assert result.bad == []


def test_a_row_stays_one_row_whatever_a_log_says() -> None:
    """Lines and bars of what a server said do not break the table."""
    row = report.Result(CELLS[0], bad=["did not run: a\n| b\n"], evidence="c | d\ne").row()
    assert "\n" not in row and row.count("|") == 10


def test_nobody_may_wait_longer_than_ten_seconds_beyond_the_fault() -> None:
    """Counted over buyers who came after the strike: repeats of older orders prove no sale."""
    result = report.Result(CELLS[0])
    asks = [
        {"kind": "ask", "what": "reserve", "key": key, "status": 201, "sent": sent, "told": told}
        for key, sent, told in ((1, 0.5, 2.0), (1, 3.0, 4.0), (2, 1.5, 12.5), (3, 12.6, 13.0))
    ]
    report.count(result, [*asks, {"kind": "strike", "begun": 1.0, "ended": 1.2}])
    assert result.silence == 11.5
    result.bad.clear()
    result.judge_silence()
    assert result.bad == ["nobody could buy for 11.5 s"]
    long = report.Result(dataclasses.replace(CELLS[0], seconds=5.0), silence=11.5)
    long.judge_silence()
    assert long.bad == []


def test_a_journal_whose_last_line_was_cut_is_read(tmp_path: Path) -> None:
    """What was written before it counts."""
    path = tmp_path / "journal"
    with Journal(path) as lines:
        lines.note("sale", sale="s")
    path.write_text(path.read_text() + '{"kind": "as')
    assert [line["sale"] for line in read(path)] == ["s"]


def test_a_run_of_some_cells_replaces_their_rows_alone(tmp_path: Path) -> None:
    """The others stay as they were measured, and the report says what was run again."""
    path = tmp_path / "report.md"
    path.write_text("words\n<!-- faults sqlite: begin -->\n<!-- faults sqlite: end -->\nmore\n")
    first = [report.Result(cell, attempts=1, bad=["wrong"]) for cell in CELLS[:3]]
    report.write_report(path, "sqlite", first, whole=True)
    text = path.read_text()
    assert "3 cells, 3 failed, 0 not applicable." in text
    again = report.Result(CELLS[1], attempts=2)
    report.write_report(path, "sqlite", [again], whole=False)
    text = path.read_text()
    assert "3 cells, 2 failed, 0 not applicable." in text
    assert text.startswith("words\n") and text.endswith("<!-- faults sqlite: end -->\nmore\n")
    rows = [line for line in text.splitlines() if line.startswith("| F")]
    assert rows == [first[0].row(), again.row(), first[2].row()]
    assert "Again, 1 of F2: `python -m loadtest faults --database sqlite`, 20" in text
