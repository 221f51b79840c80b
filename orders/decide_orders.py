"""Decisions about orders: reserve, cancel, expire, void. Pure: drafts in, drafts changed."""

import msgspec

from orders.decide_payments import order_row, refund_all
from orders.decide_shops import checkout_url
from orders.desk import Answer, Desk
from orders.errors import NotFound, Refusal, SoldOut
from orders.ledger import OrderKey, Wanted
from orders.memory import Memory
from orders.requests import Cancel, Reserve
from orders.rows import VOID_DONE, LineRow, OrderRow, SaleRow
from orders.sale import check_repeat, fingerprint, reserve_refusal
from orders.sale_draft import SaleDraft
from orders.shapes import Buyer, Line, Order
from orders.times import rfc3339

CLIENT = "client"  # the space of keys that buyers make


def reserve_wants(memory: Memory, request: Reserve, wanted: Wanted) -> None:
    """A known key is read; so is everything about a sale that is not open any more."""
    unknown_sale = request.flash_sale not in memory.sales
    if unknown_sale or (request.buyer, request.key) in memory.keys:
        wanted.keys.add(OrderKey(request.buyer, CLIENT, request.key))
    if unknown_sale:
        wanted.sales.add(request.flash_sale)


def reserve(desk: Desk, request: Reserve) -> Answer | Refusal:
    """First the key, then the sale's clock, buyers, limit and stock."""
    known = desk.facts.by_key.get(OrderKey(request.buyer, CLIENT, request.key))
    if known is not None:
        check_repeat(known, request)
        return known.answer.encode()
    sale = desk.sale_row(request.flash_sale)
    if sale is None:
        raise NotFound("no such flash sale")
    refusal = reserve_refusal(sale, request, desk.units_of(sale.id, request.buyer), desk.now)
    if refusal is not None:
        return refusal
    if desk.is_waited_for(sale.id):  # what is left belongs to those who stand in line
        return SoldOut("sold out: others wait for what comes back", units_left=0)
    draft = desk.sale(sale.id)
    assert draft is not None
    return place_order(desk, draft, request).answer.encode()


def place_order(desk: Desk, draft: SaleDraft, request: Reserve, space: str = CLIENT) -> OrderRow:
    """Take the units and make the order: for a buyer's key, or for an offer (`space`)."""
    sale = draft.row
    draft.take(request.buyer, request.quantity)
    order_id = desk.new_id("ord")
    source = "flash_sale" if space == CLIENT else space
    answer = msgspec.json.encode(_order(desk, sale, request, order_id, source))
    row = OrderRow(
        id=order_id,
        buyer=request.buyer,
        space=space,
        key=request.key,
        fingerprint=fingerprint(request),
        answer=answer.decode(),
        changes="{}",
        state="reserved",
        sequence=1,
        merchant=sale.merchant,
        room=sale.room,
        flash_sale_id=sale.id,
        quantity=request.quantity,
        amount_cents=sale.price_cents * request.quantity,
        refunded_cents=0,
        currency=sale.currency,
        restocked=0,
        created_at=desk.now,
        expires_at=desk.now + sale.hold_seconds * 1000,
        paid_at=None,
    )
    line = LineRow(
        order_id=order_id,
        no=1,
        product_id=sale.product_id,
        quantity=request.quantity,
        unit_price_cents=sale.price_cents,
    )
    desk.add_order(row, [line], request.actor)
    if space == CLIENT:
        desk.keys[(request.buyer, request.key)] = sale.id
    return row


def _order(desk: Desk, sale: SaleRow, request: Reserve, order_id: str, source: str) -> Order:
    return Order(
        id=order_id,
        state="reserved",
        sequence=1,
        merchant=sale.merchant,
        lines=[
            Line(
                product_id=sale.product_id,
                sku=sale.sku,
                title=sale.title,
                quantity=request.quantity,
                unit_price_cents=sale.price_cents,
            )
        ],
        amount_cents=sale.price_cents * request.quantity,
        refunded_cents=0,
        currency=sale.currency,
        room=sale.room,
        show=sale.show,
        flash_sale=sale.id,
        source=source,
        buyer=Buyer(id=request.buyer, name=request.buyer_name),
        metadata=request.metadata,
        delivery=None,
        shipment=None,
        checkout_url=checkout_url(desk, sale.merchant, order_id),
        created_at=rfc3339(desk.now),
        expires_at=rfc3339(desk.now + sale.hold_seconds * 1000),
        paid_at=None,
    )


def cancel_wants(memory: Memory, request: Cancel, wanted: Wanted) -> None:
    wanted.orders.add(request.order)


def cancel(desk: Desk, request: Cancel) -> Answer:
    """An unpaid order ends and its units are free again; repeated, it changes nothing."""
    row = order_row(desk, request.order)
    if row.state != "cancelled":
        desk.move_order(row, "cancelled", request.actor, {})
    return row.json


def expire_due(desk: Desk) -> None:
    """End the orders whose hold is over; where a payment was started, its provider is asked."""
    for order_id in desk.facts.due:
        row = desk.facts.orders[order_id]
        if row.state == "reserved":
            desk.move_order(row, "expired", "system", {})
        elif row.state == "pending_payment":
            desk.move_order(row, "payment_unknown", "system", {})


def void_orders(desk: Desk, sale_id: str) -> None:
    """Cancel or refund the orders of a voided sale, a part at a time until none is left."""
    for order_id in desk.facts.void:
        row = desk.facts.orders[order_id]
        if row.state in ("reserved", "pending_payment"):
            desk.move_order(row, "cancelled", "system", {})
        elif row.state == "paid":
            refund_all(desk, row, "the sale was cancelled")
    if not desk.facts.void_more:
        draft = desk.sale(sale_id)
        assert draft is not None
        draft.row.void = VOID_DONE
