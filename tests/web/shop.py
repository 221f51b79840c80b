"""A whole shop behind a really listening server, all parts real, in the loop of the test."""

import itertools
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from liveserver.api_keys_sql import SqlApiKeys
from liveserver.archive.store_sql import SqlArchive
from liveserver.control import Control
from liveserver.db import make_engine
from liveserver.delivery import Deliveries
from liveserver.emulation import Emulation
from liveserver.gateway.gateway import Gateway
from liveserver.gateway.meters import Meters
from liveserver.gateway.options import GatewayOptions
from liveserver.gateway.remote import Remote
from liveserver.identity import Identity
from liveserver.metrics import Metrics
from liveserver.migrate import upgrade
from liveserver.people import People
from liveserver.people_sql import SqlPeople
from liveserver.rpc import Rpc
from liveserver.sealing import Sealer
from liveserver.server_api import ServerApi
from liveserver.services import Services, WebOptions
from liveserver.showcase import Showcase
from liveserver.simplified import simplified
from liveserver.stream_keys_sql import SqlStreamKeys
from liveserver.tokens import Tokens
from liveserver.trade_meters import watch_trade
from liveserver.web.app import build, make_runner
from liveserver.web.meters import HttpMeters
from orders.addresses import Policy
from orders.delivery_sql import SqlAddresses
from orders.feed_sql import SqlFeed
from orders.ids import made_at
from orders.ids import new_id as make_id
from orders.ledger_sql import SqlLedger
from orders.reads_sql import Reads
from orders.service import Writer
from orders.webhooks_http import HttpSender
from orders.webhooks_service import Webhooks
from orders.webhooks_sql import SqlCursor, SqlWebhooks
from rooms.bus_redis import RedisBus
from rooms.channels import Namespaces
from rooms.folding import Folding
from rooms.guard_service import UNLIMITED, Guard
from rooms.hub_service import HubService
from rooms.moderation_service import Moderation
from rooms.moderation_sql import SqlModeration
from rooms.rooms_sql import SqlRooms
from rooms.service import RoomService
from tests.web.background import running

STATIC = Path(__file__).resolve().parents[2] / "static"
SECRET = "a secret that only these tests know, 32 bytes"
API_KEY = "the key of the operator's own programs"
NAMESPACES = {
    "news": {"history_size": 10, "history_ttl_seconds": 300, "presence": True},
    "plain": {},
}
numbers = itertools.count(1)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def new_id(prefix: str) -> str:
    return make_id(prefix, wall_ms(), secrets.randbits)


@dataclass
class Shop:
    """The running server and its parts."""

    url: str
    services: Services
    http: aiohttp.ClientSession
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return self.url

    def token(self, role: str = "viewer", user: str | None = None, **claims: Any) -> str:
        """A token as an outside log-in would make it."""
        identity = Identity(user=user or role, name=claims.pop("name", role), role=role, **claims)  # type: ignore[arg-type]
        return self.services.tokens.issue(identity, 3600)

    def call(self, method: str, path: str, token: str | None = None, **options: Any) -> Any:
        """One request; use as `async with`."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self.http.request(method, self.url + path, headers=headers, **options)

    async def json(
        self, method: str, path: str, token: str | None = None, *, status: int = 200, **options: Any
    ) -> Any:
        """The JSON of an answer that must have this status."""
        async with self.call(method, path, token, **options) as answer:
            text = await answer.text()
            assert answer.status == status, f"{method} {path}: {answer.status} {text}"
            return await answer.json(content_type=None) if text else None

    async def product(self, merchant: str = "shop-a", **fields: Any) -> dict[str, Any]:
        """A new product of a merchant."""
        body = {
            "sku": f"sku-{next(numbers)}",
            "title": "Cup",
            "price_cents": 1000,
            "currency": "EUR",
            "stock": 100,
            **fields,
        }
        token = self.token("merchant", merchant=merchant)
        made: dict[str, Any] = await self.json("POST", "/v1/products", token, json=body, status=201)
        return made

    async def sale(self, room: str, **fields: Any) -> dict[str, Any]:
        """A running flash sale of a new product in a room."""
        product = await self.product(merchant=fields.pop("merchant", "shop-a"))
        body = {"sku": product["sku"], "price_cents": 900, "units": 5, **fields}
        token = self.token("merchant", merchant=product["merchant"])
        made: dict[str, Any] = await self.json(
            "POST", f"/v1/rooms/{room}/flash-sales", token, json=body, status=201
        )
        return made

    async def order(self, sale: dict[str, Any], token: str, key: str = "k1") -> dict[str, Any]:
        """A reservation of one unit."""
        made: dict[str, Any] = await self.json(
            "POST",
            f"/v1/flash-sales/{sale['id']}/reservations",
            token,
            json={"quantity": 1},
            headers={"Idempotency-Key": key},
            status=201,
        )
        return made


@asynccontextmanager
async def open_shop(
    database_url: str, redis_url: str, folder: Path, **options: Any
) -> AsyncIterator[Shop]:
    """Start everything; stop it in reverse."""
    async with AsyncExitStack() as stack:
        services = await _services(stack, database_url, redis_url, folder, options)
        runner = make_runner(build(services))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        listening = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, listening).start()
        http = await stack.enter_async_context(
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        )
        yield Shop(f"http://127.0.0.1:{listening.getsockname()[1]}", services, http)


async def _services(
    stack: AsyncExitStack, database_url: str, redis_url: str, folder: Path, options: dict[str, Any]
) -> Services:
    await upgrade(database_url)
    write, read = make_engine(database_url), make_engine(database_url, read_only=True)
    stack.push_async_callback(write.dispose)
    stack.push_async_callback(read.dispose)
    node = secrets.token_hex(6)
    bus = RedisBus(redis_url, node)
    await bus.start()
    stack.push_async_callback(bus.close)
    reads, feed = Reads(read), SqlFeed(read)
    showcase = Showcase(reads, feed, now=wall_ms, cursor=SqlCursor(write, "showcase"))
    records = SqlModeration(write, read)
    guard = Guard(bus, records, Folding(simplified()), now=wall_ms, limits=UNLIMITED)
    rooms = RoomService(
        bus, SqlRooms(write, read), showcase, node=node, now=wall_ms, new_id=new_id, guard=guard
    )
    stack.push_async_callback(rooms.close)
    showcase.attach(rooms)
    ledger_engine = make_engine(database_url)
    stack.push_async_callback(ledger_engine.dispose)
    demo = options.get("demo", True)
    writer = Writer(
        SqlLedger(ledger_engine),
        holder=node,
        wall_ms=wall_ms,
        monotonic_ms=monotonic_ms,
        new_id=new_id,
        on_news=showcase.on_news,
        demo_payments=demo,
    )
    people = People(SqlPeople(write, read), now=wall_ms)
    await people.start()
    stack.push_async_callback(people.close)
    policy = Policy()
    sender = HttpSender(policy)
    stack.push_async_callback(sender.close)
    webhooks = Webhooks(
        SqlWebhooks(write, read), sender, feed, wall_ms, new_id,
        random_bytes=secrets.token_bytes, policy=policy,
    )  # fmt: skip
    await stack.enter_async_context(running(writer.run(), showcase.run(), people.run()))
    archive = SqlArchive(write, read)
    metrics = Metrics(node, "test")
    watch_trade(metrics.registry, writer, webhooks)
    services = Services(
        options=WebOptions(
            static_dir=options.pop("static_dir", STATIC),
            data_dir=folder,
            **{"demo": demo, "api_key": API_KEY, **options},
        ),
        rooms=rooms,
        moderation=Moderation(
            rooms, guard, records, bus, now=wall_ms, new_id=new_id, archive=archive, made_at=made_at
        ),
        archive=archive,
        api_keys=SqlApiKeys(write, read, wall_ms, new_id),
        door=writer,
        reads=reads,
        people=people,
        tokens=Tokens(SECRET, now=wall_ms, is_current=people.is_current),
        webhooks=webhooks,
        feed=feed,
        deliveries=Deliveries(SqlAddresses(write, read), Sealer(SECRET), reads, now=wall_ms),
        now=wall_ms,
        new_id=new_id,
        stream_keys=SqlStreamKeys(write, read, wall_ms),
        metrics=metrics,
        http_meters=HttpMeters(metrics.registry),
    )
    meters = Meters(metrics.registry)
    gateway = Gateway(
        HubService(bus, time.thread_time), rooms, Rpc(services), services.tokens,
        GatewayOptions(namespaces=Namespaces(NAMESPACES)), now=wall_ms, meters=meters,
    )  # fmt: skip
    remote = Remote(gateway, node, name="test", clock=time.monotonic)
    emulation = services.emulation = Emulation(gateway)
    control = emulation.control = Control(
        bus, node, remote.status, remote.work | emulation.work, clock=time.monotonic
    )
    meters.watch(gateway, remote)
    await stack.enter_async_context(running(control.run()))
    services.api = ServerApi(gateway, control)
    return services
