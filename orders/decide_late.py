"""
A payment that came too late. A dead order never revives: a new one is made of it, paid from the
start, for the same lines and prices, while what it needs is still there.
"""

import msgspec

from orders.decide_shelf import check_room, line_rows, take_lines
from orders.desk import Desk
from orders.errors import Ended, LimitExceeded, SoldOut, WrongState
from orders.ledger import OrderKey, late_key
from orders.rows import OrderRow
from orders.sale import check_stock
from orders.sale_draft import SaleDraft
from orders.shapes import Line, Order
from orders.times import rfc3339


def key_of(dead: OrderRow) -> OrderKey:
    """The key of the one order that can be made of a dead one."""
    return OrderKey(dead.buyer, "server", late_key(dead.id))


def late_order(desk: Desk, dead: OrderRow) -> OrderRow | None:
    """The order that an earlier late payment made of it."""
    return desk.facts.by_key.get(key_of(dead))


def revive(desk: Desk, dead: OrderRow, actor: str) -> OrderRow:
    """
    The new order.

    Raises:
        Refusal: Something that it needs is gone. Nothing was changed.
    """
    was = msgspec.json.decode(dead.json(), type=Order)
    draft = None if dead.flash_sale_id is None else desk.sale(dead.flash_sale_id)
    if draft is not None and draft.row.is_open:
        _check_sale(desk, draft, dead)
    else:
        _check_shelf(desk, dead, was.lines, draft)
        draft = None
    row, order = _rows(desk, dead, was, draft)
    if draft is not None:
        draft.take(row.buyer, row.quantity)
    else:
        take_lines(desk, row, order.lines)
    desk.add_order(row, line_rows(order), actor)
    desk.facts.by_key[key_of(dead)] = row
    return row


def _check_sale(desk: Desk, draft: SaleDraft, dead: OrderRow) -> None:
    sale = draft.row
    if draft.units_of(dead.buyer) + dead.quantity > sale.per_buyer_limit:
        raise LimitExceeded("the buyer has as many as one buyer may have")
    if dead.quantity > sale.left or desk.is_waited_for(sale.id):
        raise SoldOut("sold out", units_left=sale.left)


def _check_shelf(desk: Desk, dead: OrderRow, lines: list[Line], draft: SaleDraft | None) -> None:
    """Without a sale, or past one that is over, units come from the products themselves."""
    if draft is not None and draft.row.state == "cancelled":
        raise Ended("the sale was cancelled")
    if was_discounted(dead):
        raise WrongState("its coupon went back when it ended")
    for line in lines:
        product = desk.facts.products.get(line.product_id)
        if product is None:
            raise SoldOut("the product is gone")
        check_stock(product, line.quantity)
        if draft is None and dead.room is not None:
            grant = desk.facts.grants.get((product.id, dead.room))
            check_room(grant, product, line.quantity)


def was_discounted(dead: OrderRow) -> bool:
    """Whether a coupon paid a part: it was given back, perhaps to somebody else by now."""
    return msgspec.json.decode(dead.answer, type=Order).coupon is not None


def _rows(
    desk: Desk, dead: OrderRow, was: Order, draft: SaleDraft | None
) -> tuple[OrderRow, Order]:
    of_ended_sale = dead.flash_sale_id is not None and draft is None
    order = msgspec.structs.replace(
        was,
        id=desk.new_id("ord"),
        state="paid",
        sequence=1,
        source="late_payment",
        flash_sale=None if draft is None else draft.row.id,
        created_at=rfc3339(desk.now),
        expires_at=None,
        paid_at=rfc3339(desk.now),
        checkout_url=None,
        replaces=dead.id,
    )
    row = msgspec.structs.replace(
        dead,
        id=order.id,
        space=key_of(dead).space,
        key=key_of(dead).key,
        answer=msgspec.json.encode(order).decode(),
        changes="{}",
        state="paid",
        sequence=1,
        room=None if of_ended_sale else dead.room,  # its units count in no grant
        flash_sale_id=order.flash_sale,
        created_at=desk.now,
        expires_at=None,
        paid_at=desk.now,
    )
    return row, order
