"""
The composition root: the only place that picks adapters and opens what a worker needs.

A worker serves one or more roles. `gateway` holds sockets, pages and the HTTP API; `orders` holds
the single writer and everything that follows its commits. With one worker both are in one process
and the door to the writer is a function call; else it leads through Redis.
"""

import asyncio
import importlib.metadata
import logging
import os
import secrets
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from liveserver import demo, tls
from liveserver.addresses import parse_networks
from liveserver.archive.entry import Show
from liveserver.archive.recorder import Recorder
from liveserver.archive.retention import Retention
from liveserver.archive.store_sql import SqlArchive
from liveserver.control import Control
from liveserver.db import make_engine
from liveserver.delivery import Deliveries
from liveserver.emulation import Emulation
from liveserver.gateway.gateway import Gateway
from liveserver.gateway.meters import Meters
from liveserver.gateway.options import GatewayOptions
from liveserver.gateway.remote import Remote
from liveserver.host_watch import HostWatch
from liveserver.issuer import Issuer
from liveserver.issuer_source import source_of
from liveserver.listener import Listener
from liveserver.media_door import MediaDoor
from liveserver.metrics import Metrics
from liveserver.people import People
from liveserver.people_sql import SqlPeople
from liveserver.randomness import RandomBits
from liveserver.rpc import Rpc
from liveserver.sealing import Sealer
from liveserver.server_api import ServerApi
from liveserver.services import Services, WebOptions
from liveserver.showcase import Showcase
from liveserver.simplified import simplified
from liveserver.stream_keys_sql import SqlStreamKeys
from liveserver.talk_meters import watch_talk
from liveserver.tokens import Tokens
from liveserver.trade_meters import watch_trade
from liveserver.web.app import build, make_runner
from liveserver.web.meters import HttpMeters
from liveserver.worker_settings import WorkerSettings
from orders import payments_demo
from orders.addresses import Policy
from orders.delivery_sql import SqlAddresses
from orders.door_redis import RedisAsks, RedisDoor
from orders.feed_sql import SqlFeed
from orders.ids import made_at
from orders.ids import new_id as make_id
from orders.ledger_sql import SqlLedger
from orders.news import News
from orders.pace_service import Pace
from orders.payments_service import Payments
from orders.payments_sql import SqlPayments
from orders.reads_sql import Reads
from orders.requests import Door
from orders.service import Writer
from orders.states_redis import StateListener, StateSender
from orders.tail_service import TailedFeed
from orders.webhooks_http import HttpSender
from orders.webhooks_service import Webhooks
from orders.webhooks_sql import SqlCursor, SqlWebhooks
from rooms.bus_redis import RedisBus
from rooms.channels import Namespaces
from rooms.folding import Folding
from rooms.guard_service import UNLIMITED, Guard, Limits
from rooms.hub_service import HubService
from rooms.moderation_service import Moderation
from rooms.moderation_sql import SqlModeration
from rooms.rooms_sql import SqlRooms
from rooms.service import RoomService

log = logging.getLogger(__name__)
random_bits = RandomBits()

Work = Callable[[], Awaitable[None]]  # runs until cancelled

HTTP_DRAIN_SECONDS = 2.0  # for open HTTP requests at a stop; the whole stop takes 10 s at most
LEASE_LOOK_SECONDS = 0.05  # the demo waits for its writer at the start
BEAT_LOOK_SECONDS = 0.5  # half of the time between two renewals
CHECK_SECONDS = 2.0  # for one check of /readyz
READS = 4  # connections of a process that read
WRITES = 2  # connections of a process that write rooms, people and webhooks


@dataclass(kw_only=True)
class Parts:
    """What both roles use."""

    read_engine: AsyncEngine
    write_engine: AsyncEngine
    bus: RedisBus
    rooms: RoomService
    moderation: Moderation
    archive: SqlArchive
    reads: Reads
    feed: TailedFeed
    showcase: Showcase
    people: People
    webhooks: Webhooks
    metrics: Metrics
    pace: Pace
    door: Door | None = None


async def run_worker(
    settings: WorkerSettings, ready: Callable[[], None], beat: Callable[[], None]
) -> None:
    """Serve the roles of `settings` until cancelled; everything is closed in reverse."""
    async with AsyncExitStack() as stack:
        parts = await _open_parts(settings, stack)
        if "orders" in settings.roles:
            await stack.enter_async_context(_serving_orders(settings, parts, beat))
        if "media" in settings.roles:
            await stack.enter_async_context(_serving_media(settings, parts))
        if "gateway" in settings.roles:
            await stack.enter_async_context(_serving_gateway(settings, parts, stack))
        ready()
        await asyncio.Event().wait()


async def _open_parts(settings: WorkerSettings, stack: AsyncExitStack) -> Parts:
    read_engine = make_engine(settings.database_url, read_only=True, pool_size=READS)
    write_engine = make_engine(settings.database_url, pool_size=WRITES)
    stack.push_async_callback(read_engine.dispose)
    stack.push_async_callback(write_engine.dispose)
    bus = RedisBus(
        settings.redis_url,
        settings.node,
        danmaku_per_second=settings.config.danmaku_per_second,
        chat_per_second=settings.config.chat_per_second,
    )
    await bus.start()
    stack.push_async_callback(bus.close)
    reads, feed = Reads(read_engine), TailedFeed(SqlFeed(read_engine))
    pace = Pace()
    cursor = SqlCursor(write_engine, "showcase")
    showcase = Showcase(reads, feed, now=now_ms, cursor=cursor, pace=pace)
    store = SqlRooms(write_engine, read_engine)
    moderation_store = SqlModeration(write_engine, read_engine)
    limits = Limits() if settings.config.flood_rules else UNLIMITED
    guard = Guard(bus, moderation_store, Folding(simplified()), now=now_ms, limits=limits)
    rooms = RoomService(
        bus, store, showcase, node=settings.node, now=now_ms, new_id=new_id, guard=guard
    )
    archive = SqlArchive(write_engine, read_engine)
    moderation = Moderation(
        rooms, guard, moderation_store, bus, now=now_ms, new_id=new_id, archive=archive,
        made_at=made_at,
    )  # fmt: skip
    showcase.attach(rooms)
    metrics = Metrics(settings.node, f"{socket.gethostname()}_{settings.name}")
    watch_talk(metrics.registry, bus, guard)
    stack.push_async_callback(rooms.close)
    people = People(SqlPeople(write_engine, read_engine), now=now_ms)
    await people.start()
    stack.push_async_callback(people.close)
    policy = _webhook_policy(settings)
    sender = HttpSender(policy)
    stack.push_async_callback(sender.close)
    webhooks = Webhooks(
        SqlWebhooks(write_engine, read_engine),
        sender,
        feed,
        now_ms,
        new_id,
        random_bytes=secrets.token_bytes,
        policy=policy,
        pace=pace,
    )
    return Parts(
        read_engine=read_engine,
        write_engine=write_engine,
        bus=bus,
        rooms=rooms,
        moderation=moderation,
        archive=archive,
        reads=reads,
        feed=feed,
        showcase=showcase,
        people=people,
        webhooks=webhooks,
        metrics=metrics,
        pace=pace,
    )


def _webhook_policy(settings: WorkerSettings) -> Policy:
    """What webhooks may reach: the operator's networks, and the demo's receiver exactly."""
    allowed = tuple(ip_network(cidr) for cidr in settings.config.webhook_allowed_cidrs)
    exempt = frozenset({("127.0.0.1", settings.receiver_port)} if settings.receiver_port else ())
    return Policy(exempt=exempt, allowed=allowed)


@asynccontextmanager
async def _serving_orders(
    settings: WorkerSettings, parts: Parts, beat: Callable[[], None]
) -> AsyncIterator[None]:
    """The writer and everything that follows its commits."""
    engine = make_engine(settings.database_url, pool_size=WRITES)

    def on_news(news: News) -> None:
        parts.feed.push(news)
        parts.showcase.on_news(news)
        parts.webhooks.hear()

    writer = Writer(
        SqlLedger(engine),
        holder=settings.node,
        wall_ms=now_ms,
        monotonic_ms=monotonic_ms,
        new_id=new_id,
        on_news=on_news,
        demo_payments=settings.demo,
        dead_holder=settings.dead_holder,
    )
    parts.door = writer
    parts.pace.waiting = lambda: writer.unanswered
    parts.showcase.is_holder = lambda: writer.is_serving
    watch_trade(parts.metrics.registry, writer, parts.webhooks)
    tasks: dict[str, Work] = {
        "writer": writer.run,
        "pace": parts.pace.run,
        "beats": lambda: _pass_on_beats(writer, beat),
        "showcase": parts.showcase.run,
        "webhooks": parts.webhooks.run,
        "addresses": _deliveries(settings, parts).run,
        "archive": lambda: _record(settings, parts, writer),
        "payments": _payments(settings, parts, writer).run,
        "hosts away": HostWatch(writer.open_sales, parts.rooms, writer).run,
    }
    if days := settings.config.archive_days:
        retention = Retention(parts.archive, days, is_holder=lambda: writer.is_serving, now=now_ms)
        tasks["archive retention"] = retention.run
    if "gateway" not in settings.roles:
        asks = RedisAsks(settings.redis_url, writer)
        states = StateSender(settings.redis_url, writer)
        control = Control(parts.bus, settings.node, None, parts.metrics.work, clock=time.monotonic)
        tasks |= {"door": asks.run, "states": states.run, "rooms": parts.rooms.run}
        if settings.demo and settings.receiver_port is None:
            # it may stand by for ever, and is ready all the same
            tasks["demo shop"] = lambda: demo.seed_in_time(lambda: _seed(settings, parts, writer))
        tasks["workers"] = control.run
    async with _background(tasks):
        if settings.demo and settings.receiver_port is not None:
            async with _demo_shop(settings, parts, writer, settings.receiver_port):
                yield
        else:
            yield
    await engine.dispose()


@asynccontextmanager
async def _serving_media(settings: WorkerSettings, parts: Parts) -> AsyncIterator[None]:
    """Video. Imported here, so that a crash in what it loads cannot take the chat with it."""
    from liveserver.media.process import Media

    room = demo.ROOM if settings.demo else None
    path = Path(settings.media_socket)
    media = Media(settings.config, parts.rooms, now_ms, path, demo_room=room)
    tasks = {**media.work, "rooms": parts.rooms.run}
    async with media.serving(), _background(tasks):
        yield


async def _record(settings: WorkerSettings, parts: Parts, writer: Writer) -> None:
    """Write live rooms into the archive, over an own bus connection; a standby writes none."""
    bus = RedisBus(settings.redis_url, f"{settings.node}-archive")

    async def shows(since: int) -> list[Show]:
        return await parts.archive.lately(since) if writer.is_serving else []

    recorder = Recorder(bus, parts.archive, shows=shows, now=now_ms)
    await bus.start()
    try:
        await recorder.run()
    finally:
        await bus.close()


def _deliveries(settings: WorkerSettings, parts: Parts) -> Deliveries:
    store = SqlAddresses(parts.write_engine, parts.read_engine)
    return Deliveries(store, Sealer(settings.token_secret), parts.reads, now=now_ms)


def _payments(settings: WorkerSettings, parts: Parts, writer: Writer) -> Payments:
    """Who asks providers. Merchants' own payments are not asked for: merchants tell."""
    providers = {payments_demo.NAME: payments_demo.DemoProvider()} if settings.demo else {}
    return Payments(
        SqlPayments(parts.read_engine),
        writer,
        providers,
        monotonic_ms,
        is_holder=lambda: writer.is_serving,
    )


async def _pass_on_beats(writer: Writer, beat: Callable[[], None]) -> None:
    """Tell the supervisor of every renewal of the lease: it ends a holder that stands still."""
    told = 0
    while True:
        if writer.renewed_ms != told:
            told = writer.renewed_ms
            beat()
        await asyncio.sleep(BEAT_LOOK_SECONDS)


@asynccontextmanager
async def _demo_shop(
    settings: WorkerSettings, parts: Parts, writer: Writer, receiver_port: int
) -> AsyncIterator[None]:
    """Accounts, shop and the merchant's receiver are there before the server is ready."""
    await _seed(settings, parts, writer)
    receiver = demo.Receiver(settings.config.data_dir, receiver_port)
    await receiver.start()
    await receiver.register(parts.webhooks)
    try:
        yield
    finally:
        await receiver.stop()


async def _seed(settings: WorkerSettings, parts: Parts, writer: Writer) -> None:
    while not writer.is_serving:  # noqa: ASYNC110 - the old lease may have to run out first
        await asyncio.sleep(LEASE_LOOK_SECONDS)
    await demo.seed_accounts(parts.people, settings.demo_password)
    await demo.seed_shop(parts.rooms, writer, parts.reads)


@asynccontextmanager
async def _serving_gateway(
    settings: WorkerSettings, parts: Parts, stack: AsyncExitStack
) -> AsyncIterator[None]:
    """Sockets, pages and the HTTP API on the listening socket that the supervisor made."""
    assert settings.listen_fd is not None
    tasks: dict[str, Work] = {"rooms": parts.rooms.run, "people": parts.people.run}
    if parts.door is None:
        states = StateListener(
            settings.redis_url, parts.reads.buyers_of_sale, monotonic_ms=monotonic_ms
        )
        tasks["states"] = states.run
        parts.door = far_door = RedisDoor(
            settings.redis_url, settings.node, parts.reads, refusal=states.refusal
        )
        await far_door.start()
        stack.push_async_callback(far_door.close)
    issuer = _issuer(settings)
    if issuer is not None:
        tasks["issuer keys"] = issuer.run
    services = _services(settings, parts, parts.door, issuer)
    gateway, control = _viewers(settings, parts, services)
    services.api = ServerApi(gateway, control)
    if settings.media_socket:
        services.video = MediaDoor(Path(settings.media_socket))
        stack.push_async_callback(services.video.close)
    tasks |= {"gateway": gateway.run, "workers": control.run}
    runner = make_runner(build(services), shutdown_timeout=HTTP_DRAIN_SECONDS)
    await runner.setup()
    assert runner.server is not None
    listener = Listener(gateway, runner.server)
    async with _background(tasks):
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
        HubService(parts.bus, time.thread_time),
        parts.rooms,
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
        parts.bus,
        settings.node,
        remote.status,
        remote.work | parts.metrics.work | emulation.work,
        clock=time.monotonic,
        on_echo=meters.bus_lag.observe,
    )
    return gateway, control


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
    config = settings.config
    options = WebOptions(
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
    return Services(
        options=options,
        rooms=parts.rooms,
        moderation=parts.moderation,
        door=door,
        reads=parts.reads,
        people=parts.people,
        tokens=Tokens(
            settings.token_secret,
            now=now_ms,
            is_current=parts.people.is_current,
            issuer=issuer,
        ),
        webhooks=parts.webhooks,
        feed=parts.feed,
        deliveries=_deliveries(settings, parts),
        archive=parts.archive,
        metrics=parts.metrics,
        http_meters=HttpMeters(parts.metrics.registry),
        now=now_ms,
        new_id=new_id,
        stream_keys=SqlStreamKeys(parts.write_engine, parts.read_engine, now_ms),
        ready={"bus": _bus_check(settings), "database": _database_check(parts.read_engine)},
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


def _bus_check(settings: WorkerSettings) -> Callable[[], Awaitable[None]]:
    client = Redis.from_url(settings.redis_url, socket_timeout=CHECK_SECONDS)

    async def check() -> None:
        await client.ping()

    return check


def _database_check(engine: AsyncEngine) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        async with asyncio.timeout(CHECK_SECONDS), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    return check


@asynccontextmanager
async def _background(tasks: dict[str, Work]) -> AsyncIterator[None]:
    """Run `tasks` beside the body; one that ends takes the process with it, to be started anew."""

    async def forever(name: str, work: Work) -> None:
        await work()
        raise RuntimeError(f"{name} ended without being asked to")

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(forever(name, work)) for name, work in tasks.items()]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


def static_dir() -> Path:
    """The pages: beside the packages in a checkout, inside the package in a wheel."""
    package = Path(__file__).resolve().parent
    inside = package / "static"
    return inside if inside.is_dir() else package.parent / "static"


def now_ms() -> int:
    """Wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """A clock that never jumps, in milliseconds."""
    return time.monotonic_ns() // 1_000_000


def new_id(prefix: str) -> str:
    """A fresh id of the server's own."""
    return make_id(prefix, now_ms(), random_bits)
