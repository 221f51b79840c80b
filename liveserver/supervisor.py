"""
The parent of all: owns the data directory, the embedded Valkey and the listening sockets; starts
the workers, restarts them when they end, and stops everything.

It serves nothing itself, so that nothing that a client sends can hurt it.
"""

import asyncio
import contextlib
import dataclasses
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from sqlalchemy.exc import SQLAlchemyError

from liveserver import accounts, datadir, embedded, migrate, sockets, tls
from liveserver.children import Child
from liveserver.config import Config
from liveserver.worker_settings import Role, WorkerSettings

logger = logging.getLogger(__name__)

WORKER_COMMAND = [sys.executable, "-P", "-m", "liveserver.worker"]  # -P: not the current folder
READY_SECONDS = 60.0  # a start on a small, busy machine takes a few
FAILED_STARTS = 3  # ends in a row before the first "ready" that show a start as hopeless
GATEWAY_STOP_SECONDS = 2.5  # after DRAIN_SECONDS: viewers end their side, open requests
ORDERS_STOP_SECONDS = 3.0  # commit the last batch, give the lease back; all and Valkey's 2 s < 10
ROLL_SECONDS = 5.0  # before a list of processes that could not be written is tried again
POLL_SECONDS = 0.02


class StartError(Exception):
    """The server cannot start; the message says why in words."""


#: what stops a start with one line instead of a traceback
WORDED_ERRORS = (
    StartError,
    datadir.DataDirError,
    embedded.BusError,
    migrate.DatabaseError,
    sockets.PortError,
    tls.TlsError,
)


@dataclass(frozen=True)
class RunOptions:
    """What the command line says beside the settings."""

    role: Literal["all", "gateway", "orders", "media"] = "all"
    demo: bool = False
    lan: bool = False
    crowd: int = 0
    crowd_buys: bool = False


class Supervisor:
    """One run of `liveserver run`. `out` gets the ready line and the links, nothing else."""

    def __init__(
        self,
        config: Config,
        options: RunOptions,
        out: TextIO,
        worker_command: list[str] | None = None,
    ) -> None:
        self.config = config
        self.options = options
        self.out = out
        self._command = worker_command or WORKER_COMMAND
        self._alone = options.role == "all"  # owner of the data directory and of all processes
        self._lock = datadir.DirectoryLock(config.data_dir)
        self._stop = asyncio.Event()
        self._bus: embedded.EmbeddedValkey | None = None
        self._listeners: list[socket.socket] = []
        self._children: list[Child] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._holder: str | None = None
        self._token_secret = config.token_secret
        self._url = ""
        self._lan_hosts: list[str] = []
        self._demo_password = "demo"
        self._media_socket = Path()
        self._short_dir: tempfile.TemporaryDirectory[str] | None = None
        self._receiver: socket.socket | None = None  # holds the port of the sample receiver
        #: the write end lives here alone: its end of file tells the children that we are gone
        self._death_read, self._death_write = os.pipe()

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit code. Raises one of WORDED_ERRORS."""
        loop = asyncio.get_running_loop()
        for word in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(word, self._stop.set)
        stopping = asyncio.create_task(self._stop.wait())
        serving = asyncio.create_task(self._serve())
        try:
            await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()  # it never returns: raises what ended it
        finally:
            for task in (stopping, serving):
                task.cancel()
            await asyncio.gather(stopping, serving, return_exceptions=True)
            await self._stop_everything()
        return 0

    async def _serve(self) -> None:
        await self._prepare()
        self._make_children()
        for child in self._children:
            self._tasks.append(asyncio.create_task(child.keep_running(self._death_read)))
        await self._wait_until_ready()
        self._announce(await self._setup_link())
        if self._alone:  # video comes after what everybody needs
            self._add_child("media")
        if self.options.crowd and "gateway" in self._children[0].roles:
            self._add_child("crowd")
        await asyncio.gather(*self._tasks)  # they end only by an error

    def _add_child(self, role: Role) -> None:
        """A process that nothing else waits for."""
        child = self._make_child(role, (role,), None)
        self._children.append(child)
        self._tasks.append(asyncio.create_task(child.keep_running(self._death_read)))

    async def _prepare(self) -> None:
        datadir.prepare(self.config.data_dir)
        if self._alone:
            self._lock.take()
            self._holder = await asyncio.to_thread(datadir.end_leftovers, self.config.data_dir)
            await asyncio.to_thread(embedded.end_orphan, self.config.data_dir)
        self._token_secret = self._token_secret or datadir.token_secret(self.config.data_dir)
        if self.options.role in ("all", "gateway"):
            await self._open_port()
        self._media_socket = self._choose_media_socket()
        await migrate.upgrade(self.config.data_database_url)
        if self._alone and not self.config.redis_url:
            self._bus = embedded.EmbeddedValkey(self.config.data_dir)
            await self._bus.start()
            self._tasks.append(asyncio.create_task(self._keep_bus(self._bus)))

    def _choose_media_socket(self) -> Path:
        """Where gateways reach the media process. A unix socket's path has a length."""
        path = self.config.data_dir / "media.sock"
        if len(os.fsencode(path)) <= embedded.MAX_SOCKET_PATH:
            return path
        if not self._alone:
            raise StartError(f"DATA_DIR: {path} is too long for a socket; choose a shorter one")
        self._short_dir = tempfile.TemporaryDirectory(prefix="liveserver-", dir="/tmp")
        return Path(self._short_dir.name) / "media.sock"

    async def _open_port(self) -> None:
        host = self.config.host
        if self.options.lan and sockets.is_loopback(host):
            host = "0.0.0.0"
        if self.options.lan:
            self._lan_hosts = sockets.lan_addresses()
            if not self.config.tls_cert:
                cert, key = tls.lan_certificate(self.config.data_dir, self._lan_hosts)
                self.config = dataclasses.replace(self.config, tls_cert=cert, tls_key=key)
        if self.options.demo:
            self._receiver = sockets.reserve_loopback_port()
            if not sockets.is_loopback(host):
                self._demo_password = secrets.token_urlsafe(9)
        self._listeners = await sockets.open_listeners(host, self.config.port, self.config.workers)
        scheme = "https" if self.config.tls_cert else "http"
        port = self._listeners[0].getsockname()[1]
        shown = self._lan_hosts[0] if self._lan_hosts else sockets.reachable_host(host)
        self._url = f"{scheme}://{shown}:{port}"

    def _make_children(self) -> None:
        if self.options.role in ("orders", "media"):
            role: Role = self.options.role
            self._children = [self._make_child(role, (role,), None)]
        elif self._alone and self.config.workers == 1:
            roles: tuple[Role, ...] = ("gateway", "orders")
            self._children = [self._make_child("server", roles, self._listeners[0])]
        else:
            self._children = [
                self._make_child(f"gateway-{number}", ("gateway",), listener)
                for number, listener in enumerate(self._listeners, start=1)
            ]
            if self._alone:
                self._children.append(self._make_child("orders", ("orders",), None))

    def _make_child(
        self, name: str, roles: tuple[Role, ...], listener: socket.socket | None
    ) -> Child:
        on_sqlite = self.config.data_database_url.startswith("sqlite")
        return Child(
            name,
            roles,
            listener,
            self._command,
            self._child_environment(),
            self._describe,
            self._on_change,
            watch_beats=self._alone and on_sqlite and "orders" in roles,
        )

    def _child_environment(self) -> dict[str, str]:
        """Ours without settings: children get those by pipe, secrets included."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LIVESERVER_")}
        if self._lan_hosts:  # lets the crowd trust the self-made certificate
            kept["SSL_CERT_FILE"] = self.config.tls_cert
        return kept

    def _describe(self, child: Child, node: str) -> WorkerSettings:
        return WorkerSettings(
            config=self.config,
            roles=child.roles,
            node=node,
            name=child.name,
            redis_url=self._bus.url if self._bus else self.config.redis_url,
            database_url=self.config.data_database_url,
            token_secret=self._token_secret,
            public_url=self._url if "crowd" in child.roles else self.config.public_url or self._url,
            bus_pid=self._bus.pid if self._bus else None,
            dead_holder=self._holder if "orders" in child.roles else None,
            first=child is self._children[0] if self._children else True,
            demo=self.options.demo,
            demo_password=self._demo_password,
            media_socket=str(self._media_socket),
            receiver_port=self._receiver.getsockname()[1] if self._receiver else None,
            crowd=self.options.crowd if "crowd" in child.roles else 0,
            crowd_buys=self.options.crowd_buys,
        )

    def _on_change(self, child: Child) -> None:
        """A child was started, or beat for the first time: write down who there is."""
        if child.has_beaten:
            self._holder = child.node
        if self._alone:
            self._write_roll()

    def _write_roll(self) -> None:
        """A full disk must not end a server whose workers have just come back."""
        children = [datadir.Child(it.pid, it.node) for it in self._children if it.pid]
        try:
            datadir.write_roll(self.config.data_dir, datadir.Roll(children, self._holder))
        except OSError as error:
            logger.error("who serves is not written down: %s; trying again", error)
            asyncio.get_running_loop().call_later(ROLL_SECONDS, self._write_roll)

    async def _wait_until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        while not all(child.ready.is_set() for child in self._children):
            for child in self._children:
                if child.failures >= FAILED_STARTS:
                    raise StartError(
                        f"{child.name} ended {child.failures} times before it was ready "
                        f"(code {child.last_exit}); its reason is above"
                    )
            for task in self._tasks:
                if task.done():
                    task.result()
            if asyncio.get_running_loop().time() > deadline:
                waiting = [it.name for it in self._children if not it.ready.is_set()]
                raise StartError(f"not ready within {READY_SECONDS:.0f} s: {', '.join(waiting)}")
            await asyncio.sleep(POLL_SECONDS)

    def _announce(self, setup_link: str | None) -> None:
        """The ready line and, for people, the links; nobody has to read them."""
        with contextlib.suppress(BrokenPipeError):
            print(f"ready {self._url}".rstrip(), file=self.out, flush=True)
            if self.options.demo:
                print(self._demo_links(), file=self.out, flush=True)
            elif setup_link:
                print(
                    f"  first start: make your account at {setup_link}", file=self.out, flush=True
                )
            if self.options.lan:
                tls.print_qr(
                    f"{self._url}/rooms/demo" if self.options.demo else self._url, self.out
                )
                self.out.flush()

    async def _setup_link(self) -> str | None:
        if self.options.role in ("orders", "media") or self.options.demo:
            return None
        url = self.config.public_url or self._url
        try:
            return await accounts.setup_link(self.config.data_database_url, url)
        except SQLAlchemyError as error:  # it serves; the next start offers the link again
            logger.error("the set-up link could not be made: %s", error)
            return None

    def _demo_links(self) -> str:
        word = self._demo_password
        return (
            f"  live room      {self._url}/rooms/demo\n"
            f"  console        {self._url}/console/demo   (streamer, password {word})\n"
            f"  merchant desk  {self._url}/merchant       (merchant, password {word})\n"
            f"  to stop        Ctrl-C"
        )

    async def _keep_bus(self, bus: embedded.EmbeddedValkey) -> None:
        """Start the embedded Valkey again whenever it ends; workers reconnect by themselves."""
        pause = 0.0
        while True:
            code = await bus.wait()
            logger.error("the embedded Valkey ended with code %s, starting it again", code)
            while True:
                try:
                    await bus.start()
                    pause = 0.0
                    break
                except (embedded.BusError, OSError) as error:
                    pause = min(10.0, pause * 2 or 0.5)
                    logger.error("%s; next try in %.1f s", error, pause)
                await asyncio.sleep(pause)

    async def _stop_everything(self) -> None:
        """Gateways first, so that what they asked the writer is still answered; then the rest."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._receiver is not None:
            self._receiver.close()
        for listener in self._listeners:
            listener.close()
        doors = [child for child in self._children if "orders" not in child.roles]
        rest = [child for child in self._children if "orders" in child.roles]
        drain = self.config.drain_seconds + GATEWAY_STOP_SECONDS
        await asyncio.gather(*(child.stop(drain) for child in doors))
        await asyncio.gather(
            *(
                child.stop(ORDERS_STOP_SECONDS + (drain if "gateway" in child.roles else 0.0))
                for child in rest
            )
        )
        if self._bus is not None:
            await self._bus.stop()
        if self._short_dir is not None:
            self._short_dir.cleanup()
        os.close(self._death_write)
        os.close(self._death_read)
        self._lock.release()
