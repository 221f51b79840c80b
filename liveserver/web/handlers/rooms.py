"""Rooms: what everybody reads, and what staff change."""

import logging

import msgspec
from msgspec import UNSET

from liveserver.web.handlers.rehearsals import check_no_sale, rehearsals_shown
from liveserver.web.requests.common import Query
from liveserver.web.requests.rooms import (
    CaptionLine,
    NewRoom,
    NewShow,
    Notice,
    Pin,
    RoomChanges,
    RoomList,
    RoomQuery,
    SellableList,
    SellableProduct,
    Shelf,
    ShelfList,
    Snapshot,
)
from liveserver.web.route import Call, Created, Route, Subject, of_room
from orders.errors import Forbidden, Refusal
from orders.requests import Note
from rooms.room import Room
from rooms.service import SHELF_MAX

log = logging.getLogger(__name__)


async def of_new_room(call: Call) -> Subject:
    """The room that is to be made: a streamer makes only rooms of its token."""
    return Subject(room=call.body.id)


async def list_rooms(call: Call) -> RoomList:
    query: RoomQuery = call.query
    rooms, following = await call.services.rooms.list(
        query.state, query.cursor, query.limit, rehearsals_shown(call.identity)
    )
    return RoomList(items=rooms, next_cursor=following)


async def create(call: Call) -> Created:
    body: NewRoom = call.body
    room = await call.services.rooms.create(
        body.id, body.title, body.merchant_ids, actor=call.who.user
    )
    return Created(room, f"/v1/rooms/{room.id}")


async def snapshot(call: Call) -> bytes:
    """The room of now, with the position from which its events go on."""
    return await call.services.rooms.snapshot(call.params["room"])


async def edit(call: Call) -> Room:
    body: RoomChanges = call.body
    return await call.services.rooms.edit(
        call.params["room"],
        title=None if body.title is UNSET else body.title,
        merchant_ids=None if body.merchant_ids is UNSET else body.merchant_ids,
        actor=call.who.user,
    )


async def start(call: Call) -> Room:
    """A rehearsal waits until no sale of the room could begin in the middle of it."""
    body: NewShow = call.body
    if body.rehearsal:
        await check_no_sale(call.services, call.params["room"])
    room = await call.services.rooms.start(
        call.params["room"], actor=call.who.user, rehearsal=body.rehearsal
    )
    await _tell_merchants(call, "room.started", room)
    return room


async def end(call: Call) -> Room:
    room = await call.services.rooms.end(call.params["room"], actor=call.who.user)
    await _tell_merchants(call, "room.ended", room)
    return room


async def _tell_merchants(call: Call, event: str, room: Room) -> None:
    """
    Put it into the merchants' feed, but not that of a rehearsal. The show goes on even where that
    is not possible now.
    """
    if not room.merchant_ids or room.rehearsal:
        return
    try:
        note = Note(
            event=event, merchants=room.merchant_ids, data={"room": msgspec.to_builtins(room)}
        )
        await call.services.door.ask(note)
    except Refusal as refusal:
        log.warning("%s of room %s is not in the feed: %s", event, room.id, refusal.detail)


async def notice(call: Call) -> Room:
    body: Notice = call.body
    return await call.services.rooms.set_notice(call.params["room"], body.text, actor=call.who.user)


async def caption(call: Call) -> None:
    body: CaptionLine = call.body
    await call.services.rooms.caption(call.params["room"], body.text)


async def pin(call: Call) -> Room:
    body: Pin = call.body
    return await call.services.rooms.pin(call.params["room"], body.product_id, actor=call.who.user)


async def shelf(call: Call) -> dict[str, object]:
    """What merchants granted to the room, and nothing else: from here buyers order it."""
    body: Shelf = call.body
    reads = call.services.reads
    granted = {product.id for product in await reads.granted_products(call.params["room"])}
    for product_id in body.product_ids[: SHELF_MAX + 1]:  # the room refuses a longer list
        if product_id not in granted and (product := await reads.product(product_id)) is not None:
            raise Forbidden(f"{product.sku} is not granted to this room", product=product.id)
    items = await call.services.rooms.set_shelf(
        call.params["room"], body.product_ids, actor=call.who.user
    )
    return {"items": items}


async def sellable(call: Call) -> SellableList:
    """What merchants granted to the room: the console's list of what can be shown and sold."""
    room, reads = call.params["room"], call.services.reads
    items = []
    for product in await reads.granted_products(room):
        grants = {grant.room: grant for grant in await reads.grants(product.id)}
        if room in grants:
            fields = {name: getattr(product, name) for name in product.__struct_fields__}
            items.append(SellableProduct(**fields, grant=grants[room]))
    return SellableList(items=items, next_cursor=None)


STAFF_REFUSES = ("invalid-state",)

ROUTES = [
    Route(
        method="GET",
        path="/v1/rooms",
        action="room.list",
        handler=list_rooms,
        summary="All rooms",
        tag="rooms",
        query=RoomQuery,
        answer=RoomList,
    ),
    Route(
        method="POST",
        path="/v1/rooms",
        action="room.create",
        handler=create,
        summary="Make a room",
        tag="rooms",
        request=NewRoom,
        about=of_new_room,
        answer=Room,
        status=201,
        refuses=STAFF_REFUSES,
        limit="write",
    ),
    Route(
        method="GET",
        path="/v1/rooms/{room}",
        action="room.read",
        handler=snapshot,
        summary="The room of now",
        tag="rooms",
        answer=Snapshot,
    ),
    Route(
        method="PATCH",
        path="/v1/rooms/{room}",
        action="room.edit",
        handler=edit,
        summary="Change title or shops of a room",
        tag="rooms",
        request=RoomChanges,
        about=of_room,
        answer=Room,
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/rooms/{room}/start",
        action="room.start",
        handler=start,
        summary="Go live: a new show begins, or a rehearsal of one",
        tag="rooms",
        request=NewShow,
        body_optional=True,
        about=of_room,
        answer=Room,
        refuses=STAFF_REFUSES,
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/rooms/{room}/end",
        action="room.end",
        handler=end,
        summary="End the show",
        tag="rooms",
        about=of_room,
        answer=Room,
        refuses=STAFF_REFUSES,
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/rooms/{room}/notice",
        action="room.notice",
        handler=notice,
        summary="Show a notice, or take it away",
        tag="rooms",
        request=Notice,
        about=of_room,
        answer=Room,
        refuses=STAFF_REFUSES,
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/rooms/{room}/captions",
        action="room.caption",
        handler=caption,
        summary="Show what is being said, from a person or a speech recogniser",
        tag="rooms",
        request=CaptionLine,
        about=of_room,
        answer=None,
        status=204,
        refuses=STAFF_REFUSES,
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/rooms/{room}/pin",
        action="room.pin",
        handler=pin,
        summary="Pin a product of the shelf, or unpin",
        tag="rooms",
        request=Pin,
        about=of_room,
        answer=Room,
        refuses=STAFF_REFUSES,
        limit="write",
    ),
    Route(
        method="PUT",
        path="/v1/rooms/{room}/shelf",
        action="room.shelf",
        handler=shelf,
        summary="What is on the shelf, in this order",
        tag="rooms",
        request=Shelf,
        about=of_room,
        answer=ShelfList,
        refuses=STAFF_REFUSES,
        limit="write",
    ),
    Route(
        method="GET",
        path="/v1/rooms/{room}/products",
        action="room.products",
        handler=sellable,
        summary="Products that merchants granted to the room",
        tag="rooms",
        query=Query,
        about=of_room,
        answer=SellableList,
    ),
]
