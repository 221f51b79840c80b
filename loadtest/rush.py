"""
The rush: many buyers want few units at the same moment, and repeat with their key until answered.

Each buyer keeps a journal of what it was told; checks read these journals and the database, never
the server's own counters. `python -m loadtest rush` prints the outcome; tests strike in between.
"""

import asyncio
import json
import random
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from loadtest.shop import Json, Shop

RETRY_SECONDS = (0.05, 0.4)  # jittered, as a patient client would
#: problems that end a buyer's attempts; all else (503, 409 in-flight, a cut line) is repeated
FINAL = {"sold-out", "limit-exceeded", "ended", "not-started", "validation", "forbidden"}


@dataclass
class Buyer:
    """One guest with one key. `order` or `refusal` is what it was finally told."""

    name: str
    token: str
    user: str
    key: str = field(default_factory=lambda: secrets.token_hex(12))
    order: bytes | None = None
    refusal: str | None = None
    attempts: int = 0
    open: bool = False
    answered_after_seconds: float = 0.0


@dataclass
class Rush:
    """Buyers at one flash sale."""

    shop: Shop
    sale: str
    buyers: list[Buyer]
    deadline_seconds: float = 60.0

    @property
    def acknowledged(self) -> int:
        return sum(buyer.order is not None for buyer in self.buyers)

    @property
    def open_requests(self) -> int:
        return sum(buyer.open for buyer in self.buyers)

    def outcomes(self) -> Counter[str]:
        return Counter("order" if b.order else b.refusal or "unanswered" for b in self.buyers)

    async def run(self, buyers: list[Buyer]) -> None:
        """All given buyers at once, each until it is answered or the deadline passes."""
        async with asyncio.TaskGroup() as group:
            for buyer in buyers:
                group.create_task(self.buy(buyer))

    async def buy(self, buyer: Buyer) -> None:
        begun = time.monotonic()
        while time.monotonic() - begun < self.deadline_seconds:
            buyer.attempts += 1
            if await self.ask_once(buyer):
                buyer.answered_after_seconds = time.monotonic() - begun
                return
            await asyncio.sleep(random.uniform(*RETRY_SECONDS))

    async def ask_once(self, buyer: Buyer) -> bool:
        """One attempt. True when the answer is final."""
        url = f"{self.shop.base}/v1/flash-sales/{self.sale}/reservations"
        headers = {"Authorization": f"Bearer {buyer.token}", "Idempotency-Key": f'"{buyer.key}"'}
        buyer.open = True
        try:
            async with self.shop.session.post(url, json={"quantity": 1}, headers=headers) as answer:
                return self.note(buyer, answer.status, await answer.read())
        except (aiohttp.ClientError, OSError):
            return False  # cut off: the outcome is unknown, the same key will tell
        finally:
            buyer.open = False

    def note(self, buyer: Buyer, status: int, body: bytes) -> bool:
        """Write down what the server said."""
        if status in (200, 201):
            buyer.order = body
            return True
        problem = problem_name(body)
        if problem in FINAL:
            buyer.refusal = problem
            return True
        return False


def problem_name(body: bytes) -> str:
    """The last part of a problem's `type`, "" if the body is no problem."""
    try:
        content: Json = json.loads(body)
        return str(content.get("type", "")).rpartition("/")[2]
    except (ValueError, AttributeError):
        return ""


async def gather_buyers(shop: Shop, count: int) -> list[Buyer]:
    """`count` guests, signed in a few at a time."""
    gate = asyncio.Semaphore(20)

    async def one(n: int) -> Buyer:
        async with gate:
            session = await shop.guest(f"buyer {n}")
        return Buyer(name=f"buyer {n}", token=session["token"], user=session["user"])

    return list(await asyncio.gather(*(one(n) for n in range(count))))


async def run(
    base: str,
    *,
    user: str = "streamer",
    password: str = "demo",
    room: str = "demo",
    sku: str = "demo-2",
    buyers: int = 200,
    units: int = 50,
    strike: Callable[[Rush], Awaitable[None]] | None = None,
    first_wave: int = 20,
) -> Rush:
    """
    Sell `units` to `buyers` who come at once.

    With `strike`, a first wave is answered, then all others send and `strike(rush)` is awaited
    while their requests are open: the place for a fault.
    """
    async with Shop(base) as shop:
        token = await shop.sign_in(user, password)
        people = await gather_buyers(shop, buyers)
        sale = await shop.start_sale(token, room, sku, units, buyers="guest")
        rush = Rush(shop, sale["id"], people)
        if strike is None:
            await rush.run(people)
            return rush
        await rush.run(people[:first_wave])
        async with asyncio.TaskGroup() as group:
            group.create_task(rush.run(people[first_wave:]))
            group.create_task(_call(strike, rush))
        return rush


async def _call(strike: Callable[[Rush], Awaitable[None]], rush: Rush) -> None:
    await strike(rush)
