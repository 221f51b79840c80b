"""Waiting lists and planned starts, over HTTP and RPC."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from liveserver.rpc import Rpc
from tests.web.shop import Shop


async def line_up(shop: Shop, sale: str, user: str, status: int = 201, **body: Any) -> Any:
    return await shop.json(
        "POST",
        f"/v1/flash-sales/{sale}/waitlist",
        shop.token("viewer", user),
        json=body,
        headers={"Idempotency-Key": f'"w-{user}"'},
        status=status,
    )


async def my_place(shop: Shop, sale: str, user: str) -> Any:
    token = shop.token("viewer", user)
    return await shop.json("GET", f"/v1/flash-sales/{sale}/waitlist", token)


async def test_from_the_end_of_the_line_to_a_paid_order(either_shop: Shop, unique: str) -> None:
    """Sold out, line up, move up, an offer that the buyer hears of, paid."""
    shop = either_shop
    admin = shop.token("admin")
    await shop.json("POST", "/v1/rooms", admin, json={"id": unique, "title": "Evening"}, status=201)
    sale = await shop.sale(unique, units=1)
    path = f"/v1/flash-sales/{sale['id']}/waitlist"
    first = await shop.order(sale, shop.token("viewer", "first"))
    assert (await my_place(shop, sale["id"], "ann"))["state"] == "none"
    ann = await line_up(shop, sale["id"], "ann")
    assert (ann["flash_sale"], ann["state"]) == (sale["id"], "waiting")
    assert (ann["position"], ann["waiting"], ann["quantity"]) == (1, 1, 1)
    await line_up(shop, sale["id"], "bob")
    await line_up(shop, sale["id"], "cid")
    assert (await my_place(shop, sale["id"], "cid"))["position"] == 3
    await shop.json("DELETE", path, shop.token("viewer", "bob"), status=204)
    await shop.json("DELETE", path, shop.token("viewer", "bob"), status=204)
    assert (await my_place(shop, sale["id"], "cid"))["position"] == 2
    assert (await my_place(shop, sale["id"], "bob"))["state"] == "left"

    await shop.json("POST", f"/v1/orders/{first['id']}/cancel", shop.token("viewer", "first"))
    ann = await my_place(shop, sale["id"], "ann")
    assert (ann["state"], ann["waiting"]) == ("offered", 1)
    (order,) = (await shop.json("GET", "/v1/orders", shop.token("viewer", "ann")))["items"]
    assert (order["id"], order["state"], order["source"]) == (ann["order"], "reserved", "waitlist")
    shown = await shop.json("GET", f"/v1/flash-sales/{sale['id']}")
    assert (shown["units_left"], shown["state"]) == (0, "sold_out")
    merchant = shop.token("merchant", merchant="shop-a")
    events = await shop.json("GET", "/v1/events?types=order.reserved", merchant)
    assert [event["data"]["order"]["buyer"]["id"] for event in events["items"]] == ["first", "ann"]
    pay = f"/v1/orders/{order['id']}/pay"
    assert (await shop.json("POST", pay, shop.token("viewer", "ann")))["state"] == "paid"
    await shop.json("POST", f"/v1/flash-sales/{sale['id']}/cancel", merchant)
    assert (await my_place(shop, sale["id"], "cid"))["state"] == "over"


async def test_lining_up_is_refused_in_words(shop: Shop, room: str) -> None:
    """No key, a wrong quantity, an unknown sale, units left, an account that is missing."""
    sale = await shop.sale(room, units=1, buyers="account")
    path = f"/v1/flash-sales/{sale['id']}/waitlist"
    token = shop.token("viewer", "ann")
    refused = await shop.json("POST", path, token, json={}, status=400)
    assert refused["type"].endswith("validation")
    for body in ({"quantity": 0}, {"quantity": 1.5}, {"quantity": "1"}, {"price_cents": 1}):
        assert (await line_up(shop, sale["id"], "ann", 422, **body))["status"] == 422
    assert (await line_up(shop, "none", "ann", 404))["type"].endswith("not-found")
    await shop.json("GET", "/v1/flash-sales/none/waitlist", token, status=404)
    await shop.json("DELETE", "/v1/flash-sales/none/waitlist", token, status=404)
    told = await line_up(shop, sale["id"], "ann", 409)
    assert told["type"].endswith("invalid-state") and told["units_left"] == 1
    await shop.order(sale, token)
    guest = await shop.json("POST", "/v1/session", json={"name": "Mia"}, status=201)
    headers = {"Idempotency-Key": "k"}
    await shop.json("POST", path, guest["token"], json={}, headers=headers, status=403)
    assert (await line_up(shop, sale["id"], "bob"))["position"] == 1
    conflict = await line_up(shop, sale["id"], "bob", 422, quantity=2)
    assert conflict["type"].endswith("idempotency-conflict")


async def test_the_same_by_rpc(shop: Shop, room: str) -> None:
    """`waitlist.join` answers the place under its name, `waitlist.leave` nothing."""
    sale = await shop.sale(room, units=1)
    await shop.order(sale, shop.token("viewer", "first"))
    rpc, who = Rpc(shop.services), shop.services.tokens.verify(shop.token("viewer", "ann"))
    wish = b'{"flash_sale":"%s","key":"k"}' % sale["id"].encode()
    joined = await rpc.call(who, "waitlist.join", wish)
    assert joined.startswith(b'{"place":{') and b'"position":1' in joined
    left = b'{"flash_sale":"%s"}' % sale["id"].encode()
    assert await rpc.call(who, "waitlist.leave", left) == b"{}"
    assert (await my_place(shop, sale["id"], "ann"))["state"] == "left"


def stamp(after: timedelta) -> str:
    return (datetime.now(UTC) + after).isoformat()


async def test_a_sale_is_planned_moved_and_cancelled_before_it_starts(
    shop: Shop, room: str
) -> None:
    """RFC 3339 in any offset; the end moves along; nobody buys before the start."""
    sale = await shop.sale(room, starts_at=stamp(timedelta(hours=5)), duration_seconds=60)
    assert sale["state"] == "scheduled"
    starts = datetime.fromisoformat(sale["starts_at"])
    assert datetime.fromisoformat(sale["ends_at"]) - starts == timedelta(seconds=60)
    merchant = shop.token("merchant", merchant="shop-a")
    path = f"/v1/flash-sales/{sale['id']}"
    refused = await shop.json(
        "POST", f"{path}/reservations", shop.token(), json={}, headers={"Idempotency-Key": "k"},
        status=409,
    )  # fmt: skip
    assert refused["type"].endswith("not-started")
    later = "2100-01-01T20:00:00+08:00"
    told = await shop.json("PATCH", path, merchant, json={"starts_at": later}, status=422)
    assert told["field"] == "starts_at"
    soon = stamp(timedelta(milliseconds=400))
    moved = await shop.json("PATCH", path, merchant, json={"starts_at": soon})
    assert moved["version"] > sale["version"]
    lasts = datetime.fromisoformat(moved["ends_at"]) - datetime.fromisoformat(moved["starts_at"])
    assert lasts == timedelta(seconds=60)
    async with asyncio.timeout(10):
        while (await shop.json("GET", path))["state"] != "running":  # noqa: ASYNC110 - by HTTP
            await asyncio.sleep(0.05)
    await shop.order(sale, shop.token("viewer", "ann"))
    again = await shop.json("PATCH", path, merchant, json={"starts_at": soon}, status=409)
    assert again["type"].endswith("invalid-state")

    planned = await shop.sale(room, starts_at=stamp(timedelta(days=29)))
    over = await shop.json("POST", f"/v1/flash-sales/{planned['id']}/cancel", merchant)
    assert over["state"] == "cancelled"


async def test_a_start_that_cannot_be_is_told(shop: Shop, room: str) -> None:
    """Past, too far, both ways at once, or no time at all; the field is named."""
    product = await shop.product()
    merchant = shop.token("merchant", merchant="shop-a")
    sale = {"sku": product["sku"], "price_cents": 900, "units": 1}
    for wrong in (
        {"starts_at": stamp(timedelta(seconds=-5))},
        {"starts_at": stamp(timedelta(days=31))},
        {"starts_at": stamp(timedelta(hours=1)), "countdown_seconds": 10},
        {"starts_at": "tomorrow"},
        {"starts_at": "2026-01-31T20:00:00"},
    ):
        told = await shop.json(
            "POST", f"/v1/rooms/{room}/flash-sales", merchant, json=sale | wrong, status=422
        )
        assert told["field"] == "starts_at", wrong
    stock = await shop.json("GET", f"/v1/products/{product['id']}")
    assert stock["stock"] == 100, "nothing was taken out of stock"
