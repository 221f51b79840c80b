"""
The demo shop: a live room, eight products, three accounts, a receiver of webhooks.

Seeding asks what is there first, so that a second start goes on where the first was. Everything
goes through the same services as for anybody else.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from liveserver.identity import Role
from liveserver.people import People
from liveserver.problems import Refused
from orders import requests
from orders.errors import Refusal
from orders.reads_sql import Reads
from orders.requests import Door
from orders.webhooks_service import Webhooks
from rooms.errors import NotFound
from rooms.errors import Refusal as RoomRefusal
from rooms.service import RoomService

log = logging.getLogger(__name__)

ROOM = "demo"
MERCHANT = "demo-shop"
STOCK = 1_000
TERMS = "七天无理由退货 · 7-day returns"
SELLER = "Demo Trading Co."
RECEIVER_START_SECONDS = 10.0
RETRY_SECONDS = 1.0  # before seeding is tried again
RECEIVER = Path(__file__).resolve().parent.parent / "examples" / "merchant_receiver.py"
EVENTS = [
    "order.reserved",
    "order.paid",
    "order.expired",
    "order.cancelled",
    "stock.sold_out",
    "flash_sale.ended",
    "room.started",
    "room.ended",
]

#: title, price, list price (cents of CNY), description
PRODUCTS = (
    ("手作陶杯 Stoneware mug", 12_900, 15_900, "Thrown by hand, holds 350 ml, dishwasher safe."),
    ("护眼台灯 Desk lamp", 29_900, 39_900, "Warm to daylight in five steps, no flicker."),
    ("明前绿茶 Tin of green tea", 16_800, 19_800, "Picked before Qingming, 100 g, sealed tin."),
    ("羊毛围巾 Wool scarf", 25_900, 32_900, "Soft merino, 180 × 30 cm."),
    ("头戴耳机 Headphones", 89_900, 109_900, "Forty hours of music, folds flat."),
    ("绿植盆栽 Potted plant", 9_900, 12_900, "Hard to kill. Water on Sundays."),
    ("亚麻手账 Linen notebook", 6_900, 8_900, "192 pages of 100 g paper, lies open."),
    ("香薰蜡烛 Scented candle", 13_900, 16_900, "Fig and cedar, burns for 45 hours."),
)


async def seed_accounts(people: People, password: str) -> None:
    """The accounts `streamer`, `moderator` and `merchant`, with this start's password."""
    await _account(people, "streamer", password, "streamer", rooms=(ROOM,))
    await _account(people, "moderator", password, "moderator", rooms=(ROOM,))
    await _account(people, "merchant", password, "merchant", merchant=MERCHANT)


async def seed_in_time(seed: Callable[[], Awaitable[None]]) -> None:
    """Seed as soon as that is possible, for a process that serves before that; never returns."""
    while True:
        try:
            await seed()
            break
        except (Refusal, RoomRefusal, Refused) as refusal:
            log.warning("the demo shop is not seeded: %s; trying again", refusal)
            await asyncio.sleep(RETRY_SECONDS)
    await asyncio.Event().wait()


async def _account(
    people: People,
    name: str,
    password: str,
    role: Role,
    rooms: tuple[str, ...] = (),
    merchant: str | None = None,
) -> None:
    """Make it, or give it the password; sessions go on where that has not changed."""
    try:
        await people.get(name)
    except Refused:
        await people.add(name, password, role, rooms, merchant)
        return
    try:
        await people.authenticate(name, password)
    except Refused:
        await people.passwd(name, password)


async def seed_shop(rooms: RoomService, door: Door, reads: Reads) -> None:
    """Room, products, grants and shelf; the room is live."""
    products = await _products(door, reads)
    try:
        room = await rooms.get(ROOM)
    except NotFound:
        title = "小店直播间 · Live from the little shop"
        room = await rooms.create(ROOM, title, [MERCHANT], actor="system")
        await rooms.set_shelf(ROOM, products, actor="system")
        await rooms.pin(ROOM, products[0], actor="system")
    if room.state != "live":
        await rooms.start(ROOM, actor="system")


async def _products(door: Door, reads: Reads) -> list[str]:
    """Ids of demo-1 … demo-8 in order; missing ones are made and granted to the room."""
    known, _ = await reads.products_of(MERCHANT, None, 100)
    ids = {product.sku: product.id for product in known}
    for number, (title, price, list_price, description) in enumerate(PRODUCTS, start=1):
        sku = f"demo-{number}"
        if sku not in ids:
            ids[sku] = await _make_product(door, sku, title, price, list_price, description)
    return [ids[f"demo-{number}"] for number in range(1, len(PRODUCTS) + 1)]


async def _make_product(
    door: Door, sku: str, title: str, price: int, list_price: int, description: str
) -> str:
    answer = await door.ask(
        requests.CreateProduct(
            merchant=MERCHANT,
            sku=sku,
            title=title,
            price_cents=price,
            list_price_cents=list_price,
            currency="CNY",
            stock=STOCK,
            description=description,
            terms=TERMS,
            seller_name=SELLER,
            image_url=f"/static/demo/{sku}.svg",
        )
    )
    product: dict[str, Any] = msgspec.json.decode(answer)
    await door.ask(requests.SetGrant(product=product["id"], room=ROOM))
    return str(product["id"])


class Receiver:
    """The sample receiver of the merchant, as a process of its own on a loopback port."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.folder = data_dir / "demo-receiver"
        self.secret_file = self.folder / "secret"
        self.url = f"http://127.0.0.1:{port}/"
        self._port = port
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it. It ends with our end of its standard input, however we end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.secret_file.touch(mode=0o600)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(RECEIVER),
            f"--port={self._port}",
            f"--secret-file={self.secret_file}",
            f"--events={self.folder / 'events.jsonl'}",
            "--end-with-stdin",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), RECEIVER_START_SECONDS)
        if b"http://" not in line:
            log.warning("the sample receiver did not start: orders wait in the webhook queue")

    async def register(self, webhooks: Webhooks) -> None:
        """One endpoint at the desk, kept over restarts; only its address may change."""
        endpoints = await webhooks.endpoints(MERCHANT)
        known = self.secret_file.read_text(encoding="utf-8").strip()
        if endpoints and known:
            if endpoints[0].url != self.url:
                await webhooks.edit(MERCHANT, endpoints[0].id, url=self.url)
            return
        made = await webhooks.create(MERCHANT, self.url, EVENTS)
        self.secret_file.write_text(made.secret, encoding="utf-8")

    async def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
