"""A shop's coupons: codes that take something off an order, from a budget."""

import msgspec
from msgspec import UNSET

from liveserver.problems import Refused
from liveserver.web.requests.common import Page
from liveserver.web.requests.coupons import CouponChanges, CouponList, NewCoupon
from liveserver.web.route import Call, Created, Route, Subject, of_shop
from orders.errors import NotFound
from orders.requests import CreateCoupon, EditCoupon
from orders.shapes import Coupon
from orders.webhooks import parse_time


async def of_coupon(call: Call) -> Subject:
    """The shop that the coupon belongs to."""
    coupon = await call.services.reads.coupon(call.params["coupon"])
    if coupon is None:
        raise NotFound("There is no such coupon.")
    return Subject(merchant=coupon.merchant, thing=coupon)


async def list_coupons(call: Call) -> CouponList:
    page: Page = call.query
    items, following = await call.services.reads.coupons_of(call.merchant, page.cursor, page.limit)
    return CouponList(items=items, next_cursor=following)


async def create(call: Call) -> Created:
    body: NewCoupon = call.body
    fields = msgspec.structs.asdict(body)
    for name in ("starts_at", "ends_at"):
        fields[name] = None if fields[name] is None else parse_time(fields[name])
    request = CreateCoupon(
        merchant=call.merchant, actor=call.who.user, key=call.key or None, **fields
    )
    raw = await call.services.door.ask(request)
    return Created(raw, f"/v1/coupons/{msgspec.json.decode(raw, type=Coupon).id}")


async def edit(call: Call) -> bytes:
    body: CouponChanges = call.body
    changes = {k: v for k, v in msgspec.structs.asdict(body).items() if v is not UNSET}
    if not changes:
        raise Refused("validation", "Nothing to change was given.")
    if changes.get("ends_at") is not None:
        changes["ends_at"] = parse_time(changes["ends_at"])
    request = EditCoupon(
        coupon=call.params["coupon"],
        changes=changes,
        actor=call.who.user,
        key=call.key or None,
    )
    return await call.services.door.ask(request)


ROUTES = [
    Route(
        method="GET",
        path="/v1/coupons",
        action="coupon.list",
        handler=list_coupons,
        summary="My shop's coupons",
        tag="orders",
        query=Page,
        about=of_shop,
        answer=CouponList,
    ),
    Route(
        method="POST",
        path="/v1/coupons",
        action="coupon.create",
        handler=create,
        summary="Add a coupon",
        tag="orders",
        request=NewCoupon,
        about=of_shop,
        answer=Coupon,
        status=201,
        keyable=True,
        limit="write",
    ),
    Route(
        method="PATCH",
        path="/v1/coupons/{coupon}",
        action="coupon.edit",
        handler=edit,
        summary="Change budget, limits or end",
        tag="orders",
        request=CouponChanges,
        about=of_coupon,
        answer=Coupon,
        keyable=True,
        limit="write",
    ),
]
