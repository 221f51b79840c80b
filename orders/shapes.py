"""
The objects of a sale, each in one shape everywhere: HTTP, RPC, room events and webhooks.

Times (`*_at`) are RFC 3339 UTC with milliseconds, money is an integer in the currency's minor unit,
ids are opaque strings. Inside the rules times are integer milliseconds; they become text only here.
"""

from typing import Any, Literal

import msgspec

SaleState = Literal["scheduled", "running", "sold_out", "ended", "cancelled"]
Buyers = Literal["account", "guest"]
HostAway = Literal["go_on", "pause"]  # what a sale does while the host's picture is gone
OrderState = Literal[
    "reserved", "pending_payment", "payment_unknown", "paid", "shipped", "completed",
    "refunding", "refunded", "expired", "cancelled",
]  # fmt: skip


class Product(msgspec.Struct, kw_only=True):
    id: str
    sku: str
    merchant: str
    title: str
    description: str
    terms: str
    seller_name: str
    price_cents: int
    list_price_cents: int | None
    currency: str
    stock: int  # what can still be sold: total - committed
    image_url: str | None


class FlashSale(msgspec.Struct, kw_only=True):
    id: str
    room: str
    show: str | None
    product_id: str
    sku: str
    title: str
    price_cents: int
    list_price_cents: int | None
    currency: str
    units_total: int
    units_left: int
    per_buyer_limit: int
    buyers: Buyers
    hold_seconds: int
    starts_at: str
    ends_at: str
    state: SaleState
    version: int  # fence * 2**32 + counter: the newest wins
    host_away: HostAway = "go_on"
    paused_at: str | None = None  # it pauses: scheduled, until the host is back or `starts_at`


class Line(msgspec.Struct, kw_only=True):
    product_id: str
    sku: str
    title: str
    quantity: int
    unit_price_cents: int


class Buyer(msgspec.Struct, kw_only=True):
    id: str  # the token's `sub`, unchanged
    name: str


class AppliedCoupon(msgspec.Struct, kw_only=True):
    id: str
    code: str


class Coupon(msgspec.Struct, kw_only=True):
    """Money off an order of one shop. `value` is cents, or percent from 1 to 100."""

    id: str
    merchant: str
    code: str
    kind: Literal["amount", "percent"]
    value: int
    min_amount_cents: int  # of the order before the discount
    currency: str
    budget_cents: int  # all discounts together
    used_cents: int
    per_buyer_limit: int  # orders of one buyer
    starts_at: str
    ends_at: str | None


class Order(msgspec.Struct, kw_only=True):
    id: str
    state: OrderState
    sequence: int  # of the newest edge; the first edge is 1
    merchant: str
    lines: list[Line]
    amount_cents: int
    refunded_cents: int
    currency: str
    room: str | None
    show: str | None
    flash_sale: str | None
    source: str
    buyer: Buyer
    metadata: dict[str, Any]
    delivery: dict[str, Any] | None
    shipment: dict[str, Any] | None
    checkout_url: str | None
    created_at: str
    expires_at: str | None
    paid_at: str | None
    discount_cents: int = 0  # already taken off `amount_cents`
    coupon: AppliedCoupon | None = None
    replaces: str | None = None  # the dead order whose late payment made this one


PlaceState = Literal["none", "waiting", "offered", "left", "passed", "over"]


class Place(msgspec.Struct, kw_only=True):
    """
    A buyer's place in the waiting list of a sale. `offered`: `order` is held for the buyer.
    `passed`: at its turn the buyer had as many units as one may have. `over`: the sale is. `none`:
    this buyer never lined up.
    """

    flash_sale: str
    state: PlaceState
    position: int | None  # from 1, while waiting
    waiting: int  # people in line
    quantity: int  # wished for; an offer may be of fewer
    order: str | None
    joined_at: str | None


class Refund(msgspec.Struct, kw_only=True):
    """Money that went back: a part of an order, or a whole payment that no order could take."""

    id: str
    order: str
    provider: str
    payment: str
    amount_cents: int
    currency: str
    restock: bool
    reason: str
    at: str


class PaymentOutcome(msgspec.Struct, kw_only=True):
    """What became of a payment that a provider told about."""

    outcome: Literal["paid", "late", "returned", "repeated", "unpaid"]
    order: msgspec.Raw  # the order as it is now: with `late` the new one
    refund: Refund | None = None


class Shop(msgspec.Struct, kw_only=True):
    """How a merchant's orders are paid and sent."""

    merchant: str
    checkout: Literal["none", "handoff", "collect"]
    checkout_url: str | None  # where buyers are sent with `handoff`
    keep_days: int  # addresses that `collect` asked for
    has_secret: bool


class Turnover(msgspec.Struct, kw_only=True):
    """
    What was sold in a time, in one currency: three sums that are never mixed. Each counts by its
    own moment: orders when they were placed, payments when they came, refunds when they were made.
    """

    currency: str
    placed_cents: int
    placed_orders: int
    paid_cents: int
    paid_orders: int
    refunded_cents: int
    refunds: int


class Grant(msgspec.Struct, kw_only=True):
    """What a room may sell of a product: from which price, how many units (None = no bound)."""

    product_id: str
    room: str
    min_price_cents: int | None
    units_max: int | None
    used: int


class OrderEdge(msgspec.Struct, kw_only=True):
    """One step of an order's history, never changed."""

    sequence: int
    from_state: str | None  # None: the order came to be
    state: OrderState
    actor: str  # a user id, or "system" for timers
    at: str
