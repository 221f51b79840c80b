"""OpenAPI 3.1 made from the table of routes, so that it cannot say anything else."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from liveserver.access import ACTIONS
from liveserver.problems import PROBLEMS
from liveserver.web.read import KEY_CHARS_MAX, KEY_HEADER
from liveserver.web.route import JSON, Route

REF = "#/components/schemas/{name}"
PROBLEM_MEDIA = "application/problem+json"
PATH_NAME = re.compile(r"\{(\w+)\}")
PATH_SCHEMA = {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]{1,128}$"}
KEY_REQUIRED = "Made by the client; the same key gets the same order again."
KEY_ALLOWED = "Made by the client; repeated with the same key and body, it is done once."
TAGS = {
    "people": "Sessions, accounts, settings",
    "rooms": "Rooms and what viewers see in them",
    "moderation": "What is said in rooms: rules, sanctions, word lists, reports",
    "products": "A merchant's goods",
    "sales": "Flash sales and reservations",
    "orders": "Orders",
    "webhooks": "Endpoints, deliveries and events",
    "server": "The server API: your own programs, by key",
    "operation": "Health and documents",
}


class Problem(msgspec.Struct, kw_only=True):
    """What went wrong (RFC 9457). `type` ends in the stable name of the problem."""

    type: str
    title: str
    status: int
    detail: str


def openapi(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The whole document."""
    documented = [route for route in routes if route.documented]
    schemas, components = _schemas(documented)
    paths: dict[str, dict[str, Any]] = {}
    for route in documented:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "liveserver",
            "version": version,
            "description": (
                "Live commerce: rooms, flash sales, orders, webhooks. Errors are "
                "application/problem+json; lists are {items, next_cursor}; money is an integer "
                "in the currency's minor unit. The viewer socket is described in /asyncapi.json."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "liveserver_session"},
            },
        },
    }


def _schemas(routes: Sequence[Route]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Each body and answer type -> its schema, and the named schemas they refer to."""
    types: list[Any] = [Problem]
    for route in routes:
        types += [kind for kind in (route.request, route.answer) if kind is not None]
    unique = list({str(kind): kind for kind in types}.values())
    made, components = msgspec.json.schema_components(unique, ref_template=REF)
    return dict(zip(map(str, unique), made, strict=True)), components


def _operation(route: Route, schemas: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": _parameters(route),
        "responses": _responses(route, schemas),
    }
    if route.handler.__doc__:
        operation["description"] = " ".join(route.handler.__doc__.split())
    rule = ACTIONS[route.action]
    signed_in: list[dict[str, list[str]]] = [{"bearer": []}, {"cookie": []}]
    operation["security"] = [*signed_in, {}] if rule.anyone else signed_in
    if rule.key:
        people = signed_in if rule.roles else []
        operation["security"] = [{"apiKey": []}, *people]
    if rule.roles and not rule.anyone:
        operation["x-roles"] = {
            role: [where.value for where in limits] for role, limits in rule.roles.items()
        }
    if route.request is not None:
        operation["requestBody"] = {
            "required": not route.body_optional,
            "content": {JSON: {"schema": schemas[str(route.request)]}},
        }
    elif route.body_media:
        operation["requestBody"] = {
            "required": True,
            "content": {media: {} for media in route.body_media},
        }
    return operation


def _operation_id(route: Route) -> str:
    words = [word.strip("{}").replace("-", "_") for word in route.path.split("/") if word]
    return "_".join([route.method.lower(), *words]).replace(".", "_").replace("v1_", "")


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": PATH_SCHEMA}
        for name in PATH_NAME.findall(route.path)
    ]
    if route.query is not None:
        found += _query_parameters(route.query)
    if route.idempotent or route.keyable:
        found.append(
            {
                "name": KEY_HEADER,
                "in": "header",
                "required": route.idempotent,
                "description": KEY_REQUIRED if route.idempotent else KEY_ALLOWED,
                "schema": {"type": "string", "pattern": rf"^[!#-~]{{1,{KEY_CHARS_MAX}}}$"},
            }
        )
    return found


def _query_parameters(query: type[msgspec.Struct]) -> list[dict[str, Any]]:
    schema = msgspec.json.schema(query)
    properties = schema["$defs"][query.__name__]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(kind)}
        for name, kind in properties.items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query cannot say null: it leaves the value out."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if kinds:
        return dict(kinds[0])
    if None in schema.get("enum", ()):
        return {"enum": [value for value in schema["enum"] if value is not None]}
    return {name: value for name, value in schema.items() if value is not None or name != "default"}


def _responses(route: Route, schemas: dict[Any, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": route.summary}
    if route.answer is not None:
        good["content"] = {route.media: {"schema": schemas[str(route.answer)]}}
    if route.status == 201:
        good["headers"] = {
            "Location": {"schema": {"type": "string"}, "description": "Where the new object is"}
        }
    responses = {str(route.status): good}
    by_status: dict[int, list[str]] = {}
    for name, status in _refusals(route):
        by_status.setdefault(status, []).append(name)
    for status, names in sorted(by_status.items()):
        response: dict[str, Any] = {
            "description": ", ".join(names),
            "content": {PROBLEM_MEDIA: {"schema": {"$ref": REF.format(name="Problem")}}},
        }
        if status in (429, 503):
            response["headers"] = {
                "Retry-After": {"schema": {"type": "string"}, "description": "seconds"}
            }
        responses[str(status)] = response
    return responses


def _refusals(route: Route) -> list[tuple[str, int]]:
    """What a route may answer instead, with statuses: the general rules, then its own rows."""
    names = {"unauthorized", "unavailable", *route.refuses}
    statuses: set[tuple[str, int]] = set()
    if not ACTIONS[route.action].anyone or route.unsafe:
        names.add("forbidden")
    if route.limit != "none":
        names.add("rate-limited")
    if "{" in route.path or route.about is not None:
        names |= {"not-found", "validation"}
    if route.takes_body or route.query is not None:
        names.add("validation")
    if route.takes_body:
        names |= {"too-large", "unsupported-media-type"}
        statuses.add(("validation", 400))
    if route.keyable:
        names |= {"idempotency-conflict", "outcome-unknown"}
    if route.idempotent or route.keyable:
        statuses.add(("validation", 400))
    statuses |= {(name, PROBLEMS[name].status) for name in names}
    return sorted(statuses)
