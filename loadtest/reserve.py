"""
Orders end to end: reserve commands in over viewer sockets, commit, answers out.

Closed loop: each buyer has one socket and one reservation in flight, and sends the next when the
last is answered. `--rate` paces all of them together (open loop as far as the buyers suffice).
"""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field

from loadtest.shop import Shop
from loadtest.socket_client import SocketClient, connect

STOCK = 10_000_000  # so that nothing sells out but what shall


@dataclass
class Result:
    """What one run measured. Times in seconds."""

    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Buyer:
    """One socket that reserves again and again until the time is over."""

    def __init__(self, number: int, sale: str, result: Result) -> None:
        self.number = number
        self.count = 0
        self.sent_at = 0.0
        self.pause = 0.0
        self.sale = sale
        self.result = result
        self.until = 0.0
        self.connected = asyncio.get_running_loop().create_future()
        self.done = asyncio.get_running_loop().create_future()
        self.client: SocketClient | None = None

    def on_line(self, client: SocketClient, line: bytes) -> None:
        if not self.connected.done():
            self.connected.set_result(None)
            return
        if b'"rpc"' not in line and b'"error"' not in line:
            return  # a push
        now = time.perf_counter()
        self.result.latencies.append(now - self.sent_at)
        self.result.outcomes[outcome(line)] += 1
        if now >= self.until:
            self.done.set_result(None)
        elif self.pause:
            wait = max(0.0, self.pause - (now - self.sent_at))
            asyncio.get_running_loop().call_later(wait, self.send)
        else:
            self.send()

    def send(self) -> None:
        assert self.client is not None
        self.count += 1
        self.sent_at = time.perf_counter()
        self.client.send_raw(
            b'{"id":%d,"rpc":{"method":"reserve","data":{"flash_sale":"%s","quantity":1,'
            b'"key":"b%d-%d"}}}' % (self.count + 1, self.sale.encode(), self.number, self.count)
        )


def outcome(line: bytes) -> str:
    """`order`, or the code of the refusal."""
    if b'"error"' not in line[:40]:
        return "order"
    return f"refused {json.loads(line)['error']['code']}"


async def run(
    base: str, *, buyers: int, seconds: float, rate: float | None, units: int, **who: str
) -> Result:
    """One measured run on a sale of its own."""
    async with Shop(base) as shop:
        sale, tokens = await prepare(shop, buyers, units, **who)
        result = Result()
        people = [Buyer(number, sale, result) for number in range(buyers)]
        for buyer, token in zip(people, tokens, strict=True):
            buyer.client = await connect(base, token, buyer.on_line)
            await buyer.connected
        begun = time.perf_counter()
        for buyer in people:
            buyer.until = begun + seconds
            buyer.pause = buyers / rate if rate else 0.0
            spread = buyer.pause * buyer.number / buyers
            asyncio.get_running_loop().call_later(spread, buyer.send)
        await asyncio.wait_for(asyncio.gather(*(buyer.done for buyer in people)), seconds + 30)
        result.seconds = time.perf_counter() - begun
        for buyer in people:
            assert buyer.client is not None
            buyer.client.transport.close()
        return result


async def prepare(
    shop: Shop, buyers: int, units: int, *, room: str = "demo", password: str = "demo"
) -> tuple[str, list[str]]:
    """Stock, a running sale, and the buyers' tokens."""
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

    async def token(number: int) -> str:
        async with gate:
            return str((await shop.guest(f"load {number}"))["token"])

    return sale["id"], list(await asyncio.gather(*(token(n) for n in range(buyers))))


def report(result: Result) -> None:
    """What was measured, one figure a line."""
    total = sum(result.outcomes.values())
    print(f"{'answers/s':>12}  {total / result.seconds:,.0f}")
    for name, count in sorted(result.outcomes.items()):
        print(f"{name:>12}  {count:,}")
    for share in (0.5, 0.99, 1.0):
        print(f"{f'p{share * 100:.0f}':>12}  {result.percentile(share) * 1000:.1f} ms")
