"""What a merchant's own system tells, and how its orders are paid and sent."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from liveserver.web.requests.common import LINE, Body
from liveserver.web.requests.orders import Carrier, Reason, Reference, RefundCents

Url = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"^https?://[!-~]+$")]
KeepDays = Annotated[int, Meta(ge=1, le=3650)]
Sku = Annotated[str, Meta(min_length=1, max_length=64, pattern=LINE)]
Delta = Annotated[int, Meta(ge=-1_000_000_000, le=1_000_000_000)]
OrderId = Annotated[str, Meta(min_length=1, max_length=200, pattern=LINE)]


class ShopChanges(Body, kw_only=True):
    """
    `handoff` sends buyers to `checkout_url` with the signed order id; `collect` asks them for an
    address, which is kept for `keep_days`.
    """

    checkout: Literal["none", "handoff", "collect"] | UnsetType = UNSET
    checkout_url: Url | UnsetType | None = UNSET
    keep_days: KeepDays | UnsetType = UNSET


class SharedSecret(Struct, kw_only=True):
    """Shown once. The one before counts for 24 hours more."""

    secret: str


class OrderNamed(Struct, kw_only=True):
    id: OrderId


class Parcel(Struct, kw_only=True):
    carrier: Carrier = ""
    tracking: Reason = ""


class ToldData(Struct, kw_only=True):
    """`order` is its id or the object with it; unknown fields are left alone."""

    order: OrderId | OrderNamed | None = None
    amount_cents: RefundCents | None = None
    currency: str | None = None
    payment: Reference | None = None
    shipment: Parcel | None = None
    restock: bool = False
    reason: Reason = ""
    sku: Sku | None = None
    delta: Delta = 0


class Told(Struct, kw_only=True):
    """The body of a webhook."""

    type: str
    data: ToldData
