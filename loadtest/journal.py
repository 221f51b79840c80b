"""
What clients were told, line by line: JSON objects in one file, written at once and never changed.

Checks read these lines and the database, never the server's own counters. `at`, `sent` and `told`
are seconds of the load's monotonic clock, so that lines of one run can be put in order.
"""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any

Line = dict[str, Any]


class Journal:
    """One run's file. Lines: `sale`, `ask`, `notice` (an attempt, its answer), `seen`, `strike`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._file.close()

    def note(self, kind: str, **facts: Any) -> None:
        """Write one line down; it is in the file before this returns."""
        json.dump({"kind": kind, "at": now(), **facts}, self._file, ensure_ascii=False)
        self._file.write("\n")
        self._file.flush()


def now() -> float:
    """Seconds of the monotonic clock."""
    return time.monotonic()


def read(path: Path) -> list[Line]:
    """All lines of a file; a last one that was cut off is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
