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

from orders.batch_service import TAKEN_OVER, Merger
from orders.decide import check_request
from orders.errors import Forbidden, Refusal
from orders.lease import BEAT_MS, LEASE_MS, SaleClock, Watch
from orders.ledger import Failure, LeaseLost, Ledger
from orders.memory import Memory
from orders.news import News
from orders.requests import AnyRequest, Pay, Reserve
from orders.rows import SaleRow
from orders.states import States, refused
from orders.waiting_service import (
    Answered,
    Done,
    Patience,
    WaitingLine,
    undecided,
    wait_for_answer,
)

log = logging.getLogger(__name__)

CANDIDATE_SECONDS = 0.25  # between two looks at a lease that somebody holds
RETRY_SECONDS = 0.5  # before a database that failed is tried again
STOPPING = "the server is stopping"
STOP_SECONDS = 5.0  # for the last batch at a clean end, half of what the process has


class Writer:
    """
    The door to stock, sales and orders in its own process (`orders.requests.Door`).

    `wall_ms` is only where the sale clock starts; everything else is measured with `monotonic_ms`.
    `on_news` is called after each commit, in the loop, and must not wait or raise.
    """

    merging: type[Merger] = Merger

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
        self._demo_payments = demo_payments
        self._dead_holder = dead_holder
        self._line = WaitingLine(monotonic_ms)
        self._patience = Patience(self.submit, ledger, self._line.withdraw)
        self._merger = self.merging(
            ledger, self._line, holder=holder, monotonic_ms=monotonic_ms, new_id=new_id,
            on_news=on_news,
        )  # fmt: skip
        self._fence: int | None = None
        self._checked_ms = 0
        self._stopping = False
        self.states_changed = self._merger.states_changed
        self.counts = self._merger.counts

    # ── the door ────────────────────────────────────────────────────────────────────────────

    async def ask(self, request: AnyRequest) -> bytes:
        """See `orders.requests.Door`."""
        return await wait_for_answer(request, self.submit, self._ledger, self._line.withdraw)

    def place(self, request: AnyRequest, done: Done) -> None:
        """See `orders.requests.Door`."""
        self._patience.place(request, done)

    def submit(self, request: AnyRequest, done: Callable[[Answered], None]) -> None:
        """Line up a request; `done` is called with its answer or refusal, perhaps at once."""
        if self._stopping:
            done(undecided(STOPPING, request))
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
        if not isinstance(request, Reserve) or self._merger.memory is None:
            return None
        memory, mono = self._merger.memory, self._monotonic_ms()
        sale = memory.sales.get(request.flash_sale)
        if (
            sale is None
            or request.buyer in sale.buyers
            or request.buyer in sale.units_of
            or (request.buyer, request.key) in memory.keys  # of another sale: a conflict
            or mono - self._merger.renewed_ms >= LEASE_MS
            or self._line.is_waiting(request.buyer)
        ):
            return None
        now = self._merger.now()
        if memory.is_due(sale, now):
            return None
        return refused(sale.row, request, now, now)

    def take_states(self, *, everything: bool) -> States | None:
        """
        What gateways are to know of the running sales: those that changed, or all. None while this
        writer is not certainly the holder.
        """
        self.states_changed.clear()
        certain = self._monotonic_ms() - self._merger.renewed_ms < LEASE_MS
        if self._merger.memory is None or not certain:
            return None
        now = self._merger.now()
        return self._merger.states.take(self._merger.memory, now, everything=everything)

    @property
    def fence(self) -> int | None:
        """The number of our lease while we hold it."""
        return None if self._merger.memory is None else self._merger.memory.fence

    def open_sales(self) -> list[SaleRow]:
        """The open sales as they are committed; none while this writer is not the holder."""
        memory = self._merger.memory
        return [] if memory is None else [sale.row for sale in memory.sales.values()]

    @property
    def renewed_ms(self) -> int:
        """Our clock just before the last successful renewal of the lease; 0 before the first."""
        return self._merger.renewed_ms

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answer."""
        return self._line.unanswered

    @property
    def is_serving(self) -> bool:
        """Whether this writer holds the lease and has loaded its memory."""
        return self._merger.memory is not None

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
            self._merger.memory = None
            self._line.refuse_all(STOPPING)

    async def _work(self) -> None:
        while not self._stopping:
            try:
                await self._take_over()
                await self._serve()
            except LeaseLost:
                log.warning("writer %s: another holder has the lease", self._holder)
                self._fence = None
                self._line.refuse_all(TAKEN_OVER)
            except Failure as failure:
                log.warning("writer %s: %s: %s", self._holder, type(failure).__name__, failure)
                await asyncio.sleep(RETRY_SECONDS)
                self._line.drop_old()
            finally:
                self._merger.memory = None if not self._stopping else self._merger.memory
        await self._release()

    async def _take_over(self) -> None:
        """Become the holder: at once, or when the lease has not been beaten for 5 s."""
        watch = Watch(self._dead_holder)
        while not self._stopping:
            self._line.drop_old()
            lease = await self._ledger.read_lease()
            ours = lease is not None and (lease.holder, lease.fence) == (self._holder, self._fence)
            asked_ms, wall_ms = self._monotonic_ms(), self._wall_ms()  # of one moment
            if ours or watch.may_take(lease, asked_ms):
                taken = await self._ledger.take_lease(self._holder, lease, wall_ms)
                if taken is not None:
                    self._fence = taken.fence
                    self._merger.clock = SaleClock(wall_ms, taken.now, asked_ms)
                    self._merger.renewed_ms = asked_ms
                    self._merger.memory = Memory(taken.fence, await self._ledger.load())
                    self.counts.takeovers += 1
                    log.info("writer %s: holds the lease, fence %d", self._holder, taken.fence)
                    return
            await asyncio.sleep(CANDIDATE_SECONDS)

    async def _release(self) -> None:
        if self._merger.memory is None:
            return
        try:
            await self._ledger.release_lease(self._merger.memory.fence, self._merger.now())
        except Failure as failure:
            log.warning("writer %s: lease not given back: %s", self._holder, failure)

    async def _serve(self) -> None:
        while self._merger.memory is not None and not self._stopping:
            await self._wait_for_work()
            await self._beat()
            await self._merger.settle(self._line.take())
        while self._merger.memory is not None and len(self._line):
            await self._merger.settle(self._line.take())

    async def _wait_for_work(self) -> None:
        """Until a request, a timer or the next beat is due. Other tasks always get a turn."""
        assert self._merger.memory is not None
        memory, now = self._merger.memory, self._merger.now()
        due = [at for at in (memory.next_due_at, memory.next_tick_at()) if at is not None]
        wait_ms = min(
            self._merger.renewed_ms + BEAT_MS - self._monotonic_ms(),
            self._checked_ms + BEAT_MS - self._monotonic_ms(),
            0 if memory.is_behind else BEAT_MS,
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
        assert self._merger.memory is not None
        asked_ms = self._monotonic_ms()
        if asked_ms - self._merger.renewed_ms >= BEAT_MS:
            await self._ledger.renew_lease(self._merger.memory.fence, self._merger.now())
            self._merger.renewed_ms = asked_ms
        if asked_ms - self._checked_ms >= BEAT_MS:
            stored = await self._ledger.counters()
            self._checked_ms = asked_ms
            sales = self._merger.memory.sales.values()
            if stored != {sale.row.id: sale.row.counter for sale in sales}:
                await self._merger.reload("a sale was changed by somebody else")
