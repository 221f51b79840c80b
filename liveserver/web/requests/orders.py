"""Orders as lists, and their history."""

from msgspec import Struct

from orders.shapes import Order, OrderEdge


class OrderList(Struct, kw_only=True):
    items: list[Order]
    next_cursor: str | None


class EdgeList(Struct, kw_only=True):
    items: list[OrderEdge]
    next_cursor: str | None
