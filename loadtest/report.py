"""What the fault runner found: one row a cell, and the tables of docs/reliability.md."""

import itertools
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from loadtest.cells import Cell
from loadtest.journal import Line

ATTEMPTS = 1_000  # a cell with fewer proves little
BACK_SECONDS = 10.0  # after a fault selling resumes by itself within this time

HEAD = (
    "| fault | what | attempts | acknowledged before | in flight | acknowledged after |"
    " longest silence | it struck | violations |\n|---|---|---|---|---|---|---|---|---|"
)
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Result:
    """What a cell showed. `bad` is empty when it passed."""

    cell: Cell
    attempts: int = 0
    before: int = 0
    in_flight: int = 0
    after: int = 0
    silence: float = 0.0  # the longest time without an acknowledged order, from the strike on
    evidence: str = ""
    bad: list[str] = field(default_factory=list)
    not_here: str = ""
    seconds: float = 0.0

    def row(self) -> str:
        """Of the Markdown table."""
        if self.not_here:
            return f"| {self.cell.fault} | {self.cell.name} | | | | | | {self.not_here} | n/a |"
        verdict = _in_a_cell("; ".join(self.bad)[:300]) or "none"
        numbers = f"{self.attempts} | {self.before} | {self.in_flight} | {self.after}"
        told = _in_a_cell(self.evidence)
        place = f"{self.cell.fault} | {self.cell.name}"
        return f"| {place} | {numbers} | {self.silence:.1f} s | {told} | {verdict} |"

    def judge_red(self) -> None:
        """Without a guard, its invariant alone must be violated: that is what passes."""
        if not self.cell.red:
            return
        found = {words.split()[0] for words in self.bad}
        if found == {self.cell.red}:
            self.evidence += f"; red, as it must be: {self.bad[0]}"
            self.bad.clear()
        else:
            self.bad.append(f"not red by {self.cell.red} alone")

    def judge_silence(self) -> None:
        """Too long is a failure, beyond the time for which the fault itself lets nobody buy."""
        away = 0.0 if self.cell.sells_on else self.cell.seconds
        if self.silence > away + BACK_SECONDS:
            self.bad.append(f"nobody could buy for {self.silence:.1f} s")


def _in_a_cell(words: str) -> str:
    """Logs have lines, and what ends a cell of a table."""
    return " ".join(words.split()).replace("|", "/")


def count(result: Result, lines: list[Line]) -> None:
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
    result.silence = longest_silence(begun, new_orders(asks, begun))
    for name, number, least in (
        ("attempts", result.attempts, ATTEMPTS),
        ("in flight at the fault", result.in_flight, 1),
        ("acknowledged after it", result.after, 1),
    ):
        if number < least:
            result.bad.append(f"proves nothing: {number} {name}")


def new_orders(asks: list[Line], begun: float) -> Iterator[float]:
    """When buyers who came after `begun` were first told of their orders."""
    keys: dict[str, float] = {}
    for line in asks:
        if line["what"] == "reserve":
            keys[line["key"]] = min(keys.get(line["key"], line["sent"]), line["sent"])
    for line in asks:
        told = line["what"] == "reserve" and line["status"] in (200, 201)
        if told and keys.pop(line["key"], 0.0) > begun:
            yield line["told"]


def longest_silence(begun: float, told: Iterable[float]) -> float:
    """Seconds between two acknowledged orders at most, counted from `begun` on."""
    moments = [begun, *sorted(at for at in told if at > begun)]
    return max((b - a for a, b in itertools.pairwise(moments)), default=0.0)


def write_report(path: Path, database: str, results: list[Result], *, whole: bool) -> None:
    """
    Put the table of a database between its marks; the words around it are written by hand.

    A run of all cells replaces everything there: the table is of one run, and says of which.
    A run of some cells alone replaces their rows in the table that is there, and says so.
    """
    begin, end = f"<!-- faults {database}: begin -->", f"<!-- faults {database}: end -->"
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    old, _, after = rest.partition(end)
    rows = {} if whole else {place(row): row for row in old.splitlines() if row.startswith("| F")}
    rows |= {place(row): row for row in (result.row() for result in results)}
    notes = [f"`python -m loadtest faults --database {database}`, {circumstances()}"]
    if not whole:
        known = [line for line in old.splitlines() if line and not line.startswith("|")]
        again = ", ".join(sorted({result.cell.fault for result in results}))
        notes = [*known[1:], f"Again, {len(results)} of {again}: {notes[0]}"]
    table = "\n".join([begin, summary(list(rows.values())), "", "\n\n".join(notes), ""])
    path.write_text(f"{before}{table}\n{HEAD}\n" + "\n".join(rows.values()) + f"\n{end}{after}")


def place(row: str) -> str:
    """What a row is about: fault and name."""
    return "|".join(row.split("|")[1:3])


def summary(rows: list[str]) -> str:
    """How many cells there are, and how they ended."""
    verdicts = [row.rstrip(" |").rpartition("|")[2].strip() for row in rows]
    left, passed = verdicts.count("n/a"), verdicts.count("none")
    ran = len(rows) - left
    return f"{ran} cells, {ran - passed} failed, {left} not applicable."


def circumstances() -> str:
    """Date, commit and machine of a run, and how busy it was (others may use it, too)."""
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    memory = psutil.virtual_memory().total / 2**30
    cores = f"{os.cpu_count()} cores, {memory:.0f} GiB"
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    load = f"load average {os.getloadavg()[2]:.1f} over the last 15 minutes"
    return f"{date}, commit {commit()}, {processor()}, {cores}, {load}, {system}."


def commit() -> str:
    """Of the checkout, with a word when files differ from it."""
    git = ["git", "-C", str(ROOT)]
    done = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return "unknown"
    changed = subprocess.run(
        [*git, "status", "--porcelain", "-uno", "orders", "rooms", "liveserver", "loadtest"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() + (" and changes" if changed.stdout.strip() else "")


def processor() -> str:
    """Its name as the system tells it."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or "processor unknown"
