"""Decisions about orders of products at their ordinary price: from a room's shelf or the shop."""

import msgspec

from orders.decide_coupons import MAX_CODE_CHARS, discount_of, find, take
from orders.decide_shops import checkout_url
from orders.desk import Answer, Desk
from orders.errors import Forbidden, Invalid, NotFound
from orders.ledger import CouponAsked, OrderKey, Wanted
from orders.memory import Memory
from orders.money import MAX_CENTS, MAX_UNITS, check_integer
from orders.requests import CreateOrder
from orders.rows import CouponRow, GrantRow, LineRow, OrderRow, ProductRow
from orders.sale import (
    MAX_ID_CHARS,
    MAX_KEY_CHARS,
    MAX_NAME_CHARS,
    check_grant,
    check_metadata,
    check_repeat,
    check_stock,
    fingerprint,
)
from orders.shapes import AppliedCoupon, Buyer, Line, Order
from orders.text import check_text
from orders.times import rfc3339

MAX_LINES = 50  # of one order: more is a wholesale order, or an attack
HOLD_MS = 15 * 60_000  # units of an unpaid shelf order; long enough for a slow bank page
CLIENT = "client"  # the space of keys that buyers make


def check_request(request: CreateOrder) -> None:
    """What can be refused without knowing any row."""
    check_text(request.key, "key", most=MAX_KEY_CHARS)
    check_text(request.buyer, "buyer", most=MAX_ID_CHARS)
    check_text(request.buyer_name, "buyer_name", least=0, most=MAX_NAME_CHARS)
    if request.coupon is not None:
        check_text(request.coupon, "coupon", most=MAX_CODE_CHARS)
    for name in ("room", "show"):
        if getattr(request, name) is not None:
            check_text(getattr(request, name), name, most=MAX_ID_CHARS)
    if request.metadata:
        check_metadata(request.metadata)
    if not 1 <= len(request.lines) <= MAX_LINES:
        raise Invalid(f"an order has 1 to {MAX_LINES} lines", field="lines")
    for line in request.lines:
        check_text(line.product_id, "product_id", most=MAX_ID_CHARS)
        check_integer(line.quantity, "quantity", least=1, most=MAX_UNITS)
    ids = [line.product_id for line in request.lines]
    twice = sorted({product for product in ids if ids.count(product) > 1})
    if twice:
        raise Invalid(
            "two lines name the same product: make them one line with their sum",
            field="lines",
            products=twice,
        )


def create_wants(memory: Memory, request: CreateOrder, wanted: Wanted) -> None:
    """The key always: memory holds only those of open sales."""
    wanted.keys.add(OrderKey(request.buyer, CLIENT, request.key))
    if request.coupon is not None:
        first = request.lines[0].product_id
        wanted.coupons_asked.add(CouponAsked(request.coupon, first, request.buyer))
    for line in request.lines:
        wanted.products.add(line.product_id)
        if request.room is not None:
            wanted.grants.add((line.product_id, request.room))


def create(desk: Desk, request: CreateOrder) -> Answer:
    """First the key; then every line, before anything is taken: all of it is sold or nothing."""
    known = desk.facts.by_key.get(OrderKey(request.buyer, CLIENT, request.key))
    if known is not None:
        check_repeat(known, request)
        return known.answer.encode()
    products = [_product(desk, line.product_id) for line in request.lines]
    _check_one_shop(products)
    for line, product in zip(request.lines, products, strict=True):
        if request.room is not None:
            check_room(desk.facts.grants.get((product.id, request.room)), product, line.quantity)
        check_stock(product, line.quantity)
    amount = sum(
        product.price_cents * line.quantity
        for line, product in zip(request.lines, products, strict=True)
    )
    if amount > MAX_CENTS:
        raise Invalid("this is too much for one order", field="lines")
    coupon, discount = None, 0
    if request.coupon is not None:
        coupon = find(desk, products[0].merchant, request.coupon)
        discount = discount_of(desk, coupon, request.buyer, products[0].currency, amount)
    return _place(desk, request, products, amount - discount, coupon, discount)


def _product(desk: Desk, product_id: str) -> ProductRow:
    product = desk.facts.products.get(product_id)
    if product is None:
        raise NotFound(f"no product {product_id}", product=product_id)
    return product


def _check_one_shop(products: list[ProductRow]) -> None:
    """An order is one shop's, in one currency: it is paid, sent and refunded as one."""
    if len({product.merchant for product in products}) > 1:
        raise Invalid("the lines are of several shops: make one order for each", field="lines")
    if len({product.currency for product in products}) > 1:
        raise Invalid("the lines are in several currencies: make one order each", field="lines")


def check_room(grant: GrantRow | None, product: ProductRow, quantity: int) -> None:
    """A room sells only what was granted to it: from a price, so many units."""
    if grant is None:
        raise Forbidden(f"{product.sku} is not granted to this room", product=product.id)
    check_grant(grant, product.price_cents, quantity)


def _place(
    desk: Desk,
    request: CreateOrder,
    products: list[ProductRow],
    amount: int,
    coupon: CouponRow | None,
    discount: int,
) -> bytes:
    order = _order(desk, request, products, amount)
    if coupon is not None:
        order.coupon, order.discount_cents = AppliedCoupon(id=coupon.id, code=coupon.code), discount
        take(desk, coupon, order.id, request.buyer, discount)
    answer = msgspec.json.encode(order)
    row = OrderRow(
        id=order.id,
        buyer=request.buyer,
        space=CLIENT,
        key=request.key,
        fingerprint=fingerprint(request),
        answer=answer.decode(),
        changes="{}",
        state="reserved",
        sequence=1,
        merchant=order.merchant,
        room=request.room,
        flash_sale_id=None,
        quantity=sum(line.quantity for line in request.lines),
        amount_cents=amount,
        refunded_cents=0,
        currency=order.currency,
        restocked=0,
        created_at=desk.now,
        expires_at=desk.now + HOLD_MS,
        paid_at=None,
    )
    take_lines(desk, row, order.lines)
    desk.add_order(row, line_rows(order), request.actor)
    desk.facts.by_key[OrderKey(row.buyer, row.space, row.key)] = row
    return answer


def take_lines(desk: Desk, row: OrderRow, lines: list[Line]) -> None:
    """The units of an order without a sale: from stock, and counted in the grants of its room."""
    for line in lines:
        desk.move_stock(line.product_id, committed=line.quantity)
        if row.room is not None:
            desk.use_grant(line.product_id, row.room, line.quantity)


def line_rows(order: Order) -> list[LineRow]:
    """The lines of an order as they are stored."""
    return [
        LineRow(
            order_id=order.id,
            no=number,
            product_id=line.product_id,
            quantity=line.quantity,
            unit_price_cents=line.unit_price_cents,
        )
        for number, line in enumerate(order.lines, start=1)
    ]


def _order(desk: Desk, request: CreateOrder, products: list[ProductRow], amount: int) -> Order:
    lines = [
        Line(
            product_id=product.id,
            sku=product.sku,
            title=product.title,
            quantity=line.quantity,
            unit_price_cents=product.price_cents,
        )
        for line, product in zip(request.lines, products, strict=True)
    ]
    order_id = desk.new_id("ord")
    return Order(
        id=order_id,
        state="reserved",
        sequence=1,
        merchant=products[0].merchant,
        lines=lines,
        amount_cents=amount,
        refunded_cents=0,
        currency=products[0].currency,
        room=request.room,
        show=request.show,
        flash_sale=None,
        source="shop" if request.room is None else "shelf",
        buyer=Buyer(id=request.buyer, name=request.buyer_name),
        metadata=request.metadata,
        delivery=None,
        shipment=None,
        checkout_url=checkout_url(desk, products[0].merchant, order_id),
        created_at=rfc3339(desk.now),
        expires_at=rfc3339(desk.now + HOLD_MS),
        paid_at=None,
    )
