"""A shop's coupons."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from liveserver.web.requests.common import Body, Units
from liveserver.web.requests.orders import Code
from orders.shapes import Coupon

Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]
Value = Annotated[int, Meta(ge=1, le=1_000_000_000_000)]
Sum = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
Time = Annotated[str, Meta(min_length=20, max_length=40)]


class NewCoupon(Body, kw_only=True):
    """
    `value` is cents off, or percent (1 to 100); `budget_cents` bounds all discounts together,
    `per_buyer_limit` the orders of one buyer.
    """

    code: Code
    kind: Literal["amount", "percent"]
    value: Value
    currency: Currency
    budget_cents: Sum
    min_amount_cents: Sum = 0
    per_buyer_limit: Units = 1
    starts_at: Time | None = None
    ends_at: Time | None = None


class CouponChanges(Body, kw_only=True):
    """What may change; `ends_at` now ends it."""

    budget_cents: Sum | UnsetType = UNSET
    min_amount_cents: Sum | UnsetType = UNSET
    per_buyer_limit: Units | UnsetType = UNSET
    ends_at: Time | UnsetType | None = UNSET


class CouponList(Struct, kw_only=True):
    items: list[Coupon]
    next_cursor: str | None
