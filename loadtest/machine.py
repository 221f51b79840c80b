"""
What a run used of the machine: this process, a database of its own, and everybody else.

A rate is only worth something when others left the machine alone; CPU time for each order says
something in any case.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import psutil

DISTURBED_CORES = 0.15  # used by other programs: beyond it a rate says little


@dataclass
class Used:
    """Wall clock and CPU time, in seconds. `others` includes what a hypervisor took away."""

    seconds: float
    own: float
    database: float
    others: float

    @property
    def disturbed_cores(self) -> float:
        return self.others / self.seconds


class Machine:
    """
    A meter of this machine.

    Args:
        folder: Processes that work in it are the database, as PostgreSQL does in its data folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._begun = self._now()

    def begin(self) -> None:
        """Start measuring."""
        self._begun = self._now()

    def end(self) -> Used:
        """What was used since `begin`."""
        now = self._now()
        seconds, own, database, busy = (b - a for a, b in zip(self._begun, now, strict=True))
        return Used(seconds, own, database, max(0.0, busy - own - database))

    def _now(self) -> tuple[float, float, float, float]:
        """Wall clock, this process, the database, all cores."""
        own, total = psutil.Process().cpu_times(), psutil.cpu_times()
        busy = sum(total[:8]) - total.idle - getattr(total, "iowait", 0.0)
        return time.perf_counter(), own.user + own.system, self._database(), busy

    def _database(self) -> float:
        """CPU time of the database's processes, those of ended connections too."""
        if self._folder is None:
            return 0.0
        return sum(cpu_seconds_with_ended(process) for process in working_in(self._folder))


def working_in(folder: Path) -> list[psutil.Process]:
    """The processes whose working directory is inside `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process)
        except psutil.Error:
            continue  # it ended, or belongs to somebody else
    return found


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of one process, 0 when it is gone."""
    try:
        used = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(used.user + used.system)


def cpu_seconds_with_ended(process: psutil.Process) -> float:
    """The same, and that of children which ended and were waited for."""
    try:
        used = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(used.user + used.system + used.children_user + used.children_system)
