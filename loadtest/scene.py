"""What a fault strikes: one server under load, and what is seen of it from outside."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from redis.asyncio import Redis

from loadtest.databases import Database
from loadtest.journal import now
from loadtest.listeners import Listeners
from loadtest.postgres import Postgres
from loadtest.proxy import Proxy
from loadtest.server import Server
from loadtest.waves import Waves

SEEN_SECONDS = 15.0  # until a log line or an end that must come


class Missed(Exception):
    """The fault did not strike; the message says what was waited for."""


@dataclass
class Scene:
    """One server under load, and how long the fault lasts."""

    server: Server
    database: Database
    waves: Waves
    seconds: float
    proxy: Proxy | None = None
    more: list[Server] = field(default_factory=list)  # further servers, stopped with the scene
    following: list[Server] = field(default_factory=list)  # writer, gateway of a next version
    mounted: Path | None = None
    clock_file: Path | None = None
    listeners: Listeners | None = None
    endpoints: dict[str, str] = field(default_factory=dict)  # of the listeners, by name

    @property
    def hooks(self) -> Listeners:
        """For what only webhook endpoints can suffer."""
        assert self.listeners is not None
        return self.listeners

    @property
    def postgres(self) -> Postgres:
        """For what only a database server can suffer."""
        assert isinstance(self.database, Postgres)
        return self.database

    def process(self, kind: str) -> psutil.Process:
        """`gateway`, `writer`, `bus` or `supervisor`."""
        if kind == "supervisor":
            return psutil.Process(self.server.pid)
        if kind == "bus":
            return next(p for p in self.server.children() if p.name() == "valkey-server")
        names = ("orders-", "server-") if kind == "writer" else ("gateway-", "server-")
        return next(p for p in self.server.workers() if p.cmdline()[-1].startswith(names))

    def bus(self) -> Redis:
        return Redis(unix_socket_path=str(self.server.data / "bus.sock"), socket_timeout=5)


@dataclass
class Hit:
    """When a fault began and ended (`journal.now`), and what shows that it struck."""

    at: float
    until: float
    evidence: str


async def until(check: Callable[[], bool], what: str, seconds: float = SEEN_SECONDS) -> None:
    """Look until it is so. Raises Missed."""
    end = now() + seconds
    while not check():
        if now() > end:
            raise Missed(f"{what}: not within {seconds:.0f} s")
        await asyncio.sleep(0.02)


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def is_stopped(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False


async def logged(server: Server, words: str, since: int) -> str:
    """The first new log line with `words`."""
    found: list[str] = []

    def look() -> bool:
        found[:] = [line for line in server.logged()[since:].splitlines() if words in line]
        return bool(found)

    await until(look, f"a log line with {words!r}")
    return found[0].strip()
