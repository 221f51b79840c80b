"""
A server of its own for one measurement, with a real database, buyers on viewer sockets, and nobody
else. Everything is made for the run and gone after it.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from loadtest.machine import Machine, cpu_seconds, cpu_seconds_with_ended
from loadtest.postgres import Postgres
from loadtest.reserve import Buyer, Result
from loadtest.server import Server
from loadtest.shop import Json, Shop
from loadtest.socket_client import connect

STOCK = 2_000_000
ROOM, SKU = "demo", "demo-8"
CONNECTS_AT_ONCE = 50  # a crowd that connects is another measurement
DATABASE_FILE = "liveserver.db"


class Stand:
    """A running server with its database, as an operator and a crowd of buyers see them."""

    def __init__(self, server: Server, shop: Shop, folder: Path, postgres: Postgres | None) -> None:
        self.server = server
        self.shop = shop
        self._machine = Machine(folder / "postgres")
        self._served = 0.0
        self._folder = folder
        self._postgres = postgres
        self._buyers = 0

    def workers(self, role: str) -> list[psutil.Process]:
        """The processes whose name begins with `role`: gateway, orders."""
        named = [p for p in self.server.workers() if p.cmdline()[-1].startswith(role)]
        return named or self.server.workers()  # with one worker both are in it

    def cpu_seconds(self, role: str) -> float:
        return sum(cpu_seconds(process) for process in self.workers(role))

    def begin(self) -> None:
        """Start measuring what others use of the machine."""
        self._served = self._server_seconds()
        self._machine.begin()

    def disturbed_cores(self) -> float:
        """Cores used since `begin` by neither this process, nor the server, nor its database."""
        used = self._machine.end()
        return max(0.0, used.others - self._server_seconds() + self._served) / used.seconds

    def _server_seconds(self) -> float:
        """CPU time of all its processes, those that were killed too."""
        processes = [psutil.Process(self.server.pid), *self.server.children()]
        return sum(cpu_seconds_with_ended(process) for process in processes)

    async def prepare(self) -> None:
        """Sign in and fill the shelf."""
        self.merchant = await self.shop.sign_in("merchant", "demo")
        products = (await self.shop.call("GET", "/v1/products", self.merchant))["items"]
        product = next(item for item in products if item["sku"] == SKU)
        body = {"delta": STOCK, "reason": "for the load"}
        path = f"/v1/products/{product['id']}/stock"
        await self.shop.call("POST", path, self.merchant, body)

    async def start_sale(self, units: int, *, hold_seconds: int = 3600) -> str:
        """A running sale without a limit for each buyer; its id."""
        sale: Json = await self.shop.start_sale(
            self.merchant, ROOM, SKU, units, per_buyer_limit=1_000_000, duration_seconds=7200,
            hold_seconds=hold_seconds, buyers="guest",
        )  # fmt: skip
        return str(sale["id"])

    async def buyers(self, count: int, sale: str, result: Result) -> list[Buyer]:
        """Guests, each on a socket of its own."""
        gate = asyncio.Semaphore(CONNECTS_AT_ONCE)

        async def one(number: int) -> Buyer:
            buyer = Buyer(number, sale, result)
            async with gate:
                session = await self.shop.guest(f"buyer {number}")
                buyer.client = await connect(self.shop.base, session["token"], buyer.on_line)
                await asyncio.wait_for(buyer.connected, 10)
            return buyer

        first, self._buyers = self._buyers, self._buyers + count
        return await asyncio.gather(*(one(first + number) for number in range(count)))

    async def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Something that only somebody at the database can do or see."""
        if self._postgres is not None:
            return await self._execute_postgres(statement)
        return await asyncio.to_thread(self._execute_sqlite, statement)

    def _execute_sqlite(self, statement: str) -> list[tuple[object, ...]]:
        import sqlite3

        path = self._folder / "data" / DATABASE_FILE
        with contextlib.closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as db:
            return db.execute(statement).fetchall()

    async def _execute_postgres(self, statement: str) -> list[tuple[object, ...]]:
        import asyncpg

        assert self._postgres is not None
        connection = await asyncpg.connect(self._postgres.environ["LIVESERVER_DATABASE_URL"])
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()


@asynccontextmanager
async def stand(database: str, workers: int = 1) -> AsyncIterator[Stand]:
    """`liveserver run --demo` on `sqlite` or `postgres`, alone on its ports and in its folder."""
    with tempfile.TemporaryDirectory(prefix="figures-") as name:
        folder = Path(name)
        postgres = Postgres(folder / "postgres") if database == "postgres" else None
        environ = {}
        if postgres is not None:
            await postgres.create()
            environ = postgres.environ
        arguments = ("--demo", "--workers", str(workers))
        server = Server(folder / "data", environ, arguments)
        try:
            await asyncio.to_thread(server.start)
            async with Shop(server.base) as shop:
                made = Stand(server, shop, folder, postgres)
                await made.prepare()
                yield made
        finally:
            await asyncio.to_thread(server.stop)
            if postgres is not None:
                await postgres.close()


def run_buyers(buyers: list[Buyer], seconds: float, rate: float | None) -> None:
    """Let them begin, and go on for so long; all of them together at `rate`, if any."""
    loop = asyncio.get_running_loop()
    now = time.perf_counter()
    for index, buyer in enumerate(buyers):
        buyer.done = loop.create_future()
        buyer.until = now + seconds
        buyer.pause = len(buyers) / rate if rate else 0.0
        loop.call_later(buyer.pause * index / len(buyers), buyer.send)


async def until_done(buyers: list[Buyer], seconds: float) -> None:
    """Everybody has the answer to the last question."""
    await asyncio.wait_for(asyncio.gather(*(buyer.done for buyer in buyers)), seconds)


def close(buyers: list[Buyer]) -> None:
    for buyer in buyers:
        if buyer.client is not None:
            buyer.client.transport.close()
