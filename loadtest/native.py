"""
Programs beside the server: the C sinks, the C limit, peers of other makes; asked line by line.

The C programs are compiled on first use into a folder of the system's temporary files.
"""

import asyncio
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
NODE = Path(sys.executable).parent / "node"  # of the development set-up
ANSWER_SECONDS = 180.0  # for the longest run and ten thousand connections
FEATURES = (("-DWITH_TLS", "-lssl", "-lcrypto"), ("-DWITH_DEFLATE", "-lz"))

Json = dict[str, Any]


class NoCompiler(Exception):
    """There is no C compiler; the message says it in one line."""


def build(name: str) -> Path:
    """The program of `name`.c; features whose headers are missing are left out."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompiler("no `cc` here: the benchmark needs a C compiler for its sinks")
    source = HERE / f"{name}.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    program = Path(tempfile.gettempdir()) / f"liveserver-{name}-{digest}"
    if program.exists():
        return program
    flags = [part for feature in FEATURES if name == "sink" for part in _usable(compiler, feature)]
    new = program.with_suffix(".new")
    subprocess.run([compiler, "-O2", "-o", new, source, *flags], check=True)
    new.rename(program)
    return program


def _usable(compiler: str, feature: tuple[str, ...]) -> tuple[str, ...]:
    header = "openssl/ssl.h" if "-lssl" in feature else "zlib.h"
    command = [compiler, "-E", "-include", header, "-x", "c", "/dev/null", "-o", "/dev/null"]
    found = subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
    return feature if found.returncode == 0 else ()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, from /proc."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def tree_cpu_seconds(pid: int) -> float:
    """The same with its children: the development set-up's `node` starts the real one."""
    children = psutil.Process(pid).children(recursive=True)
    return cpu_seconds(pid) + sum(cpu_seconds(child.pid) for child in children)


def resident_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


class Program:
    """A child process that answers lines with lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, *command: str | Path) -> "Program":
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            cwd=HERE.parent,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(ANSWER_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("a program of the benchmark ended early")
        return line.decode().strip()

    async def answer(self) -> Json:
        found: Json = json.loads(await self.line())
        return found

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())

    async def ask(self, command: str) -> Json:
        self.tell(command)
        return await self.answer()

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()


async def sinks(host: str, port: int, count: int, *options: str) -> Program:
    """`count` sinks that are connected and subscribed. Raises RuntimeError if some are not."""
    program = await Program.start(build("sink"), host, str(port), str(count), *options)
    told = await program.answer()
    if told["ready"] != count or told["refused"]:
        await program.stop()
        raise RuntimeError(f"not all sinks are there: {told}")
    return program
