"""
Where orders are sent, for shops that ask (`collect`): sealed, shown to the order's shop alone, and
deleted after as many days as the shop set.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from liveserver.sealing import Sealer, Unreadable
from orders.delivery_sql import SqlAddresses
from orders.errors import Unavailable, WrongState
from orders.shapes import Order
from orders.times import rfc3339

if TYPE_CHECKING:
    from orders.reads_sql import Reads

log = logging.getLogger(__name__)

DAY_MS = 86_400_000
PURGE_SECONDS = 600.0  # between two looks for addresses whose time is over
OPEN_STATES = ("reserved", "pending_payment", "payment_unknown", "paid")


class Deliveries:
    """Addresses of orders."""

    def __init__(
        self, store: SqlAddresses, sealer: Sealer, reads: "Reads", *, now: Callable[[], int]
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._reads = reads
        self._now = now

    async def give(self, order: Order, address: dict[str, Any]) -> None:
        """
        Keep the address of an order.

        Raises:
            WrongState: The shop does not ask, or the order is over or on its way already.
            Unavailable: The database does not answer.
        """
        shop = await self._reads.shop(order.merchant)
        if shop.checkout != "collect":
            raise WrongState("This shop does not ask for an address here.")
        if order.state not in OPEN_STATES:
            raise WrongState(f"The order is {order.state}.", state=order.state)
        now = self._now()
        sealed = self._sealer.seal(order.id, address)
        purge_at = now + shop.keep_days * DAY_MS
        await self._store.put(order.id, order.merchant, sealed, now, purge_at)

    async def shown(self, order: Order, to_its_shop: bool) -> dict[str, Any] | None:
        """
        The address for the order's shop; for the buyer only when it was given: `given_at` is null
        while the shop still asks for it.
        """
        found = await self._store.get(order.id)
        if found is None:
            return None if to_its_shop else await self._asked(order)
        sealed, given_at = found
        given = {"given_at": rfc3339(given_at)}
        if not to_its_shop:
            return given
        try:
            return given | self._sealer.open(order.id, sealed)
        except Unreadable as error:
            log.warning("address of %s: %s", order.id, error)
            return given

    async def _asked(self, order: Order) -> dict[str, Any] | None:
        if order.state not in OPEN_STATES:
            return None
        shop = await self._reads.shop(order.merchant)
        return {"given_at": None} if shop.checkout == "collect" else None

    async def purge(self) -> None:
        """Delete every address whose time is over. Raises `Unavailable`."""
        while await self._store.purge(self._now()):
            continue

    async def run(self) -> None:
        """Delete what is over, until cancelled."""
        while True:
            try:
                await self.purge()
            except Unavailable as error:
                log.warning("addresses not purged: %s", error)
            await asyncio.sleep(PURGE_SECONDS)
