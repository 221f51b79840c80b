"""
Everything that touches stock, sales, orders or grants is one of these requests to the writer.

A request carries what was asked and by whom, never what the server should decide (no price of an
order, no clock). Who may ask at all was checked at the door; what depends on rows is decided in the
writer's transaction. The answer is the JSON of the changed object (`orders.shapes`) as bytes, or an
`orders.errors.Refusal`.
"""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from orders.errors import Refusal
from orders.shapes import Buyers, HostAway


class Request(msgspec.Struct, kw_only=True, tag_field="type"):
    """Base of all requests. `actor` is the user id for the ledger ("system" for timers)."""

    actor: str = "system"


class Keyed(Request, kw_only=True):
    """
    What staff may send with a key: (actor, key) is done once and answered with the same bytes for
    as long as its answer is kept.
    """

    key: str | None = None


class Reserve(Request, tag="reserve"):
    flash_sale: str
    buyer: str
    buyer_name: str
    guest: bool
    quantity: int
    key: str  # made by the client; (buyer, "client", key) is unique for as long as the order exists
    metadata: dict[str, Any] = {}


class LineAsked(msgspec.Struct, kw_only=True):
    """So many of a product. Its price is the server's business."""

    product_id: str
    quantity: int = 1


class CreateOrder(Request, tag="create_order"):
    """Buy products at their ordinary price: from a room's shelf, or from the shop (no room)."""

    buyer: str
    buyer_name: str
    lines: list[LineAsked]
    key: str  # as in `Reserve`
    room: str | None = None
    show: str | None = None
    coupon: str | None = None  # a code of the shop
    metadata: dict[str, Any] = {}


class CreateCoupon(Keyed, tag="create_coupon"):
    merchant: str
    code: str
    kind: str  # "amount" | "percent"
    value: int
    currency: str
    budget_cents: int
    min_amount_cents: int = 0
    per_buyer_limit: int = 1
    starts_at: int | None = None  # milliseconds; None is now
    ends_at: int | None = None


class EditCoupon(Keyed, tag="edit_coupon"):
    coupon: str
    changes: dict[str, Any]  # any of budget_cents, per_buyer_limit, min_amount_cents, ends_at


class Pay(Request, tag="pay"):
    """The demo provider's payment: passes pending_payment and paid in one transaction."""

    order: str
    provider: str
    payment: str  # the provider's id of the payment; (provider, payment) is unique


class StartPayment(Request, tag="start_payment"):
    """The buyer was sent to a provider: from now on only the provider can say how it ends."""

    order: str
    provider: str
    payment: str


class Verdict(Request, tag="verdict"):
    """What a provider says of a payment: that it has the money, or that it never will."""

    order: str
    provider: str
    payment: str
    paid: bool
    amount_cents: int = 0
    currency: str = ""


class MarkPaid(Request, tag="mark_paid"):
    """A merchant says that the whole amount has arrived. Repeated, it changes nothing."""

    order: str
    payment: str  # the merchant's own reference
    merchant: str = ""  # whose reference it is


class Ship(Request, tag="ship"):
    order: str
    carrier: str
    tracking: str


class Complete(Request, tag="complete"):
    order: str


class Refund(Request, tag="refund"):
    """`amount_cents` None is all that is left. A `key` makes repetitions harmless."""

    order: str
    reason: str
    amount_cents: int | None = None
    restock: bool = False
    key: str | None = None


class EditShop(Request, tag="edit_shop"):
    merchant: str
    changes: dict[str, Any]  # any of checkout, checkout_url, keep_days


class SetSecret(Request, tag="set_secret"):
    """A new secret shared with the merchant's system, made by whoever has randomness."""

    merchant: str
    secret: str


class Inbound(Request, tag="inbound"):
    """A verified message of a merchant's system. The same id is acted on once."""

    merchant: str
    id: str
    event: str  # order.paid|shipped|cancelled|refunded, stock.adjusted
    order: str | None = None
    sku: str | None = None
    amount_cents: int | None = None
    currency: str | None = None
    payment: str | None = None
    carrier: str = ""
    tracking: str = ""
    restock: bool = False
    reason: str = ""
    delta: int = 0


class Cancel(Request, tag="cancel"):
    order: str


class JoinWaitlist(Request, tag="join_waitlist"):
    """Line up for what comes back to a sold-out sale: `quantity` units, or as many as there are."""

    flash_sale: str
    buyer: str
    buyer_name: str
    guest: bool
    quantity: int
    key: str  # made by the client; (buyer, key) is one place for ever
    metadata: dict[str, Any] = {}


class LeaveWaitlist(Request, tag="leave_waitlist"):
    flash_sale: str
    buyer: str


class CreateProduct(Keyed, tag="create_product"):
    merchant: str
    sku: str
    title: str
    price_cents: int
    currency: str
    stock: int = 0
    description: str = ""
    terms: str = ""
    seller_name: str = ""
    list_price_cents: int | None = None
    image_url: str | None = None


class EditProduct(Keyed, tag="edit_product"):
    product: str
    changes: dict[str, Any]  # any of title, description, terms, seller_name, prices, image_url


class AdjustStock(Keyed, tag="adjust_stock"):
    product: str
    delta: int
    reason: str


class SetGrant(Keyed, tag="set_grant"):
    product: str
    room: str
    min_price_cents: int | None = None
    units_max: int | None = None


class CreateSale(Keyed, tag="create_sale"):
    room: str
    show: str | None
    sku: str
    merchant: str | None  # the caller's own merchant, or None for a streamer inside a grant
    price_cents: int
    units: int
    per_buyer_limit: int = 1
    buyers: Buyers = "account"
    countdown_seconds: int = 0
    starts_at: int | None = None  # milliseconds of the sale clock, instead of a countdown
    duration_seconds: int = 300
    hold_seconds: int = 300
    confirm_low_price: bool = False
    host_away: HostAway = "go_on"


class EditSale(Keyed, tag="edit_sale"):
    flash_sale: str
    changes: dict[str, Any]  # any of units, per_buyer_limit, starts_at, ends_at (ms), host_away
    merchant: str | None = None  # the caller's own, or None for a streamer inside a grant


class HostLeft(Request, tag="host_left"):
    """The picture of the sale's room has stopped. Who chose so has the sale pause."""

    flash_sale: str


class HostBack(Request, tag="host_back"):
    """The picture is back: a sale that pauses goes on. Repeated, both change nothing."""

    flash_sale: str


class CancelSale(Keyed, tag="cancel_sale"):
    flash_sale: str
    orders: str  # "honour" | "void"


class Note(Request, tag="note"):
    """An event that is no edge of an order but belongs into the merchants' feed: room.started, …"""

    event: str
    merchants: list[str]
    data: dict[str, Any]


AnyRequest = (
    Reserve
    | CreateOrder
    | CreateCoupon
    | EditCoupon
    | Pay
    | StartPayment
    | Verdict
    | MarkPaid
    | Ship
    | Complete
    | Refund
    | Cancel
    | JoinWaitlist
    | LeaveWaitlist
    | CreateProduct
    | EditProduct
    | AdjustStock
    | SetGrant
    | CreateSale
    | EditSale
    | HostLeft
    | HostBack
    | CancelSale
    | EditShop
    | SetSecret
    | Inbound
    | Note
)


#: What makes an order: found again by its key, and one on its way at a time for each buyer.
Placing = Reserve | CreateOrder

#: What buyers want of what is scarce: decided strictly in the order in which it came.
Queueing = Placing | JoinWaitlist

#: Requests that may be decided again when nobody knows whether they were committed: they find
#: what they did the first time.
REPEATABLE = (
    Reserve, CreateOrder, Pay, StartPayment, Verdict, MarkPaid, Ship, Complete, Cancel, Inbound,
    JoinWaitlist, LeaveWaitlist, HostLeft, HostBack,
)  # fmt: skip


def is_repeatable(request: AnyRequest) -> bool:
    """Whether it may be decided again: by what it is, or because it has a key."""
    return isinstance(request, REPEATABLE) or getattr(request, "key", None) is not None


class Door(Protocol):
    """The way to the writer: a function call in its own process, Redis between processes."""

    async def ask(self, request: AnyRequest) -> bytes:
        """
        Hand a request to the writer and wait for its answer.

        Raises:
            orders.errors.Refusal: What the writer decided. When it did not answer in time:
                `Unavailable` for what is safe to repeat and for what was certainly not done,
                `OutcomeUnknown` for what may have been done and would be done twice.
        """

    def place(self, request: AnyRequest, done: Callable[[bytes | Refusal], None]) -> None:
        """
        The same for callers that cannot afford a task each: `done` is called once, perhaps at once.
        """
