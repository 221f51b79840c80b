"""
The end of a batch: what its desk holds becomes the rows of one transaction, and after the commit
what the memory holds and what the feed and the rooms are told.
"""

from orders.desk import Desk
from orders.feed import FeedEvent
from orders.ledger import Effects
from orders.rows import (
    VOID_WANTED,
    AnswerRow,
    CouponBuyerDelta,
    CouponDelta,
    EdgeRow,
    GrantDelta,
    OrderMove,
    OrderRow,
    PlaceMove,
    UnitsDelta,
    merged,
)
from orders.sale_draft import SaleDraft
from orders.shapes import FlashSale

LOW_PART = 10  # a tenth of the units is little: time to bring more


def note_stock(desk: Desk) -> None:
    """Tell merchants what ran low or out in this batch: sales, and products on the shelf."""
    for draft in desk.sales.values():
        base, row = draft.base, draft.row
        event = _ran(base.left, row.left, row.units)
        if event is not None and row.is_open and not draft.is_new:
            desk.note_sale(event, row)
    for delta in desk.stock.values():
        product = desk.facts.products.get(delta.product_id)
        if product is None:  # units only came back
            continue
        before = product.free - delta.total + delta.committed
        event = _ran(before, product.free, product.total)
        if event is not None:
            desk.note(event, product.merchant, {"product": product.shape()}, None)


def effects(desk: Desk) -> Effects:
    """Everything but the orders themselves, one list a statement."""
    out = desk.out
    for draft in desk.sales.values():
        if draft.is_new:
            out.new_sales.append(draft.row)
        elif draft.changed:
            out.sales.append(draft.change())
        _count_units(desk, draft)
    for line in desk.lines.values():
        out.new_places.extend(line.new)
        out.place_moves.extend(
            PlaceMove(n=place.n, state=place.state, order_id=place.order_id)
            for place in line.ended.values()
        )
    out.stock = sorted(
        (row for row in desk.stock.values() if row.total or row.committed),
        key=lambda row: row.product_id,
    )
    out.answers = [
        AnswerRow(
            owner=owner, key=key, fingerprint=fingerprint, at=desk.now,
            answer=(answer if isinstance(answer, bytes) else answer()).decode(),
        )
        for (owner, key), (fingerprint, answer) in desk.kept.items()
    ]  # fmt: skip
    out.grants_used = _summed(out.grants_used)
    _sum_coupons(out)
    for order_id, known in desk.order_base.items():
        row = desk.facts.orders[order_id]
        out.moves.append(
            OrderMove(
                id=row.id, known_state=known, state=row.state, sequence=row.sequence,
                changes=row.changes, paid_at=row.paid_at,
                refunded_cents=row.refunded_cents, restocked=row.restocked,
            )
        )  # fmt: skip
    return out


def _count_units(desk: Desk, draft: SaleDraft) -> None:
    for buyer, delta in draft.taken.items():
        if delta:
            into = desk.out.units_taken if delta > 0 else desk.out.units_returned
            into.append(UnitsDelta(flash_sale_id=draft.row.id, buyer=buyer, delta=delta))


def commit_to_memory(desk: Desk) -> None:
    """The transaction is committed: let the memory know."""
    memory = desk.memory
    memory.last_n = desk.n
    memory.keys.update(desk.keys)
    memory.shops.update(desk.shops)
    for line in desk.lines.values():
        line.commit()
    for draft in desk.sales.values():
        if draft.changed:
            memory.put(draft.row, draft.taken)
        if draft.row.void == VOID_WANTED and draft.base.void != VOID_WANTED:
            memory.voids.append(draft.row.id)
    deadlines = [row.expires_at for row in desk.new_orders.values() if row.expires_at]
    if memory.next_due_at is not None:
        deadlines.append(memory.next_due_at)
    memory.next_due_at = min(deadlines, default=None)


def events(desk: Desk) -> list[FeedEvent]:
    """What this batch told, as the feed has it once it is committed."""
    found = [
        _event_of(edge, desk.new_orders.get(edge.order_id) or desk.facts.orders[edge.order_id])
        for edge in desk.out.edges
        if edge.event is not None
    ]
    found += [
        FeedEvent(
            n=note.n, type=note.type, merchant=note.merchant, at=note.at, room=note.room,
            data=note.data.encode(),
        )
        for note in desk.out.notes
    ]  # fmt: skip
    return sorted(found, key=lambda event: event.n)


def changed_sales(desk: Desk) -> list[FlashSale]:
    """The sales that this batch changed, for the rooms."""
    fence = desk.memory.fence
    return [draft.row.shape(fence) for draft in desk.sales.values() if draft.changed]


def _event_of(edge: EdgeRow, order: OrderRow) -> FeedEvent:
    assert edge.event is not None
    return FeedEvent(
        n=edge.n,
        type=edge.event,
        merchant=order.merchant,
        at=edge.at,
        data=b'{"order":%b}' % merged(order.answer, edge.changes),
        buyer=order.buyer,
        room=order.room,
    )


def _ran(before: int, left: int, whole: int) -> str | None:
    """The event of what was left, if it just reached nothing, or a tenth of the whole."""
    if left >= before:
        return None
    if left <= 0:
        return "stock.sold_out"
    is_low, was_low = left * LOW_PART <= whole, before * LOW_PART <= whole
    return "stock.low" if is_low and not was_low else None


def _summed(deltas: list[GrantDelta]) -> list[GrantDelta]:
    sums: dict[tuple[str, str], int] = {}
    for delta in deltas:
        key = (delta.product_id, delta.room)
        sums[key] = sums.get(key, 0) + delta.used
    return [
        GrantDelta(product_id=product, room=room, used=used)
        for (product, room), used in sums.items()
        if used
    ]


def _sum_coupons(out: Effects) -> None:
    """One delta a coupon, and one a buyer of it: an UPDATE takes each row once."""
    cents: dict[str, int] = {}
    for delta in out.coupons_used:
        cents[delta.id] = cents.get(delta.id, 0) + delta.cents
    uses: dict[tuple[str, str], int] = {}
    for step in out.coupon_buyers:
        place = (step.coupon_id, step.buyer)
        uses[place] = uses.get(place, 0) + step.uses
    out.coupons_used = [CouponDelta(id=name, cents=sum_) for name, sum_ in cents.items() if sum_]
    out.coupon_buyers = [
        CouponBuyerDelta(coupon_id=coupon, buyer=buyer, uses=sum_)
        for (coupon, buyer), sum_ in uses.items()
        if sum_
    ]
