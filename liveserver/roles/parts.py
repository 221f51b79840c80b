"""What every role of a worker uses: the database, the bus, rooms, people, webhooks."""

import secrets
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import ip_network

from sqlalchemy.ext.asyncio import AsyncEngine

from liveserver.archive.store_sql import SqlArchive
from liveserver.db import make_engine
from liveserver.delivery import Deliveries
from liveserver.metrics import Metrics
from liveserver.people import People
from liveserver.people_sql import SqlPeople
from liveserver.roles.clock import new_id, now_ms
from liveserver.sealing import Sealer
from liveserver.showcase import Showcase
from liveserver.simplified import simplified
from liveserver.talk_meters import watch_talk
from liveserver.worker_settings import WorkerSettings
from orders.addresses import Policy
from orders.delivery_sql import SqlAddresses
from orders.feed_sql import SqlFeed
from orders.ids import made_at
from orders.pace_service import Pace
from orders.reads_sql import Reads
from orders.requests import Door
from orders.tail_service import TailedFeed
from orders.webhooks_http import HttpSender
from orders.webhooks_service import Webhooks
from orders.webhooks_sql import SqlCursor, SqlWebhooks
from rooms.bus_redis import RedisBus
from rooms.folding import Folding
from rooms.guard_service import UNLIMITED, Guard, Limits
from rooms.moderation_service import Moderation
from rooms.moderation_sql import SqlModeration
from rooms.rooms_sql import SqlRooms
from rooms.service import RoomService

READS = 4  # connections of a process that read
WRITES = 2  # connections of a process that write rooms, people and webhooks


@dataclass(frozen=True, kw_only=True)
class Database:
    """Connections of one process."""

    read: AsyncEngine
    write: AsyncEngine


@dataclass(frozen=True, kw_only=True)
class Trade:
    """What follows the feed of orders, and reads them."""

    reads: Reads
    feed: TailedFeed
    pace: Pace
    showcase: Showcase
    webhooks: Webhooks
    deliveries: Deliveries


@dataclass(frozen=True, kw_only=True)
class Talk:
    """Rooms, and what is said in them."""

    bus: RedisBus
    rooms: RoomService
    moderation: Moderation
    archive: SqlArchive


@dataclass(kw_only=True)
class Parts:
    """All of them. `door` leads to the writer: that of this process, once it is there."""

    database: Database
    trade: Trade
    talk: Talk
    people: People
    metrics: Metrics
    door: Door | None = None


async def open_parts(settings: WorkerSettings, stack: AsyncExitStack) -> Parts:
    """Open everything; `stack` closes it."""
    database = _database(settings, stack)
    bus = await _bus(settings, stack)
    metrics = Metrics(settings.node, f"{socket.gethostname()}_{settings.name}")
    trade = _trade(settings, database, stack)
    talk = _talk(settings, database, bus, trade.showcase, metrics)
    trade.showcase.attach(talk.rooms)
    stack.push_async_callback(talk.rooms.close)
    people = People(SqlPeople(database.write, database.read), now=now_ms)
    await people.start()
    stack.push_async_callback(people.close)
    return Parts(database=database, trade=trade, talk=talk, people=people, metrics=metrics)


def _database(settings: WorkerSettings, stack: AsyncExitStack) -> Database:
    read = make_engine(settings.database_url, read_only=True, pool_size=READS)
    write = make_engine(settings.database_url, pool_size=WRITES)
    stack.push_async_callback(read.dispose)
    stack.push_async_callback(write.dispose)
    return Database(read=read, write=write)


async def _bus(settings: WorkerSettings, stack: AsyncExitStack) -> RedisBus:
    bus = RedisBus(
        settings.redis_url,
        settings.node,
        danmaku_per_second=settings.config.danmaku_per_second,
        chat_per_second=settings.config.chat_per_second,
    )
    await bus.start()
    stack.push_async_callback(bus.close)
    return bus


def _trade(settings: WorkerSettings, database: Database, stack: AsyncExitStack) -> Trade:
    reads, feed, pace = Reads(database.read), TailedFeed(SqlFeed(database.read)), Pace()
    cursor = SqlCursor(database.write, "showcase")
    policy = _webhook_policy(settings)
    sender = HttpSender(policy)
    stack.push_async_callback(sender.close)
    webhooks = Webhooks(
        SqlWebhooks(database.write, database.read),
        sender,
        feed,
        now_ms,
        new_id,
        random_bytes=secrets.token_bytes,
        policy=policy,
        pace=pace,
    )
    addresses = SqlAddresses(database.write, database.read)
    return Trade(
        reads=reads,
        feed=feed,
        pace=pace,
        showcase=Showcase(reads, feed, now=now_ms, cursor=cursor, pace=pace),
        webhooks=webhooks,
        deliveries=Deliveries(addresses, Sealer(settings.token_secret), reads, now=now_ms),
    )


def _webhook_policy(settings: WorkerSettings) -> Policy:
    """What webhooks may reach: the operator's networks, and the demo's receiver exactly."""
    allowed = tuple(ip_network(cidr) for cidr in settings.config.webhook_allowed_cidrs)
    exempt = frozenset({("127.0.0.1", settings.receiver_port)} if settings.receiver_port else ())
    return Policy(exempt=exempt, allowed=allowed)


def _talk(
    settings: WorkerSettings,
    database: Database,
    bus: RedisBus,
    showcase: Showcase,
    metrics: Metrics,
) -> Talk:
    store = SqlModeration(database.write, database.read)
    limits = Limits() if settings.config.flood_rules else UNLIMITED
    guard = Guard(bus, store, Folding(simplified()), now=now_ms, limits=limits)
    watch_talk(metrics.registry, bus, guard)
    rooms = RoomService(
        bus,
        SqlRooms(database.write, database.read),
        showcase,
        node=settings.node,
        now=now_ms,
        new_id=new_id,
        guard=guard,
    )
    archive = SqlArchive(database.write, database.read)
    moderation = Moderation(
        rooms, guard, store, bus, now=now_ms, new_id=new_id, archive=archive, made_at=made_at
    )
    return Talk(bus=bus, rooms=rooms, moderation=moderation, archive=archive)
