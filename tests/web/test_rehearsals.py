"""Rehearsals over HTTP: nothing is listed, sold, or told to merchants."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.web.shop import Shop


@dataclass
class Scene:
    """A room of a shop with a granted product, and its people."""

    shop: Shop
    room: str
    product: dict[str, Any]
    host: str
    merchant: str
    buyer: str

    async def say(self, method: str, path: str, status: int = 200, **body: Any) -> Any:
        """What the host asks of the room."""
        wish = {"json": body} if body else {}
        path = f"/v1/rooms/{self.room}{path}"
        return await self.shop.json(method, path, self.host, status=status, **wish)

    async def rehearse(self) -> str:
        room = await self.say("POST", "/start", rehearsal=True)
        assert room["rehearsal"] is True and room["state"] == "live"
        return str(room["show"])

    async def sell(self, status: int) -> dict[str, Any]:
        wish = {"sku": self.product["sku"], "price_cents": 900, "units": 5, "buyers": "guest"}
        found: dict[str, Any] = await self.say("POST", "/flash-sales", status, **wish)
        return found

    async def buy(self, path: str, status: int, **body: Any) -> dict[str, Any]:
        found: dict[str, Any] = await self.shop.json(
            "POST", path, self.buyer, json=body, headers={"Idempotency-Key": path}, status=status
        )
        return found

    async def snapshot(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.shop.json("GET", f"/v1/rooms/{self.room}")
        return found

    async def told(self) -> list[str]:
        """Types of what the merchant was told."""
        items = (await self.shop.json("GET", "/v1/events", self.merchant))["items"]
        return [item["type"] for item in items]


@pytest.fixture
async def scene(shop: Shop, unique: str) -> Scene:
    admin, merchant = shop.token("admin"), shop.token("merchant", merchant="shop-a")
    room = {"id": unique, "title": "Evening", "merchant_ids": ["shop-a"]}
    await shop.json("POST", "/v1/rooms", admin, json=room, status=201)
    product = await shop.product()
    grant = {"room": unique, "min_price_cents": 500}
    await shop.json("PUT", f"/v1/products/{product['id']}/grants", merchant, json=grant)
    made = Scene(
        shop, unique, product, shop.token("streamer", rooms=(unique,)), merchant, shop.token()
    )
    await made.say("PUT", "/shelf", product_ids=[product["id"]])
    return made


async def test_nothing_is_sold_in_a_rehearsal(scene: Scene) -> None:
    """Sales and orders get one clear problem, stock stays, and the show after it sells."""
    await scene.rehearse()
    order = {"room": scene.room, "lines": [{"product_id": scene.product["id"]}]}
    trial = await scene.say(
        "PUT", "/rehearsal-sale", product_id=scene.product["id"], price_cents=900, units=5
    )
    for answer in (
        await scene.sell(409),
        await scene.buy("/v1/orders", 409, **order),
        await scene.buy(f"/v1/flash-sales/{trial['id']}/reservations", 409, quantity=1),
    ):
        assert answer["type"].endswith("/rehearsal"), answer
    assert (await scene.shop.json("GET", "/v1/orders", scene.buyer))["items"] == []
    stock = await scene.shop.json("GET", f"/v1/products/{scene.product['id']}")
    assert stock["stock"] == scene.product["stock"]
    await scene.say("POST", "/end")
    await scene.say("POST", "/start")
    sale = await scene.sell(201)
    await scene.buy(f"/v1/flash-sales/{sale['id']}/reservations", 201, quantity=1)


async def test_a_rehearsal_waits_for_the_sales_of_the_room(scene: Scene) -> None:
    """Neither a running nor a planned one may sell in the middle of it; nor is there a show on."""
    sale = await scene.sell(201)
    refused = await scene.say("POST", "/start", 409, rehearsal=True)
    assert refused["type"].endswith("/invalid-state") and refused["flash_sale"] == sale["id"]
    await scene.say("POST", "/start")
    await scene.shop.json("POST", f"/v1/flash-sales/{sale['id']}/cancel", scene.host)
    await scene.say("POST", "/start", 409, rehearsal=True)
    await scene.say("POST", "/end")
    await scene.rehearse()
    await scene.say("POST", "/start", 409)


async def test_a_key_of_before_the_rehearsal_gets_its_order_again(scene: Scene) -> None:
    """A page that repeats what it never heard the answer of is not told that nothing was bought."""
    await scene.say("POST", "/start")
    order = {"room": scene.room, "lines": [{"product_id": scene.product["id"]}]}
    made = await scene.buy("/v1/orders", 201, **order)
    await scene.say("POST", "/end")
    await scene.rehearse()
    assert await scene.buy("/v1/orders", 201, **order) == made


async def test_merchants_hear_nothing_of_a_rehearsal(scene: Scene) -> None:
    """Of the show after it they hear as always."""
    await scene.rehearse()
    await scene.say("POST", "/end")
    assert await scene.told() == []
    await scene.say("POST", "/start")
    await scene.say("POST", "/end")
    assert await scene.told() == ["room.started", "room.ended"]


async def test_only_staff_find_a_rehearsal_and_read_its_archive(scene: Scene) -> None:
    """The room and its shows are listed without it; the link to the room works for everybody."""
    shop, others = scene.shop, scene.shop.token("streamer", rooms=("elsewhere",))
    show = await scene.rehearse()
    path = f"/v1/rooms/{scene.room}/shows"

    async def found(path: str, token: str | None) -> list[str]:
        return [item["id"] for item in (await shop.json("GET", path, token))["items"]]

    for token in (None, scene.buyer, scene.merchant, others):
        assert scene.room not in await found("/v1/rooms", token)
    for token in (scene.host, shop.token("admin")):
        assert scene.room in await found("/v1/rooms", token)
    assert (await scene.snapshot())["room"]["rehearsal"] is True
    await scene.say("POST", "/end")
    assert scene.room in await found("/v1/rooms", None)
    assert await found(path, None) == await found(path, others) == []
    assert await found(path, scene.host) == [show]
    view = await shop.json("GET", f"/v1/shows/{show}")
    assert (view["rehearsal"], view["open"]) == (True, False)
    await shop.json("GET", f"/v1/shows/{show}/events", status=401)
    await shop.json("GET", f"/v1/shows/{show}/events", scene.buyer, status=403)
    await shop.json("GET", f"/v1/shows/{show}/events", scene.host)
    report = await shop.json("GET", f"/v1/shows/{show}/report", scene.host)
    assert report["show"]["rehearsal"] is True and report["orders"] == {}


async def test_a_sale_is_tried_inside_the_grant_and_taken_away(scene: Scene) -> None:
    """It has the form of a flash sale; outside a rehearsal or its grant there is none."""
    wish = {"product_id": scene.product["id"], "price_cents": 900, "units": 5}
    await scene.say("PUT", "/rehearsal-sale", 409, **wish)
    show = await scene.rehearse()
    await scene.say("PUT", "/rehearsal-sale", 403, **{**wish, "price_cents": 499})
    await scene.say("PUT", "/rehearsal-sale", 403, **{**wish, "product_id": "prd_unknown"})
    tried = await scene.say("PUT", "/rehearsal-sale", **wish, countdown_seconds=10)
    assert (tried["state"], tried["units_left"], tried["title"]) == ("scheduled", 5, "Cup")
    assert (await scene.snapshot())["rehearsal_sale"] == {**tried, "show": show}
    await scene.say("DELETE", "/rehearsal-sale", 204)
    assert (await scene.snapshot())["rehearsal_sale"] is None
