"""
What may be sold, to whom, when and for how much: decisions on rows, nothing else.

Each function either returns or raises the refusal that the buyer or the streamer reads.
"""

from typing import Any

import msgspec

from orders.errors import (
    Ended,
    Forbidden,
    Invalid,
    KeyConflict,
    LimitExceeded,
    NotStarted,
    PriceUnconfirmed,
    Refusal,
    SoldOut,
    WrongState,
)
from orders.money import MAX_CENTS, MAX_UNITS, check_cents, check_integer
from orders.requests import CreateSale, Placing, Reserve
from orders.rows import GrantRow, OrderRow, ProductRow, SaleRow
from orders.text import check_text
from orders.times import check_moment

MAX_COUNTDOWN_SECONDS = 300
MAX_AHEAD_SECONDS = 30 * 24 * 3600  # a planned sale holds its units out of stock until it starts
MAX_DURATION_SECONDS = 24 * 3600  # a sale that runs longer is an ordinary price
MAX_HOLD_SECONDS = 24 * 3600
MAX_PAUSE_SECONDS = 600  # as long as rooms expect a host back; then a sale that pauses is over
EDITABLE = ("units", "per_buyer_limit", "starts_at", "ends_at", "host_away")
MAX_KEY_CHARS = 255
MAX_NAME_CHARS = 64
MAX_ID_CHARS = 200
MAX_METADATA_BYTES = 2048


def check_reserve_request(request: Reserve) -> None:
    """What can be refused without knowing any row."""
    check_integer(request.quantity, "quantity", least=1, most=MAX_UNITS)
    check_text(request.key, "key", most=MAX_KEY_CHARS)
    check_text(request.buyer, "buyer", most=MAX_ID_CHARS)
    check_text(request.buyer_name, "buyer_name", least=0, most=MAX_NAME_CHARS)
    check_text(request.flash_sale, "flash_sale", most=MAX_ID_CHARS)
    if request.metadata:
        check_metadata(request.metadata)


def check_metadata(metadata: dict[str, Any]) -> None:
    try:
        size = len(msgspec.json.encode(metadata))
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid("metadata must be a JSON object", field="metadata") from error
    if size > MAX_METADATA_BYTES:
        raise Invalid(f"metadata may have {MAX_METADATA_BYTES} bytes", field="metadata")


def fingerprint(request: Placing) -> str:
    """What makes two requests the same: a key repeated with another fingerprint is a conflict."""
    if isinstance(request, Reserve):
        return f"{request.flash_sale}|{request.quantity}"
    lines = sorted(f"{line.product_id}*{line.quantity}" for line in request.lines)
    return f"shelf|{request.room or ''}|{request.coupon or ''}|{' '.join(lines)}"


def check_repeat(order: OrderRow, request: Placing) -> None:
    """Whether an order found by its key belongs to this request."""
    check_repeat_fingerprint(order.fingerprint, request)


def check_repeat_fingerprint(known: str, request: Placing) -> None:
    """The same from the stored fingerprint alone."""
    if known != fingerprint(request):
        raise KeyConflict("this key was used for another order")


def reserve_refusal(
    sale: SaleRow, request: Reserve, units_of_buyer: int, now: int
) -> Refusal | None:
    """
    Why the buyer does not get the units, if so: clock, who may buy, limit, stock.

    A value, not a raise: a rush has thousands of these a second, and a raised one holds the frames
    that it passed until the garbage collector finds them.
    """
    if (closed := _closed(sale, now)) is not None:
        return closed
    if sale.buyers == "account" and request.guest:
        return Forbidden("this sale is for buyers with an account: sign in first")
    limit = sale.per_buyer_limit
    if units_of_buyer + request.quantity > limit:
        return LimitExceeded(
            f"one buyer may have {limit}, you have {units_of_buyer}",
            limit=limit,
            units=units_of_buyer,
        )
    if sale.sold + request.quantity > sale.units:
        return SoldOut("sold out" if not sale.left else f"{sale.left} left", units_left=sale.left)
    return None


def check_open(sale: SaleRow, now: int) -> None:
    """Whether the sale's clock lets anybody buy."""
    closed = _closed(sale, now)
    if closed is not None:
        raise closed


def _closed(sale: SaleRow, now: int) -> Refusal | None:
    if not sale.is_open or now >= sale.ends_at:
        return Ended(
            "the sale was cancelled" if sale.state == "cancelled" else "the sale has ended"
        )
    if sale.paused_at is not None:
        return NotStarted("the sale pauses until the host is back")
    if now < sale.starts_at:
        return NotStarted("the sale has not started", starts_in_ms=sale.starts_at - now)
    return None


def check_new_sale(request: CreateSale, now: int) -> None:
    """The values of a new sale, before any row is known."""
    check_text(request.room, "room", most=MAX_ID_CHARS)
    check_text(request.sku, "sku", most=64)
    check_cents(request.price_cents, "price_cents")
    check_integer(request.units, "units", least=1, most=MAX_UNITS)
    check_limit(request.per_buyer_limit, request.price_cents)
    for name, least, most in (
        ("countdown_seconds", 0, MAX_COUNTDOWN_SECONDS),
        ("duration_seconds", 1, MAX_DURATION_SECONDS),
        ("hold_seconds", 1, MAX_HOLD_SECONDS),
    ):
        check_integer(getattr(request, name), name, least=least, most=most)
    if request.buyers not in ("account", "guest"):
        raise Invalid("buyers must be account or guest", field="buyers")
    check_host_away(request.host_away)
    if request.starts_at is not None:
        if request.countdown_seconds:
            raise Invalid("give countdown_seconds or starts_at, not both", field="starts_at")
        check_start(request.starts_at, now)


def check_limit(limit: object, price_cents: int) -> None:
    """How much one buyer may have: no order may cost more than any payment can bring."""
    check_integer(limit, "per_buyer_limit", least=1, most=MAX_UNITS)
    if price_cents * limit > MAX_CENTS:  # type: ignore[operator]  # an integer by now
        raise Invalid(
            f"one buyer could order for more than {MAX_CENTS}: lower the limit",
            field="per_buyer_limit",
        )


def check_host_away(host_away: object) -> None:
    if host_away not in ("go_on", "pause"):
        raise Invalid("host_away must be go_on or pause", field="host_away")


def check_start(starts_at: object, now: int) -> None:
    """A planned start: not in the past, and not so far off that its units are held for nothing."""
    latest = now + MAX_AHEAD_SECONDS * 1000
    if type(starts_at) is not int or not now <= starts_at <= latest:
        days = MAX_AHEAD_SECONDS // (24 * 3600)
        raise Invalid(f"starts_at must lie in the next {days} days", field="starts_at")


def not_granted(room: str) -> Forbidden:
    return Forbidden("this product is not granted to the room", room=room)


def check_grant(grant: GrantRow, price_cents: int, more: int) -> None:
    """A room sells only what its product's merchant granted: from a price, so many units."""
    floor = grant.min_price_cents
    if floor is not None and price_cents < floor:
        raise Forbidden(f"the grant allows prices from {floor}", min_price_cents=floor)
    if grant.units_max is not None and grant.used + more > grant.units_max:
        raise Forbidden(
            f"the grant allows {grant.units_max} units, {grant.used} are used",
            units_max=grant.units_max,
            used=grant.used,
        )


def list_price(product: ProductRow) -> int:
    """The price that a flash price is compared with."""
    return product.price_cents if product.list_price_cents is None else product.list_price_cents


def check_low_price(product: ProductRow, request: CreateSale) -> None:
    """A price under half the list price needs a second look at both."""
    ordinary = list_price(product)
    if request.price_cents * 2 < ordinary and not request.confirm_low_price:
        raise PriceUnconfirmed(
            f"{request.price_cents} is under half the list price {ordinary}: confirm it",
            price_cents=request.price_cents,
            list_price_cents=ordinary,
        )


def check_stock(product: ProductRow, more: int) -> None:
    """Whether the product still has `more` units that nothing holds."""
    if more > product.free:
        raise SoldOut(f"the product has {product.free} units left", stock=product.free)


def check_sale_edit(sale: SaleRow, changes: dict[str, Any], now: int) -> None:
    """Which fields of an open sale may change, and to what."""
    if not sale.is_open or now >= sale.ends_at:
        raise WrongState(f"the sale is {sale.state}", state=sale.state)
    unknown = changes.keys() - EDITABLE
    if unknown or not changes:
        raise Invalid(f"{', '.join(EDITABLE)} may be changed", fields=sorted(unknown))
    if "units" in changes:
        check_integer(changes["units"], "units", least=1, most=MAX_UNITS)
        if changes["units"] < sale.sold:
            raise Invalid(f"{sale.sold} units are sold already", field="units", sold=sale.sold)
    if "per_buyer_limit" in changes:
        check_limit(changes["per_buyer_limit"], sale.price_cents)
    if "host_away" in changes:
        check_host_away(changes["host_away"])
    _check_times(sale, changes, now)


def _check_times(sale: SaleRow, changes: dict[str, Any], now: int) -> None:
    if sale.paused_at is not None and changes.keys() & {"starts_at", "ends_at"}:
        raise WrongState("the sale pauses: its times move when it goes on", state=sale.state)
    starts_at = sale.starts_at
    if "starts_at" in changes:
        if now >= sale.starts_at:
            raise WrongState("the sale has started", state=sale.state)
        check_start(changes["starts_at"], now)
        starts_at = changes["starts_at"]
    if "ends_at" in changes:
        earliest = max(now, starts_at) + 1
        latest = starts_at + MAX_DURATION_SECONDS * 1000
        check_moment(changes["ends_at"], "ends_at", least=earliest, most=max(earliest, latest))
