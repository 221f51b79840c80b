"""Rehearsals: who sees that one is on, what keeps one from starting, and a sale tried in it."""

from collections.abc import Sequence

import msgspec

from liveserver.access import allow, allow_somewhere
from liveserver.identity import Identity
from liveserver.problems import Refused
from liveserver.services import Services
from liveserver.web.requests.rooms import TrialSale
from liveserver.web.route import Call, Route, of_room
from orders.errors import WrongState
from orders.shapes import FlashSale, Grant, Product
from orders.times import rfc3339
from rooms.rehearsal import SALE_ID

OPEN = ("scheduled", "running", "sold_out")  # a sold-out sale sells what comes back


def is_staff(identity: Identity | None, room: str) -> bool:
    """Whether this person may know of the room's rehearsals."""
    try:
        allow(identity, "show.report", room=room)
    except Refused:
        return False
    return True


def rehearsals_shown(identity: Identity | None) -> Sequence[str] | None:
    """Rooms whose rehearsals this person finds in the list; None: all."""
    try:
        allow_somewhere(identity, "show.report")
    except Refused:
        return ()
    assert identity is not None
    return None if identity.role == "admin" else identity.rooms


async def check_no_sale(services: Services, room: str) -> None:
    """Raises WrongState while a sale of the room is planned or open: it would sell for real."""
    for sale in await services.reads.sales_of_room(room):
        if sale.state in OPEN:
            raise WrongState(
                f"The flash sale of {sale.title} is {sale.state}: stop it before a rehearsal",
                flash_sale=sale.id,
            )


async def show_sale(call: Call) -> FlashSale:
    """Inside the grant, as a real sale would have to be."""
    wish: TrialSale = call.body
    room = call.params["room"]
    product, grant = await _granted(call.services, room, wish.product_id)
    if grant.min_price_cents is not None and wish.price_cents < grant.min_price_cents:
        raise Refused("forbidden", f"The grant allows prices from {grant.min_price_cents}.")
    sale = trial(call.services, room, product, wish)
    await call.services.rooms.try_sale(room, msgspec.to_builtins(sale), actor=call.who.user)
    return sale


async def hide_sale(call: Call) -> None:
    await call.services.rooms.try_sale(call.params["room"], None, actor=call.who.user)


async def _granted(services: Services, room: str, product_id: str) -> tuple[Product, Grant]:
    """The product and what the room may sell of it. Raises Refused `forbidden`."""
    grants = [grant for grant in await services.reads.grants(product_id) if grant.room == room]
    products = await services.reads.products([product_id])
    if not grants or not products:
        raise Refused("forbidden", "This product is not granted to the room.")
    return products[0], grants[0]


def trial(services: Services, room: str, product: Product, wish: TrialSale) -> FlashSale:
    """What a sale that began now would look like."""
    now = services.now()
    starts_at = now + wish.countdown_seconds * 1000
    return FlashSale(
        id=services.new_id(SALE_ID),
        room=room,
        show=None,
        product_id=product.id,
        sku=product.sku,
        title=product.title,
        price_cents=wish.price_cents,
        list_price_cents=product.list_price_cents or product.price_cents,
        currency=product.currency,
        units_total=wish.units,
        units_left=wish.units,
        per_buyer_limit=wish.per_buyer_limit,
        buyers="guest",
        hold_seconds=wish.duration_seconds,
        starts_at=rfc3339(starts_at),
        ends_at=rfc3339(starts_at + wish.duration_seconds * 1000),
        state="scheduled" if wish.countdown_seconds else "running",
        version=now,
    )


PATH = "/v1/rooms/{room}/rehearsal-sale"

ROUTES = [
    Route(
        method="PUT",
        path=PATH,
        action="room.rehearse",
        handler=show_sale,
        summary="Show in a rehearsal how a flash sale would look",
        tag="rooms",
        request=TrialSale,
        about=of_room,
        answer=FlashSale,
        refuses=("invalid-state", "forbidden"),
        limit="write",
    ),
    Route(
        method="DELETE",
        path=PATH,
        action="room.rehearse",
        handler=hide_sale,
        summary="Take the sale of a rehearsal away",
        tag="rooms",
        about=of_room,
        answer=None,
        status=204,
        refuses=("invalid-state",),
        limit="write",
    ),
]
