"""
Orders end to end: reserve commands in over viewer sockets, commit, answers out.

Closed loop: each buyer has one socket and one reservation in flight, and sends the next when the
last is answered. `--rate` paces all of them together (open loop as far as the buyers suffice).

Every answer is read and checked against what was asked; at the end no order may have been given
twice. What each buyer was told can be written down for `python -m loadtest check`.
"""

import asyncio
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import msgspec

from loadtest.journal import Journal, now
from loadtest.shop import Shop
from loadtest.socket_client import SocketClient, connect

STOCK = 10_000_000  # so that nothing sells out but what shall
PRICE_CENTS = 100  # of `Shop.start_sale`
TOLD_SECONDS = 60.0  # that personal news may come after the last answer


class Line(msgspec.Struct):
    quantity: int
    unit_price_cents: int


class Holder(msgspec.Struct):
    id: str


class Order(msgspec.Struct):
    """What is checked of an order."""

    id: str
    state: str
    flash_sale: str
    amount_cents: int
    buyer: Holder
    lines: list[Line]


class Data(msgspec.Struct):
    order: Order


class Rpc(msgspec.Struct):
    data: Data


class Error(msgspec.Struct):
    code: int
    message: str


class Reply(msgspec.Struct):
    """The answer to one reservation."""

    id: int
    rpc: Rpc | None = None
    error: Error | None = None


read_reply = msgspec.json.Decoder(Reply).decode


@dataclass
class Result:
    """What one run measured. Times in seconds."""

    sale: str = ""
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    #: (id, user, key, the whole reply)
    orders: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    told: int = 0  # news on the buyers' own channels
    told_after: float = 0.0  # the last answer, until the last of these

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    @property
    def answered(self) -> int:
        return sum(self.outcomes.values())

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


class Buyer:
    """One socket that reserves again and again until the time is over."""

    def __init__(self, number: int, sale: str, result: Result, user: str = "") -> None:
        self.user = user  # "" = whose the orders are is not checked
        self.sale = sale
        self.result = result
        self.count = 1  # commands sent; the first one connects
        self.sent_at = 0.0
        self.pause = 0.0
        self.until = 0.0
        self.key = f"b{number}-"
        self.command = (
            b',"rpc":{"method":"reserve","data":{"flash_sale":"%s","quantity":1,"key":"%s'
            % (sale.encode(), self.key.encode())
        )
        self.connected = asyncio.get_running_loop().create_future()
        self.done = asyncio.get_running_loop().create_future()
        self.client: SocketClient | None = None

    def on_line(self, client: SocketClient, line: bytes) -> None:
        if not line.startswith(b'{"id":'):
            self.result.told += b'"order.updated"' in line
        elif self.connected.done():
            self._answered(line)
        else:
            self.connected.set_result(None)

    def _answered(self, line: bytes) -> None:
        now = time.perf_counter()
        self.result.latencies.append(now - self.sent_at)
        self.result.outcomes[self._outcome(line)] += 1
        if now >= self.until:
            self.done.set_result(None)
        elif self.pause:
            wait = max(0.0, self.pause - (now - self.sent_at))
            asyncio.get_running_loop().call_later(wait, self.send)
        else:
            self.send()

    def _outcome(self, line: bytes) -> str:
        """`order`, the code of the refusal, or what is wrong with the answer."""
        reply = read_reply(line)
        if reply.error is not None:
            return f"refused {reply.error.code}"
        if reply.id != self.count or reply.rpc is None:
            return "WRONG ANSWER"
        order = reply.rpc.data.order
        if (
            order.flash_sale != self.sale
            or self.user not in ("", order.buyer.id)
            or order.amount_cents != PRICE_CENTS
            or [(line.quantity, line.unit_price_cents) for line in order.lines]
            != [(1, PRICE_CENTS)]
        ):
            return "WRONG ORDER"
        self.result.orders.append((order.id, self.user, f"{self.key}{self.count}", line))
        return "order"

    def send(self) -> None:
        assert self.client is not None
        self.count += 1
        self.sent_at = time.perf_counter()
        self.client.send_raw(b'{"id":%d%b%d"}}}' % (self.count, self.command, self.count))


async def run(
    base: str,
    *,
    buyers: int,
    seconds: float,
    rate: float | None,
    units: int,
    around: AbstractContextManager[object] | None = None,
    **who: str,
) -> Result:
    """One measured run on a sale of its own; `around` is entered for what is measured alone."""
    async with Shop(base) as shop:
        sale, sessions = await prepare(shop, buyers, units, **who)
        result = Result(sale)
        people = [Buyer(n, sale, result, user) for n, (user, _) in enumerate(sessions)]
        for person, (_, token) in zip(people, sessions, strict=True):
            person.client = await connect(base, token, person.on_line)
            await person.connected
        with around or nullcontext():
            await drive(people, result, seconds, rate)
        await wait_until_told(result)
        for person in people:
            assert person.client is not None
            person.client.transport.close()
    given = [order for order, *_ in result.orders]
    result.outcomes["GIVEN TWICE"] += len(given) - len(set(given))
    result.outcomes = +result.outcomes
    return result


async def drive(people: list[Buyer], result: Result, seconds: float, rate: float | None) -> None:
    """Let everybody reserve for so long."""
    begun = time.perf_counter()
    for number, person in enumerate(people):
        person.until = begun + seconds
        person.pause = len(people) / rate if rate else 0.0
        asyncio.get_running_loop().call_later(number * person.pause / len(people), person.send)
    await asyncio.wait_for(asyncio.gather(*(person.done for person in people)), seconds + 30)
    result.seconds = time.perf_counter() - begun


async def wait_until_told(result: Result) -> None:
    """Every order comes once more, on its buyer's own channel; not at once in a rush."""
    ended = time.perf_counter()
    until = ended + TOLD_SECONDS
    while result.told < len(result.orders) and time.perf_counter() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    result.told_after = time.perf_counter() - ended


async def prepare(
    shop: Shop, buyers: int, units: int, *, room: str = "demo", password: str = "demo"
) -> tuple[str, list[tuple[str, str]]]:
    """Stock, a running sale, and the buyers' (user, token)."""
    merchant = await shop.sign_in("merchant", password)
    items = (await shop.call("GET", "/v1/products", merchant))["items"]
    product = next(item for item in items if item["sku"] == "demo-8")
    if product["stock"] < units:
        body = {"delta": STOCK, "reason": "load"}
        await shop.call("POST", f"/v1/products/{product['id']}/stock", merchant, body)
    streamer = await shop.sign_in("streamer", password)
    sale = await shop.start_sale(
        streamer, room, "demo-8", units, per_buyer_limit=1_000_000, duration_seconds=3600,
        hold_seconds=3600, buyers="guest",
    )  # fmt: skip
    gate = asyncio.Semaphore(20)

    async def session(number: int) -> tuple[str, str]:
        async with gate:
            made = await shop.guest(f"load {number}")
            return made["user"], made["token"]

    return sale["id"], list(await asyncio.gather(*(session(n) for n in range(buyers))))


def write_down(result: Result, journal: Journal, units: int) -> None:
    """The orders as buyers were told of them, for the checker. Times are of this call."""
    journal.note("sale", sale=result.sale, units=units, limit=1_000_000)
    for _, user, key, line in result.orders:
        body = line[line.index(b'"order":') + 8 : -3].decode()  # byte for byte
        journal.note(
            "ask", sent=now(), told=now(), buyer=user, status=201, body=body,
            what="reserve", sale=result.sale, key=key, quantity=1, price_cents=PRICE_CENTS,
        )  # fmt: skip


def report(result: Result) -> None:
    """What was measured, one figure a line."""
    print(f"{'answers/s':>12}  {result.rate:,.0f}")
    for name, count in sorted(result.outcomes.items()):
        print(f"{name:>12}  {count:,}")
    for share in (0.5, 0.99, 1.0):
        print(f"{f'p{share * 100:.0f}':>12}  {result.percentile(share) * 1000:.1f} ms")
    print(f"{'told':>12}  {result.told:,} of {len(result.orders):,} on their own channel, "
          f"the last {result.told_after:.1f} s after the last answer")  # fmt: skip
