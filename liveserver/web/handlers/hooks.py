"""A merchant's own system: what it tells of orders and stock, and how its orders are paid."""

import secrets

import msgspec
from msgspec import UNSET

from liveserver.problems import Refused
from liveserver.web.read import body_bytes, decode
from liveserver.web.requests.hooks import OrderNamed, Parcel, SharedSecret, ShopChanges, Told
from liveserver.web.route import JSON, Call, Route, of_shop
from orders.errors import InFlight, Refusal, Unavailable
from orders.requests import EditShop, Inbound, SetSecret
from orders.shapes import Shop
from orders.webhooks import SECRET_BYTES, make_secret
from orders.webhooks_verify import is_signed


async def read_shop(call: Call) -> Shop:
    return (await call.services.reads.shop(call.merchant)).shape()


async def edit_shop(call: Call) -> bytes:
    body: ShopChanges = call.body
    changes = {k: v for k, v in msgspec.structs.asdict(body).items() if v is not UNSET}
    if not changes:
        raise Refused("validation", "Nothing to change was given.")
    return await call.services.door.ask(
        EditShop(merchant=call.merchant, changes=changes, actor=call.who.user)
    )


async def make(call: Call) -> SharedSecret:
    """Signs what the shop's system sends here, and order ids of `handoff`."""
    secret = make_secret(secrets.token_bytes(SECRET_BYTES))
    await call.services.door.ask(
        SetSecret(merchant=call.merchant, secret=secret, actor=call.who.user)
    )
    return SharedSecret(secret=secret)


async def receive(call: Call) -> None:
    """
    Standard Webhooks, signed with the shop's secret: order.paid, order.shipped, order.cancelled,
    order.refunded, stock.adjusted. 204 also for what was told before or is older than known.
    """
    merchant = call.params["merchant"]
    headers = call.request.headers
    body = await body_bytes(call.request)
    now = call.services.now()
    shop = await call.services.reads.shop(merchant)
    webhook_id = headers.get("webhook-id", "")
    if not is_signed(
        shop.secrets(now),
        webhook_id,
        headers.get("webhook-timestamp", ""),
        headers.get("webhook-signature", ""),
        body,
        now // 1000,
    ):
        raise Refused("unauthorized", "The signature, or its time, is not right.")
    try:
        told: Told = decode(body, Told)
    except Refused as refusal:  # 422 in every case: a hook is answered 204, 401 or 422
        raise Refused("validation", refusal.detail) from refusal
    try:
        await call.services.door.ask(_inbound(merchant, webhook_id, told))
    except (Unavailable, InFlight):
        raise
    except Refusal as refusal:
        raise Refused("validation", refusal.detail) from refusal


def _inbound(merchant: str, webhook_id: str, told: Told) -> Inbound:
    data = told.data
    parcel = data.shipment or Parcel()
    order = data.order.id if isinstance(data.order, OrderNamed) else data.order
    return Inbound(
        merchant=merchant,
        id=webhook_id,
        event=told.type,
        order=order,
        sku=data.sku,
        amount_cents=data.amount_cents,
        currency=data.currency,
        payment=data.payment,
        carrier=parcel.carrier,
        tracking=parcel.tracking,
        restock=data.restock,
        reason=data.reason,
        delta=data.delta,
        actor=f"shop:{merchant}",
    )


ROUTES = [
    Route(
        method="GET",
        path="/v1/shop",
        action="shop.read",
        handler=read_shop,
        summary="How my shop's orders are paid and sent",
        tag="orders",
        about=of_shop,
        answer=Shop,
    ),
    Route(
        method="PATCH",
        path="/v1/shop",
        action="shop.edit",
        handler=edit_shop,
        summary="Change how orders are paid and sent",
        tag="orders",
        request=ShopChanges,
        about=of_shop,
        answer=Shop,
        refuses=("outcome-unknown",),
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/hooks/secret",
        action="hook.secret",
        handler=make,
        summary="A new secret to share with my shop's system",
        tag="webhooks",
        about=of_shop,
        answer=SharedSecret,
        refuses=("outcome-unknown",),
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/hooks/orders/{merchant}",
        action="hook.receive",
        handler=receive,
        summary="What the shop's own system tells",
        tag="webhooks",
        body_media=(JSON,),
        status=204,
        refuses=("unauthorized",),
        limit="write",
    ),
]
