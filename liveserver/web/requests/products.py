"""Products, their stock, and what rooms may sell of them."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from liveserver.web.requests.common import (
    LINE,
    Body,
    Cents,
    Prose,
    RoomId,
    ShortText,
    Title,
    Units,
)
from orders.shapes import Grant, Product

Sku = Annotated[str, Meta(min_length=1, max_length=64, pattern=LINE)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$", min_length=3, max_length=3)]
Stock = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Delta = Annotated[int, Meta(ge=-1_000_000_000, le=1_000_000_000)]
Reason = Annotated[str, Meta(min_length=1, max_length=200, pattern=LINE)]
ImageUrl = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^(https?://|/)[!-~]*$")]


class NewProduct(Body):
    sku: Sku
    title: Title
    price_cents: Cents
    currency: Currency
    stock: Stock = 0
    description: Prose = ""
    terms: Prose = ""
    seller_name: ShortText = ""
    list_price_cents: Cents | None = None
    image_url: ImageUrl | None = None


class ProductFile(Body):
    """Products to import."""

    items: list[NewProduct]


class ProductChanges(Body):
    """What is left out stays. Stock has its own route, because it is counted."""

    title: Title | UnsetType = UNSET
    description: Prose | UnsetType = UNSET
    terms: Prose | UnsetType = UNSET
    seller_name: ShortText | UnsetType = UNSET
    price_cents: Cents | UnsetType = UNSET
    list_price_cents: Cents | UnsetType | None = UNSET
    image_url: ImageUrl | UnsetType | None = UNSET


class StockChange(Body):
    """Add to the stock, or take away from what is not sold yet."""

    delta: Delta
    reason: Reason


class GrantChange(Body):
    """What a room may sell: from which price on, how many units. Null: no bound."""

    room: RoomId
    min_price_cents: Cents | None = None
    units_max: Units | None = None


class ProductList(Struct, kw_only=True):
    items: list[Product]
    next_cursor: str | None


class GrantList(Struct, kw_only=True):
    items: list[Grant]
    next_cursor: str | None


class Imported(Struct, kw_only=True):
    """What became of one product of a file: made, changed, or as the file says already."""

    sku: str
    product_id: str
    result: Literal["created", "changed", "same"]


class ImportResult(Struct, kw_only=True):
    """In the order of the file."""

    created: int
    changed: int
    same: int
    items: list[Imported]
