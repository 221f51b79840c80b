"""Buyers and a merchant: what they do in a day, and what they write down of it."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from orders.errors import InFlight, Refusal, Unavailable
from orders.requests import (
    AdjustStock,
    AnyRequest,
    Cancel,
    CancelSale,
    CreateProduct,
    CreateSale,
    EditSale,
    JoinWaitlist,
    LeaveWaitlist,
    Pay,
    Reserve,
    SetGrant,
)
from orders.shapes import FlashSale, Place, Product
from orders.states import FRESH_MS
from tests.simulation.checker import Journal
from tests.simulation.till import Till
from tests.simulation.world import GATEWAYS, START, World

PATIENCE_SECONDS = 120.0  # with faults over for most of it, everybody is answered long before
ROOM, MERCHANT = "demo", "acme"


class Market:
    """What clients know of the shop: the sales that were announced to them."""

    def __init__(self, world: World, journal: Journal, *, changes: bool = True) -> None:
        self.world = world
        self.journal = journal
        self.random = world.random
        self.sales: list[FlashSale] = []
        self.product = ""
        self.shelf_room: str | None = None
        self.till = Till(self)
        self.queues = changes
        self.countdowns = (0, 0, 2) if changes else (0,)
        self.durations = (5, 15, 60) if changes else (600,)

    async def ask(self, request: AnyRequest) -> bytes | str:
        """Ask any gateway, again and again, until there is an answer: a body or a problem."""
        until = self.world.time() + PATIENCE_SECONDS
        while self.world.time() < until:
            gateway = self.world.gateways[self.random.choice(GATEWAYS)]
            try:
                return await gateway.ask(request)
            except (Unavailable, InFlight, ConnectionError):
                await asyncio.sleep(self.random.uniform(0.05, 1))
            except Refusal as refusal:
                self.journal.refused += 1
                return refusal.problem
        self.journal.unanswered.append(str(request))
        return "unanswered"

    async def once(self, request: AnyRequest) -> bytes | None:
        """Ask once, as a person at a console does; what happened may stay unknown."""
        try:
            return await self.world.gateways[self.random.choice(GATEWAYS)].ask(request)
        except (Refusal, ConnectionError):
            return None

    # ── the merchant ────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """A product and its first sale, before anything goes wrong."""
        request = CreateProduct(
            merchant=MERCHANT, sku="mug", title="Mug", price_cents=1000, currency="EUR",
            stock=self.random.randint(15, 60),
        )  # fmt: skip
        body = await self.ask(request)
        assert isinstance(body, bytes), body
        self.product = msgspec.json.decode(body, type=Product).id
        await self.till.open(self.product)
        if self.random.random() < 0.5:
            for product in self.till.products:
                await self.ask(SetGrant(product=product, room=ROOM, units_max=40))
            self.shelf_room = self.random.choice((None, ROOM))
        body = await self.ask(self._sale())
        assert isinstance(body, bytes), body
        self.sales.append(msgspec.json.decode(body, type=FlashSale))

    def _sale(self) -> CreateSale:
        return CreateSale(
            room=ROOM, show="show1", sku="mug", merchant=MERCHANT,
            price_cents=self.random.choice((500, 600, 700)), units=self.random.randint(2, 15),
            per_buyer_limit=self.random.randint(1, 3), buyers="guest",
            countdown_seconds=self.random.choice(self.countdowns),
            duration_seconds=self.random.choice(self.durations),
            hold_seconds=self.random.choice((2, 5, 10)),
        )  # fmt: skip

    async def merchant(self) -> None:
        """Changes sales while they run."""
        for _turn in range(self.random.randint(2, 8)):
            await asyncio.sleep(self.random.uniform(0.2, 4))
            turns = (self._new_sale, self._edit, self._edit, self._close, self.till.edit)
            await self.random.choice(turns)()

    async def _new_sale(self) -> None:
        body = await self.once(self._sale())
        if body is not None:
            self.sales.append(msgspec.json.decode(body, type=FlashSale))

    async def _edit(self) -> None:
        sale = self.random.choice(self.sales)
        change: dict[str, int] = self.random.choice((
            {"units": self.random.randint(1, 20)},
            {"per_buyer_limit": self.random.randint(1, 3)},
            {"ends_at": START + int(self.world.time() * 1000) + self.random.randint(500, 9_000)},
        ))  # fmt: skip
        await self.once(EditSale(flash_sale=sale.id, changes=change))
        delta = self.random.choice((-5, -1, 2))
        await self.once(AdjustStock(product=self.product, delta=delta, reason="count"))

    async def _close(self) -> None:
        sale = self.random.choice(self.sales)
        orders = self.random.choice(("honour", "void"))
        await self.once(CancelSale(flash_sale=sale.id, orders=orders))

    # ── a buyer ─────────────────────────────────────────────────────────────────────────────

    async def buyer(self, name: str) -> None:
        """A few purchases, with all the ways in which people click twice."""
        await asyncio.sleep(self.random.choice((0.0, 0.0, self.random.uniform(0, 12))))
        for number in range(self.random.randint(1, 6)):
            key = f"k{self.random.randint(0, number)}"
            await self.random.choice((self._hurry, self._hurry, self._stroll))(name, key)
            await asyncio.sleep(self.random.expovariate(1))

    async def _hurry(self, name: str, key: str) -> None:
        """A flash sale, and what comes of it."""
        sale = self.random.choice(self.sales)
        order = await self._reserve(name, key, sale, self.random.choice((1, 1, 2)))
        if order is not None:
            await self.random.choice(self._after(name, key, sale, order))()

    async def _stroll(self, name: str, key: str) -> None:
        """An order from the shelf, and what comes of it."""
        order = await self.till.buy(name, key)
        if order is not None:
            ways = (self._pay, self._cancel, self._both, self._pay_and_return)
            await self.random.choice(ways)(order)

    def _after(
        self, name: str, key: str, sale: FlashSale, order: str
    ) -> tuple[Callable[[], Awaitable[object]], ...]:
        return (
            lambda: self._reserve(name, key, sale, 1),
            lambda: self._reserve(name, key, sale, 2),
            lambda: self._pay(order),
            lambda: self._pay(order),
            lambda: self._cancel(order),
            lambda: self._both(order),
            lambda: self._pay_and_return(order),
            lambda: asyncio.sleep(0),
        )

    async def _reserve(self, name: str, key: str, sale: FlashSale, quantity: int) -> str | None:
        self.journal.sent.add((name, key))
        request = Reserve(
            flash_sale=sale.id, buyer=name, buyer_name=name, guest=True, quantity=quantity,
            key=key, actor=name,
        )  # fmt: skip
        body = await self.ask(request)
        if isinstance(body, str) and (name, key) in self.journal.taken:
            await asyncio.sleep(FRESH_MS / 1000)  # what a gateway knew from before the order is old
            body = await self.ask(request)
        asked = (sale.id, ((sale.product_id, quantity),), quantity * sale.price_cents)
        if isinstance(body, str):
            if self.journal.asked.get((name, key)) == asked:
                self.journal.forgotten.append(f"{name} {key}: {body}")
            if body == "sold-out" and self.queues and self.random.random() < 0.5:
                await self._line_up(name, sale, quantity)
            return None
        self.journal.success(name, key, asked, body)
        order: str = msgspec.json.decode(body)["id"]
        return order

    # ── a buyer in line ─────────────────────────────────────────────────────────────────────

    async def _line_up(self, name: str, sale: FlashSale, quantity: int) -> None:
        """Wait for what comes back; look a few times, pay or not, or go away."""
        place = await self._join(name, sale, quantity)
        for _look in range(self.random.randint(0, 5)):
            if place is None or place.state != "waiting":
                break
            await asyncio.sleep(self.random.uniform(0.2, 4))
            place = await self._join(name, sale, quantity)
        if place is None:
            return
        if place.order is not None:
            order = place.order
            pay, cancel = (lambda: self._pay(order)), (lambda: self._cancel(order))
            await self.random.choice((pay, pay, cancel, lambda: asyncio.sleep(0)))()
        elif self.random.random() < 0.3:
            await self.ask(LeaveWaitlist(flash_sale=sale.id, buyer=name))

    async def _join(self, name: str, sale: FlashSale, quantity: int) -> Place | None:
        key = f"w{sale.id}{quantity}"
        self.journal.joined.add((name, key))
        request = JoinWaitlist(
            flash_sale=sale.id, buyer=name, buyer_name=name, guest=True, quantity=quantity,
            key=key, actor=name,
        )  # fmt: skip
        body = await self.ask(request)
        if isinstance(body, str):
            return None
        place = msgspec.json.decode(body, type=Place)
        self.world.seen[f"place {place.state}"] += 1
        return place

    async def _pay(self, order: str) -> None:
        await asyncio.sleep(self.random.choice((0, self.random.uniform(0, 11))))
        body = await self.ask(Pay(order=order, provider="demo", payment=f"p_{order}"))
        if isinstance(body, bytes):
            self.journal.paid.add(order)

    async def _cancel(self, order: str) -> None:
        body = await self.ask(Cancel(order=order))
        if isinstance(body, bytes):
            self.journal.cancelled.add(order)

    async def _both(self, order: str) -> None:
        await asyncio.gather(self._pay(order), self._cancel(order))

    async def _pay_and_return(self, order: str) -> None:
        """Paid, and then not wanted, or broken."""
        await self._pay(order)
        if order in self.journal.paid:
            await self.till.give_back(order)
