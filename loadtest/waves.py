"""
Buyers in waves: many press the button in the same moment, again and again, while faults strike.

Each visit takes one buyer through a small story: reserve with a key until the answer is final, then
perhaps pay, cancel, or send the same key again. Everything that was sent and told is in the
journal. Two sales run: a scarce one whose unpaid units come back after seconds and are sold again,
and a plentiful one that always has something to sell.
"""

import asyncio
import contextlib
import json
import random
import secrets
from collections import Counter, deque
from dataclasses import dataclass, field

import aiohttp

from loadtest.journal import Journal, now
from loadtest.late import LatePayers
from loadtest.rush import problem_name
from loadtest.shop import Json, Shop

WAVE_BUYERS = 40
WAVE_SECONDS = 0.25
MAX_OPEN = 250  # visits; while the server is away no more come
RETRY_SECONDS = (0.05, 0.4)  # jittered, as a patient client would
VISIT_SECONDS = 60.0  # a buyer who got no final answer by then gives up
CALL_SECONDS = 6.0  # SDKs give up after 5 s
SCARCE_HOLD_SECONDS = 4
SCARCE_UNITS = 120
PLENTY_UNITS = 20_000
SALE_CENTS = 100  # what one unit costs in both sales
SHELF_SKU = "demo-4"
GRANT_UNITS = 60  # of the shelf's product; some come back
COUPON = {"code": "WAVE", "kind": "amount", "value": 50, "currency": "CNY", "per_buyer_limit": 1}
COUPON_BUDGET = 1_500
#: problems that end a buyer's attempts; all else (503, 409 in-flight, a cut line) is repeated
FINAL = {
    "sold-out", "limit-exceeded", "ended", "not-started", "validation", "forbidden", "not-found",
    "invalid-state",
}  # fmt: skip


@dataclass
class Habits:
    """What buyers do, as shares of all visits; `copies` = how often each request is sent."""

    pay: float = 0.3
    cancel: float = 0.2
    repeat: float = 0.2
    two_keys: float = 0.1
    late: float = 0.0  # pays at the wrong time, twice, or wrongly: see `loadtest.late`
    ask: float = 0.1  # of scarce units: their provider takes the money late, or never answers
    shelf: float = 0.15  # buys from the room's shelf, half of these with a coupon
    queue: float = 0.1  # of those who got nothing of the scarce units: lines up for what comes back
    copies: int = 1


@dataclass
class Waves:
    """The load on one server; `start`, strike, `stop`."""

    shop: Shop
    journal: Journal
    seed: int
    habits: Habits = field(default_factory=Habits)
    sales: list[Json] = field(default_factory=list)
    attempts: int = 0
    acknowledged: int = 0
    open_asks: int = 0
    more_bases: list[str] = field(default_factory=list)  # further gateways of the same shop
    served: Counter[str] = field(default_factory=Counter)  # new orders, by the gateway's address

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.idle: deque[Json] = deque()
        self.visits: set[asyncio.Task[None]] = set()
        self.launched = asyncio.Event()
        self.told_keys: set[str] = set()  # of orders that a client knows of
        self.late = LatePayers(self, SCARCE_HOLD_SECONDS)
        self._task: asyncio.Task[None] | None = None

    @property
    def bases(self) -> list[str]:
        """Every gateway that buyers may come to."""
        return [self.shop.base, *self.more_bases]

    async def prepare(self, buyers: int = 300) -> None:
        """Sign in, fill the shelves, start both sales."""
        self.merchant = await self.shop.sign_in("merchant", "demo")
        await asyncio.gather(*(self._sign_in(n) for n in range(buyers)))
        products = await self.shop.call("GET", "/v1/products", self.merchant)
        self.products = {item["sku"]: item["id"] for item in products["items"]}
        body = {"delta": PLENTY_UNITS, "reason": "for the load"}
        for sku in ("demo-1", "demo-2"):
            path = f"/v1/products/{self.products[sku]}/stock"
            await self.shop.call("POST", path, self.merchant, body)
        for sku, units, limit, hold in (
            ("demo-1", SCARCE_UNITS, 2, SCARCE_HOLD_SECONDS),
            ("demo-2", PLENTY_UNITS, 1_000, 300),
        ):
            sale = await self.shop.start_sale(
                self.merchant, "demo", sku, units,
                buyers="guest", per_buyer_limit=limit, hold_seconds=hold, duration_seconds=600,
            )  # fmt: skip
            self.sales.append(sale)
            self.journal.note("sale", sale=sale["id"], units=units, limit=limit)
        await self._fill_shelf(products["items"])
        await self.late.prepare()

    async def _fill_shelf(self, products: list[Json]) -> None:
        """One product of the room, within a grant, and a coupon that does not last for all."""
        self.shelf = next(item for item in products if item["sku"] == SHELF_SKU)
        grant = {"room": "demo", "units_max": GRANT_UNITS}
        path = f"/v1/products/{self.shelf['id']}/grants"
        await self.shop.call("PUT", path, self.merchant, grant)
        body = COUPON | {"budget_cents": COUPON_BUDGET}
        made = await self.shop.call("POST", "/v1/coupons", self.merchant, body)
        self.journal.note(
            "coupon", coupon=made["id"], budget_cents=COUPON_BUDGET, limit=COUPON["per_buyer_limit"]
        )

    async def _sign_in(self, n: int) -> None:
        await asyncio.sleep(n * 0.003)
        session = await self.shop.guest(f"buyer {n}")
        self.idle.append({"user": session["user"], "token": session["token"]})

    def start(self) -> None:
        self._task = asyncio.create_task(self._launch())

    async def stop(self) -> None:
        """No new visits; waits for those under way."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*self.visits)

    async def middle_of_a_wave(self, least: int = WAVE_BUYERS // 2) -> None:
        """Returns with at least `least` requests open."""
        while True:
            self.launched.clear()
            await self.launched.wait()
            for _ in range(50):  # the window is some milliseconds: look after every step
                if self.open_asks >= least:
                    return
                await asyncio.sleep(0)

    async def _launch(self) -> None:
        while True:
            for _ in range(WAVE_BUYERS):
                if not self.idle or len(self.visits) >= MAX_OPEN:
                    break
                task = asyncio.create_task(self._visit(self.idle.popleft()))
                self.visits.add(task)
                task.add_done_callback(self.visits.discard)
            self.launched.set()
            await asyncio.sleep(WAVE_SECONDS)

    async def _visit(self, buyer: Json) -> None:
        try:
            async with asyncio.timeout(VISIT_SECONDS):
                await self._story(buyer)
        except TimeoutError:
            pass  # its attempts are in the journal; the checks know what it was told
        finally:
            self.idle.append(buyer)

    async def _story(self, buyer: Json) -> None:
        dice = self.random.random()
        if self.random.random() < self.habits.shelf:
            key = secrets.token_hex(8)
            order = await self.create(buyer, key, "WAVE" if dice < 0.5 else None)
            if order is not None and dice < self.habits.pay + self.habits.cancel:
                await self.end_order(buyer, order["id"], "pay" if dice < 0.25 else "cancel")
            return
        sale = self.random.choice(self.sales)
        quantity = 2 if self.random.random() < 0.1 else 1
        keys = [secrets.token_hex(8)]
        if self.random.random() < self.habits.two_keys:
            keys.append(secrets.token_hex(8))  # two windows of one buyer
        got = await asyncio.gather(*(self.reserve(buyer, sale["id"], quantity, k) for k in keys))
        for key, order in zip(keys, got, strict=True):
            if order is not None:
                await self._after(buyer, sale["id"], quantity, key, order, dice)
        if got == [None] and sale is self.sales[0] and self.random.random() < self.habits.queue:
            await self.join(buyer, sale["id"], quantity, secrets.token_hex(8))

    async def _after(
        self, buyer: Json, sale: str, quantity: int, key: str, order: Json, dice: float
    ) -> None:
        habits = self.habits
        if sale == self.sales[0]["id"] and self.random.random() < habits.ask:
            await self.start_payment(buyer, order["id"], "late" if dice < 0.5 else "timeout")
        elif dice < habits.late:
            await self.late.visit(buyer, order)
        elif dice < habits.late + habits.pay:
            await self.end_order(buyer, order["id"], "pay")
        elif dice < habits.late + habits.pay + habits.cancel:
            await self.end_order(buyer, order["id"], "cancel")
        elif dice < habits.late + habits.pay + habits.cancel + habits.repeat:
            await self.reserve(buyer, sale, quantity, key)

    async def reserve(self, buyer: Json, sale: str, quantity: int, key: str) -> Json | None:
        """Send it until the answer is final; the order, or None when refused."""
        path = f"/v1/flash-sales/{sale}/reservations"
        facts = {
            "what": "reserve", "sale": sale, "key": key, "quantity": quantity,
            "price_cents": SALE_CENTS,
        }  # fmt: skip
        return await self._insist(path, buyer, facts, {"quantity": quantity})

    async def join(self, buyer: Json, sale: str, quantity: int, key: str) -> None:
        """Line up, until the answer is final; an offer is left to expire."""
        path = f"/v1/flash-sales/{sale}/waitlist"
        facts = {"what": "join", "sale": sale, "key": key, "quantity": quantity}
        await self._insist(path, buyer, facts, {"quantity": quantity})

    async def create(self, buyer: Json, key: str, coupon: str | None) -> Json | None:
        """One unit from the shelf, the same way."""
        lines = [{"product_id": self.shelf["id"], "quantity": 1}]
        price = self.shelf["price_cents"]
        facts = {"what": "create", "key": key, "quantity": 1, "price_cents": price}
        body = {"lines": lines, "room": "demo", "coupon": coupon}
        return await self._insist("/v1/orders", buyer, facts, body)

    async def start_payment(self, buyer: Json, order: str, outcome: str) -> None:
        """Begin to pay; how it ends, only the provider knows."""
        facts = {"what": "start", "order": order, "outcome": outcome}
        await self._insist(f"/v1/orders/{order}/pay", buyer, facts, {"outcome": outcome})

    async def end_order(self, buyer: Json, order: str, what: str) -> None:
        """`pay` or `cancel`, until the answer is final."""
        await self._insist(f"/v1/orders/{order}/{what}", buyer, {"what": what, "order": order}, {})

    async def _insist(self, path: str, buyer: Json, facts: Json, body: Json) -> Json | None:
        base = self.random.choice(self.bases)
        while True:
            copies = [
                self._jitter(n, base, path, buyer, facts, body) for n in range(self.habits.copies)
            ]
            answers = await asyncio.gather(*copies)
            final = [answer for answer in answers if answer is not None]
            if final:
                return next((answer for answer in final if "id" in answer), None)
            await asyncio.sleep(self.random.uniform(*RETRY_SECONDS))

    async def _jitter(
        self, n: int, base: str, path: str, buyer: Json, facts: Json, body: Json
    ) -> Json | None:
        """A copy some milliseconds later: they overtake one another on their way."""
        if n:
            await asyncio.sleep(self.random.uniform(0, 0.03))
        return await self._ask_once(base + path, buyer, facts, body)

    async def _ask_once(self, url: str, buyer: Json, facts: Json, body: Json) -> Json | None:
        """One attempt: the order, `{}` for a final refusal, None when nobody knows."""
        headers = {"Authorization": f"Bearer {buyer['token']}"}
        if "key" in facts:
            headers["Idempotency-Key"] = f'"{facts["key"]}"'
        self.attempts += 1
        self.open_asks += 1
        sent, status, text = now(), 0, ""
        try:
            async with (
                asyncio.timeout(CALL_SECONDS),
                self.shop.session.post(url, json=body, headers=headers) as answer,
            ):
                raw = await answer.text()  # whole, or an error: half an answer tells nothing
                status, text = answer.status, raw
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            text = type(error).__name__
        finally:
            self.open_asks -= 1
            self.journal.note(
                "ask", sent=sent, told=now(), buyer=buyer["user"], status=status, body=text, **facts
            )
        if status in (200, 201):
            self.acknowledged += 1
            is_new = "key" in facts and facts["key"] not in self.told_keys
            self.served[url.partition("/v1/")[0]] += is_new
            self.told_keys.add(facts.get("key", ""))
            order: Json = json.loads(text)
            return order
        return {} if problem_name(text.encode()) in FINAL else None

    async def look(self) -> None:
        """Write down what pages show now: every sale through fresh connections, and the room."""
        for number in range(4):  # fresh connections land on different workers
            async with Shop(self.bases[number % len(self.bases)]) as shop:
                for sale in self.sales:
                    with contextlib.suppress(aiohttp.ClientError):
                        shown = await shop.call("GET", f"/v1/flash-sales/{sale['id']}")
                        self._seen("sale", shown)
                room = await shop.call("GET", "/v1/rooms/demo")
                for shown in room["flash_sales"]:
                    self._seen("room", shown)

    def _seen(self, where: str, sale: Json) -> None:
        self.journal.note("seen", where=where, sale=sale["id"], units_left=sale["units_left"])
