"""The role that holds the single writer and everything that follows its commits."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from liveserver import demo
from liveserver.archive.entry import Show
from liveserver.archive.recorder import Recorder
from liveserver.archive.retention import Retention
from liveserver.control import Control
from liveserver.db import make_engine
from liveserver.host_watch import HostWatch
from liveserver.roles.background import Work, background
from liveserver.roles.clock import monotonic_ms, new_id, now_ms
from liveserver.roles.parts import WRITES, Parts, Trade
from liveserver.trade_meters import watch_trade
from liveserver.worker_settings import WorkerSettings
from orders import payments_demo
from orders.door_redis import RedisAsks
from orders.ledger_sql import SqlLedger
from orders.news import News
from orders.payments_service import Payments
from orders.payments_sql import SqlPayments
from orders.service import Writer
from orders.states_redis import StateSender
from rooms.bus_redis import RedisBus

LEASE_LOOK_SECONDS = 0.05  # the demo waits for its writer at the start
BEAT_LOOK_SECONDS = 0.5  # half of the time between two renewals


@asynccontextmanager
async def serving_orders(
    settings: WorkerSettings, parts: Parts, beat: Callable[[], None]
) -> AsyncIterator[None]:
    """The writer, its followers and, where the gateways are elsewhere, its door through Redis."""
    engine = make_engine(settings.database_url, pool_size=WRITES)
    try:
        writer = parts.door = _writer(settings, SqlLedger(engine), parts.trade)
        watch_trade(parts.metrics.registry, writer, parts.trade.webhooks)
        tasks = _followers(settings, parts, writer, beat)
        if "gateway" not in settings.roles:
            tasks |= _far_door(settings, parts, writer)
        async with background(tasks), _demo_shop(settings, parts, writer):
            yield
    finally:
        await engine.dispose()


def _writer(settings: WorkerSettings, ledger: SqlLedger, trade: Trade) -> Writer:
    def on_news(news: News) -> None:
        trade.feed.push(news)
        trade.showcase.on_news(news)
        trade.webhooks.hear()

    writer = Writer(
        ledger,
        holder=settings.node,
        wall_ms=now_ms,
        monotonic_ms=monotonic_ms,
        new_id=new_id,
        on_news=on_news,
        demo_payments=settings.demo,
        dead_holder=settings.dead_holder,
    )
    trade.pace.waiting = lambda: writer.unanswered
    trade.showcase.is_holder = lambda: writer.is_serving
    return writer


def _followers(
    settings: WorkerSettings, parts: Parts, writer: Writer, beat: Callable[[], None]
) -> dict[str, Work]:
    """The writer's own work, and that of everything that only its process does."""
    talk, trade = parts.talk, parts.trade
    tasks: dict[str, Work] = {
        "writer": writer.run,
        "pace": trade.pace.run,
        "beats": lambda: _pass_on_beats(writer, beat),
        "showcase": trade.showcase.run,
        "webhooks": trade.webhooks.run,
        "addresses": trade.deliveries.run,
        "archive": lambda: _record(settings, parts, writer),
        "payments": _payments(settings, parts, writer).run,
        "hosts away": HostWatch(writer.open_sales, talk.rooms, writer).run,
    }
    if days := settings.config.archive_days:
        retention = Retention(talk.archive, days, is_holder=lambda: writer.is_serving, now=now_ms)
        tasks["archive retention"] = retention.run
    return tasks


def _far_door(settings: WorkerSettings, parts: Parts, writer: Writer) -> dict[str, Work]:
    """What the gateways of other processes need of this one."""
    control = Control(parts.talk.bus, settings.node, None, parts.metrics.work, clock=time.monotonic)
    tasks: dict[str, Work] = {
        "door": RedisAsks(settings.redis_url, writer).run,
        "states": StateSender(settings.redis_url, writer).run,
        "rooms": parts.talk.rooms.run,
        "workers": control.run,
    }
    if settings.demo and settings.receiver_port is None:
        # it may stand by for ever, and is ready all the same
        tasks["demo shop"] = lambda: demo.seed_in_time(lambda: _seed(settings, parts, writer))
    return tasks


async def _record(settings: WorkerSettings, parts: Parts, writer: Writer) -> None:
    """Write live rooms into the archive, over an own bus connection; a standby writes none."""
    bus = RedisBus(settings.redis_url, f"{settings.node}-archive")
    archive = parts.talk.archive

    async def shows(since: int) -> list[Show]:
        return await archive.lately(since) if writer.is_serving else []

    recorder = Recorder(bus, archive, shows=shows, now=now_ms)
    await bus.start()
    try:
        await recorder.run()
    finally:
        await bus.close()


def _payments(settings: WorkerSettings, parts: Parts, writer: Writer) -> Payments:
    """Who asks providers. Merchants' own payments are not asked for: merchants tell."""
    providers = {payments_demo.NAME: payments_demo.DemoProvider()} if settings.demo else {}
    return Payments(
        SqlPayments(parts.database.read),
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
async def _demo_shop(settings: WorkerSettings, parts: Parts, writer: Writer) -> AsyncIterator[None]:
    """If wanted: accounts, shop and the merchant's receiver, before the server is ready."""
    if not settings.demo or settings.receiver_port is None:
        yield
        return
    await _seed(settings, parts, writer)
    receiver = demo.Receiver(settings.config.data_dir, settings.receiver_port)
    await receiver.start()
    await receiver.register(parts.trade.webhooks)
    try:
        yield
    finally:
        await receiver.stop()


async def _seed(settings: WorkerSettings, parts: Parts, writer: Writer) -> None:
    while not writer.is_serving:  # noqa: ASYNC110 - the old lease may have to run out first
        await asyncio.sleep(LEASE_LOOK_SECONDS)
    await demo.seed_accounts(parts.people, settings.demo_password)
    await demo.seed_shop(parts.talk.rooms, writer, parts.trade.reads)
