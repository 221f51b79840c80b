"""What the writer tells its own process after each commit."""

from collections.abc import Callable

import msgspec

from orders.feed import FeedEvent
from orders.shapes import FlashSale


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One commit: the sales and products that it changed, and the newest number of the feed."""

    sales: list[FlashSale]
    products: list[str]  # ids whose stock, price or text changed
    last_edge: int
    after: int = 0  # the newest number before
    #: makes the events with numbers in (after, last_edge], in order; None: ask the feed
    events: Callable[[], list[FeedEvent]] | None = None
