"""
The single writer: all requests that wait become one transaction, and the next batch is what
gathered meanwhile. No timer, no lock, one truth.

It decides in memory what memory holds, writes under the fence of its lease, changes its memory
after the commit and answers after that. Whatever goes wrong with a batch, either nothing of it
happened, or nobody knows: then the lease is taken anew, which waits for the old transaction, and
the memory is loaded again.
"""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from orders.decide import Result, check_request, decide, what_is_missing
from orders.desk import Desk
from orders.errors import Forbidden, Invalid, LimitExceeded, Refusal, SoldOut, Unavailable
from orders.lease import BEAT_MS, LEASE_MS, SaleClock, Watch
from orders.ledger import (
    BadData,
    Broken,
    Busy,
    Facts,
    Failure,
    LeaseLost,
    Ledger,
    MemoryWrong,
    OrderKey,
    Transaction,
    Wanted,
)
from orders.memory import Memory
from orders.news import News
from orders.requests import REPEATABLE, AnyRequest, Pay, Placing, Reserve
from orders.rows import OrderRow
from orders.sale import check_repeat
from orders.states import Outgoing, States, refused
from orders.waiting_service import Answered, Ask, WaitingLine, wait_for_answer

log = logging.getLogger(__name__)

CANDIDATE_SECONDS = 0.25  # between two looks at a lease that somebody holds
BUSY_SECONDS = 0.02  # before a batch that met a lock is tried again
RETRY_SECONDS = 0.5  # before a database that failed is tried again
STOP_SECONDS = 5.0  # for the last batch at a clean end, half of what the process has
MAX_WRONG = 3  # times that memory may be wrong about one batch before the batch is halved


class Counts(msgspec.Struct):
    """What the writer counts, for metrics."""

    batches: int = 0
    requests: int = 0
    orders: int = 0
    refusals: int = 0
    stock_memory_wrong_total: int = 0
    takeovers: int = 0


class Writer:
    """
    The door to stock, sales and orders in its own process (`orders.requests.Door`).

    `wall_ms` is only where the sale clock starts; everything else is measured with `monotonic_ms`.
    `on_news` is called after each commit, in the loop, and must not wait or raise.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        holder: str,
        wall_ms: Callable[[], int],
        monotonic_ms: Callable[[], int],
        new_id: Callable[[str], str],
        on_news: Callable[[News], None],
        demo_payments: bool,
        dead_holder: str | None = None,
    ) -> None:
        self._ledger = ledger
        self._holder = holder
        self._wall_ms = wall_ms
        self._monotonic_ms = monotonic_ms
        self._new_id = new_id
        self._on_news = on_news
        self._demo_payments = demo_payments
        self._dead_holder = dead_holder
        self._line = WaitingLine(monotonic_ms)
        self._memory: Memory | None = None
        self._clock: SaleClock | None = None
        self._fence: int | None = None
        self._renewed_ms = 0  # our clock before the last renewal that succeeded
        self._checked_ms = 0
        self._stopping = False
        self._states = Outgoing()
        self.states_changed = asyncio.Event()
        self.counts = Counts()

    # ── the door ────────────────────────────────────────────────────────────────────────────

    async def ask(self, request: AnyRequest) -> bytes:
        """See `orders.requests.Door`."""
        return await wait_for_answer(request, self.submit, self._ledger)

    def submit(self, request: AnyRequest, done: Callable[[Answered], None]) -> None:
        """Line up a request; `done` is called with its answer or refusal, perhaps at once."""
        if self._stopping:
            done(Unavailable("the server is stopping: repeat with the same key"))
        elif isinstance(request, Pay) and request.provider == "demo" and not self._demo_payments:
            done(Forbidden("demo payments exist only in the demo"))
        else:
            try:
                check_request(request)
            except Refusal as refusal:
                done(refusal)
            else:
                known = self._refuse_at_once(request)
                if known is None:
                    self._line.add(request, done)
                else:
                    self.counts.refusals += 1
                    done(known)

    def _refuse_at_once(self, request: AnyRequest) -> Refusal | None:
        """
        What memory refuses to a buyer without an order need not wait for a batch, while the lease
        is certainly ours and no timer is about to change the sale.
        """
        if not isinstance(request, Reserve) or self._memory is None:
            return None
        memory, mono = self._memory, self._monotonic_ms()
        sale = memory.sales.get(request.flash_sale)
        if (
            sale is None
            or request.buyer in sale.buyers
            or request.buyer in sale.units_of
            or mono - self._renewed_ms >= LEASE_MS
            or self._line.is_waiting(request.buyer)
        ):
            return None
        now = self._now()
        if memory.is_due(sale, now):
            return None
        return refused(sale.row, request, now, now)

    def take_states(self, *, everything: bool) -> States | None:
        """
        What gateways are to know of the running sales: those that changed, or all. None while this
        writer is not certainly the holder.
        """
        self.states_changed.clear()
        certain = self._monotonic_ms() - self._renewed_ms < LEASE_MS
        if self._memory is None or not certain:
            return None
        return self._states.take(self._memory, self._now(), everything=everything)

    @property
    def fence(self) -> int | None:
        """The number of our lease while we hold it."""
        return None if self._memory is None else self._memory.fence

    @property
    def renewed_ms(self) -> int:
        """Our clock just before the last successful renewal of the lease; 0 before the first."""
        return self._renewed_ms

    @property
    def is_serving(self) -> bool:
        """Whether this writer holds the lease and has loaded its memory."""
        return self._memory is not None

    # ── the life of a writer ────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Take the lease, serve until cancelled, commit what waits, give the lease back."""
        work = asyncio.create_task(self._work(), name="writer")
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self._stopping = True
            self._line.filled.set()
            _done, late = await asyncio.wait({work}, timeout=STOP_SECONDS)
            if late:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
            raise
        finally:
            self._memory = None
            self._line.refuse_all("the server is stopping: repeat with the same key")

    async def _work(self) -> None:
        while not self._stopping:
            try:
                await self._take_over()
                await self._serve()
            except LeaseLost:
                log.warning("writer %s: another holder has the lease", self._holder)
                self._fence = None
                self._line.refuse_all("another process has taken over: repeat with the same key")
            except Failure as failure:
                log.warning("writer %s: %s: %s", self._holder, type(failure).__name__, failure)
                await asyncio.sleep(RETRY_SECONDS)
                self._line.drop_old()
            finally:
                self._memory = None if not self._stopping else self._memory
        await self._release()

    async def _take_over(self) -> None:
        """Become the holder: at once, or when the lease has not been beaten for 5 s."""
        watch = Watch(self._dead_holder)
        while not self._stopping:
            self._line.drop_old()
            lease = await self._ledger.read_lease()
            ours = lease is not None and (lease.holder, lease.fence) == (self._holder, self._fence)
            asked_ms = self._monotonic_ms()
            if ours or watch.may_take(lease, asked_ms):
                taken = await self._ledger.take_lease(self._holder, lease, self._wall_ms())
                if taken is not None:
                    self._fence = taken.fence
                    self._clock = SaleClock(self._wall_ms(), taken.now, asked_ms)
                    self._renewed_ms = asked_ms
                    self._memory = Memory(taken.fence, await self._ledger.load())
                    self.counts.takeovers += 1
                    log.info("writer %s: holds the lease, fence %d", self._holder, taken.fence)
                    return
            await asyncio.sleep(CANDIDATE_SECONDS)

    async def _release(self) -> None:
        if self._memory is None:
            return
        try:
            await self._ledger.release_lease(self._memory.fence, self._now())
        except Failure as failure:
            log.warning("writer %s: lease not given back: %s", self._holder, failure)

    async def _serve(self) -> None:
        while self._memory is not None and not self._stopping:
            await self._wait_for_work()
            await self._beat()
            await self._settle(self._line.take())
        while self._memory is not None and len(self._line):
            await self._settle(self._line.take())

    def _now(self) -> int:
        """The sale clock."""
        assert self._clock is not None
        return self._clock.now(self._monotonic_ms())

    async def _wait_for_work(self) -> None:
        """Until a request, a timer or the next beat is due. Other tasks always get a turn."""
        assert self._memory is not None
        memory, now = self._memory, self._now()
        due = [at for at in (memory.next_due_at, memory.next_tick_at()) if at is not None]
        wait_ms = min(
            self._renewed_ms + BEAT_MS - self._monotonic_ms(),
            self._checked_ms + BEAT_MS - self._monotonic_ms(),
            0 if memory.voids else BEAT_MS,
            *(at - now for at in due),
        )
        if len(self._line) or wait_ms <= 0:
            await asyncio.sleep(0)
        else:
            await self._pause(wait_ms / 1000)

    async def _pause(self, seconds: float) -> None:
        """Sleep until something lines up or the writer stops."""
        try:
            async with asyncio.timeout(seconds):
                await self._line.filled.wait()
        except TimeoutError:
            return

    async def _beat(self) -> None:
        """Once a second: renew the lease, and look for rows that somebody else wrote."""
        assert self._memory is not None
        asked_ms = self._monotonic_ms()
        if asked_ms - self._renewed_ms >= BEAT_MS:
            await self._ledger.renew_lease(self._memory.fence, self._now())
            self._renewed_ms = asked_ms
        if asked_ms - self._checked_ms >= BEAT_MS:
            stored = await self._ledger.counters()
            self._checked_ms = asked_ms
            if stored != {sale.row.id: sale.row.counter for sale in self._memory.sales.values()}:
                await self._reload("a sale was changed by somebody else")

    async def _reload(self, why: str) -> None:
        assert self._memory is not None
        self.counts.stock_memory_wrong_total += 1
        log.error("writer %s: memory was wrong, loading it again: %s", self._holder, why)
        self._memory = Memory(self._memory.fence, await self._ledger.load())

    # ── a batch ─────────────────────────────────────────────────────────────────────────────

    async def _settle(self, asks: list[Ask]) -> None:
        """Answer a batch, whatever it takes. Raises only what ends the holder's term."""
        parts = [asks]
        while parts:
            part = parts.pop()
            try:
                failure, part = await self._try(part)
            except LeaseLost:
                for left in (part, *parts):
                    self._answer_all(left, "another process has taken over: repeat with the key")
                raise
            except Failure as broken:
                self._keep([ask for left in (*parts, part) for ask in left], broken)
                raise
            if failure is not None:
                parts.extend(self._halve(part, failure))

    async def _try(self, asks: list[Ask]) -> tuple[Failure | None, list[Ask]]:
        """Commit this part of a batch; a failure and its asks when one of them is to blame."""
        wrong = 0
        while True:
            try:
                self._line.put_back(await self._attempt(asks))
                return None, []
            except Busy as failure:
                log.info("writer %s: busy: %s", self._holder, failure)
                await asyncio.sleep(BUSY_SECONDS)
            except MemoryWrong as failure:
                wrong += 1
                await self._reload(str(failure))
                if wrong >= MAX_WRONG:
                    return failure, asks
            except BadData as failure:
                return failure, asks

    def _halve(self, asks: list[Ask], failure: Failure) -> list[list[Ask]]:
        """Two parts to try, first one last; the one request that cannot be stored is refused."""
        if not asks:
            raise Broken(f"timers cannot be committed: {failure}")
        if len(asks) == 1:
            log.warning("writer %s: cannot be stored: %s", self._holder, failure)
            self._line.answer(asks[0], Invalid("a value of this request cannot be stored"))
            return []
        middle = len(asks) // 2
        return [asks[middle:], asks[:middle]]

    def _keep(self, asks: list[Ask], failure: Failure) -> None:
        """After a lost connection: decide again what may be decided twice."""
        outcome_unknown = isinstance(failure, Broken) and failure.outcome_unknown
        kept = []
        for ask in asks:
            if outcome_unknown and not isinstance(ask.request, REPEATABLE):
                self._line.answer(ask, Unavailable("not known whether it was done: look first"))
            else:
                kept.append(ask)
        self._line.put_back(kept)

    def _answer_all(self, asks: list[Ask], detail: str) -> None:
        for ask in asks:
            self._line.answer(ask, Unavailable(detail))

    async def _attempt(self, asks: list[Ask]) -> list[Ask]:
        """Decide and commit a batch; the asks that must be decided again. All or nothing."""
        assert self._memory is not None
        memory, now, asked_ms = self._memory, self._now(), self._monotonic_ms()
        batch = [ask.request for ask in asks]
        wanted = what_is_missing(memory, batch, now)
        desk = Desk(memory, Facts(), now, self._new_id)
        results = [] if wanted else self._decide(desk, batch, wanted)
        if wanted or desk.is_dirty:
            async with self._ledger.transaction(memory.fence, now) as transaction:
                if wanted:
                    desk = Desk(memory, await transaction.read(wanted), now, self._new_id)
                    results = self._decide(desk, batch, wanted)
                again = await self._store(transaction, desk, batch, results)
            self._renewed_ms = asked_ms
        else:
            again = set()
            await self._make_sure()
        self._remember(desk, wanted)
        return self._answer(asks, results, again)

    def _decide(self, desk: Desk, batch: list[AnyRequest], wanted: Wanted) -> list[Result]:
        """A request that the rules stumble over must not stop the others."""
        try:
            return decide(desk, batch, wanted.void_sale)
        except Failure:
            raise
        except Exception as error:
            log.exception("writer %s: a request could not be decided", self._holder)
            raise BadData(f"{type(error).__name__}: {error}") from error

    async def _store(
        self, transaction: Transaction, desk: Desk, batch: list[AnyRequest], results: list[Result]
    ) -> set[int]:
        """The same for what cannot be turned into rows: the one request is found by halving."""
        try:
            again = await _insert_orders(transaction, desk, batch, results)
            if desk.is_dirty:
                await _write(transaction, desk)
        except Failure:
            raise
        except (TypeError, ValueError, LookupError, ArithmeticError, AssertionError) as error:
            log.exception("writer %s: a batch could not be stored", self._holder)
            raise BadData(f"{type(error).__name__}: {error}") from error
        return again

    async def _make_sure(self) -> None:
        """What memory alone decided may leave only while the lease is certainly ours."""
        assert self._memory is not None
        asked_ms = self._monotonic_ms()
        if asked_ms - self._renewed_ms >= LEASE_MS:
            await self._ledger.renew_lease(self._memory.fence, self._now())
            self._renewed_ms = asked_ms

    def _remember(self, desk: Desk, wanted: Wanted) -> None:
        """After the commit: memory, then the news."""
        memory = desk.memory
        if wanted.due_at is not None:
            facts = desk.facts
            memory.next_due_at = wanted.due_at if facts.due_more else facts.next_due_at
        if wanted.void_sale is not None and not desk.facts.void_more:
            memory.voids.remove(wanted.void_sale)
        if not desk.is_dirty:
            return
        desk.commit_to_memory()
        new_buyers = memory.new_buyers(desk.keys)
        for sale in desk.sales:
            self._states.changed(sale, new_buyers.get(sale, []))
        if desk.sales:
            self.states_changed.set()
        self.counts.batches += 1
        self.counts.orders += len(desk.new_orders)
        news = News(
            sales=desk.changed_sales(),
            products=sorted(desk.products_changed),
            last_edge=memory.last_n,
        )
        try:
            self._on_news(news)
        except Exception:  # what is committed is committed, whoever fails to hear of it
            log.exception("writer %s: news were not taken", self._holder)

    def _answer(self, asks: list[Ask], results: list[Result], again: set[int]) -> list[Ask]:
        self.counts.requests += len(asks)
        for index, (ask, result) in enumerate(zip(asks, results, strict=True)):
            if index in again:
                continue
            if isinstance(result, Refusal):
                self.counts.refusals += 1
                self._line.answer(ask, result)
            else:
                self._line.answer(ask, result if isinstance(result, bytes) else result())
        return [asks[index] for index in sorted(again)]


async def _write(transaction: Transaction, desk: Desk) -> None:
    desk.note_stock()
    await transaction.write(desk.effects())
    await transaction.commit()


async def _insert_orders(
    transaction: Transaction, desk: Desk, batch: list[AnyRequest], results: list[Result]
) -> set[int]:
    """
    Insert the new orders. One whose key turns out to be known is answered as a repeat, in place.

    Returns:
        The indexes that must be decided again: those refused because of units that such an order
        did not take after all.
    """
    if not desk.new_orders:
        return set()
    inserted = await transaction.insert_orders(list(desk.new_orders.values()))
    if len(inserted) == len(desk.new_orders):
        return set()
    missing = {
        OrderKey(row.buyer, row.space, row.key): row.id
        for row in desk.new_orders.values()
        if row.id not in inserted
    }
    touched = desk.drop_orders(set(missing.values()))
    known = (await transaction.read(Wanted(keys=set(missing)))).by_key
    again = set()
    for index, request in enumerate(batch):
        if not isinstance(request, Placing):
            continue
        key = OrderKey(request.buyer, "client", request.key)
        if key in missing and isinstance(results[index], bytes):
            results[index] = _repeat(known[key], request)
        elif (
            isinstance(request, Reserve)
            and request.flash_sale in touched
            and isinstance(results[index], SoldOut | LimitExceeded)
        ):
            again.add(index)
    return again


def _repeat(order: OrderRow, request: Placing) -> Result:
    try:
        check_repeat(order, request)
    except Refusal as refusal:
        return refusal
    return order.answer.encode()
