"""
Merging: all requests of a batch become one transaction, all or nothing.

It decides in memory what memory holds, writes under the fence of the lease, changes the memory
after the commit and answers after that. A batch that cannot be stored is halved until the one
request to blame is found; a guard that finds memory wrong has it loaded again.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

import msgspec

from orders import outcome
from orders.decide import Result, decide, what_is_missing
from orders.desk import Desk
from orders.errors import Invalid, LimitExceeded, OutcomeUnknown, Refusal, SoldOut
from orders.lease import LEASE_MS, SaleClock
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
from orders.requests import AnyRequest, Placing, Reserve, is_repeatable
from orders.rows import OrderRow
from orders.sale import check_repeat
from orders.states import Outgoing
from orders.waiting_service import LOOK_FIRST, Ask, WaitingLine, undecided

log = logging.getLogger(__name__)

BUSY_SECONDS = 0.02  # before a batch that met a lock is tried again
TAKEN_OVER = "another process has taken over"
MAX_WRONG = 3  # times that memory may be wrong about one batch before the batch is halved


class Counts(msgspec.Struct):
    """What the writer counts, for metrics."""

    batches: int = 0
    requests: int = 0
    orders: int = 0
    refusals: int = 0
    stock_memory_wrong_total: int = 0
    takeovers: int = 0


class Merger:
    """
    What a holder decides with while its lease lasts, and the batches that it commits.

    `memory` and `clock` are set by the writer when it takes over; `memory` is None without a lease.
    """

    def __init__(
        self,
        ledger: Ledger,
        line: WaitingLine,
        *,
        holder: str,
        monotonic_ms: Callable[[], int],
        new_id: Callable[[str], str],
        on_news: Callable[[News], None],
    ) -> None:
        self._ledger = ledger
        self._line = line
        self._holder = holder
        self._monotonic_ms = monotonic_ms
        self._new_id = new_id
        self._on_news = on_news
        self.memory: Memory | None = None
        self.clock: SaleClock | None = None
        self.renewed_ms = 0  # our clock before the last renewal that succeeded
        self.states = Outgoing()
        self.states_changed = asyncio.Event()
        self.counts = Counts()

    def now(self) -> int:
        """The sale clock."""
        assert self.clock is not None
        return self.clock.now(self._monotonic_ms())

    async def reload(self, why: str) -> None:
        """Memory was not what is stored: count it, say so, load it again."""
        assert self.memory is not None
        self.counts.stock_memory_wrong_total += 1
        log.error("writer %s: memory was wrong, loading it again: %s", self._holder, why)
        self.memory = Memory(self.memory.fence, await self._ledger.load())

    async def settle(self, asks: list[Ask]) -> None:
        """Answer a batch, whatever it takes. Raises only what ends the holder's term."""
        parts = [asks]
        while parts:
            part = parts.pop()
            try:
                failure, part = await self._try(part)
            except LeaseLost:
                for left in (part, *parts):
                    for ask in left:
                        self._line.answer(ask, undecided(TAKEN_OVER, ask.request))
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
            except (Busy, MemoryWrong, BadData) as nothing_stored:
                failure = nothing_stored
            self._line.unclaim(asks)
            if isinstance(failure, Busy):
                log.info("writer %s: busy: %s", self._holder, failure)
                await asyncio.sleep(BUSY_SECONDS)
                continue
            if isinstance(failure, MemoryWrong):
                wrong += 1
                await self.reload(str(failure))
            if isinstance(failure, BadData) or wrong >= MAX_WRONG:
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
            if outcome_unknown and ask.storing and not is_repeatable(ask.request):
                self._line.answer(ask, OutcomeUnknown(LOOK_FIRST))
            else:
                kept.append(ask)
        self._line.put_back(kept)

    async def _attempt(self, asks: list[Ask]) -> list[Ask]:
        """
        Decide and commit a batch; the asks that must be decided again. All or nothing.

        Where one of them can be withdrawn it is decided inside the transaction, whatever memory
        holds: until the database has let us in, nothing is being stored.
        """
        assert self.memory is not None
        memory, now, asked_ms = self.memory, self.now(), self._monotonic_ms()
        batch = [ask.request for ask in asks]
        wanted = what_is_missing(memory, batch, now)
        desk = Desk(memory, Facts(), now, self._new_id)
        inside = bool(wanted) or self._line.has_once(asks)
        results = [] if inside else self._decide(desk, batch, wanted)
        if inside or desk.is_dirty:
            async with self._ledger.transaction(memory.fence, now) as transaction:
                if inside:
                    facts = await transaction.read(wanted)
                    asks = self._line.claim(asks)
                    batch = [ask.request for ask in asks]
                    desk = Desk(memory, facts, now, self._new_id)
                    results = self._decide(desk, batch, wanted)
                again = await self._store(transaction, desk, batch, results)
            self.renewed_ms = asked_ms
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
        assert self.memory is not None
        asked_ms = self._monotonic_ms()
        if asked_ms - self.renewed_ms >= LEASE_MS:
            await self._ledger.renew_lease(self.memory.fence, self.now())
            self.renewed_ms = asked_ms

    def _remember(self, desk: Desk, wanted: Wanted) -> None:
        """After the commit: memory, then the news."""
        memory = desk.memory
        if wanted.due_at is not None:
            facts = desk.facts
            memory.next_due_at = wanted.due_at if facts.due_more else facts.next_due_at
        if wanted.void_sale is not None:
            _remember_void(memory, wanted.void_sale, desk.facts)
        if not desk.is_dirty:
            return
        before = memory.last_n
        outcome.commit_to_memory(desk)
        new_buyers = memory.new_buyers(desk.keys)
        for name, draft in desk.sales.items():
            self.states.changed(name, new_buyers.get(name, []))
            if draft.changed and not draft.row.is_open and not draft.taken:
                self.states.closed(draft.row)
        if desk.sales:
            self.states_changed.set()
        self.counts.batches += 1
        self.counts.orders += len(desk.new_orders)
        news = News(
            sales=outcome.changed_sales(desk),
            products=sorted(desk.products_changed),
            last_edge=memory.last_n,
            after=before,
            events=partial(outcome.events, desk),
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


def _remember_void(memory: Memory, sale: str, facts: Facts) -> None:
    """How far the voiding has come; the next batch does not read what this one ended."""
    if facts.void_more:
        memory.void_after = facts.void[-1]
    else:
        memory.voids.remove(sale)
        memory.void_after = ""


async def _write(transaction: Transaction, desk: Desk) -> None:
    outcome.note_stock(desk)
    await transaction.write(outcome.effects(desk))
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
