"""Helpers: start the tiny server as a real process, ask it, look at what it leaves."""

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

TINY = Path(__file__).parent / "tiny_server.py"
DEADLINE = 30.0  # seconds; far above what a loaded machine needs


def until(check: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Poll until `check` is true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.05)


@dataclass
class TinyServer:
    """One `liveserver run` with the tiny app, in a data directory."""

    data: Path
    arguments: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    output: bytes = b""

    @property
    def log(self) -> Path:
        return self.data.parent / f"{self.data.name}.log"

    def launch(self) -> "TinyServer":
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LIVESERVER_")}
        kept |= {"LIVESERVER_DATA_DIR": str(self.data), "LIVESERVER_PORT": str(self.port)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(TINY), *self.arguments],
                env=kept | self.environ,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.data.parent,
            )
        return self

    def start(self) -> "TinyServer":
        self.launch()
        until(self._read_ready, f"the ready line; log: {self.logged()}")
        return self

    def _read_ready(self) -> bool:
        assert self.process is not None
        assert self.process.stdout is not None
        if select.select([self.process.stdout], [], [], 0.05)[0]:
            self.output += os.read(self.process.stdout.fileno(), 65536)
        assert self.process.poll() is None, self.logged()
        found = re.search(rb"ready https?://[^\n]*:(\d+)\n", self.output)
        if found:
            self.port = int(found.group(1))
        return bool(found)

    def logged(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def ask(self) -> list[str]:
        """Words of the tiny app: node, process id, dead holder, roles."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            return connection.makefile().readline().split()

    def answers(self) -> list[str]:
        with contextlib.suppress(OSError):
            return self.ask()
        return []

    def children(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        return [it for it in self.children() if "tiny_worker" in " ".join(it.cmdline())]

    def bus(self) -> psutil.Process:
        (found,) = [it for it in self.children() if it.name() == "valkey-server"]
        return found

    def kill(self) -> None:
        """kill -9 of the supervisor alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self, word: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(word)
        code = self.process.wait(DEADLINE)
        self._close()
        return code

    def refused(self) -> int:
        """Start, and expect that it ends by itself; the exit code."""
        self.launch()
        assert self.process is not None
        code = self.process.wait(DEADLINE)
        self._close()
        return code

    def _close(self) -> None:
        assert self.process is not None
        if self.process.stdout is not None:
            self.output += self.process.stdout.read()
            self.process.stdout.close()


@contextlib.contextmanager
def cleaned(servers: list[TinyServer]) -> Iterator[None]:
    """Ends whatever a test left running."""
    try:
        yield
    finally:
        for server in servers:
            if server.process is not None:
                if server.process.poll() is None:
                    _kill_all([server.process, *server.children()])
                    server.process.wait()
                if server.process.stdout:
                    server.process.stdout.close()


def _kill_all(processes: list[Any]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            process.kill()


def gone(processes: list[psutil.Process]) -> bool:
    return not any(
        it.is_running() and it.status() != psutil.STATUS_ZOMBIE for it in processes if _exists(it)
    )


def _exists(process: psutil.Process) -> bool:
    try:
        process.status()
    except psutil.NoSuchProcess:
        return False
    return True
