"""
What the tables hold, as the rules see it: one struct a table, fields in the order of the columns.

`array_like` makes a list of rows one JSON array of arrays, which is how SQLite takes a whole batch
in one parameter.
"""

from typing import Any

import msgspec

from orders.shapes import Buyers, Coupon, FlashSale, HostAway, Product, SaleState, Shop
from orders.times import rfc3339

#: States of a flash sale as stored. `sold_out` is not stored: it is "running with nothing left",
#: because an expired order makes it running again.
OPEN_STATES = ("scheduled", "running")

VOID_NONE, VOID_WANTED, VOID_DONE = 0, 1, 2


class Row(msgspec.Struct, array_like=True, kw_only=True, gc=False):
    """Base of all rows. They hold texts and numbers alone, so the collector need not walk them."""


class ProductRow(Row):
    """A product of the catalogue. `total` and `committed` are joined from product_stock."""

    id: str
    merchant: str
    sku: str
    title: str
    description: str
    terms: str
    seller_name: str
    price_cents: int
    list_price_cents: int | None
    currency: str
    image_url: str | None
    created_at: int
    total: int = 0
    committed: int = 0

    @property
    def free(self) -> int:
        """Units that nothing holds yet."""
        return self.total - self.committed

    def shape(self) -> Product:
        """The product as everyone sees it."""
        return Product(
            id=self.id,
            sku=self.sku,
            merchant=self.merchant,
            title=self.title,
            description=self.description,
            terms=self.terms,
            seller_name=self.seller_name,
            price_cents=self.price_cents,
            list_price_cents=self.list_price_cents,
            currency=self.currency,
            stock=self.free,
            image_url=self.image_url,
        )


class StockChangeRow(Row):
    """One move of a product's total, immutable."""

    n: int
    product_id: str
    delta: int
    reason: str
    actor: str
    at: int


class GrantRow(Row):
    """What a room may sell of a product. `used` = units of the sales made under it."""

    product_id: str
    room: str
    min_price_cents: int | None
    units_max: int | None
    used: int


class SaleRow(Row):
    """A flash sale. `units` were committed from the product's stock when it was made."""

    id: str
    room: str
    show: str | None
    product_id: str
    merchant: str
    sku: str
    title: str
    price_cents: int
    list_price_cents: int | None
    currency: str
    units: int
    sold: int
    counter: int
    state: str
    per_buyer_limit: int
    buyers: Buyers
    hold_seconds: int
    starts_at: int
    ends_at: int
    created_at: int
    granted: int  # 1: its units count in the room's grant
    void: int
    host_away: HostAway = "go_on"
    paused_at: int | None = None  # while the host is away; it is "scheduled" then, for the end

    @property
    def is_open(self) -> bool:
        """Whether its unsold units are still held for it."""
        return self.state in OPEN_STATES

    @property
    def left(self) -> int:
        """Units that can still be sold."""
        return self.units - self.sold if self.is_open else 0

    def shown_state(self) -> SaleState:
        """The state as everyone sees it."""
        if self.state == "running" and self.sold >= self.units:
            return "sold_out"
        return self.state  # type: ignore[return-value]  # a CHECK bounds the stored states

    def shape(self, fence: int) -> FlashSale:
        """The sale as everyone sees it, in the version that the writer with `fence` gave it."""
        return FlashSale(
            id=self.id,
            room=self.room,
            show=self.show,
            product_id=self.product_id,
            sku=self.sku,
            title=self.title,
            price_cents=self.price_cents,
            list_price_cents=self.list_price_cents,
            currency=self.currency,
            units_total=self.units,
            units_left=self.left,
            per_buyer_limit=self.per_buyer_limit,
            buyers=self.buyers,
            hold_seconds=self.hold_seconds,
            starts_at=rfc3339(self.starts_at),
            ends_at=rfc3339(self.ends_at),
            state=self.shown_state(),
            version=fence * 2**32 + self.counter,
            host_away=self.host_away,
            paused_at=None if self.paused_at is None else rfc3339(self.paused_at),
        )


class OrderRow(Row):
    """
    An order. `answer` is the JSON that its buyer got and gets again for its key, never changed;
    `changes` is the JSON of the fields that its edges changed since: together they are the order.
    """

    id: str
    buyer: str
    space: str
    key: str
    fingerprint: str
    answer: str
    changes: str
    state: str
    sequence: int
    merchant: str
    room: str | None
    flash_sale_id: str | None
    quantity: int
    amount_cents: int
    refunded_cents: int
    currency: str
    restocked: int
    created_at: int
    expires_at: int | None
    paid_at: int | None

    def json(self) -> bytes:
        """The order of now."""
        return merged(self.answer, self.changes)

    def fields(self) -> dict[str, Any]:
        """The fields of the order of now."""
        fields: dict[str, Any] = msgspec.json.decode(self.json())
        return fields


class OrderMove(Row):
    """What the edges of one batch made of an order that was in `known_state`."""

    id: str
    known_state: str
    state: str
    sequence: int
    changes: str
    paid_at: int | None
    refunded_cents: int
    restocked: int


class LineRow(Row):
    order_id: str
    no: int
    product_id: str
    quantity: int
    unit_price_cents: int


class EdgeRow(Row):
    """One edge, immutable. `changes`: all fields that differ from the answer after this edge."""

    n: int
    order_id: str
    sequence: int
    from_state: str
    state: str
    at: int
    actor: str
    event: str | None
    changes: str


class PaymentRow(Row):
    provider: str
    id: str
    order_id: str
    amount_cents: int
    currency: str
    state: str
    at: int

    def moved(self, state: str) -> "PaymentRow":
        """The payment in another state."""
        return msgspec.structs.replace(self, state=state)


class PaymentMove(Row):
    """A payment that was in `known_state` has another one, perhaps for another order."""

    provider: str
    id: str
    known_state: str
    state: str
    order_id: str
    amount_cents: int  # what really came, which may differ from what was asked for
    currency: str


class RefundRow(Row):
    """
    Money that goes back, immutable. `kind` is `order` for a part of a paid order, `payment` for a
    whole payment that no order could take (then `id` is made of the payment's, so there is one).
    """

    id: str
    order_id: str
    provider: str
    payment_id: str
    kind: str
    amount_cents: int
    completes: int  # 1: afterwards nothing of the order's or the payment's amount is left
    currency: str
    restock: int
    reason: str
    actor: str
    at: int


class ShopRow(Row):
    """
    How a merchant's orders are paid and sent, and the secret that is shared with its system. The
    secret before signs and is taken as well until `old_until`.
    """

    merchant: str
    checkout: str = "none"
    checkout_url: str | None = None
    keep_days: int = 30
    secret: str | None = None
    old_secret: str | None = None
    old_until: int = 0

    def secrets(self, now: int) -> list[str]:
        """The secrets that count at this moment, the newest first."""
        old = self.old_secret if now < self.old_until else None
        return [secret for secret in (self.secret, old) if secret]

    def shape(self) -> Shop:
        """What the merchant sees; never the secret."""
        return Shop(
            merchant=self.merchant,
            checkout=self.checkout,  # type: ignore[arg-type]  # a CHECK bounds the values
            checkout_url=self.checkout_url,
            keep_days=self.keep_days,
            has_secret=self.secret is not None,
        )


class InboundRow(Row):
    """A message of a merchant's system that was acted on; its id is the sender's."""

    merchant: str
    id: str
    at: int


class AnswerRow(Row):
    """What a request with a key was answered. `fingerprint` tells it from another with the key."""

    owner: str
    key: str
    fingerprint: str
    answer: str
    at: int


class CouponRow(Row):
    """Money that a merchant gives to its buyers: `budget` and `used` are cents of discounts."""

    id: str
    merchant: str
    code: str
    kind: str
    value: int
    min_amount_cents: int
    currency: str
    budget: int
    used: int
    per_buyer_limit: int
    starts_at: int
    ends_at: int | None
    created_at: int

    def shape(self) -> Coupon:
        """The coupon as its merchant sees it."""
        return Coupon(
            id=self.id,
            merchant=self.merchant,
            code=self.code,
            kind=self.kind,  # type: ignore[arg-type]  # a CHECK bounds the stored kinds
            value=self.value,
            min_amount_cents=self.min_amount_cents,
            currency=self.currency,
            budget_cents=self.budget,
            used_cents=self.used,
            per_buyer_limit=self.per_buyer_limit,
            starts_at=rfc3339(self.starts_at),
            ends_at=None if self.ends_at is None else rfc3339(self.ends_at),
        )


class CouponUseRow(Row):
    """The discount of one order."""

    order_id: str
    coupon_id: str
    buyer: str
    cents: int


class CouponDelta(Row):
    """Cents of a coupon's budget that were used, or given back when negative."""

    id: str
    cents: int


class CouponBuyerDelta(Row):
    """Uses of a coupon by a buyer, or uses given back when negative."""

    coupon_id: str
    buyer: str
    uses: int


class PlaceRow(Row):
    """
    A place in the waiting list of a sale. `n` is the order in line, in the writer's numbers;
    `order_id` is the order that its offer made. Who waits for a sale that is over is stored as
    `waiting` and waits for nothing.
    """

    n: int
    flash_sale_id: str
    buyer: str
    buyer_name: str
    guest: int
    quantity: int
    key: str
    metadata: str
    state: str  # waiting | offered | left | passed: had as many as one buyer may have by then
    order_id: str | None
    joined_at: int


class PlaceMove(Row):
    """A place that was `waiting` and waits no more."""

    n: int
    state: str
    order_id: str | None


class NoteRow(Row):
    """An event of the feed that is no edge of an order."""

    n: int
    type: str
    merchant: str
    room: str | None
    at: int
    data: str


class SaleChange(Row):
    """The new state of a sale whose counter was `known` (relative where others might write)."""

    id: str
    known: int
    sold_delta: int
    units: int
    state: str
    per_buyer_limit: int
    starts_at: int
    ends_at: int
    void: int
    host_away: HostAway
    paused_at: int | None


class UnitsDelta(Row):
    flash_sale_id: str
    buyer: str
    delta: int


class StockDelta(Row):
    product_id: str
    total: int
    committed: int


class GrantDelta(Row):
    product_id: str
    room: str
    used: int


def merged(answer: str, changes: str) -> bytes:
    """The JSON of an order as it was after the edge that left `changes`."""
    if changes == "{}":
        return answer.encode()
    fields: dict[str, Any] = msgspec.json.decode(answer)
    fields.update(msgspec.json.decode(changes))
    return msgspec.json.encode(fields)
