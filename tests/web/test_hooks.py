"""A merchant's own system over HTTP, addresses that only the shop reads, and sealing."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook

from liveserver.delivery import DAY_MS, Deliveries
from liveserver.sealing import Sealer, Unreadable
from tests.web.shop import SECRET, Shop, wall_ms

ADDRESS = {"recipient": "Ann Ämter", "phone": "+49 (30) 1-2", "address": "Street 1\n10115 Berlin"}


async def send(
    shop: Shop, secret: str, merchant: str, id_: str, body: Any, at: datetime | None = None
) -> tuple[int, str]:
    """Sign as the official library does, and post."""
    raw = body if isinstance(body, str) else json.dumps(body)
    at = at or datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": id_,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(id_, at, raw),
    }
    path = f"/v1/hooks/orders/{merchant}"
    async with shop.call("POST", path, data=raw.encode(), headers=headers) as answer:
        return answer.status, await answer.text()


async def ordered(shop: Shop, merchant: str, buyer: str, key: str) -> tuple[dict[str, Any], str]:
    product = await shop.product(merchant)
    body = {"lines": [{"product_id": product["id"]}]}
    headers = {"Idempotency-Key": key}
    order = await shop.json("POST", "/v1/orders", buyer, json=body, headers=headers, status=201)
    return order, product["sku"]


async def test_messages_of_the_shop_move_its_orders(shop: Shop, unique: str) -> None:
    """204 once done, repeated or old; 401 for a wrong signature or time; 422 for nonsense."""
    merchant = shop.token("merchant", merchant=unique)
    secret = (await shop.json("POST", "/v1/hooks/secret", merchant))["secret"]
    order, sku = await ordered(shop, unique, shop.token("viewer", unique), "h")
    paid = {"type": "order.paid", "data": {"order": order["id"], "amount_cents": 1000}}
    for _ in range(2):
        assert (await send(shop, secret, unique, "m1", paid))[0] == 204
    shipped = {
        "type": "order.shipped",
        "data": {"order": {"id": order["id"]}, "shipment": {"carrier": "DHL", "tracking": "1"}},
    }
    assert (await send(shop, secret, unique, "m2", shipped))[0] == 204
    now = await shop.json("GET", f"/v1/orders/{order['id']}", merchant)
    assert (now["state"], now["shipment"]["carrier"]) == ("shipped", "DHL")
    stock = {"type": "stock.adjusted", "data": {"sku": sku, "delta": 5}}
    assert (await send(shop, secret, unique, "m3", stock))[0] == 204
    wrong: list[tuple[Any, int]] = [
        ({"type": "order.eaten", "data": {"order": order["id"]}}, 422),
        ({"type": "order.paid", "data": {"order": "ord_none"}}, 422),
        ({"type": "order.paid", "data": {"order": order["id"], "amount_cents": -1}}, 422),
        ({"type": "stock.adjusted", "data": {"sku": "none", "delta": 1}}, 422),
        ({"type": "order.paid"}, 422),
        ("[]", 422),
        ("{", 422),
    ]
    for number, (body, status) in enumerate(wrong):
        got = await send(shop, secret, unique, f"w{number}", body)
        assert got[0] == status, (body, got)
    old = datetime.now(UTC) - timedelta(minutes=6)
    assert (await send(shop, secret, unique, "m4", paid, old))[0] == 401
    assert (await send(shop, secret, "nobody", "m4", paid))[0] == 401
    other = (await shop.json("POST", "/v1/hooks/secret", merchant))["secret"]
    for both in (secret, other):
        assert (await send(shop, both, unique, "m1", paid))[0] == 204
    third = (await shop.json("POST", "/v1/hooks/secret", merchant))["secret"]
    assert (await send(shop, secret, unique, "m1", paid))[0] == 401
    assert (await send(shop, third, unique, "m1", paid))[0] == 204


async def test_an_address_is_read_by_the_orders_shop_alone(shop: Shop, unique: str) -> None:
    """Not by the buyer's page, not by the database, and not after its time."""
    merchant, buyer = shop.token("merchant", merchant=unique), shop.token("viewer", unique)
    order, _sku = await ordered(shop, unique, buyer, "d")
    path = f"/v1/orders/{order['id']}"
    await shop.json("POST", f"{path}/delivery", buyer, json=ADDRESS, status=409)
    await shop.json("PATCH", "/v1/shop", merchant, json={"checkout": "collect", "keep_days": 3})
    for bad in ({}, {**ADDRESS, "phone": "call me"}, {**ADDRESS, "address": ""}):
        await shop.json("POST", f"{path}/delivery", buyer, json=bad, status=422)
    assert (await shop.json("GET", path, buyer))["delivery"] == {"given_at": None}  # asked for
    given = await shop.json("POST", f"{path}/delivery", buyer, json=ADDRESS)
    assert set(given["delivery"]) == {"given_at"}
    shown = (await shop.json("GET", path, merchant))["delivery"]
    assert {k: v for k, v in shown.items() if k != "given_at"} == {**ADDRESS, "note": ""}
    assert set((await shop.json("GET", path, buyer))["delivery"]) == {"given_at"}
    deliveries: Deliveries = shop.services.deliveries
    async with deliveries._store._read_engine.connect() as connection:
        rows = (await connection.execute(text("SELECT * FROM address"))).all()
    assert rows and "Street" not in str(rows) and "Ann" not in str(rows)
    deliveries._now = lambda: wall_ms() + 3 * DAY_MS
    await deliveries.purge()
    assert (await shop.json("GET", path, merchant))["delivery"] is None
    deliveries._now = wall_ms


def test_a_sealed_text_belongs_to_its_secret_and_name() -> None:
    """Another secret, another name or one changed letter: nothing is read."""
    sealer = Sealer(SECRET)
    sealed = sealer.seal("ord_1", {"a": "b"})
    assert sealer.open("ord_1", sealed) == {"a": "b"}
    assert sealer.seal("ord_1", {"a": "b"}) != sealed
    broken = ("A" if sealed[20] != "A" else "B").join((sealed[:20], sealed[21:]))
    for other, name, value in (
        (Sealer("another"), "ord_1", sealed), (sealer, "ord_2", sealed),
        (sealer, "ord_1", broken), (sealer, "ord_1", "?"), (sealer, "ord_1", ""),
    ):  # fmt: skip
        with pytest.raises(Unreadable):
            other.open(name, value)
