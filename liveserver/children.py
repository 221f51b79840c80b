"""One child process of the supervisor: start it, hear it, restart it."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable

import msgspec

from liveserver import embedded, worker_settings
from liveserver.worker import BEAT, READY
from liveserver.worker_settings import Role, WorkerSettings

logger = logging.getLogger(__name__)

BACKOFF_FIRST = 0.1  # seconds; a killed worker is back before clients have reconnected
BACKOFF_MOST = 10.0  # a worker that cannot start must not burn a core, nor be forgotten
HEALTHY_SECONDS = 60.0  # after running that long, the next end counts as the first again
SILENT_SECONDS = 5  # an orders holder on SQLite that has not beaten for so long is stuck: killed


class Child:
    """
    A process that is kept running until cancelled.

    `describe(node)` makes its settings at each start; `on_change` hears every start and first beat.
    """

    def __init__(
        self,
        name: str,
        roles: tuple[Role, ...],
        listener: socket.socket | None,
        command: list[str],
        environment: dict[str, str],
        describe: Callable[["Child", str], WorkerSettings],
        on_change: Callable[["Child"], None],
        *,
        watch_beats: bool,
    ) -> None:
        self.name = name
        self.roles = roles
        self.listener = listener
        self.node = ""
        self.pid = 0
        self.has_beaten = False
        self.ready = asyncio.Event()
        self.failures = 0  # ends in a row before being ready
        self.last_exit: int | None = None
        self._command = command
        self._environment = environment
        self._describe = describe
        self._on_change = on_change
        self._watch_beats = watch_beats
        self._beat_seen = False
        self._process: asyncio.subprocess.Process | None = None

    async def keep_running(self, death_fd: int) -> None:
        """Start, wait for the end, restart with growing pauses; for ever."""
        pause = 0.0
        while True:
            began = time.monotonic()
            code = await self._run_once(death_fd)
            self.last_exit = code
            self.failures = 0 if self.ready.is_set() else self.failures + 1
            self.ready.clear()
            if time.monotonic() - began > HEALTHY_SECONDS:
                pause = 0.0
            pause = min(BACKOFF_MOST, pause * 2 or BACKOFF_FIRST)
            logger.error("%s ended with code %s, restarting in %.1f s", self.node, code, pause)
            await asyncio.sleep(pause)

    async def stop(self, seconds: float) -> None:
        """SIGTERM; SIGKILL after `seconds`."""
        if self._process is not None:
            await embedded.end_child(self._process, seconds)

    async def _run_once(self, death_fd: int) -> int:
        """One life of the process; returns its exit code."""
        self.node = f"{self.name}-{secrets.token_hex(4)}"
        self.has_beaten = self._beat_seen = False
        status_in, status_out = os.pipe()
        os.set_blocking(status_in, False)
        try:
            process = await self._spawn(death_fd, status_out)
        finally:
            os.close(status_out)
        loop = asyncio.get_running_loop()
        loop.add_reader(status_in, self._hear, status_in)
        watch = asyncio.create_task(self._kill_when_silent(process))
        try:
            return await process.wait()
        finally:
            watch.cancel()
            if process.returncode is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)  # what a killed worker left running
            loop.remove_reader(status_in)
            os.close(status_in)

    async def _spawn(self, death_fd: int, status_fd: int) -> asyncio.subprocess.Process:
        settings = msgspec.structs.replace(
            self._describe(self, self.node),
            death_fd=death_fd,
            status_fd=status_fd,
            listen_fd=self.listener.fileno() if self.listener else None,
        )
        handed = [death_fd, status_fd] + ([self.listener.fileno()] if self.listener else [])
        process = await asyncio.create_subprocess_exec(
            *self._command,
            self.node,  # for people and for `end_leftovers`, which reads command lines
            stdin=subprocess.PIPE,
            stdout=2,  # standard output is the supervisor's: the ready line
            pass_fds=handed,
            env=self._environment,
            start_new_session=True,  # Ctrl-C is for the supervisor alone
        )
        self._process = process
        self.pid = process.pid
        self._on_change(self)
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(worker_settings.encode(settings))
            await process.stdin.drain()
            process.stdin.close()
        return process

    def _hear(self, fd: int) -> None:
        """Words on the status pipe: single bytes."""
        try:
            words = os.read(fd, 4096)
        except BlockingIOError:
            return
        if not words:  # the process is ending; its exit is seen elsewhere
            asyncio.get_running_loop().remove_reader(fd)
        if BEAT in words:
            self._beat_seen = True
            if not self.has_beaten:
                self.has_beaten = True
                self._on_change(self)
        if READY in words:
            self.ready.set()

    async def _kill_when_silent(self, process: asyncio.subprocess.Process) -> None:
        """
        Kill a holder that stopped beating, so that another may write; begins at the first beat.

        Silence is counted in rounds of this loop, not by the clock: a supervisor that was stopped
        itself must not blame its children.
        """
        silent = 0
        while self._watch_beats:
            await asyncio.sleep(1.0)
            silent = 0 if self._beat_seen or not self.has_beaten else silent + 1
            self._beat_seen = False
            if silent >= SILENT_SECONDS:
                logger.error("%s has not beaten for %d s, killing it", self.node, silent)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                return
