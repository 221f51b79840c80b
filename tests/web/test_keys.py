"""API keys: what programs of merchants and administrators may do, and how a key ends."""

import asyncio
import re
from typing import Any

import pytest
import yarl

from liveserver.access import ACTIONS, ALL, SHOP
from liveserver.identity import Identity
from liveserver.scopes import ADMIN_SCOPES, MERCHANT_SCOPES, SCOPES_OF
from liveserver.web.table import ROUTES
from tests.web.shop import Shop

KEYS = "/v1/api-keys"


async def make(shop: Shop, token: str, *scopes: str) -> dict[str, Any]:
    body = {"name": "Till", "scopes": list(scopes)}
    made: dict[str, Any] = await shop.json("POST", KEYS, token, json=body, status=201)
    return made


def test_every_scope_is_of_its_role() -> None:
    """No scope names an action that its role may not do, and what a shop does has a scope."""
    for scopes, role in ((MERCHANT_SCOPES, "merchant"), (ADMIN_SCOPES, "admin")):
        for actions in scopes.values():
            assert all(role in ACTIONS[action].roles for action in actions)
    named = {action for actions in MERCHANT_SCOPES.values() for action in actions}
    of_shops = {
        action
        for action, rule in ACTIONS.items()
        if SHOP in rule.roles.get("merchant", ()) and ALL not in rule.roles.get("admin", ())
    }
    assert of_shops <= named


async def test_a_key_does_what_its_scopes_say_for_its_own_shop(shop: Shop) -> None:
    merchant = shop.token("merchant", merchant="shop-a")
    mine, foreign = await shop.product("shop-a"), await shop.product("shop-b")
    key = (await make(shop, merchant, "products:write"))["key"]
    listed = await shop.json("GET", "/v1/products", key)
    assert mine["id"] in {item["id"] for item in listed["items"]}
    change = {"title": "Mug"}
    await shop.json("PATCH", f"/v1/products/{mine['id']}", key, json=change)
    await shop.json("PATCH", f"/v1/products/{foreign['id']}", key, json=change, status=403)
    refused = await shop.json("GET", "/v1/orders", key, status=403)
    assert "no scope" in refused["detail"]
    await shop.json("POST", KEYS, key, json={"name": "x", "scopes": ["orders:read"]}, status=403)
    await shop.json("GET", "/v1/session", key, status=403)


async def test_reading_scopes_do_not_write(shop: Shop) -> None:
    merchant = shop.token("merchant", merchant="shop-a")
    product = await shop.product("shop-a")
    key = (await make(shop, merchant, "products:read", "orders:read"))["key"]
    await shop.json("GET", f"/v1/products/{product['id']}/grants", key)
    await shop.json("GET", "/v1/orders", key)
    delta = {"delta": 1, "reason": "found"}
    await shop.json("POST", f"/v1/products/{product['id']}/stock", key, json=delta, status=403)


async def test_a_key_is_shown_once_and_listed_without_its_secret(shop: Shop) -> None:
    merchant = shop.token("merchant", user="keeper", merchant="shop-keys")
    made = await make(shop, merchant, "orders:read")
    assert made["key"].startswith("lsk_") and made["key"].endswith(made["hint"])
    (listed,) = (await shop.json("GET", KEYS, merchant))["items"]
    assert listed == {name: value for name, value in made.items() if name != "key"}
    assert listed["last_used_at"] is None and listed["created_by"] == "keeper"
    await shop.json("GET", "/v1/orders", made["key"])
    (listed,) = (await shop.json("GET", KEYS, merchant))["items"]
    assert listed["last_used_at"] is not None
    everywhere = (await shop.json("GET", KEYS, shop.token("admin")))["items"]
    assert made["id"] in {key["id"] for key in everywhere}
    elsewhere = await shop.json("GET", KEYS, shop.token("merchant", merchant="shop-b"))
    assert made["id"] not in {key["id"] for key in elsewhere["items"]}


async def test_a_deleted_key_ends_at_once(shop: Shop) -> None:
    merchant = shop.token("merchant", merchant="shop-a")
    made = await make(shop, merchant, "orders:read")
    stranger = shop.token("merchant", merchant="shop-b")
    await shop.json("DELETE", f"{KEYS}/{made['id']}", stranger, status=403)
    await shop.json("GET", "/v1/orders", made["key"])
    await shop.json("DELETE", f"{KEYS}/{made['id']}", merchant, status=204)
    answer = await shop.json("GET", "/v1/orders", made["key"], status=401)
    assert "ended" in answer["detail"]
    await shop.json("DELETE", f"{KEYS}/{made['id']}", merchant, status=404)


@pytest.mark.parametrize(
    "change", [{"disabled": True}, {"role": "viewer"}, {"merchant": "shop-other"}]
)
async def test_a_key_ends_with_what_its_account_was(shop: Shop, change: dict[str, Any]) -> None:
    """Closed, of another role or of another shop; a changed password leaves it."""
    people, name = shop.services.people, f"keeper-{next(iter(change))}"
    account = await people.add(name, "long enough", "merchant", merchant="shop-k")
    token = shop.services.tokens.issue(account.identity(), 3600)
    key = (await make(shop, token, "orders:read"))["key"]
    await people.edit(name, password="another one")
    await shop.json("GET", "/v1/orders", key)
    before = {name: getattr(account, name) for name in change}
    await people.edit(name, **change)
    await shop.json("GET", "/v1/orders", key, status=401)
    await people.edit(name, **before)
    await shop.json("GET", "/v1/orders", key, status=401)  # a thief's does not come back either


async def test_an_administrators_key(shop: Shop) -> None:
    admin = shop.token("admin")
    key = (await make(shop, admin, "users:read", "metrics:read"))["key"]
    await shop.json("GET", "/v1/users", key)
    async with shop.call("GET", "/metrics", key) as answer:
        assert answer.status == 200
    new = {"user": "made-by-key", "password": "long enough", "role": "viewer"}
    await shop.json("POST", "/v1/users", key, json=new, status=403)
    body = {"name": "Till", "scopes": ["products:write"]}
    refused = await shop.json("POST", KEYS, admin, json=body, status=422)
    assert "users:write" in refused["detail"] and refused["field"] == "scopes"


@pytest.mark.parametrize(("role", "scope"), [("merchant", "shop:write"), ("admin", "metrics:read")])
async def test_outside_its_scope_a_key_is_refused_on_every_route(
    shop: Shop, role: str, scope: str
) -> None:
    """Before anything is looked up; what anybody may do stays open to it."""
    token = shop.token(role, merchant="shop-a" if role == "merchant" else None)
    key = (await make(shop, token, scope))["key"]
    wrong = []
    for route in ROUTES:
        rule = ACTIONS[route.action]
        if rule.anyone or not rule.roles or route.action in SCOPES_OF[role][scope]:  # type: ignore[index]
            continue
        path = re.sub(r"\{[^}]*\}", "x", route.path)
        async with shop.call(route.method, path, key) as answer:
            if answer.status != 403:
                wrong.append((route.method, path, answer.status, await answer.text()))
    assert not wrong


async def test_wrong_keys_open_nothing(shop: Shop) -> None:
    for wrong in ("lsk_", "lsk_" + "A" * 32, "lsk_\u00fc"):
        await shop.json("GET", "/v1/orders", wrong, status=401)
    raw = b"GET /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer lsk_\xff\r\n\r\n"
    url = yarl.URL(shop.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(raw)
    assert (await reader.readline()).startswith(b"HTTP/1.1 401")
    writer.close()
    body = {"channel": "news:a", "data": {}}
    key = (await make(shop, shop.token("admin"), "rooms:write"))["key"]
    await shop.json("POST", "/api/publish", key, json=body, status=401)


async def test_there_are_not_endlessly_many(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liveserver.api_keys_sql.KEYS_MAX", 2)
    keys, who = shop.services.api_keys, Identity(user="m", role="merchant", merchant="shop-many")
    for _ in range(2):
        await keys.make(who, "Till", ("orders:read",))
    token = shop.token("merchant", merchant="shop-many")
    body = {"name": "Till", "scopes": ["orders:read"]}
    refused = await shop.json("POST", KEYS, token, json=body, status=409)
    assert "delete one" in refused["detail"]
