"""
The feed: everything that merchants and buyers are told, in the order in which it was committed.

Followers (webhooks, personal channels, the order ticker) keep a cursor on `n` and nothing else, so
that a restart goes on exactly where it was.
"""

from typing import Protocol

import msgspec


class FeedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One committed event. `data` is the JSON of the webhook's `data`, e.g. `{"order": {…}}`."""

    n: int  # increasing in commit order; gaps mean nothing
    type: str  # "order.paid", "flash_sale.ended", …
    merchant: str
    at: int  # milliseconds
    data: bytes
    buyer: str | None = None
    room: str | None = None


class Feed(Protocol):
    """Read access to the committed events."""

    async def after(self, n: int, limit: int) -> list[FeedEvent]:
        """At most `limit` events with a number above `n`, in order."""

    async def last(self) -> int:
        """The newest number, 0 if nothing happened yet."""
