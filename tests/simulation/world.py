"""
A shop on one virtual machine: two writers, two gateways, a transport and a database.

The writers are the production ones on the ledger in memory. Everything between the parts may be
late, lost, doubled or killed; what happens is drawn from one `random.Random`, so that a seed is a
whole day. Like the real parts:

- a killed process does nothing any more: not even its clean-up reaches anybody;
- a stopped one neither takes nor sends, and its open transaction is ended by the database;
- questions go into the queue of a fence and only its holder takes them; all may be lost.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from traceback import format_exception

import msgspec

from orders.ids import new_id
from orders.ledger import Broken, Busy, LeaseLost, MemoryWrong, Transaction
from orders.ledger_memory import MemoryDatabase, MemoryLedger, MemoryTransaction, Pause
from orders.news import News
from orders.requests import AnyRequest, Reserve
from orders.rows import OrderRow
from orders.service import Writer
from orders.shapes import FlashSale
from orders.states import KnownStates, States
from orders.tables_memory import Tables
from orders.waiting_service import MAX_AGE_MS, Answered, wait_for_answer
from tests.simulation.faults import Killed, Odds

START = 1_700_000_000_000
HOUR_MS = 3_600_000
DATABASE_SECONDS = 4.0  # the database ends what a silent connection left open
KILL_SECONDS = 5.0  # the supervisor kills a holder that stands still
QUICK_SECONDS = 0.002  # a wait for a database that nothing slows down
GATEWAYS = ("g1", "g2")
WRITERS = ("w1", "w2")

#: Waits while the transaction holds the lock, and those whose request has been done already.
INSIDE = {
    "begin", "read", "insert orders", "write", "before commit", "take lease", "renew lease",
    "release lease",
}  # fmt: skip
COMMIT = ("before commit", "after commit")
DONE = {"after commit", "lease taken", "lease renewed", "lease read", "loaded", "counters read"}


class World:
    """One day. `odds` hold while `calm` is False."""

    def __init__(
        self,
        random: Random,
        odds: Odds,
        *,
        without: frozenset[str] = frozenset(),
        on_commit: Callable[[Tables], None] | None = None,
        writer: type[Writer] = Writer,
    ) -> None:
        self.random = random
        self.odds = odds
        self.calm = True
        self.database = MemoryDatabase(without, on_commit)
        self.seen: Counter[str] = Counter()  # what happened, by kind
        self.trail: list[str] = []  # the same in order, with times
        self.numbers = itertools.count(1)
        self.writer_type = writer
        self.net = Net(self)
        self.writers: dict[str, Process] = {}
        self.gateways = {name: Gateway(self, name) for name in GATEWAYS}
        self._tasks: list[asyncio.Task[None]] = []
        self.errors: list[str] = []  # what a writer died of by itself
        self.ahead: list[str] = []  # news of what is not committed
        self.plant: Callable[[str], None] = lambda _place: None  # told of every wait

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def happens(self, what: str, odds: float) -> bool:
        """Draw; and remember what happened."""
        if self.calm or odds <= 0 or self.random.random() >= odds:
            return False
        self.note(what)
        return True

    def wait_seconds(self) -> float:
        """One wait for the database."""
        return self.random.expovariate(1 / (QUICK_SECONDS if self.calm else self.odds.slow))

    def note(self, what: str) -> None:
        self.seen[what] += 1
        self.trail.append(f"{self.time():.6f} {what}")

    def start(self) -> None:
        for name in WRITERS:
            self._tasks.append(asyncio.create_task(self._supervise(name)))
        self._tasks.append(asyncio.create_task(self._each_second()))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _supervise(self, name: str) -> None:
        """Keep a writer running, as a supervisor does: it knows when its own child died."""
        dead: str | None = None
        for number in itertools.count(1):
            process = self.writers[name] = Process(self, f"{name}.{number}", dead)
            try:
                await process.run()
            finally:
                await process.end()
            dead = process.name if self.random.random() < 0.5 else None
            await asyncio.sleep(self.random.uniform(0.1, 2))

    async def _each_second(self) -> None:
        while True:
            await asyncio.sleep(1)
            if self.happens("flush", self.odds.flush):
                self.net.flush()
            for gateway in self.gateways.values():
                if self.happens("gateway killed", self.odds.gateway):
                    gateway.restart()
            for process in self.writers.values():
                if process.alive and self.happens("clean restart", self.odds.restart):
                    process.task.cancel()

    def kill_writers(self) -> None:
        """Whoever comes next loads its memory anew; and pages are opened anew."""
        for process in self.writers.values():
            process.kill()
        for gateway in self.gateways.values():
            gateway.sales.clear()
        self.net.to_anyone = False

    def serving(self) -> Writer | None:
        """The writer with the newest fence, if one serves."""
        serving = [process.writer for process in self.writers.values() if process.is_serving]
        return max(serving, key=lambda writer: writer.fence or 0, default=None)


class Process:
    """One start of a writer."""

    def __init__(self, world: World, name: str, dead_holder: str | None) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.stopped_until = 0.0
        random = world.random
        #: Clocks of machines differ; one that is far ahead ends every sale, so that it is rare.
        skew = random.choice((0, 0, 0, -HOUR_MS, random.randint(-2_000, 2_000)))
        self.writer = world.writer_type(
            SimulatedLedger(world, self.pause, self),
            holder=name,
            wall_ms=lambda: START + skew + int(world.time() * 1000),
            monotonic_ms=lambda: int(world.time() * 1000),
            new_id=lambda prefix: new_id(prefix, START, lambda bits: next(world.numbers)),
            on_news=self._tell,
            demo_payments=True,
            dead_holder=dead_holder,
        )
        self.task: asyncio.Task[None] = asyncio.create_task(self.writer.run())
        self._announcing = asyncio.create_task(self._announce())
        self._publishing = asyncio.create_task(self._publish())

    @property
    def is_serving(self) -> bool:
        return self.alive and self.writer.is_serving

    async def run(self) -> None:
        """Until it ends, cleanly or not."""
        try:
            await asyncio.wait({self.task})
        except asyncio.CancelledError:
            self.task.cancel()
            await asyncio.wait({self.task})
            raise

    async def end(self) -> None:
        self.alive = False
        self._announcing.cancel()
        self._publishing.cancel()
        ends = await asyncio.gather(
            self.task, self._announcing, self._publishing, return_exceptions=True
        )
        for end in ends:
            if isinstance(end, Exception):
                self.world.errors.append("".join(format_exception(end)))

    def kill(self) -> None:
        if self.alive:
            self.alive = False
            self.world.note(f"{self.name} killed")
            self.world.seen["kill"] += 1

    async def pause(self, place: str) -> None:
        """Wait for the database at this place, or never again."""
        world, odds = self.world, self.world.odds
        self._must_live()
        world.plant(place)
        often = 4 if place in COMMIT else 1  # a batch has many waits, and these matter most
        if world.happens(f"crash {place}", odds.crash * often):
            self.kill()
        elif world.happens(f"stop {place}", odds.stop * often):
            self.stopped_until = world.time() + world.random.uniform(0.5, 12)
        elif place not in DONE and world.happens(f"busy {place}", odds.busy):
            raise Busy(place)
        elif world.happens(f"broken {place}", odds.broken):
            raise Broken(place, outcome_unknown=place in COMMIT)
        self._must_live()
        await asyncio.sleep(world.wait_seconds())
        await self._stand_still(place)
        self._must_live()

    async def _stand_still(self, place: str) -> None:
        world, since = self.world, self.world.time()
        while self.alive and world.time() < self.stopped_until:
            await asyncio.sleep(min(0.25, self.stopped_until - world.time()))
            silent = world.time() - since
            if world.odds.kills_stopped and silent >= KILL_SECONDS:
                self.kill()
            elif not world.odds.kills_stopped and place in INSIDE and silent >= DATABASE_SECONDS:
                raise Broken("ended by the database", outcome_unknown=place == "before commit")

    def _must_live(self) -> None:
        if not self.alive:
            raise Killed(self.name)

    def is_stopped(self) -> bool:
        return self.world.time() < self.stopped_until

    async def _announce(self) -> None:
        while self.alive:
            if self.writer.fence is not None and not self.is_stopped():
                self.world.net.announce(self.writer.fence, self)
            await asyncio.sleep(0.3)

    async def _publish(self) -> None:
        """What gateways may refuse by themselves: after each change, and all once a second."""
        all_at = -1.0
        while self.alive:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.writer.states_changed.wait()
            now = self.world.time()
            states = self.writer.take_states(everything=now - all_at >= 1)
            all_at = now if now - all_at >= 1 else all_at
            if states is not None and states.sales:
                body = msgspec.json.encode(states)
                for gateway in self.world.gateways.values():
                    self._send_states(gateway, body, int(now * 1000))

    def _send_states(self, gateway: "Gateway", body: bytes, at_ms: int) -> None:
        self.world.net.send("states", self, lambda: gateway.hear_states(body, at_ms))

    def _tell(self, news: News) -> None:
        for sale in news.sales:
            row = self.world.database.tables.sales.get(sale.id)
            if row is None or sale.version % 2**32 > row.counter:
                self.world.ahead.append(f"{self.name} told of {sale} before its commit")
        for gateway in self.world.gateways.values():
            self.world.net.send("news", self, lambda to=gateway: to.hear(news))  # type: ignore[misc]


class SimulatedLedger(MemoryLedger):
    """A ledger that knows which process it belongs to."""

    def __init__(self, world: World, pause: Pause, process: Process | None) -> None:
        super().__init__(world.database, pause)
        self.world = world

    def begin(self, database: MemoryDatabase, pause: Pause) -> MemoryTransaction:
        return SimulatedTransaction(database, pause, self.world)

    @asynccontextmanager
    async def _transaction(self, fence: int, now: int) -> AsyncIterator[Transaction]:
        try:
            async with super()._transaction(fence, now) as transaction:
                yield transaction
        except LeaseLost:
            self.world.note("guard fence")
            raise
        except MemoryWrong as wrong:
            self.world.note(f"guard {str(wrong).partition('_')[0]}")
            raise


class SimulatedTransaction(MemoryTransaction):
    """A transaction whose commit may happen when its client has gone."""

    def __init__(self, database: MemoryDatabase, pause: Pause, world: World) -> None:
        super().__init__(database, pause)
        self._world = world
        self._late: asyncio.Task[None] | None = None

    async def insert_orders(self, rows: list[OrderRow]) -> set[str]:
        inserted = await super().insert_orders(rows)
        if len(inserted) < len(rows):
            self._world.note("guard unique key")
        return inserted

    async def commit(self) -> None:
        if self._world.happens("commit detached", self._world.odds.detach):
            self._late = asyncio.create_task(self._commit_later())
            raise Broken("the connection was lost", outcome_unknown=True)
        await super().commit()

    def end(self) -> None:
        if self._late is None:
            super().end()

    async def _commit_later(self) -> None:
        """What the database does with a COMMIT that it received, or did not."""
        await asyncio.sleep(self._world.random.uniform(0, 3))
        if self._world.random.random() < 0.5:
            self._world.note("late commit")
            self.database.commit(self.draft)
        self._late = None
        self.end()


class Net:
    """Messages between processes: each late, some lost, some twice."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.fence = 0
        self.holder: Process | None = None
        self.to_anyone = False  # planted: questions reach everybody who believes to be the holder
        self._epoch = 0

    def announce(self, fence: int, holder: Process) -> None:
        if fence >= self.fence:
            self.fence, self.holder = fence, holder

    def aim(self) -> tuple[int, Process] | None:
        """The queue and who takes from it."""
        if self.to_anyone:
            serving = [one for one in self.world.writers.values() if one.is_serving]
            holder = self.world.random.choice(serving) if serving else None
            return None if holder is None else (holder.writer.fence or 0, holder)
        return None if self.holder is None else (self.fence, self.holder)

    def flush(self) -> None:
        """Everything in it is gone."""
        self._epoch += 1
        self.fence, self.holder = 0, None

    def send(self, what: str, sender: Process | None, deliver: Callable[[], None]) -> None:
        """Deliver later: once the sender runs, unless it was killed before."""
        world = self.world
        if world.happens(f"{what} lost", world.odds.loss):
            return
        for _copy in range(1 + world.happens(f"{what} twice", world.odds.twice)):
            delay = world.random.expovariate(1 / 0.002)
            if not world.calm and world.random.random() < 0.02:
                delay += world.random.uniform(0, 4)
            loop = asyncio.get_running_loop()
            loop.call_later(delay, self._arrive, self._epoch, sender, deliver)

    def _arrive(self, epoch: int, sender: Process | None, deliver: Callable[[], None]) -> None:
        if epoch != self._epoch:
            return
        if sender is not None and sender.is_stopped():
            loop = asyncio.get_running_loop()
            loop.call_later(0.1, self._arrive, epoch, sender, deliver)
        elif sender is None or sender.alive:
            deliver()


class Gateway:
    """A door in another process than the writer's, with the production waiter."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.sales: dict[str, FlashSale] = {}  # newest news of each
        self.known = KnownStates()
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[AnyRequest, Callable[[Answered], None]]] = {}
        self._answers = MemoryLedger(world.database, self._look)
        self._lives: dict[asyncio.Future[bytes], None] = {}  # in order, as a set is not

    async def ask(self, request: AnyRequest) -> bytes:
        """
        The answer. Raises a `Refusal`, or `ConnectionError` when this gateway was killed.
        """
        if isinstance(request, Reserve):
            refusal = self.known.refusal(request, int(self.world.time() * 1000))
            if refusal is not None:
                self.world.seen["refused by a gateway"] += 1
                raise refusal
        work = asyncio.ensure_future(
            wait_for_answer(request, self._submit, self._answers, lambda _request: False)
        )
        self._lives[work] = None
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if work.cancelled():
                raise ConnectionError(self.name) from None
            raise
        finally:
            self._lives.pop(work, None)

    def waiting(self) -> list[AnyRequest]:
        """The requests that are not answered yet."""
        return [request for request, _done in self._waiting.values()]

    def restart(self) -> None:
        """Killed and started again: whoever waited lost the connection."""
        self._waiting.clear()
        self.known = KnownStates()
        for work in list(self._lives):
            work.cancel()

    def hear(self, news: News) -> None:
        for sale in news.sales:
            known = self.sales.get(sale.id)
            if known is None or known.version < sale.version:
                self.sales[sale.id] = sale

    def hear_states(self, body: bytes, at_ms: int) -> None:
        """A message of a holder; what is missing is read from the database."""
        states = msgspec.json.decode(body, type=States)
        now_ms = int(self.world.time() * 1000)
        for sale in self.known.hear(states, at_ms, now_ms):
            if sale not in self._loading:
                self._loading[sale] = asyncio.create_task(self._load(sale))

    async def _load(self, sale: str) -> None:
        known, token, number = self.known, self.known.loading(sale), self.known.number(sale)
        try:
            await self._look("buyers")
            orders = self.world.database.tables.orders.values()
            buyers = {order.buyer for order in orders if order.flash_sale_id == sale}
            await asyncio.sleep(self.world.wait_seconds())
            known.loaded(sale, token, buyers, number)
        except Broken:
            return
        finally:
            self._loading.pop(sale, None)

    async def _look(self, _place: str) -> None:
        await asyncio.sleep(self.world.wait_seconds())
        if self.world.happens("look failed", self.world.odds.broken):
            raise Broken("look")

    def _submit(self, request: AnyRequest, done: Callable[[Answered], None]) -> None:
        number = next(self._numbers)
        self._waiting[number] = (request, done)
        self._push(number, request, self.world.time())

    def _push(self, number: int, request: AnyRequest, since: float) -> None:
        """Into the queue of the announced fence; again and again while there is none."""
        net, loop = self.world.net, asyncio.get_running_loop()
        if number not in self._waiting or self.world.time() - since > MAX_AGE_MS / 1000:
            self._waiting.pop(number, None)
        elif (aim := net.aim()) is None:
            loop.call_later(0.25, self._push, number, request, since)
        else:
            fence, holder = aim
            pushed = self.world.time()
            net.send("question", None, lambda: self._take(number, request, fence, holder, pushed))

    def _take(
        self, number: int, request: AnyRequest, fence: int, holder: Process, pushed: float
    ) -> None:
        """The holder of that fence takes it from its queue; nobody else does."""
        if not holder.alive or holder.writer.fence != fence:
            return
        if holder.is_stopped():
            loop = asyncio.get_running_loop()
            loop.call_later(0.1, self._take, number, request, fence, holder, pushed)
        elif self.world.time() - pushed <= MAX_AGE_MS / 1000:
            holder.writer.submit(request, lambda result: self._reply(number, result, holder))

    def _reply(self, number: int, result: Answered, holder: Process) -> None:
        if holder.alive:
            self.world.net.send("answer", holder, lambda: self._finish(number, result))

    def _finish(self, number: int, result: Answered) -> None:
        waiter = self._waiting.pop(number, None)
        if waiter is not None:
            waiter[1](result)
