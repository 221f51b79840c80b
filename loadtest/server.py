"""
A server under test: the real `liveserver run`, with everything it starts by itself.

Only the command line and the ready line are used, as any operator would.
"""

import os
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

BIN = Path(sys.executable).parent
READY_SECONDS = 60  # as the supervisor's own: a loaded 2-core machine may need it
STOP_SECONDS = 10


@dataclass
class Server:
    """One running server. `base` is its address, `data` its data directory."""

    data: Path
    environ: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ("--demo",)
    process: subprocess.Popen[bytes] | None = None
    base: str = ""
    port: int = 0
    seen: bytes = b""
    python_path: Path | None = None  # modules that are loaded before everything else
    log_folder: Path | None = None  # beside the data directory where nothing is said

    def start(self) -> "Server":
        environ = {
            **os.environ,
            "LIVESERVER_DATA_DIR": str(self.data),
            "LIVESERVER_PORT": str(self.port),
            **self.environ,
        }
        if self.python_path is not None:
            known = environ.get("PYTHONPATH", "")
            environ["PYTHONPATH"] = f"{self.python_path}:{known}".rstrip(":")
        folder = self.log_folder or self.data.parent
        self.log = (folder / f"{self.data.name}.log").open("ab")
        self.process = subprocess.Popen(
            [BIN / "liveserver", "run", *self.arguments],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=self.data.parent,
        )
        self.base = self._wait_until_ready()
        self.port = int(self.base.rsplit(":", 1)[1]) if self.base else 0
        return self

    def _wait_until_ready(self) -> str:
        self.seen = b""
        return self.wait_for(rb"ready ?(\S*)\n").rstrip("/")  # no address with --role orders

    def wait_for(self, pattern: bytes) -> str:
        """The first group of `pattern` in what the server prints, from its start on."""
        assert self.process is not None and self.process.stdout is not None
        deadline = time.monotonic() + READY_SECONDS
        while True:
            if match := re.search(pattern, self.seen):
                return match.group(1).decode()
            readable, _, _ = select.select([self.process.stdout], [], [], 0.2)
            chunk = os.read(self.process.stdout.fileno(), 65536) if readable else b""
            self.seen += chunk
            if (readable and not chunk) or time.monotonic() > deadline:
                raise AssertionError(f"{pattern!r} not in {self.seen!r}\n{self.logged()}")

    def logged(self) -> str:
        return Path(self.log.name).read_text(encoding="utf-8", errors="replace")

    def children(self) -> list[psutil.Process]:
        assert self.process is not None
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def workers(self) -> list[psutil.Process]:
        """The worker processes (`python -m liveserver.worker`), oldest first."""
        found = [p for p in self.children() if "liveserver.worker" in " ".join(p.cmdline())]
        return sorted(found, key=lambda p: p.create_time())

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        assert self.process is not None
        return self.process.pid

    def kill_supervisor_alone(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._close()

    def _close(self) -> None:
        assert self.process is not None
        if self.process.stdout:
            self.process.stdout.close()
        self.log.close()

    def stop_if_started(self) -> None:
        """Also when it was stopped before."""
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def stop(self) -> int:
        """SIGTERM, as an init system would; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS + 5)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._close()
