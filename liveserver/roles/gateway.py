"""The role that holds sockets, pages and the HTTP API."""

import asyncio
import importlib.metadata
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from liveserver import tls
from liveserver.addresses import parse_networks
from liveserver.api_keys_sql import SqlApiKeys
from liveserver.control import Control
from liveserver.emulation import Emulation
from liveserver.gateway import ring
from liveserver.gateway.gateway import Gateway
from liveserver.gateway.meters import Meters
from liveserver.gateway.options import GatewayOptions
from liveserver.gateway.remote import Remote
from liveserver.issuer import Issuer
from liveserver.issuer_source import source_of
from liveserver.listener import Listener
from liveserver.media_door import MediaDoor
from liveserver.roles.background import Work, background
from liveserver.roles.clock import monotonic_ms, new_id, now_ms
from liveserver.roles.parts import Parts
from liveserver.rpc import Rpc
from liveserver.server_api import ServerApi
from liveserver.services import Services, WebOptions
from liveserver.stream_keys_sql import SqlStreamKeys
from liveserver.tokens import Tokens
from liveserver.web.app import build, make_runner
from liveserver.web.meters import HttpMeters
from liveserver.worker_settings import WorkerSettings
from orders.door_redis import RedisDoor
from orders.requests import Door
from orders.states_redis import StateListener
from rooms.channels import Namespaces
from rooms.fanout import WriteMany, write_each
from rooms.hub_service import HubService

HTTP_DRAIN_SECONDS = 2.0  # for open HTTP requests at a stop; the whole stop takes 10 s at most
CHECK_SECONDS = 2.0  # for one check of /readyz

Check = Callable[[], Awaitable[None]]


@asynccontextmanager
async def serving_gateway(settings: WorkerSettings, parts: Parts) -> AsyncIterator[None]:
    """Everything a client reaches, on the listening socket that the supervisor made."""
    async with AsyncExitStack() as stack:
        tasks: dict[str, Work] = {"rooms": parts.talk.rooms.run, "people": parts.people.run}
        door = parts.door or await _far_door(settings, parts, tasks, stack)
        issuer = _issuer(settings)
        if issuer is not None:
            tasks["issuer keys"] = issuer.run
        services = _services(settings, parts, door, issuer)
        services.ready = _ready(settings, parts.database.read, stack)
        gateway, control = _viewers(settings, parts, services)
        services.api = ServerApi(gateway, control)
        if settings.media_socket:
            services.video = MediaDoor(Path(settings.media_socket))
            stack.push_async_callback(services.video.close)
        tasks |= {"gateway": gateway.run, "workers": control.run}
        async with background(tasks), _listening(settings, gateway, services):
            yield


async def _far_door(
    settings: WorkerSettings, parts: Parts, tasks: dict[str, Work], stack: AsyncExitStack
) -> Door:
    """The way to a writer in another process, and what is known of its sales here."""
    reads = parts.trade.reads
    states = StateListener(settings.redis_url, reads.buyers_of_sale, monotonic_ms=monotonic_ms)
    tasks["states"] = states.run
    door = RedisDoor(settings.redis_url, settings.node, reads, refusal=states.refusal)
    await door.start()
    stack.push_async_callback(door.close)
    return door


@asynccontextmanager
async def _listening(
    settings: WorkerSettings, gateway: Gateway, services: Services
) -> AsyncIterator[None]:
    assert settings.listen_fd is not None
    runner = make_runner(build(services), shutdown_timeout=HTTP_DRAIN_SECONDS)
    await runner.setup()
    assert runner.server is not None
    listener = Listener(gateway, runner.server)
    await listener.start(socket.socket(fileno=settings.listen_fd), _tls(settings))
    try:
        yield
    finally:
        await listener.stop()
        await asyncio.gather(gateway.drain(settings.config.drain_seconds), runner.cleanup())


def _viewers(settings: WorkerSettings, parts: Parts, services: Services) -> tuple[Gateway, Control]:
    """The viewer socket, and this process among the others."""
    meters = Meters(parts.metrics.registry)
    gateway = Gateway(
        HubService(parts.talk.bus, time.thread_time, _write_many(settings)),
        parts.talk.rooms,
        Rpc(services),
        services.tokens,
        _gateway_options(settings),
        now=now_ms,
        node=settings.node,
        meters=meters,
    )
    remote = Remote(gateway, settings.node, name=_worker_name(), clock=time.monotonic)
    meters.watch(gateway, remote)
    emulation = services.emulation = Emulation(gateway)
    control = emulation.control = parts.metrics.control = Control(
        parts.talk.bus,
        settings.node,
        remote.status,
        remote.work | parts.metrics.work | emulation.work,
        clock=time.monotonic,
        on_echo=meters.bus_lag.observe,
    )
    return gateway, control


def _write_many(settings: WorkerSettings) -> WriteMany:
    return ring.writer() if settings.config.io_uring else write_each


def _issuer(settings: WorkerSettings) -> Issuer | None:
    """The other system whose tokens are taken, where one is configured."""
    config = settings.config
    if not config.token_jwks:
        return None
    return Issuer(
        source_of(config.token_jwks),
        issuer=config.token_issuer,
        audience=config.token_audience,
        roles=config.token_jwks_roles,
        monotonic=time.monotonic,
    )


def _services(
    settings: WorkerSettings, parts: Parts, door: Door, issuer: Issuer | None
) -> Services:
    talk, trade, database = parts.talk, parts.trade, parts.database
    return Services(
        options=_web_options(settings),
        rooms=talk.rooms,
        moderation=talk.moderation,
        door=door,
        reads=trade.reads,
        people=parts.people,
        tokens=Tokens(
            settings.token_secret,
            now=now_ms,
            is_current=parts.people.is_current,
            issuer=issuer,
        ),
        webhooks=trade.webhooks,
        feed=trade.feed,
        deliveries=trade.deliveries,
        archive=talk.archive,
        api_keys=SqlApiKeys(database.write, database.read, now_ms, new_id),
        metrics=parts.metrics,
        http_meters=HttpMeters(parts.metrics.registry),
        now=now_ms,
        new_id=new_id,
        stream_keys=SqlStreamKeys(database.write, database.read, now_ms),
    )


def _web_options(settings: WorkerSettings) -> WebOptions:
    config = settings.config
    return WebOptions(
        static_dir=static_dir(),
        data_dir=config.data_dir,
        version=importlib.metadata.version("liveserver"),
        public_url=config.public_url,
        api_key=config.api_key,
        export_secret=f"exports {settings.token_secret}".encode(),
        demo=settings.demo,
        image_origins=config.image_origins,
        allowed_origins=config.client.allowed_origins,
        embed_origins=config.embed_origins,
        trusted_proxies=tuple(ip_network(cidr) for cidr in config.trusted_proxies),
        limit_loopback=config.limit_loopback,
        metrics_allowed=parse_networks(config.metrics_allowed_cidrs),
    )


def _gateway_options(settings: WorkerSettings) -> GatewayOptions:
    config = settings.config
    return GatewayOptions(
        version=importlib.metadata.version("liveserver"),
        namespaces=Namespaces(config.namespaces),
        insecure=config.client.insecure,
        personal_channel=config.client.personal_channel,
        allowed_origins=config.client.allowed_origins,
        compression=config.client.compression,
        connects_per_second=config.client.connects_per_second,
        soft_mark_bytes=config.client.soft_mark_bytes,
        hard_mark_bytes=config.client.hard_mark_bytes,
        public_url=config.public_url,
        limit_loopback=config.limit_loopback,
        trusted_proxies=tuple(ip_network(cidr) for cidr in config.trusted_proxies),
    )


def _worker_name() -> str:
    return f"{socket.gethostname()}_{os.getpid()}"


def _tls(settings: WorkerSettings) -> ssl.SSLContext | None:
    config = settings.config
    return tls.server_context(config.tls_cert, config.tls_key) if config.tls_cert else None


def _ready(
    settings: WorkerSettings, engine: AsyncEngine, stack: AsyncExitStack
) -> dict[str, Check]:
    """What /readyz asks."""
    client = Redis.from_url(settings.redis_url, socket_timeout=CHECK_SECONDS)
    stack.push_async_callback(client.aclose)

    async def bus() -> None:
        await client.ping()

    async def database() -> None:
        async with asyncio.timeout(CHECK_SECONDS), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    return {"bus": bus, "database": database}


def static_dir() -> Path:
    """The pages: beside the packages in a checkout, inside the package in a wheel."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "static"
    return inside if inside.is_dir() else package.parent / "static"
