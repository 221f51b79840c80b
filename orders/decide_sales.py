"""Decisions about flash sales: create, edit, cancel, start and end by the sale clock."""

from typing import Any

from orders.desk import Answer, Desk
from orders.errors import Invalid, NotFound, WrongState
from orders.ledger import SkuAsked, Wanted
from orders.memory import Memory
from orders.requests import CancelSale, CreateSale, EditSale, HostBack, HostLeft
from orders.rows import VOID_NONE, VOID_WANTED, ProductRow, SaleRow
from orders.sale import (
    MAX_PAUSE_SECONDS,
    check_grant,
    check_low_price,
    check_new_sale,
    check_sale_edit,
    check_stock,
    list_price,
    not_granted,
)
from orders.sale_draft import SaleDraft


def create_wants(memory: Memory, request: CreateSale, wanted: Wanted) -> None:
    wanted.skus.add(_asked(request))


def _asked(request: CreateSale) -> SkuAsked:
    return SkuAsked(request.sku, request.merchant, request.room)


def create(desk: Desk, request: CreateSale) -> Answer:
    """Commit the units of a sale, inside the grant of the room and the stock of the product."""
    check_new_sale(request, desk.now)
    product = _product(desk, request)
    grant = desk.facts.grants.get((product.id, request.room))
    if grant is not None:
        check_grant(grant, request.price_cents, request.units)
    check_stock(product, request.units)
    check_low_price(product, request)
    row = _new_row(desk, request, product, granted=grant is not None)
    desk.sales[row.id] = SaleDraft(row, {}, is_new=True)
    row = desk.sales[row.id].row
    desk.move_stock(product.id, committed=row.units)
    desk.count_in_grant(row, row.units)
    return desk.sale_answer(row)


def _product(desk: Desk, request: CreateSale) -> ProductRow:
    found = desk.facts.skus.get(_asked(request), [])
    if not found:
        if request.sku in desk.facts.skus_elsewhere:
            raise not_granted(request.room)
        raise NotFound(f"no product {request.sku}")
    if len(found) > 1:
        raise Invalid("several merchants granted this SKU to the room", field="sku")
    return desk.facts.products[found[0]]


def _new_row(desk: Desk, request: CreateSale, product: ProductRow, *, granted: bool) -> SaleRow:
    starts_at = request.starts_at
    if starts_at is None:
        starts_at = desk.now + request.countdown_seconds * 1000
    return SaleRow(
        id=desk.new_id("sale"),
        room=request.room,
        show=request.show,
        product_id=product.id,
        merchant=product.merchant,
        sku=product.sku,
        title=product.title,
        price_cents=request.price_cents,
        list_price_cents=list_price(product),
        currency=product.currency,
        units=request.units,
        sold=0,
        counter=1,
        state="scheduled" if starts_at > desk.now else "running",
        per_buyer_limit=request.per_buyer_limit,
        buyers=request.buyers,
        hold_seconds=request.hold_seconds,
        starts_at=starts_at,
        ends_at=starts_at + request.duration_seconds * 1000,
        created_at=desk.now,
        granted=int(granted),
        void=VOID_NONE,
        host_away=request.host_away,
        paused_at=None,
    )


def edit_wants(memory: Memory, request: EditSale, wanted: Wanted) -> None:
    known = memory.sales.get(request.flash_sale)
    if known is None:
        wanted.sales.add(request.flash_sale)
    elif "units" in request.changes:
        wanted.products.add(known.row.product_id)
        wanted.grants.add((known.row.product_id, known.row.room))


def edit(desk: Desk, request: EditSale) -> Answer:
    """
    Refill or cut the units, change the limit, the end, or the start before it came: then the end
    moves along. What was reserved stays reserved.
    """
    draft = _sale(desk, request.flash_sale)
    check_sale_edit(draft.row, request.changes, desk.now)
    if "units" in request.changes:
        _resize(desk, draft, request)
    draft.row.per_buyer_limit = request.changes.get("per_buyer_limit", draft.row.per_buyer_limit)
    _move_times(draft.row, request.changes)
    draft.row.host_away = request.changes.get("host_away", draft.row.host_away)
    if draft.row.host_away == "go_on":
        _go_on(draft.row, desk.now)
    return desk.sale_answer(draft.row)


def _move_times(row: SaleRow, changes: dict[str, Any]) -> None:
    lasts = row.ends_at - row.starts_at
    row.starts_at = changes.get("starts_at", row.starts_at)
    row.ends_at = changes.get("ends_at", row.starts_at + lasts)


def _resize(desk: Desk, draft: SaleDraft, request: EditSale) -> None:
    row, units = draft.row, request.changes["units"]
    more = units - row.units
    if not more:
        return
    if more > 0:
        _check_refill(desk, row, more, request.merchant)
    check_stock(desk.facts.products[row.product_id], more)
    desk.move_stock(row.product_id, committed=more)
    desk.count_in_grant(row, more)
    row.units = units


def _check_refill(desk: Desk, row: SaleRow, more: int, merchant: str | None) -> None:
    """More units need what a new sale of them would need: a streamer's, a grant."""
    grant = desk.facts.grants.get((row.product_id, row.room)) if row.granted else None
    if grant is not None:
        check_grant(grant, row.price_cents, more)
    elif merchant != row.merchant:
        raise not_granted(row.room)


def host_wants(memory: Memory, request: HostLeft | HostBack, wanted: Wanted) -> None:
    if request.flash_sale not in memory.sales:
        wanted.sales.add(request.flash_sale)


def host_left(desk: Desk, request: HostLeft) -> Answer:
    """
    A running sale that is to pause becomes a scheduled one that starts at the last moment for the
    host to be back, with the time that it had left: all else knows what to do with such a sale.
    """
    row = _sale(desk, request.flash_sale).row
    if row.state == "running" and row.host_away == "pause":
        lasts = row.ends_at - desk.now
        row.state, row.paused_at = "scheduled", desk.now
        row.starts_at = desk.now + MAX_PAUSE_SECONDS * 1000
        row.ends_at = row.starts_at + lasts
    return desk.sale_answer(row)


def host_back(desk: Desk, request: HostBack) -> Answer:
    row = _sale(desk, request.flash_sale).row
    _go_on(row, desk.now)
    return desk.sale_answer(row)


def _go_on(row: SaleRow, now: int) -> None:
    """A sale that pauses runs again, as long as it would have run."""
    if row.paused_at is not None:
        lasts = row.ends_at - row.starts_at
        row.state, row.paused_at = "running", None
        row.starts_at, row.ends_at = now, now + lasts


def cancel_wants(memory: Memory, request: CancelSale, wanted: Wanted) -> None:
    if request.flash_sale not in memory.sales:
        wanted.sales.add(request.flash_sale)


def cancel(desk: Desk, request: CancelSale) -> Answer:
    """Stop at once. Orders already taken are honoured, or voided in the batches that follow."""
    if request.orders not in ("honour", "void"):
        raise Invalid("orders must be honour or void", field="orders")
    draft = _sale(desk, request.flash_sale)
    if not draft.row.is_open:
        raise WrongState(f"the sale is {draft.row.state}", state=draft.row.state)
    if request.orders == "void":
        draft.row.void = VOID_WANTED
    desk.close_sale(draft, "cancelled")
    return desk.sale_answer(draft.row)


def turn_by_clock(desk: Desk) -> None:
    """Start and end the sales whose time has come. Who paused for too long is over, too."""
    for sale_id, known in desk.memory.sales.items():
        starts = known.row.state == "scheduled" and desk.now >= known.row.starts_at
        if desk.now >= known.row.ends_at or (starts and known.row.paused_at is not None):
            draft = _sale(desk, sale_id)
            draft.row.ends_at = min(desk.now, draft.row.ends_at)
            desk.close_sale(draft, "ended")
        elif starts:
            _sale(desk, sale_id).row.state = "running"


def _sale(desk: Desk, sale_id: str) -> SaleDraft:
    draft = desk.sale(sale_id)
    if draft is None:
        raise NotFound("no such flash sale")
    return draft
