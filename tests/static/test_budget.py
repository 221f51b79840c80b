"""How much script the live room loads before it can be used, and how much comes later."""

import gzip
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / "static"
PAGE = STATIC / "room.html"
#: what the room's own scripts may weigh, each file gzipped by itself; libraries are not counted
OWN_BYTES = 60_000
#: the player of the host's picture; it comes in rooms that have a picture
PLAYER = STATIC / "js" / "video" / "stage-picture.js"
#: what draws danmaku, without how somebody likes them
RENDERER = (STATIC / "js/danmaku/layer.js", STATIC / "js/danmaku/lanes.js")
RENDERER_BYTES = 4_000
#: sheets and tools that presses open: they must not creep into the first load
PRESSED = (
    "components/buy-sheet.js", "components/order-card.js", "components/sheet.js",
    "components/shelf-sheet.js", "components/room-settings.js", "components/name-sheet.js",
    "moderation/message-menu.js", "moderation/api.js", "components/site-header.js",
    "danmaku/layer.js", "components/share-sheet.js", "qr.js",
    "embed/host.js", "plain.js", "pseudo.js", "pending.js",
)  # fmt: skip

AT_ONCE = re.compile(r"^(?:import|export)\b[^;\"]*?\"(\.[^\"]+)\";$", re.MULTILINE)
LATER = re.compile(r"(?<!\{)\bimport\(\"(\.[^\"]+)\"\)(?!\.)")


def code(module: Path) -> str:
    """The module without comments, where types are named by `import("…")` too."""
    return re.sub(r"/\*.*?\*/", "", module.read_text(encoding="utf-8"), flags=re.DOTALL)


def named(module: Path, pattern: re.Pattern[str]) -> set[Path]:
    return {(module.parent / name).resolve() for name in pattern.findall(code(module))}


def graph(entries: Iterable[Path]) -> set[Path]:
    """These modules and all that they import before they run."""
    found: set[Path] = set()
    waiting = set(entries)
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= named(module, AT_ONCE) - found
    return found


def first() -> set[Path]:
    """What room.html loads: its scripts and their imports, without libraries."""
    scripts = re.findall(r"<script[^>]* src=\"/static/(js/[^\"]+)\"", PAGE.read_text())
    assert scripts
    return graph(STATIC / script for script in scripts)


def later() -> set[Path]:
    """What comes after that, by a press or in idle time; also what that brings along."""
    found = first()
    while more := graph(set().union(*(named(module, LATER) for module in found))) - found:
        found |= more
    return found - first()


def size(modules: Iterable[Path]) -> int:
    return sum(len(gzip.compress(module.read_bytes(), 9)) for module in modules)


def test_the_room_keeps_to_its_budget() -> None:
    """At most 60 kB of own script until the room can be used, even with the host's picture."""
    own, rest = size(first()), size(later() - graph([PLAYER]))
    player = size(graph([PLAYER]) - first())
    assert own + player <= OWN_BYTES
    told = (STATIC.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    line = next(line for line in told.splitlines() if line.startswith("| own script of the live"))
    for bytes_, what in ((own, "until"), (player, "player"), (rest, "later")):
        named_kb = re.findall(r"(\d+\.\d) kB", line)
        assert any(abs(float(kb) - bytes_ / 1000) < 1.0 for kb in named_kb), (what, bytes_, line)


def test_what_draws_danmaku_is_small() -> None:
    assert size(RENDERER) <= RENDERER_BYTES


@pytest.mark.parametrize("module", PRESSED)
def test_what_a_press_opens_is_not_loaded_first(module: str) -> None:
    """It comes later: there is a way to it, but no static one."""
    path = STATIC / "js" / module
    assert path.is_file() and path not in first()
    assert path in later() or module == "plain.js"  # which a script element brings
