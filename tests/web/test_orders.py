"""Orders over HTTP: from the shelf to the buyer and back, and every bad input by name."""

from typing import Any

from tests.web.shop import Shop


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


async def shelf_order(
    shop: Shop, lines: list[dict[str, Any]], token: str, name: str, status: int = 201, **body: Any
) -> Any:
    """POST /v1/orders."""
    return await shop.json(
        "POST", "/v1/orders", token, json={"lines": lines, **body}, headers=key(name), status=status
    )


async def test_from_the_shelf_to_refunded(shop: Shop, room: str, unique: str) -> None:
    """Two lines, paid, shipped, completed, refunded in two parts with the units back in stock."""
    mug, pen = await shop.product(stock=5), await shop.product(stock=5, price_cents=200)
    merchant, buyer = shop.token("merchant", merchant="shop-a"), shop.token("viewer", unique)
    for product in (mug, pen):
        path = f"/v1/products/{product['id']}/grants"
        await shop.json("PUT", path, merchant, json={"room": room})
    lines = [{"product_id": mug["id"], "quantity": 2}, {"product_id": pen["id"]}]
    order = await shelf_order(shop, lines, buyer, "k", room=room)
    assert (order["amount_cents"], order["room"], order["source"]) == (2200, room, "shelf")
    path = f"/v1/orders/{order['id']}"
    assert (await shop.json("POST", f"{path}/pay", buyer))["state"] == "paid"
    shipped = await shop.json(
        "POST", f"{path}/ship", merchant, json={"carrier": "DHL", "tracking": "1"}
    )
    assert shipped["shipment"]["tracking"] == "1"
    assert (await shop.json("POST", f"{path}/complete", merchant))["state"] == "completed"
    part = {"amount_cents": 200, "reason": "scratch"}
    for _ in range(2):
        back = await shop.json("POST", f"{path}/refund", merchant, json=part, headers=key("r1"))
        assert (back["state"], back["refunded_cents"]) == ("completed", 200)
    await shop.json("POST", f"{path}/refund", merchant, json={**part, "restock": True}, status=422)
    back = await shop.json("POST", f"{path}/refund", merchant, json={"restock": True})
    assert (back["state"], back["refunded_cents"]) == ("refunded", 2200)
    assert (await shop.json("GET", f"/v1/products/{mug['id']}"))["stock"] == 5
    steps = (await shop.json("GET", f"{path}/history", buyer))["items"]
    assert [step["state"] for step in steps] == [
        "reserved", "pending_payment", "paid", "shipped", "completed", "completed", "refunding",
        "refunded",
    ]  # fmt: skip


async def test_bad_orders_are_refused_by_name(shop: Shop, room: str) -> None:
    """One clear problem each, and nothing is held afterwards."""
    mug = await shop.product(stock=2)
    foreign = await shop.product("shop-b")
    line = {"product_id": mug["id"], "quantity": 1}
    bad: list[tuple[Any, int, str]] = [
        ([line, line], 422, "validation"),
        ([], 422, "validation"),
        ([{**line, "quantity": 0}], 422, "validation"),
        ([{**line, "quantity": -1}], 422, "validation"),
        ([{**line, "quantity": 1.5}], 422, "validation"),
        ([{**line, "quantity": "1"}], 422, "validation"),
        ([{**line, "quantity": 10**30}], 422, "validation"),
        ([{**line, "unit_price_cents": 1}], 422, "validation"),
        ([line, {"product_id": foreign["id"]}], 422, "validation"),
        ([{"product_id": "prod_none"}], 404, "not-found"),
        ([{**line, "quantity": 3}], 409, "sold-out"),
    ]
    for number, (lines, status, name) in enumerate(bad):
        problem = await shelf_order(shop, lines, shop.token(), f"bad{number}", status)
        assert problem["type"].endswith(name), problem
    problem = await shelf_order(shop, [line], shop.token(), "room", 403, room=room)
    assert "granted" in problem["detail"]
    await shelf_order(shop, [line], shop.token(), "nowhere", 404, room="nowhere")
    assert (await shop.json("GET", f"/v1/products/{mug['id']}"))["stock"] == 2
    await shelf_order(shop, [line], shop.token(), "k")
    await shelf_order(shop, [{**line, "quantity": 2}], shop.token(), "k", 422)


async def test_a_merchant_marks_paid_once(shop: Shop) -> None:
    """Without a demo's payment; the same again changes nothing, another reference is refused."""
    mug = await shop.product(stock=2)
    merchant = shop.token("merchant", merchant="shop-a")
    order = await shelf_order(shop, [{"product_id": mug["id"]}], shop.token(), "mark")
    path = f"/v1/orders/{order['id']}/mark-paid"
    for _ in range(2):
        assert (await shop.json("POST", path, merchant))["state"] == "paid"
    await shop.json("POST", path, merchant, json={"reference": "b"}, status=409)


async def test_a_demo_payment_can_fail_and_be_tried_again(shop: Shop) -> None:
    """A payment that failed, one that hangs, and one that works."""
    mug = await shop.product(stock=2)
    order = await shelf_order(shop, [{"product_id": mug["id"]}], shop.token(), "fail")
    path = f"/v1/orders/{order['id']}/pay"
    for outcome in ("fail", "timeout", "late"):
        answer = await shop.json("POST", path, shop.token(), json={"outcome": outcome})
        assert answer["state"] == "pending_payment"
    await shop.json("POST", path, shop.token(), json={"outcome": "steal"}, status=422)
    assert (await shop.json("POST", path, shop.token()))["state"] == "paid"
