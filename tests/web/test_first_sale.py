"""The whole way of a sale over HTTP."""

from tests.web.shop import Shop


async def test_from_an_empty_room_to_a_paid_order(either_shop: Shop, unique: str) -> None:
    """A merchant grants, a streamer sells, a guest buys and pays, the shop sees it."""
    shop, room = either_shop, unique
    new_room = {"id": room, "title": "Evening", "merchant_ids": ["shop-a"]}
    streamer = shop.token("streamer", rooms=(room,))
    await shop.json("POST", "/v1/rooms", streamer, json=new_room, status=201)
    await shop.json("POST", f"/v1/rooms/{room}/start", streamer)
    merchant = shop.token("merchant", merchant="shop-a")
    product = await shop.product()
    shelf = f"/v1/rooms/{room}/shelf"
    wish = {"product_ids": [product["id"]]}
    problem = await shop.json("PUT", shelf, streamer, json=wish, status=403)
    assert "not granted" in problem["detail"]
    grants = f"/v1/products/{product['id']}/grants"
    problem = await shop.json("PUT", grants, merchant, json={"room": "no-such"}, status=422)
    assert "no such room" in str(problem)
    await shop.json(
        "PUT",
        grants,
        merchant,
        json={"room": room, "min_price_cents": 800, "units_max": 10},
    )
    sellable = await shop.json("GET", f"/v1/rooms/{room}/products", streamer)
    assert [item["sku"] for item in sellable["items"]] == [product["sku"]]
    assert sellable["items"][0]["grant"]["units_max"] == 10

    shown = await shop.json("PUT", shelf, streamer, json=wish)
    assert shown["items"][0]["number"] == 1
    await shop.json("POST", f"/v1/rooms/{room}/pin", streamer, json={"product_id": product["id"]})
    sale = await shop.json(
        "POST",
        f"/v1/rooms/{room}/flash-sales",
        streamer,
        json={"sku": product["sku"], "price_cents": 900, "units": 3},
        status=201,
    )
    assert sale["state"] == "running"
    assert sale["buyers"] == "guest", "the demo sells to guests"

    guest = await shop.json("POST", "/v1/session", json={"name": "Mia"}, status=201)
    order = await shop.order(sale, guest["token"], "key-1")
    assert order["buyer"] == {"id": guest["user"], "name": "Mia"}
    again = await shop.order(sale, guest["token"], '"key-1"')
    assert again == order, "quoted or not, the same key is the same order"

    paid = await shop.json("POST", f"/v1/orders/{order['id']}/pay", guest["token"])
    assert paid["state"] == "paid"
    assert paid == await shop.json("POST", f"/v1/orders/{order['id']}/pay", guest["token"])
    history = await shop.json("GET", f"/v1/orders/{order['id']}/history", merchant)
    assert [edge["state"] for edge in history["items"]] == ["reserved", "pending_payment", "paid"]

    mine = await shop.json("GET", "/v1/orders", guest["token"])
    shops = await shop.json("GET", "/v1/orders", merchant)
    assert mine == shops
    assert [item["id"] for item in mine["items"]] == [order["id"]]
    events = await shop.json("GET", "/v1/events?types=order.reserved,order.paid", merchant)
    assert [event["type"] for event in events["items"]] == ["order.reserved", "order.paid"]
    assert events["items"][1]["data"]["order"]["id"] == order["id"]

    everything = await shop.json("GET", "/v1/events?limit=1", merchant)
    assert everything["items"][0]["type"] == "room.started"
    assert everything["items"][0]["data"]["room"]["id"] == room
    following = f"/v1/events?cursor={everything['next_cursor']}"  # as every list; `after` too
    same = f"/v1/events?after={everything['next_cursor']}"
    assert await shop.json("GET", following, merchant) == await shop.json("GET", same, merchant)
    assert (await shop.json("GET", following, merchant))["items"] == events["items"]

    snapshot = await shop.json("GET", f"/v1/rooms/{room}")
    assert snapshot["pinned"] == product["id"]
    assert snapshot["room"]["state"] == "live"
