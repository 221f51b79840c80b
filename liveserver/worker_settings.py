"""What a worker process is told at its start: one JSON object on its standard input."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from liveserver.config import Config

#: "crowd" is a process of synthetic viewers beside the server
Role = Literal["gateway", "orders", "media", "crowd"]


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    One process's part of the server.

    `node` is new at every process start and names it on the bus and as holder of the writer's
    lease. `database_url` and `redis_url` are complete (embedded parts included), `token_secret`
    is never empty, and `config.tls_cert` is set where HTTPS is served, be it self-made.
    """

    config: Config
    roles: tuple[Role, ...]
    node: str
    #: names the process for people, the same after each of its restarts
    name: str = ""
    redis_url: str
    database_url: str
    token_secret: str
    #: origin that links start with, no slash at the end
    public_url: str
    #: listening TCP socket handed over by number; None without the gateway role
    listen_fd: int | None = None
    #: unix socket of the media process; "" = no video
    media_socket: str = ""
    #: reads end of file when the supervisor is gone
    death_fd: int | None = None
    #: written: one byte for "ready", one for each beat
    status_fd: int | None = None
    #: the embedded Valkey, which must not outlive a dead supervisor
    bus_pid: int | None = None
    #: an earlier holder of the lease that is known to be dead, on this machine
    dead_holder: str | None = None
    #: the first gateway of the server: does what one process alone must do (demo, set-up link)
    first: bool = True
    demo: bool = False
    #: password of the demo accounts: `demo` on loopback, random elsewhere
    demo_password: str = "demo"
    #: loopback port of the demo's sample receiver, the one address webhooks may reach there
    receiver_port: int | None = None
    #: synthetic viewers of the demo room, and whether they buy
    crowd: int = 0
    crowd_buys: bool = False


def encode(settings: WorkerSettings) -> bytes:
    """The settings as JSON; they hold secrets, so they go by pipe, never by argument."""
    return msgspec.json.encode(settings, enc_hook=str)


def decode(data: bytes) -> WorkerSettings:
    """Raises msgspec.ValidationError for anything else than what `encode` wrote."""
    return msgspec.json.decode(data, type=WorkerSettings, dec_hook=_path)


def _path(kind: type, value: Any) -> Any:
    if issubclass(kind, Path):
        return Path(value)
    raise NotImplementedError(kind)
