"""
The server with some lines of its code changed: without a guard, or as a next version of it.

The packages are copied into a folder that comes first on PYTHONPATH; the checkout stays as it is.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("liveserver", "orders", "rooms")
BESIDE = ("static", "examples")  # looked for beside the packages


@dataclass(frozen=True)
class Edit:
    """One place of a file. An empty `old` adds to the end, and makes the file if need be."""

    file: str
    old: str
    new: str


def alter(code: Path, edits: tuple[Edit, ...]) -> None:
    """
    Put the packages with all `edits` into the folder `code`.

    Raises:
        AssertionError: The code has changed: a place is not there, or not once.
    """
    for name in PACKAGES:
        shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        (code / name).symlink_to(ROOT / name)
    for edit in edits:
        path = code / edit.file
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if not edit.old:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text + edit.new, encoding="utf-8")
            continue
        assert text.count(edit.old) == 1, f"{edit.file} has {edit.old!r} {text.count(edit.old)} ×"
        path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
