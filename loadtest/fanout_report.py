"""`python -m loadtest fanout`: the rows one after the other, and their section of the document."""

import argparse
import asyncio
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from loadtest import fanout
from loadtest.fanout import Options, Row
from loadtest.native import NoCompiler, build

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- fan-out {name} begins -->", "<!-- fan-out {name} ends -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(fanout.ROWS))
    parser.add_argument("--runs", type=int, default=5, help="of each; the median counts")
    parser.add_argument("--seconds", type=float, default=10.0, help="of one measurement")
    parser.add_argument("--scale", type=float, default=1.0, help="fewer viewers, to try it out")
    parser.add_argument("--caps", action="store_true", help="with the usual caps on chat")
    parser.add_argument("--tls", action="store_true", help="with TLS in the process")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    parser.set_defaults(go=go)


def go(arguments: argparse.Namespace) -> int:
    """Exit code 1 if a figure was not reached, 2 if nothing could be measured."""
    unknown = set(arguments.rows) - set(fanout.ROWS)
    if unknown:
        print(f"no such rows: {', '.join(sorted(unknown))}; there are {', '.join(fanout.ROWS)}")
        return 2
    try:
        build("sink"), build("limit")
    except NoCompiler as problem:
        print(problem)
        return 2
    options = Options(
        arguments.runs, arguments.seconds, arguments.scale, arguments.caps, arguments.tls
    )
    found: dict[str, Row] = {}
    for name in arguments.rows or fanout.ROWS:
        print(f"{name}: {(fanout.ROWS[name].__doc__ or '').splitlines()[0]}", flush=True)
        found[name] = measured(name, options)
    if arguments.write:
        write(found, options)
    lines = [line for row in found.values() for line in row.lines]
    return 1 if any(line.holds is False for line in lines) else 0


def measured(name: str, options: Options) -> Row:
    """One row. One that breaks off is told as such, and the others go on."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(awaited(name, options))
    except (RuntimeError, TimeoutError, OSError, AssertionError) as problem:
        row = Row()
        row.add(name, f"broke off: {type(problem).__name__} {problem}"[:200], holds=False)
        return row


async def awaited(name: str, options: Options) -> Row:
    return await fanout.ROWS[name](options)


def write(found: dict[str, Row], options: Options) -> None:
    """Replace the section of this kind of run, or add it."""
    name = " ".join(["caps" if options.caps else "plain", *(["TLS"] if options.tls else [])])
    begin, end = BEGIN.format(name=name), END.format(name=name)
    section = f"{begin}\n{table(found, options, name)}\n{end}\n"
    text = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else "# Benchmarks\n"
    if begin in text and end in text:
        before, _, rest = text.partition(begin)
        text = before + section + rest.partition(end)[2].lstrip("\n")
    else:
        text = text.rstrip("\n") + "\n\n" + section
    DOCUMENT.write_text(text, encoding="utf-8")
    print(f"written: {DOCUMENT.name}, section {name}")


def table(found: dict[str, Row], options: Options, name: str) -> str:
    marks = {True: "yes", False: "**no**", None: "–"}
    lines = [
        f"### Fan-out, {'usual caps' if options.caps else 'caps off'}"
        f"{', TLS in the process' if options.tls else ''}",
        "",
        f"`{command(found, options)}` at {commit()}, {datetime.now(UTC):%Y-%m-%d}, {machine()}; "
        f"median of {options.runs} runs of {options.seconds:g} s.",
        "",
        "| row | figure | measured | wanted | reached |",
        "|---|---|---|---|---|",
    ]
    for row_name, row in found.items():
        lines += [
            f"| {row_name} | {line.what} | {line.measured} | {line.wanted} | {marks[line.holds]} |"
            for line in row.lines
        ]
    return "\n".join(lines)


def command(found: dict[str, Row], options: Options) -> str:
    words = ["python -m loadtest fanout", *(found if len(found) < len(fanout.ROWS) else ())]
    words += [f"--scale {options.scale:g}"] if options.scale != 1 else []
    words += [flag for flag, on in (("--caps", options.caps), ("--tls", options.tls)) if on]
    return " ".join([*words, "--write"])


def commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True, text=True, cwd=DOCUMENT.parent, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "an unknown commit"


def machine() -> str:
    """Cores, processor, kernel, Python."""
    cpu, cores = platform.processor() or platform.machine(), 0
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        text = cpuinfo.read_text(encoding="utf-8")
        cores = text.count("processor\t:")
        for line in text.splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
    python = platform.python_version()
    return f"{cores} cores of {cpu}, Linux {platform.release()}, Python {python} on {sys.platform}"
