"""
Decisions about what a merchant's own system tells of its orders and stock.

A message is acted on once: its id is stored in the transaction that does what it says. One that is
older than what is known already (a parcel of an order that was completed since) changes nothing.
"""

from orders.decide_delivery import ship
from orders.decide_orders import cancel
from orders.decide_payments import of_shop, refund, verdict
from orders.decide_products import adjust
from orders.desk import Answer, Desk
from orders.errors import Invalid, NotFound
from orders.ledger import SkuAsked, Wanted
from orders.memory import Memory
from orders.order import DEAD
from orders.requests import AdjustStock, Cancel, Inbound, Refund, Ship, Verdict
from orders.rows import InboundRow, OrderRow
from orders.text import check_text

PROVIDER = "shop"  # of payments at the merchant's own checkout
EVENTS = ("order.paid", "order.shipped", "order.cancelled", "order.refunded", "stock.adjusted")
#: State of the order -> messages that are older than it.
OLDER = {
    "shipped": ("order.shipped",),
    "completed": ("order.shipped",),
    "refunding": ("order.shipped", "order.refunded"),
    "refunded": ("order.shipped", "order.refunded"),
    "cancelled": ("order.cancelled",),
    "expired": ("order.cancelled",),
}
DONE: Answer = b"{}"


def _payment(request: Inbound) -> str:
    return request.payment or f"shop_{request.order}"


def wants(memory: Memory, request: Inbound, wanted: Wanted) -> None:
    wanted.inbound.add((request.merchant, request.id))
    if request.order is not None:
        wanted.orders.add(request.order)
        wanted.payments_of.add(request.order)
        wanted.payments.add((of_shop(PROVIDER, request.merchant), _payment(request)))
    if request.sku is not None:
        wanted.skus.add(SkuAsked(request.sku, request.merchant, None))


def decide(desk: Desk, request: Inbound) -> Answer:
    """Do it, unless it was done or is old news. Raises what the thing itself refuses."""
    check_text(request.id, "webhook-id", most=200)
    place = (request.merchant, request.id)
    if place in desk.facts.inbound:
        return DONE
    if request.event == "stock.adjusted":
        _adjust(desk, request)
    elif request.event in EVENTS:
        _move(desk, request)
    else:
        raise Invalid(f"the events are: {', '.join(EVENTS)}", field="type")
    desk.facts.inbound.add(place)
    desk.out.inbound.append(InboundRow(merchant=request.merchant, id=request.id, at=desk.now))
    return DONE


def _adjust(desk: Desk, request: Inbound) -> None:
    if request.sku is None:
        raise Invalid("stock.adjusted names a sku", field="data.sku")
    found = desk.facts.skus.get(SkuAsked(request.sku, request.merchant, None), [])
    if not found:
        raise NotFound(f"no product {request.sku}")
    reason = request.reason or "told by the shop's system"
    adjust(
        desk,
        AdjustStock(product=found[0], delta=request.delta, reason=reason, actor=request.actor),
    )


def _move(desk: Desk, request: Inbound) -> None:
    if request.order is None:
        raise Invalid(f"{request.event} names an order", field="data.order")
    row = desk.facts.orders.get(request.order)
    if row is None or row.merchant != request.merchant:
        raise NotFound("no such order")
    if request.event in OLDER.get(row.state, ()):
        return
    if request.event == "order.paid":
        _paid(desk, row, request)
    elif request.event == "order.shipped":
        ship(
            desk,
            Ship(
                order=row.id,
                carrier=request.carrier,
                tracking=request.tracking,
                actor=request.actor,
            ),
        )
    elif request.event == "order.cancelled":
        cancel(desk, Cancel(order=row.id, actor=request.actor))
    else:
        refund(
            desk,
            Refund(
                order=row.id,
                amount_cents=request.amount_cents,
                restock=request.restock,
                reason=request.reason,
                actor=request.actor,
            ),
        )


def _paid(desk: Desk, row: OrderRow, request: Inbound) -> None:
    """Late, double and wrong payments are what `verdict` makes of them."""
    if request.payment is None and row.state not in DEAD and row.paid_at is not None:
        return  # the same news without a payment's id
    amount = row.amount_cents if request.amount_cents is None else request.amount_cents
    verdict(
        desk,
        Verdict(
            order=row.id,
            provider=of_shop(PROVIDER, request.merchant),
            payment=_payment(request),
            paid=True,
            amount_cents=amount,
            currency=request.currency or row.currency,
            actor=request.actor,
        ),
    )
