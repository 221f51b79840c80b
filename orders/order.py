"""
The states of an order and the edges between them, as data.

Every edge that happens is one immutable row. *Held* states hold stock: sold units and the units of
the buyer count exactly the orders that are in them. The clock, the ids and the rows are arguments.
"""

from typing import NamedTuple

from orders.errors import WrongState


class Edge(NamedTuple):
    """One allowed step. `event` is what merchants are told (None: nothing new for them)."""

    event: str | None
    releases: bool = False  # stock and the buyer's units go back in the same transaction


#: (from, to) -> what it means. "" is the state before the order exists.
EDGES: dict[tuple[str, str], Edge] = {
    ("", "reserved"): Edge("order.reserved"),
    ("", "paid"): Edge("order.paid"),  # a late payment becomes a new order
    ("reserved", "pending_payment"): Edge(None),
    ("reserved", "expired"): Edge("order.expired", releases=True),
    ("reserved", "cancelled"): Edge("order.cancelled", releases=True),
    ("pending_payment", "paid"): Edge("order.paid"),
    ("pending_payment", "payment_unknown"): Edge(None),
    ("pending_payment", "cancelled"): Edge("order.cancelled", releases=True),
    ("payment_unknown", "paid"): Edge("order.paid"),
    ("payment_unknown", "expired"): Edge("order.expired", releases=True),
    ("paid", "paid"): Edge("order.refunded"),  # a part of the amount
    ("paid", "shipped"): Edge("order.shipped"),
    ("paid", "refunding"): Edge(None),
    ("shipped", "shipped"): Edge("order.refunded"),
    ("shipped", "completed"): Edge("order.completed"),
    ("shipped", "refunding"): Edge(None),
    ("completed", "completed"): Edge("order.refunded"),
    ("completed", "refunding"): Edge(None),
    ("refunding", "refunded"): Edge("order.refunded"),  # releases only if the refund says restock
}

#: States that always hold stock; `refunded` does too unless it was restocked.
HELD = frozenset(
    {"reserved", "pending_payment", "payment_unknown", "paid", "shipped", "completed", "refunding"}
)
#: States in which the order is unpaid and a payment may still come.
PAYABLE = ("reserved", "pending_payment", "payment_unknown")
#: States that an order reaches unpaid and never leaves: a dead order never revives.
DEAD = ("expired", "cancelled")
#: States with a deadline: `reserved` ends there, `pending_payment` becomes `payment_unknown`.
TIMED = ("reserved", "pending_payment")
#: States that a cancelled sale with `void` ends: unpaid ones are cancelled, paid ones refunded.
VOIDABLE = ("reserved", "pending_payment", "paid")
STATES = tuple(sorted({state for pair in EDGES for state in pair if state}))


def edge(state: str, to: str) -> Edge:
    """The edge from `state` to `to`, or `WrongState` in words."""
    found = EDGES.get((state, to))
    if found is None:
        raise WrongState(f"an order that is {state} cannot become {to}", state=state)
    return found


def is_held(state: str, restocked: bool) -> bool:
    """Whether an order in this state holds its units."""
    return state in HELD or (state == "refunded" and not restocked)


def path(state: str, to: str) -> list[str]:
    """The states passed from `state` to `to` by the demo's payment: reserved passes both edges."""
    if state == "reserved" and to == "paid":
        return ["pending_payment", "paid"]
    return [to]
