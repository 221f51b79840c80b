"""
Decisions about coupons: money that a merchant gives to buyers of its products, from a budget.

A coupon is used exactly while the order that it is part of holds its units: an order that ends
unpaid, or is refunded with its units back in stock, gives the discount and the use back.
"""

import msgspec

from orders.desk import Answer, Desk
from orders.errors import Ended, Invalid, LimitExceeded, NotFound, NotStarted, SoldOut
from orders.ledger import Wanted
from orders.memory import Memory
from orders.money import MAX_CENTS, MAX_UNITS, check_cents, check_currency, check_integer
from orders.requests import CreateCoupon, EditCoupon
from orders.rows import CouponRow, CouponUseRow
from orders.text import check_text
from orders.times import check_moment

MAX_CODE_CHARS = 64
MAX_TIME_MS = 253_402_300_799_999  # the last moment of the year 9999
EDITABLE = ("budget_cents", "per_buyer_limit", "min_amount_cents", "ends_at")


def create_wants(memory: Memory, request: CreateCoupon, wanted: Wanted) -> None:
    wanted.coupon_codes.add((request.merchant, request.code))


def create(desk: Desk, request: CreateCoupon) -> Answer:
    """A code names one coupon of a shop, also after its end."""
    check_text(request.merchant, "merchant", most=200)
    check_text(request.code, "code", most=MAX_CODE_CHARS)
    check_currency(request.currency)
    if request.kind not in ("amount", "percent"):
        raise Invalid("kind must be amount or percent", field="kind")
    most = MAX_CENTS if request.kind == "amount" else 100
    check_integer(request.value, "value", least=1, most=most)
    if (request.merchant, request.code) in desk.facts.coupons:
        raise Invalid(f"the code {request.code} is taken", field="code")
    starts_at = desk.now if request.starts_at is None else request.starts_at
    row = CouponRow(
        id=desk.new_id("cpn"),
        merchant=request.merchant,
        code=request.code,
        kind=request.kind,
        value=request.value,
        min_amount_cents=request.min_amount_cents,
        currency=request.currency,
        budget=request.budget_cents,
        used=0,
        per_buyer_limit=request.per_buyer_limit,
        starts_at=check_moment(starts_at, "starts_at", least=0, most=MAX_TIME_MS),
        ends_at=request.ends_at,
        created_at=desk.now,
    )
    _check(row)
    desk.out.new_coupons.append(msgspec.structs.replace(row))
    desk.facts.coupons[(row.merchant, row.code)] = row
    return lambda: msgspec.json.encode(row.shape())


def edit_wants(memory: Memory, request: EditCoupon, wanted: Wanted) -> None:
    wanted.coupons.add(request.coupon)


def edit(desk: Desk, request: EditCoupon) -> Answer:
    """Orders keep the discount that they were made with."""
    row = next((row for row in desk.facts.coupons.values() if row.id == request.coupon), None)
    if row is None:
        raise NotFound("no such coupon")
    unknown = request.changes.keys() - set(EDITABLE)
    if unknown or not request.changes:
        raise Invalid(f"these may be changed: {', '.join(EDITABLE)}", fields=sorted(unknown))
    names = {"budget_cents": "budget"}
    fields = {names.get(name, name): value for name, value in request.changes.items()}
    changed = msgspec.structs.replace(row, **fields)
    _check(changed)
    for name, value in fields.items():
        setattr(row, name, value)
    desk.out.coupons = [other for other in desk.out.coupons if other.id != row.id]
    desk.out.coupons.append(row)
    return lambda: msgspec.json.encode(row.shape())


def _check(row: CouponRow) -> None:
    check_cents(row.budget, "budget_cents")
    check_cents(row.min_amount_cents, "min_amount_cents")
    check_integer(row.per_buyer_limit, "per_buyer_limit", least=1, most=MAX_UNITS)
    if row.budget < row.used:
        raise Invalid(f"{row.used} are used already", field="budget_cents", used_cents=row.used)
    if row.ends_at is not None:
        check_moment(row.ends_at, "ends_at", least=row.starts_at + 1, most=MAX_TIME_MS)


def find(desk: Desk, merchant: str, code: str) -> CouponRow:
    """A coupon of the shop. Raises `NotFound`."""
    row = desk.facts.coupons.get((merchant, code))
    if row is None:
        raise NotFound(f"this shop has no coupon {code}")
    return row


def discount_of(desk: Desk, coupon: CouponRow, buyer: str, currency: str, amount: int) -> int:
    """
    What the coupon takes off an order of `amount` cents, never more than that.

    Raises:
        Refusal: Not now, not for this order, not for this buyer any more, or the budget is spent.
    """
    if desk.now < coupon.starts_at:
        raise NotStarted("the coupon is not valid yet", starts_in_ms=coupon.starts_at - desk.now)
    if coupon.ends_at is not None and desk.now >= coupon.ends_at:
        raise Ended("the coupon is over")
    if currency != coupon.currency:
        raise Invalid(f"the coupon is for prices in {coupon.currency}", field="coupon")
    if amount < coupon.min_amount_cents:
        raise Invalid(
            f"the coupon is for orders from {coupon.min_amount_cents}",
            field="coupon",
            min_amount_cents=coupon.min_amount_cents,
        )
    used = desk.facts.coupon_uses.get((coupon.id, buyer), 0)
    if used >= coupon.per_buyer_limit:
        raise LimitExceeded("you have used this coupon", limit=coupon.per_buyer_limit, used=used)
    cents = worth(coupon.kind, coupon.value, amount)
    if coupon.used + cents > coupon.budget:
        raise SoldOut("the coupon is used up")
    return cents


def worth(kind: str, value: int, amount: int) -> int:
    """The discount in cents; a share is rounded down, in the shop's favour."""
    return min(value, amount) if kind == "amount" else amount * value // 100


def take(desk: Desk, coupon: CouponRow, order: str, buyer: str, cents: int) -> None:
    """Use the coupon for an order."""
    desk.use_coupon(coupon.id, buyer, cents, 1)
    desk.out.coupon_uses.append(
        CouponUseRow(order_id=order, coupon_id=coupon.id, buyer=buyer, cents=cents)
    )
