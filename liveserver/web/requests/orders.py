"""What is ordered, orders as lists, and their history."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from liveserver.web.requests.common import LINE, Body, Id, RoomId, Units
from orders.shapes import Order, OrderEdge


class NewLine(Body, kw_only=True):
    """So many of a product, at its price of the moment."""

    product_id: Id
    quantity: Units = 1


Lines = Annotated[list[NewLine], Meta(min_length=1, max_length=50)]


Code = Annotated[str, Meta(min_length=1, max_length=64, pattern=LINE)]


class NewOrder(Body, kw_only=True):
    """Products of one shop: from the shelf of a room, or without one."""

    lines: Lines
    room: RoomId | None = None
    coupon: Code | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


Carrier = Annotated[str, Meta(max_length=100, pattern=LINE)]
Reference = Annotated[str, Meta(min_length=1, max_length=200, pattern=LINE)]
Reason = Annotated[str, Meta(max_length=500, pattern=LINE)]
RefundCents = Annotated[int, Meta(ge=0, le=1_000_000_000_000_000)]


class PayHow(Body, kw_only=True):
    """How the demo's provider shall behave."""

    outcome: Literal["pay", "fail", "timeout", "late"] = "pay"


class Shipment(Body, kw_only=True):
    """Who carries it, and how it is followed."""

    carrier: Carrier = ""
    tracking: Reason = ""


class RefundWish(Body, kw_only=True):
    """A part of the amount, or all that is left; `restock` only with what completes it."""

    amount_cents: RefundCents | None = None
    restock: bool = False
    reason: Reason = ""


class PaymentMark(Body, kw_only=True):
    """The merchant's own reference of the payment."""

    reference: Reference | None = None


Recipient = Annotated[str, Meta(min_length=1, max_length=100, pattern=LINE)]
Phone = Annotated[str, Meta(min_length=3, max_length=40, pattern=r"^[0-9 +()./\-]+$")]
AddressText = Annotated[str, Meta(min_length=1, max_length=500)]
Remark = Annotated[str, Meta(max_length=500)]


class DeliveryAddress(Body, kw_only=True):
    """Where to send an order, and to whom."""

    recipient: Recipient
    phone: Phone
    address: AddressText
    note: Remark = ""


class OrderList(Struct, kw_only=True):
    items: list[Order]
    next_cursor: str | None


class EdgeList(Struct, kw_only=True):
    items: list[OrderEdge]
    next_cursor: str | None
