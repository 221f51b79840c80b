"""
Who may do what, walked through a listening server: every route with every kind of caller.

`WHO` says it once more, in the contract's words and independently of the table in
`liveserver/access.py`. A route without a line here fails the test, and so does a line without a
route.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from liveserver.access import ACTIONS, allow
from liveserver.identity import Identity
from liveserver.problems import REFUSALS, Refused
from liveserver.rpc import Rpc
from liveserver.web.app import build
from liveserver.web.table import ROUTES
from rooms.moderation_service import Actor
from rooms.room import Speaker
from rooms.words import WordList
from tests.web.shop import API_KEY, Shop, new_id

HERE, THERE = "shop-a", "shop-b"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)

CALLERS: dict[str, dict[str, Any]] = {
    "nobody": {},
    "buyer": {"role": "viewer", "user": "buyer"},
    "stranger": {"role": "viewer", "user": "stranger"},
    "streamer": {"role": "streamer", "rooms": ("{room}",)},
    "streamer elsewhere": {"role": "streamer", "rooms": ("elsewhere",)},
    "moderator": {"role": "moderator", "rooms": ("{room}",)},
    "moderator elsewhere": {"role": "moderator", "rooms": ("elsewhere",)},
    "merchant": {"role": "merchant", "merchant": HERE},
    "merchant elsewhere": {"role": "merchant", "merchant": THERE},
    "merchant of nothing": {"role": "merchant"},
    "admin": {"role": "admin"},
    "program": {"key": API_KEY},  # of the operator, by key and without a token
}

ANYONE = set(CALLERS)
PROGRAM = {"program"}
SIGNED_IN = ANYONE - {"nobody", "program"}
ADMIN = {"admin"}
HOST = {"streamer", "admin"}
STAFF = {"streamer", "moderator", "admin"}
A_MERCHANT = {"merchant", "merchant elsewhere"}
ITS_MERCHANT = {"merchant"}
SELLER = {"streamer", "merchant"}

WHO: dict[str, set[str]] = {
    "POST /v1/session": ANYONE,
    "GET /v1/session": SIGNED_IN,
    "DELETE /v1/session": ANYONE,
    "POST /v1/users": ADMIN,
    "GET /v1/users": ADMIN,
    "GET /v1/users/{user}": ADMIN,
    "PATCH /v1/users/{user}": ADMIN,
    "GET /v1/api-keys": A_MERCHANT | ADMIN,
    "POST /v1/api-keys": A_MERCHANT | ADMIN,
    "DELETE /v1/api-keys/{key}": ITS_MERCHANT | ADMIN,
    "POST /v1/setup": ANYONE,
    "GET /v1/settings": ADMIN,
    "PATCH /v1/settings": ADMIN,
    "GET /v1/config": ANYONE,
    "GET /v1/rooms": ANYONE,
    "POST /v1/rooms": HOST,
    "GET /v1/rooms/{room}": ANYONE,
    "PATCH /v1/rooms/{room}": HOST,
    "POST /v1/rooms/{room}/start": HOST,
    "POST /v1/rooms/{room}/end": HOST,
    "PUT /v1/rooms/{room}/rehearsal-sale": HOST,
    "DELETE /v1/rooms/{room}/rehearsal-sale": HOST,
    "POST /v1/rooms/{room}/notice": STAFF,
    "POST /v1/rooms/{room}/captions": STAFF,
    "POST /v1/rooms/{room}/pin": STAFF,
    "PUT /v1/rooms/{room}/shelf": STAFF,
    "GET /v1/rooms/{room}/products": STAFF,
    "PATCH /v1/rooms/{room}/chat": STAFF,
    "GET /v1/rooms/{room}/word-lists": STAFF,
    "PUT /v1/rooms/{room}/word-lists": STAFF,
    "GET /v1/word-lists": ADMIN,
    "PUT /v1/word-lists": ADMIN,
    "GET /v1/rooms/{room}/mutes": STAFF,
    "POST /v1/rooms/{room}/mutes": STAFF,
    "DELETE /v1/rooms/{room}/mutes/{user}": STAFF,
    "GET /v1/rooms/{room}/bans": STAFF,
    "POST /v1/rooms/{room}/bans": STAFF,
    "DELETE /v1/rooms/{room}/bans/{user}": STAFF,
    "DELETE /v1/rooms/{room}/messages/{message}": STAFF,
    "POST /v1/rooms/{room}/reports": SIGNED_IN,
    "GET /v1/rooms/{room}/reports": STAFF,
    "POST /v1/rooms/{room}/reports/{report}/decide": STAFF,
    "GET /v1/rooms/{room}/held": STAFF,
    "POST /v1/rooms/{room}/held/{held}/decide": STAFF,
    "GET /v1/rooms/{room}/audit": STAFF,
    "GET /v1/audit": ADMIN,
    "POST /v1/rooms/{room}/stream-key": HOST,
    "POST /v1/rooms/{room}/preflight/uplink": HOST,
    "POST /v1/rooms/{room}/preflight/webhooks": HOST,
    "POST /whip/{room}": HOST,
    "PATCH /whip/{room}/{session}": HOST,
    "DELETE /whip/{room}/{session}": HOST,
    "OPTIONS /whip/{room}": ANYONE,
    "OPTIONS /whip/{room}/{session}": ANYONE,
    "OPTIONS /whep/{room}": ANYONE,
    "OPTIONS /whep/{room}/{session}": ANYONE,
    "POST /whep/{room}": ANYONE,
    "PATCH /whep/{room}/{session}": ANYONE,
    "DELETE /whep/{room}/{session}": ANYONE,
    "GET /v1/rooms/{room}/shows": ANYONE,
    "PUT /v1/rooms/{room}/archive": HOST,
    "GET /v1/shows/{show}": ANYONE,
    "GET /v1/shows/{show}/events": ANYONE,  # of a show that is over
    "GET /v1/shows/{show}/report": STAFF,
    "GET /v1/shows/{show}/export.xml": ANYONE,
    "GET /v1/shows/{show}/export.ass": ANYONE,
    "GET /v1/shows/{show}/export.jsonl": ANYONE,
    "GET /v1/products": A_MERCHANT,
    "POST /v1/products": A_MERCHANT,
    "POST /v1/products/import": A_MERCHANT,
    "GET /v1/products/{product}": ANYONE,
    "PATCH /v1/products/{product}": ITS_MERCHANT,
    "POST /v1/products/{product}/stock": ITS_MERCHANT,
    "PUT /v1/products/{product}/image": ITS_MERCHANT,
    "GET /v1/products/{product}/grants": ITS_MERCHANT,
    "PUT /v1/products/{product}/grants": ITS_MERCHANT,
    "POST /v1/rooms/{room}/flash-sales": SELLER,
    "GET /v1/flash-sales/{sale}": ANYONE,
    "PATCH /v1/flash-sales/{sale}": SELLER,
    "POST /v1/flash-sales/{sale}/cancel": SELLER,
    "POST /v1/flash-sales/{sale}/reservations": SIGNED_IN,
    "POST /v1/flash-sales/{sale}/waitlist": SIGNED_IN,
    "GET /v1/flash-sales/{sale}/waitlist": SIGNED_IN,
    "DELETE /v1/flash-sales/{sale}/waitlist": SIGNED_IN,
    "POST /v1/orders": SIGNED_IN,
    "GET /v1/orders": SIGNED_IN,
    "GET /v1/orders/{order}": {"buyer", "merchant"},
    "GET /v1/orders/{order}/history": {"buyer", "merchant"},
    "POST /v1/orders/{order}/pay": {"buyer"},
    "POST /v1/orders/{order}/cancel": {"buyer"},
    "POST /v1/orders/{order}/ship": ITS_MERCHANT,
    "POST /v1/orders/{order}/complete": ITS_MERCHANT,
    "POST /v1/orders/{order}/refund": ITS_MERCHANT,
    "POST /v1/orders/{order}/mark-paid": ITS_MERCHANT,
    "GET /v1/coupons": A_MERCHANT,
    "POST /v1/coupons": A_MERCHANT,
    "PATCH /v1/coupons/{coupon}": ITS_MERCHANT,
    "POST /v1/orders/{order}/delivery": {"buyer"},
    "GET /v1/shop": A_MERCHANT,
    "PATCH /v1/shop": A_MERCHANT,
    "POST /v1/hooks/secret": A_MERCHANT,
    "POST /v1/hooks/orders/{merchant}": ANYONE,
    "GET /v1/webhook-endpoints": A_MERCHANT,
    "POST /v1/webhook-endpoints": A_MERCHANT,
    "GET /v1/webhook-endpoints/{endpoint}": ITS_MERCHANT,
    "PATCH /v1/webhook-endpoints/{endpoint}": ITS_MERCHANT,
    "DELETE /v1/webhook-endpoints/{endpoint}": ITS_MERCHANT,
    "POST /v1/webhook-endpoints/{endpoint}/rotate-secret": ITS_MERCHANT,
    "POST /v1/webhook-endpoints/{endpoint}/test": ITS_MERCHANT,
    "POST /v1/webhook-endpoints/{endpoint}/replay": ITS_MERCHANT,
    "GET /v1/webhook-deliveries": A_MERCHANT,
    "POST /v1/webhook-deliveries/{delivery}/redeliver": ITS_MERCHANT,
    "GET /v1/events": A_MERCHANT,
    "POST /api/publish": PROGRAM,
    "POST /api/broadcast": PROGRAM,
    "POST /api/presence": PROGRAM,
    "POST /api/presence_stats": PROGRAM,
    "POST /api/history": PROGRAM,
    "POST /api/history_remove": PROGRAM,
    "POST /api/channels": PROGRAM,
    "POST /api/info": PROGRAM,
    "POST /api/disconnect": PROGRAM,
    "POST /api/unsubscribe": PROGRAM,
    "POST /api/subscribe": PROGRAM,
    "POST /api/refresh": PROGRAM,
    "POST /api/batch": PROGRAM,
    "POST /emulation": ANYONE,
    "OPTIONS /emulation": ANYONE,
    "GET /livez": ANYONE,
    "GET /metrics": ADMIN | PROGRAM,  # from elsewhere than METRICS_ALLOWED_CIDRS
    "GET /readyz": ANYONE,
    "GET /openapi.json": ANYONE,
    "GET /asyncapi.json": ANYONE,
    "GET /docs": ANYONE,
    "GET /docs.css": ANYONE,
    "GET /": ANYONE,
    "GET /rooms/{room}": ANYONE,
    "GET /embed/{room}": ANYONE,
    "GET /orders": ANYONE,
    "GET /console/{room}": ANYONE,
    "GET /merchant": ANYONE,
    "GET /setup": ANYONE,
    "GET /login": ANYONE,
    "GET /shows/{show}": ANYONE,
    "GET /overlay/card/{room}": ANYONE,
    "GET /overlay/chat/{room}": ANYONE,
    "GET /overlay/countdown/{room}": ANYONE,
    "GET /static/{file:.+}": ANYONE,
    "GET /images/{name}": ANYONE,
}

BODIES: dict[str, Any] = {
    "POST /v1/session": {"name": "Mia"},
    "POST /v1/users": {"user": "{new}", "password": "long enough", "role": "viewer"},
    "PATCH /v1/users/{user}": {"name": "Somebody"},
    "POST /v1/setup": {
        "token": "{setup}", "user": "{new}", "password": "long enough", "shop_name": "Shop",
    },
    "PATCH /v1/settings": {"shop_name": "Shop"},
    "POST /v1/rooms": {"id": "{new_room}", "title": "Evening"},
    "PATCH /v1/rooms/{room}": {"title": "Night"},
    "POST /v1/rooms/{room}/notice": {"text": "Soon"},
    "POST /v1/rooms/{room}/captions": {"text": "And now the cup."},
    "POST /v1/rooms/{room}/pin": {"product_id": None},
    "PUT /v1/rooms/{room}/shelf": {"product_ids": []},
    "PUT /v1/rooms/{room}/rehearsal-sale": {
        "product_id": "{product}", "price_cents": 900, "units": 1,
    },
    "PATCH /v1/rooms/{room}/chat": {"slow_mode_seconds": 0},
    "PUT /v1/rooms/{room}/word-lists": {"items": []},
    "PUT /v1/word-lists": {"items": []},
    "PUT /v1/rooms/{room}/archive": {"open": True},
    "POST /v1/rooms/{room}/mutes": {"user": "somebody", "seconds": 600, "reason": "spam"},
    "POST /v1/rooms/{room}/bans": {"user": "somebody", "reason": "spam"},
    "POST /v1/rooms/{room}/reports": {"user": "{new}", "reason": "spam"},
    "POST /v1/rooms/{room}/reports/{report}/decide": {"state": "dismissed"},
    "POST /v1/rooms/{room}/held/{held}/decide": {"state": "refused"},
    "POST /v1/products": {
        "sku": "{new}", "title": "Cup", "price_cents": 1000, "currency": "EUR", "stock": 1,
    },
    "POST /v1/api-keys": {"name": "Till", "scopes": ["products:read"]},
    "POST /v1/products/import": {
        "items": [{"sku": "{new}", "title": "Cup", "price_cents": 1000, "currency": "EUR"}],
    },
    "PATCH /v1/products/{product}": {"title": "Mug"},
    "POST /v1/products/{product}/stock": {"delta": 1, "reason": "found one"},
    "PUT /v1/products/{product}/grants": {"room": "{room}"},
    "POST /v1/rooms/{room}/flash-sales": {"sku": "{sku}", "price_cents": 900, "units": 1},
    "PATCH /v1/flash-sales/{sale}": {"units": 6},
    "POST /v1/flash-sales/{sale}/cancel": {"orders": "honour"},
    "POST /v1/flash-sales/{sale}/reservations": {"quantity": 1},
    "POST /v1/flash-sales/{sale}/waitlist": {"quantity": 1},
    "POST /v1/orders": {"room": "{room}", "lines": [{"product_id": "{product}"}]},
    "POST /v1/orders/{order}/delivery": {
        "recipient": "Ann", "phone": "+49 30 1", "address": "Street 1",
    },
    "PATCH /v1/shop": {"keep_days": 7},
    "POST /v1/hooks/orders/{merchant}": {},
    "POST /v1/coupons": {
        "code": "{new}", "kind": "percent", "value": 10, "currency": "EUR", "budget_cents": 1000,
    },
    "PATCH /v1/coupons/{coupon}": {"budget_cents": 2000},
    "POST /api/publish": {"channel": "news:{new}", "data": {}},
    "POST /api/broadcast": {"channels": ["news:{new}"], "data": 1},
    "POST /api/presence": {"channel": "news:{new}"},
    "POST /api/presence_stats": {"channel": "room:{room}"},
    "POST /api/history": {"channel": "chat:{room}"},
    "POST /api/history_remove": {"channel": "news:{new}"},
    "POST /api/channels": {},
    "POST /api/info": {},
    "POST /api/disconnect": {"user": "{new}"},
    "POST /api/subscribe": {"user": "{new}", "channel": "room:{room}"},
    "POST /api/refresh": {"user": "{new}"},
    "POST /api/batch": {"commands": []},
    "POST /api/unsubscribe": {"user": "{new}", "channel": "room:{room}"},
    "POST /v1/webhook-endpoints": {"url": "https://example.com/hook"},
    "PATCH /v1/webhook-endpoints/{endpoint}": {"events": ["order.paid"]},
    "POST /v1/webhook-endpoints/{endpoint}/replay": {"since": "{now}"},
}  # fmt: skip


@dataclass
class Scene:
    """One thing of each kind: in the room, of the shop HERE, ordered by `buyer`."""

    shop: Shop
    values: dict[str, str]

    def fill(self, value: Any) -> Any:
        """A path or body with its names replaced by what is there."""
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if not isinstance(value, str):
            return value
        for name, text in self.values.items():
            value = value.replace("{" + name + "}", text)
        return value

    def token(self, caller: str) -> str | None:
        claims = CALLERS[caller]
        if "role" not in claims:
            return None
        claims = dict(claims)
        rooms = tuple(self.fill(room) for room in claims.pop("rooms", ()))
        return self.shop.token(
            claims.pop("role"), claims.pop("user", caller), rooms=rooms, **claims
        )


async def ended_show(shop: Shop, room: str) -> str:
    """A show of the room that is over; a room that was live is live again."""
    rooms = shop.services.rooms
    was_live = (await rooms.get(room)).state == "live"
    if not was_live:
        await rooms.start(room, actor="admin")
    show = (await rooms.end(room, actor="admin")).show
    if was_live:
        await rooms.start(room, actor="admin")
    assert show is not None
    return show


async def build_scene(shop: Shop, room: str, number: int) -> Scene:
    merchant = shop.token("merchant", merchant=HERE)
    product = await shop.product(HERE)
    grants = f"/v1/products/{product['id']}/grants"
    await shop.json("PUT", grants, merchant, json={"room": room})
    image = f"/v1/products/{product['id']}/image"
    pictured = await shop.json(
        "PUT", image, merchant, data=PNG, headers={"Content-Type": "image/png"}
    )
    sale = await shop.sale(room, merchant=HERE, units=30)
    order = await shop.order(sale, shop.token("viewer", "buyer"), f"key-{number}")
    hooks = "/v1/webhook-endpoints"
    url = {"url": "https://example.com/hook"}
    for old in (await shop.json("GET", hooks, merchant))["items"]:
        await shop.json("DELETE", f"{hooks}/{old['id']}", merchant, status=204)
    endpoint = await shop.json("POST", hooks, merchant, json=url, status=201)
    delivery = await shop.json("POST", f"{hooks}/{endpoint['id']}/test", merchant)
    code = {
        "code": f"c-{product['id']}", "kind": "amount", "value": 1, "currency": "EUR",
        "budget_cents": 100,
    }  # fmt: skip
    coupon = await shop.json("POST", "/v1/coupons", merchant, json=code, status=201)
    report, held = await build_queues(shop, room, number)
    values = {
        "show": await ended_show(shop, room),
        "report": report,
        "held": held,
        "message": new_id("dmk"),
        "key": await key_of(shop),
        "coupon": coupon["id"],
        "merchant": HERE,
        "room": room,
        "product": product["id"],
        "sku": product["sku"],
        "sale": sale["id"],
        "order": order["id"],
        "endpoint": endpoint["id"],
        "delivery": delivery["id"],
        "session": "none",
        "user": "somebody",
        "name": pictured["image_url"].rpartition("/")[2],
        "file:.+": "css/base.css",
        "now": order["created_at"],
        "setup": "none",
    }
    return Scene(shop, values)


async def build_queues(shop: Shop, room: str, number: int) -> tuple[str, str]:
    """A report and a message that wait for staff: their ids."""
    moderation, talker = shop.services.moderation, Speaker(id=f"talker-{number}", name="Ann")
    report = await moderation.report(
        room, f"reporter-{number}", message="", user="somebody", reason="spam", note=""
    )
    lists = [WordList(name="look", action="hold", words=["waits"])]
    await moderation.put_lists(room, lists, Actor("admin", "admin"))
    await shop.services.rooms.say(room, talker, b"", b'{"text":"this waits"}')
    held = (await moderation.held(room, "", 200))[-1]
    await moderation.put_lists(room, [], Actor("admin", "admin"))
    return report.id, held.id


async def key_of(shop: Shop) -> str:
    """The one API key of the shop HERE: its id."""
    keys, keeper = shop.services.api_keys, Identity(user="keeper", role="merchant", merchant=HERE)
    for old in await keys.list(HERE):
        await keys.delete(old.id)
    made, _ = await keys.make(keeper, "Till", ("products:read",))
    return made.id


def line_of(route: Any) -> str:
    return f"{route.method} {route.path}"


def test_every_route_has_a_line_and_a_row() -> None:
    """Neither this test nor the table of rights may lack a route, or name one that is not there."""
    assert {line_of(route) for route in ROUTES} == set(WHO)
    assert {route.action for route in ROUTES} <= set(ACTIONS)
    used = {route.action for route in ROUTES}
    others = {action for action in ACTIONS if action.startswith(("rpc.", "channel."))}
    assert set(ACTIONS) == used | others


async def test_the_server_has_no_route_beside_the_table(shop: Shop) -> None:
    """What aiohttp listens to is exactly the table, and the head of whatever can be read."""
    app = build(shop.services)
    served = {
        (entry.method, entry.resource.canonical)
        for entry in app.router.routes()
        if entry.resource is not None
    }
    table = {(route.method, route.path.replace(":.+", "")) for route in ROUTES}
    heads = {("HEAD", path) for method, path in table if method == "GET"}
    assert served == table | heads


async def test_every_caller_on_every_route(shop: Shop, room: str) -> None:
    """
    Allowed callers are served, nobody gets 401 where somebody is needed, everybody else is refused.
    """
    await shop.services.people.add("somebody", "long enough", "viewer")
    wrong = []
    for number, route in enumerate(ROUTES):
        scene = await build_scene(shop, room, number)
        line = line_of(route)
        for index, caller in enumerate(sorted(CALLERS, key=lambda name: name in WHO[line])):
            scene.values |= {"new": f"n{number}-{index}", "new_room": room}
            if "{key}" in line:  # each of those who may ends one
                scene.values["key"] = await key_of(shop)
            got = await _status(scene, line, caller, f"access-{number}-{index}")
            if not _as_agreed(line, caller, *got):
                wrong.append(f"{line} by {caller}: {got}")
    assert not wrong, "\n".join(wrong)


async def _status(scene: Scene, line: str, caller: str, key: str) -> tuple[int, str]:
    method, _, path = line.partition(" ")
    options: dict[str, Any] = {"headers": {"Idempotency-Key": key}}
    if "key" in CALLERS[caller]:
        options["headers"]["X-API-Key"] = CALLERS[caller]["key"]
    if line in BODIES:
        options["json"] = scene.fill(BODIES[line])
    if path.endswith("/image"):
        options["data"] = PNG
        options["headers"]["Content-Type"] = "image/png"
    async with scene.shop.call(method, scene.fill(path), scene.token(caller), **options) as answer:
        return answer.status, await answer.text("utf-8", "replace")


def _as_agreed(line: str, caller: str, status: int, text: str) -> bool:
    if line == "POST /v1/setup":
        return status == 403 and "link" in text  # anyone may try; the link alone decides
    if line == "POST /v1/hooks/orders/{merchant}":
        return status == 401 and "signature" in text  # the signature alone decides
    if line.startswith("OPTIONS /wh"):
        return status == 204
    if line.partition(" ")[2].startswith(("/whip/", "/whep/")) and caller in WHO[line]:
        return status == 503 and "no video" in text  # let through, to a media process not there
    if caller in WHO[line]:
        return status < 500 and status not in (401, 403, 404)
    if caller in ("nobody", "program") or WHO[line] == PROGRAM:
        return status == 401
    return status in (403, 404)  # 404: a thing of another shop is not even confirmed


RPC_WHO: dict[str, set[str]] = {
    "reserve": SIGNED_IN,
    "waitlist.join": SIGNED_IN,
    "waitlist.leave": SIGNED_IN,
    "order.create": SIGNED_IN,
    "order.pay": {"buyer"},
    "order.cancel": {"buyer"},
    "like": SIGNED_IN,
    "room.snapshot": ANYONE,
}


async def test_every_caller_on_every_rpc_method(shop: Shop, room: str) -> None:
    """The socket's methods keep to the same rights, on foreign orders too."""
    rpc = Rpc(shop.services)
    assert rpc.methods == set(RPC_WHO)
    assert {f"rpc.{method}" for method in rpc.methods} == {
        action for action in ACTIONS if action.startswith("rpc.")
    }
    scene = await build_scene(shop, room, 0)
    arguments = {
        "reserve": b'{"flash_sale":"{sale}","quantity":1,"key":"{caller}"}',
        "waitlist.join": b'{"flash_sale":"{sale}","key":"w-{caller}"}',
        "waitlist.leave": b'{"flash_sale":"{sale}"}',
        "order.create": b'{"lines":[{"product_id":"{product}"}],"key":"o-{caller}"}',
        "order.pay": b'{"order":"{order}"}',
        "order.cancel": b'{"order":"{order}"}',
        "like": b'{"room":"{room}","count":1}',
        "room.snapshot": b'{"room":"{room}"}',
    }
    for method, allowed in RPC_WHO.items():
        for caller in CALLERS:
            token = scene.token(caller)
            identity = None if token is None else shop.services.tokens.verify(token)
            data = scene.fill(arguments[method].decode()).replace("{caller}", caller)
            problem = await _problem(rpc, identity, method, data.encode())
            if caller in allowed:
                assert problem not in ("unauthorized", "forbidden", "not-found"), (method, caller)
            elif caller in ("nobody", "program"):
                assert problem == "unauthorized", (method, caller)
            else:
                assert problem == "forbidden", (method, caller)


async def _problem(rpc: Rpc, identity: Identity | None, method: str, data: bytes) -> str | None:
    answered: asyncio.Future[bytes | Exception] = asyncio.get_running_loop().create_future()
    try:
        if not rpc.begin(identity, method, data, answered.set_result):
            await rpc.call(identity, method, data)
            return None
    except REFUSALS as refusal:
        return refusal.problem
    result = await answered
    return result.problem if isinstance(result, REFUSALS) else None


CHANNEL_WHO: dict[str, set[str]] = {
    "channel.room.subscribe": ANYONE,
    "channel.room.publish": set(),
    "channel.chat.subscribe": ANYONE,
    "channel.chat.publish": SIGNED_IN,
    "channel.danmaku.subscribe": ANYONE,
    "channel.danmaku.publish": SIGNED_IN,
    "channel.console.subscribe": STAFF,
    "channel.console.publish": set(),
    "channel.presence": STAFF,
    "channel.presence_stats": ANYONE,
    "channel.personal.subscribe": {"buyer"},
    "channel.personal.publish": set(),
}


@pytest.mark.parametrize("action", sorted(a for a in ACTIONS if a.startswith("channel.")))
def test_every_caller_on_every_channel(action: str) -> None:
    """The rights of channels, with a foreign room and a foreign person."""
    for caller, claims in CALLERS.items():
        identity = None
        if "role" in claims:
            rooms = tuple("here" if room == "{room}" else room for room in claims.get("rooms", ()))
            identity = Identity(
                user=claims.get("user", caller),
                role=claims["role"],
                rooms=rooms,
                merchant=claims.get("merchant"),
            )
        try:
            allow(identity, action, room="here", buyer="buyer")
            allowed = True
        except Refused:
            allowed = False
        assert allowed == (caller in CHANNEL_WHO[action]), (action, caller)
