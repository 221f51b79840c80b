"""
Asking providers how payments ended, outside the writer: its orders wait, nobody else does.

Orders whose deadline passed while a payment was open are `payment_unknown`. Each open payment is
closed at its provider; what the provider says goes to the writer as a request. A provider that does
not answer is asked again, ever more rarely, and its order keeps its units meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from orders.errors import Refusal
from orders.ledger import Failure
from orders.payments import NoAnswer, OpenPayment, Provider, Said
from orders.requests import Door, Verdict

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0  # between two looks for orders that wait: well below the 5 s they may take
ASK_SECONDS = 10.0  # for one answer of a provider
ASKED_AT_ONCE = 16  # providers limit their callers
LOOK_LIMIT = 500  # payments a round, like the orders that one batch ends
PAUSE_MS = 1_000  # after a provider gave no answer; doubles with each …
PAUSE_MAX_MS = 60_000  # … up to this
MAX_PAUSED = 10_000  # payments that are remembered to be asked later; beyond, at once again


class Waiting(Protocol):
    """Where payments that nobody knows the end of are found."""

    async def open_payments(self, after: str, limit: int) -> list[OpenPayment]:
        """Those of orders in `payment_unknown`, by order id, above `after`."""


class Payments:
    """The follower of `payment_unknown`."""

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
        """Look and ask until cancelled."""
        while True:
            try:
                if self._is_holder():
                    await self.round()
            except (Failure, Refusal) as failure:
                log.warning("payments: not looked: %s", failure)
            await asyncio.sleep(POLL_SECONDS)

    async def round(self) -> None:
        """Ask once for every open payment whose pause is over."""
        after = ""
        while True:
            found = await self._waiting.open_payments(after, LOOK_LIMIT)
            now = self._monotonic_ms()
            due = [p for p in found if self._paused.get((p.provider, p.id), (0, 0))[0] <= now]
            for start in range(0, len(due), ASKED_AT_ONCE):
                part = due[start : start + ASKED_AT_ONCE]
                await asyncio.gather(*(self._resolve(payment) for payment in part))
            if len(found) < LOOK_LIMIT or found[-1].order == after:
                return
            after = found[-1].order

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
