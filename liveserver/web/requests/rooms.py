"""Rooms: what staff send, and what viewers read."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from liveserver.web.requests.common import (
    LINE,
    Body,
    Cents,
    Id,
    MerchantId,
    Page,
    RoomId,
    Units,
)
from liveserver.web.requests.sales import Countdown, Duration
from orders.shapes import FlashSale, Grant, Product
from rooms.room import ChatRules, Room

RoomTitle = Annotated[str, Meta(min_length=1, max_length=80, pattern=LINE)]
MerchantIds = Annotated[list[MerchantId], Meta(max_length=50)]
NoticeText = Annotated[str, Meta(min_length=1, max_length=500, pattern=LINE)]
ProductIds = Annotated[list[Id], Meta(max_length=200)]


class RoomQuery(Page):
    state: Literal["idle", "live", "ended"] | None = None


class NewRoom(Body):
    """`merchant_ids` are the shops that get the room's webhooks."""

    id: RoomId
    title: RoomTitle
    merchant_ids: MerchantIds = field(default_factory=list)


class NewShow(Body):
    """
    `rehearsal`: not in the list of rooms, nothing is sold, no webhook is sent, and viewers with the
    link see that it is one. Refused while a flash sale of the room is planned or runs.
    """

    rehearsal: bool = False


class TrialSale(Body):
    """How a flash sale would look. Nothing is committed, and nobody can buy."""

    product_id: Id
    price_cents: Cents
    units: Units
    per_buyer_limit: Units = 1
    countdown_seconds: Countdown = 0
    duration_seconds: Duration = 300


class RoomChanges(Body):
    title: RoomTitle | UnsetType = UNSET
    merchant_ids: MerchantIds | UnsetType = UNSET


class Notice(Body):
    """`text` null takes the notice away."""

    text: NoticeText | None


class CaptionLine(Body):
    """What was just said, in one line; the newest replaces the one before."""

    text: Annotated[str, Meta(min_length=1, max_length=300, pattern=LINE)]


class Pin(Body):
    """`product_id` null unpins."""

    product_id: Id | None


class Shelf(Body):
    """The products on the shelf in their order; the first is number 1."""

    product_ids: ProductIds


class ShelfItem(Product, kw_only=True):
    """A product on the shelf, with its place."""

    number: int


class ShelfList(Struct, kw_only=True):
    items: list[ShelfItem]


class RoomList(Struct, kw_only=True):
    items: list[Room]
    next_cursor: str | None


class Stats(Struct, kw_only=True):
    online: int
    likes: int


class StreamPosition(Struct, kw_only=True):
    """Where in `room:<id>` the snapshot was taken."""

    epoch: str
    offset: int


class Snapshot(Struct, kw_only=True):
    """The room of now: with the numbered events after `position` it stays so."""

    room: Room
    shelf: list[ShelfItem]
    pinned: str | None
    notice: str | None
    flash_sales: list[FlashSale]
    rehearsal_sale: FlashSale | None
    chat_rules: ChatRules
    video: Any
    stats: Stats
    position: StreamPosition
    server_time: int


class SellableProduct(Product, kw_only=True):
    """A product that its merchant granted to the room."""

    grant: Grant


class SellableList(Struct, kw_only=True):
    items: list[SellableProduct]
    next_cursor: str | None
