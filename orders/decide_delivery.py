"""Decisions about a paid order on its way to the buyer: shipped, completed."""

from orders.decide_payments import order_row
from orders.desk import Answer, Desk
from orders.errors import WrongState
from orders.ledger import Wanted
from orders.memory import Memory
from orders.requests import Complete, Ship
from orders.text import check_text
from orders.times import rfc3339

MAX_CARRIER_CHARS = 100
MAX_TRACKING_CHARS = 200


def order_wants(memory: Memory, request: Ship | Complete, wanted: Wanted) -> None:
    wanted.orders.add(request.order)


def ship(desk: Desk, request: Ship) -> Answer:
    """It is on its way. Repeated with the same tracking, it changes nothing."""
    check_text(request.carrier, "carrier", least=0, most=MAX_CARRIER_CHARS)
    check_text(request.tracking, "tracking", least=0, most=MAX_TRACKING_CHARS)
    row = order_row(desk, request.order)
    parcel = {"carrier": request.carrier, "tracking": request.tracking}
    if row.state == "shipped":
        known = row.fields().get("shipment") or {}
        if {name: known.get(name) for name in parcel} == parcel:
            return row.json
        raise WrongState("the order is shipped already, with another tracking", state=row.state)
    shipment = {**parcel, "shipped_at": rfc3339(desk.now)}
    desk.move_order(row, "shipped", request.actor, {"shipment": shipment})
    return row.json


def complete(desk: Desk, request: Complete) -> Answer:
    """The buyer has it. Repeated, it changes nothing."""
    row = order_row(desk, request.order)
    if row.state != "completed":
        desk.move_order(row, "completed", request.actor, {})
    return row.json
