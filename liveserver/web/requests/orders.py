"""Orders as lists, and their history."""

from msgspec import Struct

from orders.shapes import Order, OrderState


class OrderList(Struct, kw_only=True):
    items: list[Order]
    next_cursor: str | None


class Edge(Struct, kw_only=True):
    """One step of an order, as it was committed."""

    sequence: int
    state: OrderState
    actor: str
    at: str


class EdgeList(Struct, kw_only=True):
    items: list[Edge]
    next_cursor: str | None
