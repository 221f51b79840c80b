"""Flash sales: a streamer inside the grant, or the product's merchant, starts them; buyers buy."""

import logging

import msgspec
from msgspec import UNSET

from liveserver.buying import reserve as place
from liveserver.problems import Refused
from liveserver.web.requests.sales import NewReservation, NewSale, SaleCancel, SaleChanges
from liveserver.web.route import Call, Created, Route, Subject
from orders.errors import Invalid, NotFound
from orders.requests import CancelSale, CreateSale, EditSale
from orders.shapes import FlashSale, Order
from orders.webhooks import parse_time
from rooms.errors import Unavailable
from rooms.rehearsal import check_sells

log = logging.getLogger(__name__)


async def of_room_and_shop(call: Call) -> Subject:
    """The room that sells, and the caller's own shop: the writer finds the product by its SKU."""
    return Subject(room=call.params["room"], merchant=call.who.merchant)


async def of_sale(call: Call) -> Subject:
    """The room of the sale and the shop of its product."""
    sale = await call.services.reads.flash_sale(call.params["sale"])
    if sale is None:
        raise NotFound("There is no such flash sale.")
    merchant = await call.services.reads.sale_merchant(sale.id)
    return Subject(room=sale.room, merchant=merchant, thing=sale)


def moment(text: str, field: str) -> int:
    """RFC 3339 as milliseconds. Raises Invalid, which names the field."""
    try:
        return parse_time(text)
    except Invalid as error:
        raise Invalid(error.detail, field=field) from error


async def create(call: Call) -> Created:
    """A merchant sells its own product anywhere; a streamer what was granted to the room."""
    body: NewSale = call.body
    room = await call.services.rooms.get(call.params["room"])
    check_sells(room)
    usual = "guest" if call.services.options.demo else "account"
    fields = msgspec.structs.asdict(body) | {"key": call.key or None}
    fields["buyers"] = body.buyers or usual
    if body.starts_at is not None:
        fields["starts_at"] = moment(body.starts_at, "starts_at")
    request = CreateSale(
        room=room.id, show=room.show, merchant=own_shop(call), actor=call.who.user, **fields
    )
    raw = await call.services.door.ask(request)
    sale = await _told(call, "created", raw)
    return Created(raw, f"/v1/flash-sales/{sale.id}")


def own_shop(call: Call) -> str | None:
    """The shop of a merchant, which needs no grant for its own products."""
    return call.who.merchant if call.who.role == "merchant" else None


async def _told(call: Call, deed: str, raw: bytes) -> FlashSale:
    """The sale as the writer answered it. The staff of its room hear who did what, if they can."""
    sale = msgspec.json.decode(raw, type=FlashSale)
    event = {"type": f"flash_sale.{deed}", "actor": call.who.user}
    try:
        told = {**event, "flash_sale": sale.id, "title": sale.title}
        await call.services.rooms.tell_console(sale.room, told)
    except Unavailable as problem:
        log.warning("the staff of %s does not hear of sale %s: %s", sale.room, sale.id, problem)
    return sale


async def read(call: Call) -> FlashSale:
    sale: FlashSale = call.subject.thing
    return sale


async def edit(call: Call) -> bytes:
    body: SaleChanges = call.body
    changes = {k: v for k, v in msgspec.structs.asdict(body).items() if v is not UNSET}
    if not changes:
        raise Refused("validation", "Nothing to change was given.")
    for name in ("starts_at", "ends_at"):
        if name in changes:
            changes[name] = moment(changes[name], name)
    sale = call.params["sale"]
    raw = await call.services.door.ask(
        EditSale(
            flash_sale=sale,
            merchant=own_shop(call),
            changes=changes,
            actor=call.who.user,
            key=call.key or None,
        )
    )
    await _told(call, "edited", raw)
    return raw


async def cancel(call: Call) -> bytes:
    body: SaleCancel = call.body
    sale = call.params["sale"]
    raw = await call.services.door.ask(
        CancelSale(flash_sale=sale, orders=body.orders, actor=call.who.user, key=call.key or None)
    )
    await _told(call, "cancelled", raw)
    return raw


async def reserve(call: Call) -> Created:
    """Hold units for the caller. The same Idempotency-Key gets the same order again."""
    body: NewReservation = call.body
    raw = await place(
        call.services, call.who, call.params["sale"], body.quantity, call.key, body.metadata
    )
    return Created(raw, f"/v1/orders/{msgspec.json.decode(raw, type=Order).id}")


SALE_REFUSES = ("sold-out", "invalid-state", "price-unconfirmed", "ended", "limit-exceeded")

ROUTES = [
    Route(
        method="POST",
        path="/v1/rooms/{room}/flash-sales",
        action="sale.create",
        handler=create,
        summary="Start a flash sale, or plan one",
        tag="sales",
        request=NewSale,
        about=of_room_and_shop,
        answer=FlashSale,
        status=201,
        refuses=(*SALE_REFUSES, "rehearsal"),
        keyable=True,
        limit="write",
    ),
    Route(
        method="GET",
        path="/v1/flash-sales/{sale}",
        action="sale.read",
        handler=read,
        summary="One flash sale",
        tag="sales",
        about=of_sale,
        answer=FlashSale,
    ),
    Route(
        method="PATCH",
        path="/v1/flash-sales/{sale}",
        action="sale.edit",
        handler=edit,
        summary="Change units, limit, start or end",
        tag="sales",
        request=SaleChanges,
        about=of_sale,
        answer=FlashSale,
        refuses=SALE_REFUSES,
        keyable=True,
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/flash-sales/{sale}/cancel",
        action="sale.cancel",
        handler=cancel,
        summary="Stop at once; honour or void what was ordered",
        tag="sales",
        request=SaleCancel,
        body_optional=True,
        about=of_sale,
        answer=FlashSale,
        refuses=SALE_REFUSES,
        keyable=True,
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/flash-sales/{sale}/reservations",
        action="sale.reserve",
        handler=reserve,
        summary="Reserve units",
        tag="sales",
        request=NewReservation,
        body_optional=True,
        answer=Order,
        status=201,
        refuses=(
            "forbidden", "sold-out", "limit-exceeded", "not-started", "ended", "in-flight",
            "idempotency-conflict", "rehearsal",
        ),
        idempotent=True,
        limit="reserve",
    ),
]  # fmt: skip
