"""
Asking providers how payments ended, outside the writer: its orders wait, nobody else does.

Orders whose deadline passed while a payment was open are `payment_unknown`. Each open payment is
closed at its provider; what the provider says goes to the writer as a request. A provider that does
not answer is asked again, ever more rarely, and its order keeps its units meanwhile.

An order that was cancelled ends at once, and one that was paid waits for nothing more. A payment
that was started before may still take the buyer's money, so it is closed and asked for in the same
way, beside those that units wait for: the money that came makes a new order or goes back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from orders.errors import Refusal
from orders.ledger import Failure
from orders.payments import FIRST, NoAnswer, OpenPayment, Place, Provider, Said
from orders.requests import Door, Verdict

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0  # between two looks for orders that wait: well below the 5 s they may take
ASK_SECONDS = 10.0  # for one answer of a provider
ASKED_AT_ONCE = 16  # of payments that units wait for; providers limit their callers
ASKED_BESIDE = 8  # of those that only money waits for
LOOK_LIMIT = 500  # payments a look, like the orders that one batch ends
PAUSE_MS = 1_000  # after a provider gave no answer; doubles with each …
PAUSE_MAX_MS = 60_000  # … up to this
MAX_PAUSED = 10_000  # payments that are remembered to be asked later; beyond, at once again


class Waiting(Protocol):
    """Where payments that nobody knows the end of are found: at most `limit` behind `after`."""

    async def unknown(self, after: Place, limit: int) -> list[OpenPayment]:
        """Those of orders in `payment_unknown`, by their place."""

    async def left_open(self, after: Place, limit: int) -> list[OpenPayment]:
        """Open ones of orders that ended, or were paid by another payment, by their place."""


Look = Callable[[Place, int], Awaitable[list[OpenPayment]]]


class Payments:
    """Who closes payments at their providers and passes on how they ended."""

    def __init__(
        self,
        waiting: Waiting,
        door: Door,
        providers: Mapping[str, Provider],
        monotonic_ms: Callable[[], int],
        *,
        is_holder: Callable[[], bool] = lambda: True,
    ) -> None:
        self._waiting = waiting
        self._door = door
        self._providers = providers
        self._monotonic_ms = monotonic_ms
        self._is_holder = is_holder  # whether `door` decides: a standby asks nobody
        self._paused: dict[tuple[str, str], tuple[int, int]] = {}  # until when, for how long

    async def run(self) -> None:
        """Look and ask until cancelled; those that units wait for wait for no others."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(self._settle_unknown))
            group.create_task(self._follow(self._settle_left_open))

    async def _follow(self, settle: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                if self._is_holder():
                    await settle()
            except (Failure, Refusal) as failure:
                log.warning("payments: not looked: %s", failure)
            await asyncio.sleep(POLL_SECONDS)

    async def round(self) -> None:
        """Ask once for every payment whose pause is over."""
        await self._settle_unknown()
        await self._settle_left_open()

    async def _settle_unknown(self) -> None:
        await self._settle(self._waiting.unknown, ASKED_AT_ONCE)

    async def _settle_left_open(self) -> None:
        await self._settle(self._waiting.left_open, ASKED_BESIDE)

    async def _settle(self, look: Look, at_once: int) -> None:
        """Look through all, a part at a time, and ask for those whose pause is over."""
        after = FIRST
        while True:
            found = await look(after, LOOK_LIMIT)
            now = self._monotonic_ms()
            due = [p for p in found if self._paused.get((p.provider, p.id), (0, 0))[0] <= now]
            for start in range(0, len(due), at_once):
                part = due[start : start + at_once]
                await asyncio.gather(*(self._resolve(payment) for payment in part))
            if len(found) < LOOK_LIMIT:
                return
            after = found[-1].place

    async def _resolve(self, payment: OpenPayment) -> None:
        """Ask for one payment and pass the answer on; trouble with it is trouble with it alone."""
        place = (payment.provider, payment.id)
        try:
            said = await self._ask(payment)
            await self._door.ask(
                Verdict(
                    order=payment.order,
                    provider=payment.provider,
                    payment=payment.id,
                    paid=said.paid,
                    amount_cents=said.amount_cents,
                    currency=said.currency,
                )
            )
            self._paused.pop(place, None)
        except NoAnswer as silence:
            self._pause(place, str(silence))
        except Refusal as refusal:  # the writer's trouble, which is over at some moment for all
            self._paused.pop(place, None)
            log.warning("payments: %s of %s: answer not taken: %s", place[1], place[0], refusal)
        except Exception:  # a provider's adapter may fail in ways of its own
            log.exception("payments: %s failed", payment.provider)
            self._pause(place, "failed")

    async def _ask(self, payment: OpenPayment) -> Said:
        provider = self._providers.get(payment.provider)
        if provider is None:
            raise NoAnswer(f"there is no provider {payment.provider} here")
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await provider.close(payment)
        except TimeoutError:
            raise NoAnswer(f"no answer in {ASK_SECONDS:.0f} s") from None

    def _pause(self, place: tuple[str, str], why: str) -> None:
        if len(self._paused) >= MAX_PAUSED:
            self._paused.clear()
        _until, last = self._paused.get(place, (0, 0))
        pause = min(max(last * 2, PAUSE_MS), PAUSE_MAX_MS)
        self._paused[place] = (self._monotonic_ms() + pause, pause)
        log.warning("payments: %s of %s: %s; again in %d ms", place[1], place[0], why, pause)
