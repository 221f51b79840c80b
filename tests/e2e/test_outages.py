"""
SQL or Valkey down, the writer's machine lost: one clear problem or RPC error, nothing half done,
and selling resumes by itself. Real processes; at the end SQL is compared with what buyers heard.
"""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil

from loadtest import checker
from loadtest.books import Run, read_books
from loadtest.databases import SqliteFile
from loadtest.postgres import Postgres
from loadtest.scene import logged
from loadtest.shop import Json, Shop
from loadtest.socket_client import SocketClient, connect
from loadtest.stages import Stage, staged

RESUMED_SECONDS = 40.0  # a bound on hanging; the fault runner measures the promised 10 s
ANSWER_SECONDS = 20.0  # likewise: the server answers within 4 s
UNITS = 50


class Page:
    """One buyer's viewer socket."""

    def __init__(self) -> None:
        self._replies: asyncio.Queue[Json] = asyncio.Queue()
        self._last = 1

    def on_line(self, _client: SocketClient, line: bytes) -> None:
        told = json.loads(line)
        if told.get("id"):
            self._replies.put_nowait(told)

    async def open(self, base: str, token: str) -> None:
        self.client = await connect(base, token, self.on_line)
        assert (await self._replies.get())["id"] == 1

    async def reserve(self, sale: str, key: str) -> Json:
        """The reply to one `reserve`."""
        self._last += 1
        data = {"flash_sale": sale, "quantity": 1, "key": key}
        self.client.send({"id": self._last, "rpc": {"method": "reserve", "data": data}})
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                reply = await self._replies.get()
                if reply["id"] == self._last:
                    return reply


class Market:
    """A running sale with two buyers, one by HTTP and one by socket, and what they wrote down."""

    def __init__(self, stage: Stage, shop: Shop) -> None:
        self.stage = stage
        self.shop = shop
        self.page = Page()
        self.journal: list[Json] = []
        self.wishes: list[str] = []

    async def prepare(self) -> None:
        merchant = await self.shop.sign_in("merchant", "demo")
        self.sale = await self.shop.start_sale(
            merchant, "demo", "demo-1", UNITS, buyers="guest", per_buyer_limit=UNITS
        )
        self.journal.append(
            {"kind": "sale", "sale": self.sale["id"], "units": UNITS, "limit": UNITS}
        )
        self.by_http, self.by_socket = [await self.shop.guest(name) for name in ("ann", "bob")]
        await self.page.open(self.stage.base, self.by_socket["token"])

    async def ask_http(self, key: str) -> tuple[int, Json, str]:
        """(status, body, Retry-After) of one reservation."""
        head = {"Authorization": f"Bearer {self.by_http['token']}", "Idempotency-Key": f'"{key}"'}
        path = f"{self.shop.base}/v1/flash-sales/{self.sale['id']}/reservations"
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            self.shop.session.post(path, json={"quantity": 1}, headers=head) as answer,
        ):
            body = await answer.text()
            self._note(self.by_http, key, answer.status, body)
            return answer.status, json.loads(body), answer.headers.get("Retry-After", "")

    async def ask_socket(self, key: str) -> Json:
        reply = await self.page.reserve(self.sale["id"], key)
        order = reply["rpc"]["data"]["order"] if "rpc" in reply else None
        self._note(self.by_socket, key, 201 if order else 503, json.dumps(order))
        return reply

    def _note(self, buyer: Json, key: str, status: int, body: str) -> None:
        self.journal.append({
            "kind": "ask", "what": "reserve", "buyer": buyer["user"], "sale": self.sale["id"],
            "key": key, "quantity": 1, "price_cents": 100, "status": status, "body": body,
        })  # fmt: skip

    async def sells(self, name: str) -> None:
        """Both wishes are fulfilled, by the same keys, as soon as possible."""
        async with asyncio.timeout(RESUMED_SECONDS):
            while (await self.ask_http(f"{name} http"))[0] != 201:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            while "rpc" not in await self.ask_socket(f"{name} socket"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        self.wishes += [f"{name} http", f"{name} socket"]

    async def refuses(self, name: str) -> None:
        """503 `unavailable` with Retry-After, and RPC error 100, which says that it will pass."""
        (status, problem, later), reply = await asyncio.gather(
            self.ask_http(f"{name} http"), self.ask_socket(f"{name} socket")
        )
        assert (status, problem["type"].rpartition("/")[2]) == (503, "unavailable"), problem
        assert problem["detail"] and int(later) > 0
        assert (reply["error"]["code"], reply["error"]["temporary"]) == (100, True), reply

    async def is_whole(self) -> None:
        """Each wish is one order, and nothing is half done."""
        assert await self.stage.database.keys() == set(self.wishes)
        url = checker.database_url(self.stage.database.url)
        same = [line for line in self.journal if line["kind"] == "sale" or is_http(line)]
        sockets = {(x["buyer"], x["key"]) for x in self.journal if x["kind"] == "ask"}
        books = await read_books(url)
        assert {(order["buyer"], order["key"]) for order in books.orders.values()} == {
            place for place in sockets if place[1] in self.wishes
        }
        async with asyncio.timeout(ANSWER_SECONDS):
            while any(line.startswith("I11") for line in checker.check(Run(books, same))):
                await asyncio.sleep(0.2)  # webhooks are queued by who follows the writer
                books = await read_books(url)
        found = checker.check(Run(books, self.journal))
        assert [line for line in found if not line.startswith("I5")] == []
        assert [line for line in checker.check(Run(books, same)) if line.startswith("I5")] == []


def is_http(line: Json) -> bool:
    """Bodies are compared byte for byte where they come as they are stored."""
    return bool(line["kind"] == "ask" and line["key"].endswith("http"))


@contextlib.asynccontextmanager
async def market(kind: str, database: str, folder: Path) -> AsyncIterator[Market]:
    async with staged(kind, database, 2, folder) as stage, Shop(stage.base) as shop:
        found = Market(stage, shop)
        await found.prepare()
        await found.sells("before")
        try:
            yield found
        finally:
            found.page.client.transport.close()


@contextlib.asynccontextmanager
async def sql_down(database: Any) -> AsyncIterator[None]:
    """A server is stopped; a file is locked by somebody else."""
    if isinstance(database, Postgres):
        await database.stop()
        yield
        await database.start()
        return
    assert isinstance(database, SqliteFile)
    with database.locked():
        yield


@contextlib.contextmanager
def standing(process: psutil.Process) -> Any:
    """It answers nothing and keeps its connections."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def bus_of(stage: Stage) -> psutil.Process:
    """Its Valkey: a child of the server, or ours."""
    children = [*stage.server.children(), *psutil.Process().children()]
    path = stage.server.environ.get("LIVESERVER_REDIS_URL", str(stage.server.data))
    place = path.removeprefix("unix://")
    return next(
        p for p in children if p.name() == "valkey-server" and place in " ".join(p.cmdline())
    )


async def goes_away_and_comes_back(found: Market) -> None:
    """SQL first, then Valkey."""
    async with sql_down(found.stage.database):
        await found.refuses("without sql")
    await found.sells("without sql")
    with standing(bus_of(found.stage)):
        await found.refuses("without valkey")
    await found.sells("without valkey")


async def test_an_outage_on_sqlite_is_one_clear_problem_and_passes(tmp_path: Path) -> None:
    """The file is locked by somebody else; Valkey stands still."""
    async with market("", "sqlite", tmp_path) as found:
        await goes_away_and_comes_back(found)
        await found.is_whole()


async def test_an_outage_on_postgresql_is_one_clear_problem_and_a_standby_takes_over(
    tmp_path: Path,
) -> None:
    """PostgreSQL is down, Valkey stands still, and then the holder of the lease is killed."""
    async with market("standby", "postgres", tmp_path) as found:
        await goes_away_and_comes_back(found)
        servers = [found.stage.server, *found.stage.parts["more"]]
        workers = [p for server in servers for p in server.workers()]
        holder = await holder_of(found.stage.database)
        victim = next(p for p in workers if p.cmdline()[-1] == holder)
        at = next(i for i, server in enumerate(servers) if victim in server.workers())
        successor, since = servers[1 - at], len(servers[1 - at].logged())
        with standing(psutil.Process(servers[at].pid)):  # it would start another one at once
            victim.send_signal(signal.SIGKILL)
            await found.sells("without the holder")
            assert "holds the lease" in await logged(successor, "holds the lease", since)
        await found.is_whole()


async def holder_of(database: Any) -> str:
    """Whose lease it is."""
    assert isinstance(database, Postgres)
    async with database.connection() as connection:
        return str(await connection.fetchval("SELECT holder FROM lease"))
