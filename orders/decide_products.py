"""Decisions about products, their stock, and what rooms may sell of them."""

from typing import Any

import msgspec

from orders.desk import Answer, Desk
from orders.errors import Invalid, NotFound
from orders.ledger import SkuAsked, Wanted
from orders.memory import Memory
from orders.money import MAX_CENTS, MAX_UNITS, check_cents, check_currency, check_integer
from orders.requests import AdjustStock, CreateProduct, EditProduct, Note, SetGrant
from orders.rows import GrantRow, ProductRow
from orders.shapes import Grant
from orders.text import check_prose, check_text

MAX_PROSE_CHARS = 5_000
MAX_URL_CHARS = 2_000
EDITABLE = (
    "title", "description", "terms", "seller_name", "price_cents", "list_price_cents", "image_url",
)  # fmt: skip


def create_wants(memory: Memory, request: CreateProduct, wanted: Wanted) -> None:
    wanted.skus.add(SkuAsked(request.sku, request.merchant, None))


def create(desk: Desk, request: CreateProduct) -> Answer:
    """A product with its opening stock; a SKU names one product of a merchant."""
    check_text(request.merchant, "merchant", most=200)
    check_text(request.sku, "sku", most=64)
    check_integer(request.stock, "stock", least=0, most=MAX_UNITS)
    check_currency(request.currency)
    _check_fields({name: getattr(request, name) for name in EDITABLE})
    asked = SkuAsked(request.sku, request.merchant, None)
    if desk.facts.skus.get(asked):
        raise Invalid(f"the SKU {request.sku} is taken", field="sku")
    row = _new_row(desk, request)
    desk.out.new_products.append(msgspec.structs.replace(row))
    desk.facts.products[row.id] = row
    desk.facts.skus[asked] = [row.id]
    desk.products_changed.add(row.id)
    if request.stock:
        desk.move_stock(row.id, total=request.stock)
        desk.record_stock(row.id, request.stock, "opening stock", request.actor)
    return desk.product_answer(row)


def _new_row(desk: Desk, request: CreateProduct) -> ProductRow:
    return ProductRow(
        id=desk.new_id("prod"),
        merchant=request.merchant,
        sku=request.sku,
        title=request.title,
        description=request.description,
        terms=request.terms,
        seller_name=request.seller_name,
        price_cents=request.price_cents,
        list_price_cents=request.list_price_cents,
        currency=request.currency,
        image_url=request.image_url,
        created_at=desk.now,
    )


def _check_fields(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if name == "title":
            check_text(value, name, most=200)
        elif name in ("description", "terms"):
            check_prose(value, name, most=MAX_PROSE_CHARS)
        elif name == "seller_name":
            check_text(value, name, least=0, most=200)
        elif name == "price_cents":
            check_cents(value, name)
        elif name == "list_price_cents" and value is not None:
            check_integer(value, name, least=0, most=MAX_CENTS)
        elif name == "image_url" and value is not None:
            check_text(value, name, most=MAX_URL_CHARS)


def edit_wants(memory: Memory, request: EditProduct, wanted: Wanted) -> None:
    wanted.products.add(request.product)


def edit(desk: Desk, request: EditProduct) -> Answer:
    """
    Change what the catalogue says. Sales and orders keep what they were made with. What says so
    already is no change: nothing is written and no room hears of it.
    """
    row = _product(desk, request.product)
    unknown = request.changes.keys() - set(EDITABLE)
    if unknown or not request.changes:
        raise Invalid(f"these may be changed: {', '.join(EDITABLE)}", fields=sorted(unknown))
    _check_fields(request.changes)
    if all(getattr(row, name) == value for name, value in request.changes.items()):
        return desk.product_answer(row)
    for name, value in request.changes.items():
        setattr(row, name, value)
    desk.out.products = [other for other in desk.out.products if other.id != row.id]
    desk.out.products.append(row)
    desk.products_changed.add(row.id)
    return desk.product_answer(row)


def adjust_wants(memory: Memory, request: AdjustStock, wanted: Wanted) -> None:
    wanted.products.add(request.product)


def adjust(desk: Desk, request: AdjustStock) -> Answer:
    """Raise or lower a product's total, never below what is committed."""
    row = _product(desk, request.product)
    check_integer(request.delta, "delta", least=-MAX_UNITS, most=MAX_UNITS)
    check_text(request.reason, "reason", least=0, most=200)
    if request.delta == 0:
        raise Invalid("delta must not be 0", field="delta")
    if row.free + request.delta < 0:
        raise Invalid(
            f"{row.committed} of {row.total} units are sold or held for sales",
            field="delta",
            stock=row.free,
        )
    if row.total + request.delta > MAX_UNITS:
        raise Invalid(f"a product has at most {MAX_UNITS} units", field="delta")
    desk.move_stock(row.id, total=request.delta)
    desk.record_stock(row.id, request.delta, request.reason, request.actor)
    return desk.product_answer(row)


def grant_wants(memory: Memory, request: SetGrant, wanted: Wanted) -> None:
    wanted.products.add(request.product)
    wanted.grants.add((request.product, request.room))


def set_grant(desk: Desk, request: SetGrant) -> Answer:
    """Let a room sell a product from a price, up to a number of units."""
    row = _product(desk, request.product)
    check_text(request.room, "room", most=200)
    if request.min_price_cents is not None:
        check_cents(request.min_price_cents, "min_price_cents")
    if request.units_max is not None:
        check_integer(request.units_max, "units_max", least=0, most=MAX_UNITS)
    place = (row.id, request.room)
    grant = desk.facts.grants.get(place)
    used = 0 if grant is None else grant.used
    if request.units_max is not None and request.units_max < used:
        raise Invalid(f"{used} units are used already", field="units_max", used=used)
    new = grant is None
    if grant is None:
        grant = desk.facts.grants[place] = GrantRow(
            product_id=row.id, room=request.room, min_price_cents=None, units_max=None, used=0
        )
    asked = (request.min_price_cents, request.units_max)
    if new or (grant.min_price_cents, grant.units_max) != asked:
        grant.min_price_cents, grant.units_max = asked
        desk.out.grants = [other for other in desk.out.grants if other is not grant]
        desk.out.grants.append(grant)
        desk.products_changed.add(row.id)
    shape = Grant(
        product_id=row.id,
        room=request.room,
        min_price_cents=request.min_price_cents,
        units_max=request.units_max,
        used=used,
    )
    return msgspec.json.encode(shape)


def note_wants(memory: Memory, request: Note, wanted: Wanted) -> None:
    """A note reads nothing."""


def note(desk: Desk, request: Note) -> Answer:
    """Tell these merchants' feeds about something that is no order."""
    check_text(request.event, "event", most=64)
    room = request.data.get("room")
    room_id = room.get("id") if isinstance(room, dict) else None
    for merchant in request.merchants:
        desk.note(request.event, check_text(merchant, "merchant", most=200), request.data, room_id)
    return b"{}"


def _product(desk: Desk, product_id: str) -> ProductRow:
    row = desk.facts.products.get(product_id)
    if row is None:
        raise NotFound("no such product")
    return row
