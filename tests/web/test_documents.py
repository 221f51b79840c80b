"""The descriptions that the server gives of itself."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
from schemathesis.specs.openapi.definitions import OPENAPI_31

from liveserver.rpc import Rpc
from liveserver.web.asyncapi import RPC
from liveserver.web.table import ROUTES
from tests.web.shop import Shop

WIRE = Path(__file__).parents[1] / "wire"  # golden messages


def types_of(schema: Any) -> list[str]:
    """What `type` may be in an object of this schema."""
    kind = schema.get("properties", {}).get("type", {})
    return [*kind.get("enum", []), *([kind["const"]] if "const" in kind else [])]


def references(value: Any) -> list[str]:
    """Every `$ref` of a document."""
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in references(item)]
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    return []


def resolve(document: Any, reference: str) -> Any:
    """What a local reference points at; KeyError if at nothing."""
    assert reference.startswith("#/"), reference
    for part in reference[2:].split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


async def test_openapi_is_valid_and_complete(shop: Shop) -> None:
    """It keeps to the official schema of OpenAPI 3.1 and names every route of the API."""
    document = await shop.json("GET", "/openapi.json")
    errors = jsonschema_rs.validator_for(OPENAPI_31).iter_errors(document)
    assert [error.message for error in errors] == []
    for reference in references(document):
        assert resolve(document, reference) is not None
    listed = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert listed == {(route.method, route.path) for route in ROUTES if route.documented}
    names = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    assert len(set(names)) == len(names)


async def test_path_parameters_are_described(shop: Shop) -> None:
    """Each name in a path has its parameter."""
    document = await shop.json("GET", "/openapi.json")
    for path, methods in document["paths"].items():
        for operation in methods.values():
            described = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert described == set(re.findall(r"\{(\w+)\}", path)), path


async def test_asyncapi_is_whole(shop: Shop) -> None:
    """The rules of AsyncAPI 3.0 that tools rely on: references, operations, parameters."""
    document = await shop.json("GET", "/asyncapi.json")
    assert document["asyncapi"] == "3.0.0"
    for reference in references(document):
        assert resolve(document, reference) is not None
    for name, channel in document["channels"].items():
        named = set(re.findall(r"\{(\w+)\}", channel["address"] or ""))
        assert named == set(channel.get("parameters", {})), name
        assert channel["messages"]
    for name, operation in document["operations"].items():
        assert operation["action"] in ("send", "receive"), name
        prefix = operation["channel"]["$ref"] + "/messages/"
        for message in operation.get("messages", []):
            assert message["$ref"].startswith(prefix), name
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": DRAFT, **schema})


async def test_asyncapi_names_every_way_to_the_viewers(shop: Shop) -> None:
    """WebSocket, its fallbacks, where their commands go, and both forms of messages."""
    document = await shop.json("GET", "/asyncapi.json")
    servers = document["servers"]
    assert {one["pathname"]: one["protocol"] for one in servers.values()} == {
        "/connection/websocket": "ws",
        "/connection/http_stream": "http",
        "/connection/sse": "http",
        "/emulation": "http",
    }
    assert "centrifuge-protobuf" in servers["viewers"]["description"]
    assert all("default" in one["variables"]["host"] for one in servers.values())


DRAFT = "https://json-schema.org/draft/2020-12/schema"


async def test_asyncapi_names_every_rpc_method(shop: Shop) -> None:
    """The document and the server know the same methods."""
    assert set(RPC) == Rpc(shop.services).methods


async def test_asyncapi_names_every_event_of_a_room(shop: Shop) -> None:
    """Those with a golden message, and the advisory ones."""
    golden = {json.loads(path.read_text())["event"]["type"] for path in WIRE.glob("*.json")}
    schemas = (await shop.json("GET", "/asyncapi.json"))["components"]["schemas"]
    named = {kind for one in schemas.values() for kind in types_of(one)}
    assert golden - {"room.fireworks"} | {"video.quality", "order.ticker"} <= named


async def test_asyncapi_tells_both_kinds_of_stock(shop: Shop) -> None:
    """Of a flash sale's units, or of a product's."""
    document = await shop.json("GET", "/asyncapi.json")
    low = document["channels"]["webhooks"]["messages"]["stock_low"]["payload"]
    data = resolve(document, low["properties"]["data"]["$ref"])
    assert set(data["properties"]) == {"flash_sale", "product"}


async def test_real_objects_fit_their_described_shapes(shop: Shop, room: str) -> None:
    """A snapshot with everything in it is what the document says."""
    sale = await shop.sale(room)
    admin = shop.token("admin")
    grants = f"/v1/products/{sale['product_id']}/grants"
    merchant = shop.token("merchant", merchant="shop-a")
    await shop.json("PUT", grants, merchant, json={"room": room})
    shelf = f"/v1/rooms/{room}/shelf"
    await shop.json("PUT", shelf, admin, json={"product_ids": [sale["product_id"]]})
    document = await shop.json("GET", "/openapi.json")
    snapshot = await shop.json("GET", f"/v1/rooms/{room}")
    assert snapshot["shelf"]
    schema = {"$ref": "#/components/schemas/Snapshot", "components": document["components"]}
    jsonschema_rs.validate(schema, snapshot)


async def test_the_page_for_people_needs_nothing_from_elsewhere(shop: Shop) -> None:
    """No script, no style inside, no address of another host."""
    async with shop.call("GET", "/docs") as answer:
        page = await answer.text()
        assert answer.content_type == "text/html"
    assert "<script" not in page and "style=" not in page and "<style" not in page
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page)
    for path in ("/v1/session", "room:{room}"):
        assert path in page
    async with shop.call("GET", "/docs.css") as answer:
        assert answer.content_type == "text/css"


async def test_problems_of_the_documents_are_those_of_the_table(shop: Shop) -> None:
    """Each documented error answer is a problem."""
    document = await shop.json("GET", "/openapi.json")
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"]
    json.dumps(document)
