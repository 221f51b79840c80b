"""What is ordered, orders as lists, and their history."""

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from liveserver.web.requests.common import Body, Id, RoomId, Units
from orders.shapes import Order, OrderEdge


class NewLine(Body, kw_only=True):
    """So many of a product, at its price of the moment."""

    product_id: Id
    quantity: Units = 1


Lines = Annotated[list[NewLine], Meta(min_length=1, max_length=50)]


class NewOrder(Body, kw_only=True):
    """Products of one shop: from the shelf of a room, or without one."""

    lines: Lines
    room: RoomId | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


class OrderList(Struct, kw_only=True):
    items: list[Order]
    next_cursor: str | None


class EdgeList(Struct, kw_only=True):
    items: list[OrderEdge]
    next_cursor: str | None
