"""Orders: buyers see and end their own, a merchant sees those of its shop."""

import msgspec

from liveserver import buying
from liveserver.web.requests.common import Page
from liveserver.web.requests.orders import (
    DeliveryAddress,
    EdgeList,
    NewLine,
    NewOrder,
    OrderList,
    PayHow,
    PaymentMark,
    RefundWish,
    Shipment,
)
from liveserver.web.route import Call, Created, Route, Subject, of_caller
from orders.errors import NotFound
from orders.requests import Complete, LineAsked, MarkPaid, Refund, Ship
from orders.shapes import Order


async def of_order(call: Call) -> Subject:
    """The order's buyer and shop."""
    order = await call.services.reads.order(call.params["order"])
    if order is None:
        raise NotFound("There is no such order.")
    return Subject(buyer=order.buyer.id, merchant=order.merchant, thing=order)


def asked(lines: list[NewLine]) -> list[LineAsked]:
    """The lines as the writer takes them."""
    return [LineAsked(product_id=line.product_id, quantity=line.quantity) for line in lines]


async def create(call: Call) -> Created:
    """
    Hold every line or none, at the prices of the moment. The same Idempotency-Key gets the same
    order again.
    """
    body: NewOrder = call.body
    raw = await buying.create(
        call.services,
        call.who,
        body.room,
        asked(body.lines),
        call.key,
        body.metadata,
        body.coupon,
    )
    return Created(raw, f"/v1/orders/{msgspec.json.decode(raw, type=Order).id}")


async def list_orders(call: Call) -> OrderList:
    """Newest first: a merchant's token lists the shop's orders, any other its own."""
    page: Page = call.query
    reads = call.services.reads
    if call.who.role == "merchant" and call.who.merchant is not None:
        found = await reads.orders_of_merchant(call.who.merchant, page.cursor, page.limit)
    else:
        found = await reads.orders_of_buyer(call.who.user, page.cursor, page.limit)
    items, following = found
    return OrderList(items=items, next_cursor=following)


async def read(call: Call) -> Order:
    """The buyer's address, where the shop asked for one, is shown to the order's shop alone."""
    order: Order = call.subject.thing
    order.delivery = await call.services.deliveries.shown(order, _is_its_shop(call, order))
    return order


def _is_its_shop(call: Call, order: Order) -> bool:
    return call.who.role == "merchant" and call.who.merchant == order.merchant


async def deliver(call: Call) -> Order:
    """Where to send it. Stored encrypted; given again, it replaces what was given before."""
    order: Order = call.subject.thing
    body: DeliveryAddress = call.body
    await call.services.deliveries.give(order, msgspec.structs.asdict(body))
    order.delivery = await call.services.deliveries.shown(order, _is_its_shop(call, order))
    return order


async def history(call: Call) -> EdgeList:
    edges = await call.services.reads.order_history(call.params["order"])
    return EdgeList(items=edges or [], next_cursor=None)


async def pay(call: Call) -> bytes:
    how: PayHow = call.body
    return await buying.pay(call.services, call.who, call.params["order"], how.outcome)


async def cancel(call: Call) -> bytes:
    return await buying.cancel(call.services, call.who, call.params["order"])


async def ship(call: Call) -> bytes:
    body: Shipment = call.body
    return await call.services.door.ask(
        Ship(
            order=call.params["order"],
            carrier=body.carrier,
            tracking=body.tracking,
            actor=call.who.user,
        )
    )


async def complete(call: Call) -> bytes:
    return await call.services.door.ask(Complete(order=call.params["order"], actor=call.who.user))


async def refund(call: Call) -> bytes:
    """With an Idempotency-Key the same refund is made once, however often it is asked for."""
    body: RefundWish = call.body
    return await call.services.door.ask(
        Refund(
            order=call.params["order"],
            amount_cents=body.amount_cents,
            restock=body.restock,
            reason=body.reason,
            key=call.key or None,
            actor=call.who.user,
        )
    )


async def mark_paid(call: Call) -> bytes:
    """
    The whole amount has arrived. Of an order that ended unpaid a new one is made, while there is
    stock; the answer is then the new one.
    """
    body: PaymentMark = call.body
    order = call.params["order"]
    payment = body.reference or f"manual_{order}"
    shop = call.subject.thing.merchant
    return await call.services.door.ask(
        MarkPaid(order=order, payment=payment, merchant=shop, actor=call.who.user)
    )


ROUTES = [
    Route(
        method="POST",
        path="/v1/orders",
        action="order.create",
        handler=create,
        summary="Order products from a shelf or the shop",
        tag="orders",
        request=NewOrder,
        answer=Order,
        status=201,
        refuses=(
            "forbidden",
            "not-found",
            "sold-out",
            "in-flight",
            "idempotency-conflict",
            "limit-exceeded",
            "not-started",
            "ended",
            "rehearsal",
        ),
        idempotent=True,
        limit="reserve",
    ),
    Route(
        method="GET",
        path="/v1/orders",
        action="order.list",
        handler=list_orders,
        summary="My orders, or those of my shop",
        tag="orders",
        query=Page,
        about=of_caller,
        answer=OrderList,
    ),
    Route(
        method="GET",
        path="/v1/orders/{order}",
        action="order.read",
        handler=read,
        summary="One order",
        tag="orders",
        about=of_order,
        answer=Order,
    ),
    Route(
        method="GET",
        path="/v1/orders/{order}/history",
        action="order.read",
        handler=history,
        summary="Every step of an order",
        tag="orders",
        about=of_order,
        answer=EdgeList,
    ),
    Route(
        method="POST",
        path="/v1/orders/{order}/pay",
        action="order.pay",
        handler=pay,
        summary="Pay with the demo provider",
        tag="orders",
        request=PayHow,
        body_optional=True,
        about=of_order,
        answer=Order,
        refuses=("invalid-state",),
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/orders/{order}/cancel",
        action="order.cancel",
        handler=cancel,
        summary="Give an unpaid order back",
        tag="orders",
        about=of_order,
        answer=Order,
        refuses=("invalid-state",),
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/orders/{order}/delivery",
        action="order.delivery",
        handler=deliver,
        summary="Where to send an order, for shops that ask",
        tag="orders",
        request=DeliveryAddress,
        about=of_order,
        answer=Order,
        refuses=("invalid-state",),
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/orders/{order}/ship",
        action="order.ship",
        handler=ship,
        summary="It is on its way",
        tag="orders",
        request=Shipment,
        body_optional=True,
        about=of_order,
        answer=Order,
        refuses=("invalid-state",),
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/orders/{order}/complete",
        action="order.complete",
        handler=complete,
        summary="The buyer has it",
        tag="orders",
        about=of_order,
        answer=Order,
        refuses=("invalid-state",),
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/orders/{order}/refund",
        action="order.refund",
        handler=refund,
        summary="Give back a part or all of the amount",
        tag="orders",
        request=RefundWish,
        body_optional=True,
        about=of_order,
        answer=Order,
        refuses=("invalid-state",),
        keyable=True,
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/orders/{order}/mark-paid",
        action="order.mark_paid",
        handler=mark_paid,
        summary="The money has arrived",
        tag="orders",
        request=PaymentMark,
        body_optional=True,
        about=of_order,
        answer=Order,
        refuses=("invalid-state", "sold-out", "limit-exceeded", "ended"),
        limit="write",
    ),
]
