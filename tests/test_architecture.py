"""
Who may import whom, read from the imports.

`liveserver` wires `rooms` and `orders`, which know neither each other nor the server. Inside these
two a file's name tells what it may touch: a plain noun is pure rules, `*service.py` waits but knows
only ports, `*_redis.py`, `*_sql.py`, `*_http.py` hold one technology each.
"""

import ast
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("liveserver", "rooms", "orders", "loadtest")

#: package -> our packages that it may not import
FORBIDDEN = {
    "rooms": {"orders", "liveserver", "loadtest"},
    "orders": {"rooms", "liveserver", "loadtest"},
    "liveserver": {"loadtest"},
    "loadtest": {"liveserver", "rooms", "orders"},
}

#: library -> file names in rooms/ and orders/ that may import it
ONLY_IN = {
    "asyncio": ("*service.py", "*_redis.py", "*_sql.py", "*_http.py", "*_memory.py"),
    "redis": ("*_redis.py",),
    "sqlalchemy": ("*_sql.py",),
    "aiohttp": ("*_http.py",),
    "time": (),
    "random": (),
    "secrets": (),
    "os": (),
    "socket": ("*_http.py",),
    "aiortc": (),
}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level names of everything a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", OURS)
def test_packages_import_only_downwards(package: str) -> None:
    """rooms and orders stand alone, the load generator is a stranger, nobody imports upwards."""
    for path in modules(package):
        if package == "loadtest" and path.name.startswith("bench_"):
            continue  # measures a part that has no outside door
        wrong = imported(path) & FORBIDDEN[package]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}: see ARCHITECTURE.md, the map"


@pytest.mark.parametrize("package", ["rooms", "orders"])
def test_a_file_name_tells_what_it_may_touch(package: str) -> None:
    """Rules never wait: no asyncio, clock, randomness or I/O in a file with a plain name."""
    for path in modules(package):
        for library in imported(path) & ONLY_IN.keys():
            allowed = ONLY_IN[library]
            assert any(fnmatch(path.name, pattern) for pattern in allowed), (
                f"{path.relative_to(ROOT)} imports {library}; only {allowed or 'the server'} may: "
                "move the waiting there, or take the value as an argument"
            )


def test_aiortc_is_imported_only_by_the_media_process() -> None:
    """A crash in a codec must not take the chat with it."""
    for path in modules("liveserver"):
        if "media" not in path.parts:
            assert "aiortc" not in imported(path), path


def _names_from_os(path: Path) -> set[str]:
    """What a file takes out of `os` by `from os import …`."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    found = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "os"]
    return {alias.name for node in found for alias in node.names}


def test_only_the_command_line_and_the_supervisor_read_the_environment() -> None:
    """Settings come in at one place; parts get values."""
    for package in OURS:
        for path in modules(package):
            reads = {
                node.attr
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Attribute)
                and node.attr in {"environ", "getenv"}
                and isinstance(node.value, ast.Name)
                and node.value.id == "os"  # ours may have an `environ` for a child, too
            }
            reads |= {"from os"} if _names_from_os(path) & {"environ", "getenv"} else set()
            allowed = {"cli.py", "supervisor.py", "__main__.py"}
            if package == "loadtest":
                allowed = {"server.py"}  # hands its own environment to the server that it starts
            assert not reads or path.name in allowed, f"{path} reads the environment"
