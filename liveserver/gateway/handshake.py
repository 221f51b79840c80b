"""
Who may open a viewer socket, and with which cookie.

Browsers let any page open a WebSocket to us and send our cookie along, so the Origin header
decides: our own origin and listed ones may connect, a foreign one may not; a missing one (a
program) may connect with a token. The session cookie counts only with our own Origin.
"""

from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request

from liveserver.addresses import client_address, forwarded_origin
from liveserver.gateway.options import GatewayOptions
from liveserver.tokens import COOKIE
from liveserver.web.limits import counts

SUBPROTOCOL = "centrifuge-json"
SUBPROTOCOL_HEADER = "Sec-WebSocket-Protocol"
PROTOBUF_SUBPROTOCOL = "centrifuge-protobuf"
PROTOBUF = "protobuf"
ANY_ORIGIN = "*"
QUERY_FIELDS_MAX = 64
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Refusal(NamedTuple):
    """An HTTP answer instead of the upgrade."""

    status: int
    text: str


class Visitor(NamedTuple):
    """What the handshake tells about a client."""

    cookie: str  # the session cookie, "" when absent or when it does not count
    address: str  # of the client, "" where limits per address spare it


def visit(
    request: Request, peer: str | None, *, tls: bool, options: GatewayOptions
) -> Visitor | Refusal:
    """Judge one upgrade request. Removes an empty subprotocol header, which one SDK sends."""
    headers = request.headers
    offered = headers.get_all(SUBPROTOCOL_HEADER)
    if offered and not any(value.strip() for value in offered):
        del headers[SUBPROTOCOL_HEADER]
    address = client_address(peer, headers.raw_items(), options.trusted_proxies)
    if not counts(address, headers.raw_items(), limit_loopback=options.limit_loopback):
        address = ""
    origins = headers.get_all("Origin")
    if len(origins) > 1:
        return Refusal(400, "More than one Origin.\n")
    if not origins:  # a program, or a browser that asks its own site for a stream of events
        own_page = headers.get_all("Sec-Fetch-Site") == ["same-origin"]
        return Visitor(_cookie(headers) if own_page else "", address)
    origin = plain_origin(origins[0])
    if origin in _own_origins(headers, peer, tls, options):
        return Visitor(_cookie(headers), address)
    if is_listed(origin, options):
        return Visitor("", address)
    return Refusal(403, "This origin is not allowed to connect.\n")


def is_listed(origin: str, options: GatewayOptions) -> bool:
    """Whether the operator lets pages of this origin connect."""
    return is_among(origin, options.allowed_origins)


def is_among(origin: str, listed: Collection[str]) -> bool:
    """Whether an origin is in an operator's list, which may hold "*"."""
    return ANY_ORIGIN in listed or plain_origin(origin) in map(plain_origin, listed)


def plain_origin(origin: str) -> str:
    """Lower case, without path and default port, so that equal origins are equal text."""
    origin = origin.strip().lower()
    try:
        parts = urlsplit(origin)
    except ValueError:
        return origin  # no URL: equal to no origin of ours
    if not parts.scheme or not parts.netloc:
        return origin
    return f"{parts.scheme}://{parts.netloc.removesuffix(DEFAULT_PORTS.get(parts.scheme, ' '))}"


def _own_origins(
    headers: Headers, peer: str | None, tls: bool, options: GatewayOptions
) -> set[str]:
    hosts = headers.get_all("Host")
    own = forwarded_origin(
        peer,
        headers.raw_items(),
        options.trusted_proxies,
        scheme="https" if tls else "http",
        host=hosts[0] if len(hosts) == 1 else "",
    )
    return {plain_origin(url) for url in (own, options.public_url) if url}


def wants_protobuf(request: Request) -> bool:
    """By subprotocol or query; not where JSON was offered too."""
    offered = ",".join(request.headers.get_all(SUBPROTOCOL_HEADER))
    names = [name.strip() for name in offered.split(",")]
    if SUBPROTOCOL in names:
        return False
    query = query_of(request.path.partition("?")[2])
    return PROTOBUF_SUBPROTOCOL in names or PROTOBUF in (
        *query.get("format", ()),
        *query.get("cf_protocol", ()),
    )


def wants_native_pings(request: Request) -> bool:
    """Whether pings are to be those of WebSocket, for clients that answer them by themselves."""
    return query_of(request.path.partition("?")[2]).get("cf_ws_frame_ping_pong") == ["true"]


def query_of(text: str) -> dict[str, list[str]]:
    """The values of a query; nothing of one with too many of them."""
    try:
        return parse_qs(text, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        return {}


def _cookie(headers: Headers) -> str:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load("; ".join(headers.get_all("Cookie")))
    except CookieError:
        return ""
    return jar[COOKIE].value if COOKIE in jar else ""
