"""What the webhook service needs from outside: a durable queue, and a way to send."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from orders.webhooks_shapes import Answer, DeliveryRow, EndpointRow


class Finished(msgspec.Struct, frozen=True):
    """An attempt that is over: the delivery as it was claimed, as it is now, and why."""

    before: DeliveryRow
    after: DeliveryRow
    answer: Answer


class Sender(Protocol):
    """Sends one signed request. Never raises for what the other side does."""

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """POST the body, bounded in time and size."""


class Store(Protocol):
    """The queue. Every method is one transaction."""

    # endpoints
    async def add_endpoint(self, row: EndpointRow, endpoints_max: int) -> bool:
        """Store a new endpoint, unless its merchant has `endpoints_max` already."""

    async def endpoint(self, merchant: str, endpoint: str) -> EndpointRow | None:
        """One endpoint of this merchant."""

    async def endpoints(self, merchant: str) -> list[EndpointRow]:
        """All endpoints of this merchant, oldest first."""

    async def change_endpoint(
        self, merchant: str, endpoint: str, change: Callable[[EndpointRow], EndpointRow]
    ) -> EndpointRow | None:
        """Lock, change and store one endpoint; None if this merchant has no such one."""

    async def delete_endpoint(self, merchant: str, endpoint: str) -> bool:
        """Remove an endpoint and its deliveries."""

    # deliveries
    async def add_delivery(self, row: DeliveryRow) -> None:
        """Queue one delivery that is not from the feed."""

    async def deliveries(
        self, merchant: str, *, endpoint: str | None, state: str | None, before: str | None,
        limit: int,
    ) -> list[DeliveryRow]:  # fmt: skip
        """Newest first, with an id below `before`."""

    async def delivery(self, merchant: str, delivery: str) -> DeliveryRow | None:
        """One delivery of this merchant."""

    async def change_delivery(
        self, merchant: str, delivery: str, change: Callable[[DeliveryRow], DeliveryRow]
    ) -> DeliveryRow | None:
        """Lock, change and store one delivery; None if this merchant has no such one."""

    async def failed(self, merchants: Sequence[str], since: int) -> int:
        """Deliveries of these shops, made since then, that were given up."""

    async def prune(self, created_before: int, limit: int) -> int:
        """Remove at most `limit` deliveries older than that; returns how many."""

    # following the feed
    async def cursor(self) -> int:
        """The number up to which the feed is queued."""

    async def append(
        self,
        after: int,
        until: int,
        merchants: Sequence[str],
        make: Callable[[list[EndpointRow]], list[DeliveryRow]],
    ) -> bool:
        """
        Queue what `make` builds for the active endpoints of these merchants and move the cursor
        from `after` to `until`, together. False, and nothing done, if the cursor was elsewhere.
        """

    async def replaying(self, limit: int) -> list[EndpointRow]:
        """Endpoints with an unfinished replay."""

    async def replay(
        self, endpoint: EndpointRow, reached: int | None, rows: list[DeliveryRow]
    ) -> None:
        """
        Queue `rows` (those known are queued again) and note how far the replay is (None: done),
        together. Nothing is done if the replay was changed meanwhile.
        """

    # sending
    async def due(self, now: int, busy: Sequence[str], limit: int) -> list[EndpointRow]:
        """Active endpoints with a due delivery, not paused, not `busy`; longest due first."""

    async def claim(
        self, wanted: Sequence[tuple[str, int]], now: int, until: int, claim: str
    ) -> list[DeliveryRow]:
        """Take due deliveries, (endpoint, how many), that nobody else gets before `until`."""

    async def waiting(self, limit: int) -> int:
        """How many deliveries are not at their end yet; counts no further than `limit`."""

    async def finish(self, finished: Sequence[Finished], now: int) -> None:
        """Store outcomes, each only while its claim holds, and the endpoints' health."""

    async def release(self, rows: Sequence[DeliveryRow], now: int) -> None:
        """Give claimed deliveries back unsent."""
