"""
From a request to a handler and back: limits, who asks, what it asks about, whether it may.

The order is fixed, so that no handler can forget a step: limit per address, identity, may this role
do it at all, the values of the request, the thing it is about, may this person do it to this thing.
"""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from liveserver import api_keys_sql
from liveserver.access import ACTIONS, allow, allow_somewhere
from liveserver.addresses import client_address, is_forwarded, is_trusted
from liveserver.identity import Identity
from liveserver.problems import Refused
from liveserver.services import Services
from liveserver.stream_keys_sql import looks_like_key
from liveserver.tokens import COOKIE, TokenError, TokenExpired, TokenUndecided
from liveserver.web import read
from liveserver.web.headers import own_origin, own_origins, peer
from liveserver.web.limits import count, counts
from liveserver.web.route import JSON, Call, Created, Route

SERVICES: web.AppKey[Services] = web.AppKey("services", Services)

#: what a browser is asked to send with unsafe requests, and other clients may leave out
ORIGIN = "Origin"
API_KEY = "X-API-Key"


def door_of(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of one row."""

    async def door(request: web.Request) -> web.StreamResponse:
        call = _call(request)
        if route.limit != "none":
            take(call, route.limit)
        admitted = is_admitted(call, route)
        if not admitted:
            keyed = route.cross_origin or (route.stream_key and _has_stream_key(request))
            call.identity = None if keyed else await identify(call, route)
            allow_somewhere(call.identity, route.action)
            if route.limit == "reserve" and call.identity is not None and call.identity.guest:
                take(call, "guest")
        call.params = read.path_values(request)
        if route.query is not None:
            call.query = read.query_values(request, route.query)
        if route.idempotent or (route.keyable and read.KEY_HEADER in request.headers):
            call.key = read.idempotency_key(request)
        if route.request is not None:
            call.body = await read.json_body(request, route)
        if route.about is not None:
            call.subject = await route.about(call)
        if not admitted:
            about = call.subject
            allow(
                call.identity,
                route.action,
                room=about.room,
                merchant=about.merchant,
                buyer=about.buyer,
            )
        return answer(route, await route.handler(call))

    return door


def _call(request: web.Request) -> Call:
    services = request.app[SERVICES]
    proxies = services.options.trusted_proxies
    address = client_address(peer(request), request.headers.items(), proxies)
    return Call(request=request, services=services, address=address)


def take(call: Call, kind: str) -> None:
    """Count one request of the caller's address. Raises Refused `rate-limited`."""
    options, headers = call.services.options, call.request.headers.items()
    if counts(call.address, headers, limit_loopback=options.limit_loopback):
        count(call.services, kind, call.address)


def is_admitted(call: Call, route: Route) -> bool:
    """
    Whether the caller needs no rights of a person: it holds the API key, or is near. Raises Refused
    for a wrong key.
    """
    rule = ACTIONS[route.action]
    if rule.near and is_near(call):
        return True
    if rule.key and (not rule.roles or _offers_key(call)):
        check_key(call)
        return True
    return False


def is_near(call: Call) -> bool:
    """Whether the request comes from METRICS_ALLOWED_CIDRS, by itself and through nobody."""
    networks = call.services.options.metrics_allowed
    return is_trusted(peer(call.request), networks) and not is_forwarded(
        call.request.headers.items()
    )


def _offers_key(call: Call) -> bool:
    return API_KEY in call.request.headers or bool(_key_otherwise(call))


def _key_otherwise(call: Call) -> str:
    """
    The key in another place than its own header: Centrifugo's clients send `apikey KEY` or a query,
    Prometheus sends a Bearer, where a token of a person has two dots and a key of one its prefix.
    """
    kind, _, secret = call.request.headers.get("Authorization", "").partition(" ")
    bare = secret.count(".") != 2 and not api_keys_sql.looks_like_key(secret.strip())
    if kind.lower() == "apikey" or (kind.lower() == "bearer" and bare):
        return secret.strip()
    return call.request.query.get("api_key", "")


def _has_stream_key(request: web.Request) -> bool:
    """Whether the Bearer is a stream key: it is no token, and needs no Origin."""
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    return kind.lower() == "bearer" and looks_like_key(key.strip())


def check_key(call: Call) -> None:
    """Return for whoever holds the API key. Wrong ones are limited as log-ins. Raises Refused."""
    own = call.services.options.api_key.encode()
    text = call.request.headers.get(API_KEY) or _key_otherwise(call)
    given = text.encode("utf-8", "surrogateescape")
    if not own or not hmac.compare_digest(own, given):
        if given:
            take(call, "login")
        raise Refused("unauthorized", f"{API_KEY} is missing or wrong.")


async def identify(call: Call, route: Route) -> Identity | None:
    """
    Who asks, by Bearer token or API key or, from our own pages, by cookie.

    A cookie is sent by the browser whoever made the page, so it counts for a change only with our
    own Origin. A cookie that is over is like none; a Bearer that is wrong is told so.

    Raises:
        Refused: `unauthorized` or `forbidden`.
    """
    headers = call.request.headers
    if route.unsafe and ORIGIN in headers and not _is_ours(call):
        raise Refused("forbidden", "This Origin may not do that here.")
    authorization = headers.get("Authorization")
    if authorization is not None:
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer":
            raise Refused("unauthorized", "Authorization takes a Bearer token.")
        token = token.strip()
        if api_keys_sql.looks_like_key(token):
            if route.limit == "none":
                take(call, "read")  # it asks the database
            return await _holder(call, token)
        return _verify(call, token)
    cookie = call.request.cookies.get(COOKIE)
    if not cookie:
        return None
    try:
        identity = call.services.tokens.verify(cookie)
    except TokenError:
        return None
    if route.unsafe and ORIGIN not in headers:
        raise Refused("forbidden", "With the session cookie, changes need our own Origin.")
    return identity


def _is_ours(call: Call) -> bool:
    return call.request.headers[ORIGIN].lower() in own_origins(call.request, call.services)


def _verify(call: Call, token: str) -> Identity:
    try:
        return call.services.tokens.verify(token)
    except TokenExpired:
        raise Refused("unauthorized", "The token has expired.") from None
    except TokenUndecided:
        raise Refused("unavailable", "The key of this token is being looked for.") from None
    except TokenError as error:
        raise Refused("unauthorized", f"The token is not valid: {error}.") from None


async def _holder(call: Call, key: str) -> Identity:
    """Whom an API key stands for. Wrong ones are limited as log-ins. Raises Refused."""
    known = api_keys_sql.may_be_key(key)
    holder = await call.services.api_keys.holder(key) if known else None
    if holder is None:
        take(call, "login")
        raise Refused("unauthorized", "There is no such API key, or it has ended.")
    return holder


def is_secure(call: Call) -> bool:
    """Whether the client speaks TLS, to us or to a proxy in front: its page's Origin says so."""
    page = call.request.headers.get(ORIGIN, "").lower()
    return page.startswith("https:") or own_origin(call.request, call.services).startswith("https:")


def answer(route: Route, result: Any) -> web.StreamResponse:
    """What a handler gave, as a response: bytes are JSON already."""
    if isinstance(result, web.StreamResponse):
        return result
    headers = {}
    if isinstance(result, Created):
        headers["Location"] = result.location
        result = result.body
    if result is None:
        return web.Response(status=204)
    body = result if isinstance(result, bytes) else msgspec.json.encode(result)
    return web.Response(status=route.status, body=body, headers=headers, content_type=JSON)
