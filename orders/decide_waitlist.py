"""Decisions about waiting lists: join, leave, and offering what came back. Pure."""

import msgspec

from orders.decide_orders import place_order
from orders.desk import Answer, Desk
from orders.errors import NotFound, WrongState
from orders.ledger import Wanted
from orders.memory import Memory
from orders.requests import JoinWaitlist, LeaveWaitlist, Reserve
from orders.rows import PlaceRow, SaleRow
from orders.waitlist import (
    MAX_OFFERS_IN_A_BATCH,
    SPACE,
    LineDraft,
    check_join,
    check_same_join,
    offer_key,
    shape,
)


def join_wants(memory: Memory, request: JoinWaitlist, wanted: Wanted) -> None:
    """The key always: memory holds only who still waits."""
    wanted.places.add((request.buyer, request.key))
    if request.flash_sale not in memory.sales:
        wanted.sales.add(request.flash_sale)


def join(desk: Desk, request: JoinWaitlist) -> Answer:
    """First the key, then the buyer's place if there is one, then the end of the line."""
    known = desk.facts.places.get((request.buyer, request.key))
    if known is not None:
        check_same_join(known, request)
        return _answer(desk, known)
    line = desk.line(request.flash_sale)
    mine = line.find(request.buyer)
    if mine is not None:
        if mine.quantity != request.quantity:
            raise WrongState(f"you wait for {mine.quantity} already", quantity=mine.quantity)
        return _answer(desk, mine)
    sale = desk.sale_row(request.flash_sale)
    units = desk.units_of(request.flash_sale, request.buyer)
    check_join(sale, request, units, len(line), desk.now)
    place = _new_place(desk, request)
    line.join(place)
    desk.facts.places[(place.buyer, place.key)] = place
    return _answer(desk, place)


def _new_place(desk: Desk, request: JoinWaitlist) -> PlaceRow:
    return PlaceRow(
        n=desk.next_n(),
        flash_sale_id=request.flash_sale,
        buyer=request.buyer,
        buyer_name=request.buyer_name,
        guest=int(request.guest),
        quantity=request.quantity,
        key=request.key,
        metadata=msgspec.json.encode(request.metadata).decode(),
        state="waiting",
        order_id=None,
        joined_at=desk.now,
    )


def leave_wants(memory: Memory, request: LeaveWaitlist, wanted: Wanted) -> None:
    if request.flash_sale not in memory.sales:
        wanted.sales.add(request.flash_sale)


def leave(desk: Desk, request: LeaveWaitlist) -> Answer:
    """Give a place up; repeated, or without one, it changes nothing."""
    if desk.sale_row(request.flash_sale) is None:
        raise NotFound("no such flash sale")
    line = desk.line(request.flash_sale)
    mine = line.find(request.buyer)
    if mine is not None:
        line.end(mine, "left")
    return b"{}"


def offer_returned(desk: Desk) -> None:
    """
    Offer what came back to those who stand first, each with a hold of its own from now. Called at
    the end of every batch, so that afterwards either nothing is left or nobody waits.
    """
    offers = MAX_OFFERS_IN_A_BATCH
    for sale_id in desk.sales_with_line():
        line = desk.line(sale_id)
        while offers and len(line) and (sale := desk.sale_row(sale_id)) is not None:
            if sale.state != "running" or not sale.left:
                break
            _offer(desk, sale, line)
            offers -= 1


def _offer(desk: Desk, sale: SaleRow, line: LineDraft) -> None:
    place = line.first()
    draft = desk.sale(sale.id)
    assert place is not None and draft is not None
    still = sale.per_buyer_limit - desk.units_of(sale.id, place.buyer)
    quantity = min(place.quantity, sale.left, still)
    if quantity <= 0:  # has as many as one buyer may have by now
        line.end(place, "passed")
        return
    request = Reserve(
        flash_sale=sale.id,
        buyer=place.buyer,
        buyer_name=place.buyer_name,
        guest=bool(place.guest),
        quantity=quantity,
        key=offer_key(place),
        metadata=msgspec.json.decode(place.metadata),
    )
    line.end(place, "offered", place_order(desk, draft, request, SPACE).id)


def _answer(desk: Desk, place: PlaceRow) -> Answer:
    """The place as it is after the commit, with its position."""

    def answer() -> bytes:
        line = desk.line(place.flash_sale_id)
        now, stands = line.newest(place), line.positions()
        is_open = place.flash_sale_id in desk.memory.sales
        position = stands.get(now.n) if is_open else None
        return msgspec.json.encode(shape(now, position, len(stands) if is_open else 0))

    return answer
