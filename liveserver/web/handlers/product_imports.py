"""
Many products at once, matched by SKU: unknown ones are made, known ones get the file's texts and
prices. Stock of known products is left alone, because it is counted while it sells; it has a route
of its own. So the same file sent again changes nothing.
"""

import asyncio
from typing import Any

import msgspec

from liveserver.problems import Refused
from liveserver.web import product_file
from liveserver.web.read import body_bytes
from liveserver.web.requests.products import Imported, ImportResult, NewProduct
from liveserver.web.route import Call, Route, of_shop
from orders.errors import Invalid
from orders.requests import CreateProduct, EditProduct
from orders.shapes import Product


async def import_products(call: Call) -> ImportResult:
    """
    Every line is checked before the first product is made. A file that was cut short by a fault can
    be sent again. `stock` counts for new products only.
    """
    products = product_file.parse(await body_bytes(call.request), call.request.content_type)
    skus = [product.sku for product in products]
    known = await call.services.reads.products_by_sku(call.merchant, skus)
    _check_currencies(products, known)

    async def one(product: NewProduct) -> Imported:
        async with call.services.importing:
            return await _import(call, product, known.get(product.sku))

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(product)) for product in products]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    items = [task.result() for task in tasks]
    results = [item.result for item in items]
    return ImportResult(
        created=results.count("created"),
        changed=results.count("changed"),
        same=results.count("same"),
        items=items,
    )


def _check_currencies(products: list[NewProduct], known: dict[str, Product]) -> None:
    for product in products:
        old = known.get(product.sku)
        if old is not None and old.currency != product.currency:
            raise Refused(
                "validation",
                f"Nothing was imported: {product.sku} is sold in {old.currency}, which cannot "
                "change.",
                field="currency",
            )


async def _import(call: Call, product: NewProduct, old: Product | None) -> Imported:
    if old is None:
        fields = msgspec.structs.asdict(product)
        request = CreateProduct(merchant=call.merchant, actor=call.who.user, **fields)
        try:
            made = await _ask(call, request)
        except Invalid:
            known = await call.services.reads.products_by_sku(call.merchant, [product.sku])
            if product.sku not in known:
                raise
            old = known[product.sku]  # the same file was sent twice at once
        else:
            return Imported(sku=product.sku, product_id=made.id, result="created")
    changes = _changes(product, old)
    if changes:
        await _ask(call, EditProduct(product=old.id, changes=changes, actor=call.who.user))
    return Imported(sku=product.sku, product_id=old.id, result="changed" if changes else "same")


def _changes(product: NewProduct, old: Product) -> dict[str, Any]:
    """What the file says and the catalogue does not. A field that the file leaves out stays."""
    left_out = {
        field.name: field.default
        for field in msgspec.structs.fields(NewProduct)
        if field.default is not msgspec.NODEFAULT
    }
    return {
        name: value
        for name, value in msgspec.structs.asdict(product).items()
        if name not in ("sku", "currency", "stock")
        and value != left_out.get(name, msgspec.NODEFAULT)
        and value != getattr(old, name)
    }


async def _ask(call: Call, request: CreateProduct | EditProduct) -> Product:
    return msgspec.json.decode(await call.services.door.ask(request), type=Product)


ROUTES = [
    Route(
        method="POST",
        path="/v1/products/import",
        action="product.import",
        handler=import_products,
        summary="Add or change many products from a CSV or JSON file, by SKU",
        tag="products",
        body_media=product_file.MEDIA,
        about=of_shop,
        answer=ImportResult,
        refuses=("invalid-state", "outcome-unknown"),
        limit="write",
    ),
]
