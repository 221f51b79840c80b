"""What the writer tells its own process after each commit."""

import msgspec

from orders.shapes import FlashSale


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One commit: the sales and products that it changed, and the newest number of the feed."""

    sales: list[FlashSale]
    products: list[str]  # ids whose stock, price or text changed
    last_edge: int
