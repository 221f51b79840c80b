"""The bridge between orders and rooms, with a real writer, real rooms and a real bus."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

import orders.schema_sql
import orders.webhooks_sql
import rooms.schema_sql
from liveserver.db import make_engine
from liveserver.showcase import Showcase, mask
from orders.errors import Unavailable
from orders.feed import FeedEvent
from orders.feed_sql import SqlFeed
from orders.ids import new_id
from orders.ledger_sql import SqlLedger
from orders.news import News
from orders.reads_sql import Reads
from orders.requests import AnyRequest, CreateProduct, CreateSale, EditProduct, Pay, Reserve
from orders.service import Writer
from orders.shapes import FlashSale, Order, Product
from orders.webhooks_sql import SqlCursor
from rooms.bus import Delivery
from rooms.bus_redis import RedisBus
from rooms.errors import Unavailable as RoomsUnavailable
from rooms.rooms_sql import SqlRooms
from rooms.service import RoomService

DEADLINE_SECONDS = 20.0


class Clock:
    def __init__(self) -> None:
        self.ms = 1_763_780_000_000

    def __call__(self) -> int:
        return self.ms


class Market:
    """One process with everything in it, and what a watcher of its bus is delivered."""

    def __init__(self, url: str, redis_url: str, name: str) -> None:
        self.clock, numbers = Clock(), itertools.count()
        self.name = name  # other tests use the same bus
        self.engine = make_engine(url)
        self.reading = make_engine(url, read_only=True)

        def make_id(prefix: str) -> str:
            return new_id(prefix, self.clock.ms, lambda _bits: next(numbers))

        self.bus = RedisBus(redis_url, name)
        self.feed = SqlFeed(self.reading)
        self.cursor = SqlCursor(self.engine, "showcase")
        self.showcase = Showcase(Reads(self.reading), self.feed, now=self.clock, cursor=self.cursor)
        store = SqlRooms(self.engine, self.reading)
        self.rooms = RoomService(
            self.bus, store, self.showcase, node=name, now=self.clock, new_id=make_id
        )
        self.showcase.attach(self.rooms)
        self.writer = Writer(
            SqlLedger(self.engine),
            holder=name,
            wall_ms=self.clock,
            monotonic_ms=self.clock,
            new_id=make_id,
            on_news=self.showcase.on_news,
            demo_payments=True,
        )
        self.tasks: list[asyncio.Task[None]] = []
        self.got: list[Delivery] = []
        self.bus.on_delivery(self.got.append)

    async def open(self) -> None:
        async with self.engine.begin() as sql:
            for part in (orders.schema_sql, orders.webhooks_sql, rooms.schema_sql):
                await sql.run_sync(part.metadata.create_all)
        await self.bus.start()
        self.tasks.append(asyncio.create_task(self.writer.run()))
        await self.rooms.create(self.name, "Shop", ["acme"], actor="streamer")
        await self.bus.attach(self.name)

    def run(self) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(self.showcase.run()))
        return self.tasks[-1]

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.rooms.close()
        await self.bus.close()
        await self.engine.dispose()
        await self.reading.dispose()

    async def ask(self, request: AnyRequest) -> Any:
        return msgspec.json.decode(await self.writer.ask(request))

    async def product(self) -> Product:
        request = CreateProduct(
            merchant="acme", sku="mug", title="Mug", price_cents=1000, currency="EUR", stock=100
        )
        product = msgspec.convert(await self.ask(request), Product)
        await self.rooms.set_shelf(self.name, [product.id], actor="streamer")
        return product

    async def sale(self, units: int = 10) -> FlashSale:
        request = CreateSale(
            room=self.name, show="shw_1", sku="mug", merchant="acme", price_cents=600,
            units=units, buyers="guest", per_buyer_limit=5,
        )  # fmt: skip
        return msgspec.convert(await self.ask(request), FlashSale)

    async def reserve(self, sale: FlashSale, buyer: str, name: str, quantity: int = 1) -> Order:
        request = Reserve(
            flash_sale=sale.id, buyer=buyer, buyer_name=name, guest=True, quantity=quantity,
            key=buyer, actor=buyer,
        )  # fmt: skip
        return msgspec.convert(await self.ask(request), Order)

    async def pay(self, order: Order) -> None:
        await self.ask(Pay(order=order.id, provider="demo", payment=f"pay_{order.id}"))

    def events(self, channel: str, kind: str) -> list[dict[str, Any]]:
        found = [
            msgspec.json.decode(publication.data)
            for delivery in self.got
            for publication in delivery.publications
            if publication.channel == channel
        ]
        return [event for event in found if event["type"] == kind]


async def until(condition: Callable[[], Any]) -> Any:
    """Poll until it is true."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not (found := condition()):  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.01)
    return found


@pytest.fixture
async def market(database_url: str, redis_url: str, unique: str) -> AsyncIterator[Market]:
    market = Market(database_url, redis_url, unique)
    await market.open()
    yield market
    await market.close()


async def test_a_sale_and_every_unit_sold_appear_in_the_room(market: Market) -> None:
    """The room's newest figure is the shop's, and a snapshot agrees."""
    await market.product()
    market.run()
    sale = await market.sale(units=3)
    room = f"room:{market.name}"
    [event] = await until(lambda: market.events(room, "flash_sale.updated"))
    assert event["flash_sale"]["id"] == sale.id
    for number in range(3):
        await market.reserve(sale, f"guest_{market.name}{number}", "Guest")
    await until(
        lambda: market.events(room, "flash_sale.updated")[-1]["flash_sale"]["units_left"] == 0
    )
    versions = [e["flash_sale"]["version"] for e in market.events(room, "flash_sale.updated")]
    assert versions == sorted(set(versions))
    snapshot = msgspec.json.decode(await market.rooms.snapshot(market.name))
    assert [(s["id"], s["state"]) for s in snapshot["flash_sales"]] == [(sale.id, "sold_out")]


async def test_a_changed_product_is_shown_on_the_shelf(market: Market) -> None:
    """In every room where it stands."""
    product = await market.product()
    market.run()
    await market.ask(EditProduct(product=product.id, changes={"title": "Large mug"}))

    def shown() -> bool:
        shelves = market.events(f"room:{market.name}", "shelf.updated")
        return bool(shelves) and shelves[-1]["items"][0]["title"] == "Large mug"

    await until(shown)


async def test_a_buyer_is_told_every_step_of_the_order(market: Market) -> None:
    """On the personal channel, in order, each with the order as it was then."""
    buyer = f"guest_{market.name}"
    await market.bus.attach(f"#{buyer}")
    await market.product()
    market.run()
    order = await market.reserve(await market.sale(), buyer, "Alice")
    await market.pay(order)
    events = await until(
        lambda: (found := market.events(f"#{buyer}", "order.updated"))[1:] and found
    )
    assert [event["order"]["state"] for event in events] == ["reserved", "paid"]
    assert {event["order"]["id"] for event in events} == {order.id}
    assert all(isinstance(event["at"], int) for event in events)


async def test_the_ticker_masks_names_and_keeps_quiet(market: Market) -> None:
    """One in two seconds a room, with no more than the first letter of a name."""
    await market.product()
    sale = await market.sale()
    room = f"room:{market.name}"
    for buyer, name in (("a", "Alice"), ("b", "Bob")):
        await market.pay(await market.reserve(sale, f"{buyer}{market.name}", name, quantity=2))
    await market.showcase.tell(await market.feed.after(0, 100))
    known = await market.feed.last()
    market.clock.ms += 2_000
    await market.pay(await market.reserve(sale, f"c{market.name}", "小明"))
    await market.showcase.tell(await market.feed.after(known, 100))
    await until(lambda: len(market.events(room, "order.ticker")) == 2)
    first, second = market.events(room, "order.ticker")
    assert (first["name"], first["title"], first["quantity"]) == ("A**", "Mug", 2)
    assert (second["name"], second["quantity"]) == ("小**", 1)
    market.clock.ms += 20_000
    await market.showcase.tell(await market.feed.after(0, 100))
    assert len(market.events(room, "order.ticker")) == 2, "what is old is no news"


async def test_what_happened_while_it_was_down_is_told_after_a_restart(market: Market) -> None:
    """The cursor outlives the process; nothing is told twice after a clean end."""
    buyer = f"guest_{market.name}"
    channel = f"#{buyer}"
    await market.bus.attach(channel)
    await market.product()
    sale = await market.sale()
    running = market.run()
    order = await market.reserve(sale, buyer, "Alice")
    await until(lambda: market.events(channel, "order.updated"))
    running.cancel()
    await asyncio.wait([running])
    assert await market.cursor.load() == await market.feed.last()

    await market.pay(order)
    market.run()
    await until(lambda: market.events(channel, "order.updated")[-1]["order"]["state"] == "paid")
    assert len(market.events(channel, "order.updated")) == 2


async def test_a_standby_tells_nobody_and_goes_on_where_the_holder_ended(
    market: Market,
) -> None:
    """Two processes serve orders: buyers are told once, and by the standby when it takes over."""
    buyer, channel = f"guest_{market.name}", f"#guest_{market.name}"
    holds = False
    market.showcase.is_holder = lambda: holds
    await market.bus.attach(channel)
    await market.product()
    order = await market.reserve(await market.sale(), buyer, "Alice")
    await market.cursor.save(await market.feed.last())  # by the holder
    market.run()
    await market.pay(order)
    await asyncio.sleep(1.2)  # two looks of a standby
    assert market.events(channel, "order.updated") == []
    holds = True
    events = await until(lambda: market.events(channel, "order.updated"))
    assert [event["order"]["state"] for event in events] == ["paid"]


async def test_steps_of_long_ago_are_not_told(market: Market) -> None:
    """Pages read them when they are opened."""
    buyer = f"guest_{market.name}"
    await market.bus.attach(f"#{buyer}")
    old = FeedEvent(
        n=1, type="order.paid", merchant="acme", at=market.clock.ms - 3_600_000,
        data=b'{"order":{}}', buyer=buyer, room=market.name,
    )  # fmt: skip
    await market.showcase.tell([old])
    new = msgspec.structs.replace(old, type="order.expired", at=market.clock.ms)
    await market.showcase.tell([new])
    await until(lambda: market.events(f"#{buyer}", "order.updated"))
    assert len(market.events(f"#{buyer}", "order.updated")) == 1


async def test_a_bus_that_fails_is_tried_again(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A buyer hears of the order in the end; nothing passes the cursor untold."""
    buyer = f"guest_{market.name}"
    await market.bus.attach(f"#{buyer}")
    await market.product()
    sale = await market.sale()
    failures = [RoomsUnavailable("planted"), RuntimeError("planted")]
    tell_users = market.rooms.tell_users_json

    async def failing(events: dict[str, list[dict[str, Any]]]) -> None:
        if failures and events:
            raise failures.pop()
        await tell_users(events)

    monkeypatch.setattr(market.rooms, "tell_users_json", failing)
    market.run()
    await market.reserve(sale, buyer, "Alice")
    [event] = await until(lambda: market.events(f"#{buyer}", "order.updated"))
    assert event["order"]["state"] == "reserved"
    assert not failures


async def test_only_the_newest_of_waiting_news_is_handed_on(market: Market) -> None:
    """Versions that nobody has seen are skipped, and an older one never follows a newer one."""
    await market.product()
    sale = await market.sale()
    older = msgspec.structs.replace(sale, version=sale.version + 1, units_left=9)
    newer = msgspec.structs.replace(sale, version=sale.version + 2, units_left=8)
    for one in (older, newer, older):
        market.showcase.on_news(News(sales=[one], products=[], last_edge=0))
    await market.showcase.show_sales()
    room = f"room:{market.name}"
    await until(lambda: market.events(room, "flash_sale.updated"))
    left = [e["flash_sale"]["units_left"] for e in market.events(room, "flash_sale.updated")]
    assert left == [8]


async def test_what_rooms_ask_comes_from_the_shop(market: Market) -> None:
    """Products in the asked order without unknown ones; sales with their versions."""
    product = await market.product()
    found = await market.showcase.products(["prd_unknown", product.id])
    assert [(item["id"], item["stock"]) for item in found] == [(product.id, 100)]
    sale = await market.sale()
    sales = await market.showcase.sales(market.name)
    body, version = sales[sale.id]
    assert (msgspec.json.decode(body, type=FlashSale).units_left, version) == (10, sale.version)


async def test_a_shop_that_does_not_answer_is_unavailable_to_rooms() -> None:
    """In the words of rooms, which know nothing of orders."""

    class Down:
        async def products(self, ids: list[str]) -> list[Product]:
            raise Unavailable("no database")

        async def sales_of_room(self, room: str) -> list[FlashSale]:
            raise Unavailable("no database")

    unused: Any = None
    showcase = Showcase(Down(), unused, now=Clock(), cursor=unused)
    with pytest.raises(RoomsUnavailable):
        await showcase.products(["prd_1"])
    with pytest.raises(RoomsUnavailable):
        await showcase.sales("demo")


@pytest.mark.parametrize(
    ("name", "masked"), [("Alice", "A**"), ("小明", "小**"), ("x", "x**"), ("", "**")]
)
def test_masked_names(name: str, masked: str) -> None:
    """Whatever the length."""
    assert mask(name) == masked
