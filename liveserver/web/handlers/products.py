"""A merchant's products: text, prices, stock, picture, and what rooms may sell of them."""

from typing import Any

import msgspec
from msgspec import UNSET

from liveserver.web import pictures
from liveserver.web.read import body_bytes
from liveserver.web.requests.common import Page
from liveserver.web.requests.products import (
    GrantChange,
    GrantList,
    NewProduct,
    ProductChanges,
    ProductList,
    StockChange,
)
from liveserver.web.route import Call, Created, Route, Subject, of_shop
from orders.errors import Invalid, NotFound
from orders.requests import AdjustStock, CreateProduct, EditProduct, SetGrant
from orders.shapes import Grant, Product
from rooms.errors import NotFound as NoRoom


async def of_product(call: Call) -> Subject:
    """The shop that the product belongs to."""
    product = await call.services.reads.product(call.params["product"])
    if product is None:
        raise NotFound("There is no such product.")
    return Subject(merchant=product.merchant, thing=product)


async def list_products(call: Call) -> ProductList:
    page: Page = call.query
    items, following = await call.services.reads.products_of(call.merchant, page.cursor, page.limit)
    return ProductList(items=items, next_cursor=following)


async def create(call: Call) -> Created:
    fields = msgspec.structs.asdict(call.body)
    request = CreateProduct(
        merchant=call.merchant, actor=call.who.user, key=call.key or None, **fields
    )
    raw = await call.services.door.ask(request)
    made = msgspec.json.decode(raw, type=Product)
    return Created(raw, f"/v1/products/{made.id}")


async def read(call: Call) -> Product:
    product: Product = call.subject.thing
    return product


async def edit(call: Call) -> bytes:
    body: ProductChanges = call.body
    changes = {k: v for k, v in msgspec.structs.asdict(body).items() if v is not UNSET}
    return await _edit(call, changes)


async def _edit(call: Call, changes: dict[str, Any]) -> bytes:
    request = EditProduct(
        product=call.params["product"],
        changes=changes,
        actor=call.who.user,
        key=call.key or None,
    )
    return await call.services.door.ask(request)


async def stock(call: Call) -> bytes:
    body: StockChange = call.body
    request = AdjustStock(
        product=call.params["product"],
        delta=body.delta,
        reason=body.reason,
        actor=call.who.user,
        key=call.key or None,
    )
    return await call.services.door.ask(request)


async def put_image(call: Call) -> bytes:
    """Keep a picture and show it from now on."""
    product: Product = call.subject.thing
    data = await body_bytes(call.request)
    folder = call.services.options.data_dir / pictures.FOLDER
    name = await pictures.store(folder, product.id, data, call.request.content_type)
    answer = await _edit(call, {"image_url": pictures.PREFIX + name})
    await pictures.tidy(
        folder, product.id, keep=(name, (product.image_url or "").rpartition("/")[2])
    )
    return answer


async def read_grants(call: Call) -> GrantList:
    grants = await call.services.reads.grants(call.params["product"])
    return GrantList(items=grants, next_cursor=None)


async def put_grant(call: Call) -> bytes:
    """To a room that is there: a mistyped name would be a grant that nobody can use."""
    body: GrantChange = call.body
    try:
        await call.services.rooms.get(body.room)
    except NoRoom as error:
        raise Invalid("there is no such room", field="room") from error
    request = SetGrant(
        product=call.params["product"],
        room=body.room,
        min_price_cents=body.min_price_cents,
        units_max=body.units_max,
        actor=call.who.user,
        key=call.key or None,
    )
    return await call.services.door.ask(request)


ROUTES = [
    Route(
        method="GET",
        path="/v1/products",
        action="product.list",
        handler=list_products,
        summary="My shop's products",
        tag="products",
        query=Page,
        about=of_shop,
        answer=ProductList,
    ),
    Route(
        method="POST",
        path="/v1/products",
        action="product.create",
        handler=create,
        summary="Add a product",
        tag="products",
        request=NewProduct,
        about=of_shop,
        answer=Product,
        status=201,
        refuses=("invalid-state",),
        keyable=True,
        limit="write",
    ),
    Route(
        method="GET",
        path="/v1/products/{product}",
        action="product.read",
        handler=read,
        summary="One product",
        tag="products",
        about=of_product,
        answer=Product,
    ),
    Route(
        method="PATCH",
        path="/v1/products/{product}",
        action="product.edit",
        handler=edit,
        summary="Change texts, prices or picture",
        tag="products",
        request=ProductChanges,
        about=of_product,
        answer=Product,
        refuses=("invalid-state",),
        keyable=True,
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/products/{product}/stock",
        action="product.stock",
        handler=stock,
        summary="Add to the stock or take from it",
        tag="products",
        request=StockChange,
        about=of_product,
        answer=Product,
        refuses=("invalid-state", "limit-exceeded", "sold-out"),
        keyable=True,
        limit="write",
    ),
    Route(
        method="PUT",
        path="/v1/products/{product}/image",
        action="product.image",
        handler=put_image,
        summary="Upload the picture (PNG, JPEG or WebP, up to 1 MiB)",
        tag="products",
        body_media=pictures.MEDIA,
        about=of_product,
        answer=Product,
        refuses=("invalid-state", "outcome-unknown"),
        limit="write",
    ),
    Route(
        method="GET",
        path="/v1/products/{product}/grants",
        action="grant.read",
        handler=read_grants,
        summary="What rooms may sell of it",
        tag="products",
        about=of_product,
        answer=GrantList,
    ),
    Route(
        method="PUT",
        path="/v1/products/{product}/grants",
        action="grant.edit",
        handler=put_grant,
        summary="Let a room sell it: from which price, how many",
        tag="products",
        request=GrantChange,
        about=of_product,
        answer=Grant,
        refuses=("invalid-state",),
        keyable=True,
        limit="write",
    ),
]
