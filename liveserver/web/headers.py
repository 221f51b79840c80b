"""Headers that every answer carries, and where a request came from."""

import re
from urllib.parse import urlsplit

from aiohttp import web

from liveserver.addresses import forwarded_origin
from liveserver.services import Services

SAFE_HOST = re.compile(r"[A-Za-z0-9.\-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")

#: where a handler leaves the origins whose pages may frame its answer
FRAMED_BY: web.ResponseKey[tuple[str, ...]] = web.ResponseKey("framed_by", tuple[str, ...])
NOBODY = "'none'"

PLAIN = {
    "Server": "liveserver",  # and not the versions of what it is made of
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(self), microphone=(self), display-capture=(self), fullscreen=(self), "
        "autoplay=(self), picture-in-picture=(self), geolocation=(), payment=(), usb=()"
    ),
}


def own_origin(request: web.Request, services: Services) -> str:
    """`scheme://host` as the client sees us, directly or through a trusted proxy."""
    transport = request.transport
    tls = transport is not None and transport.get_extra_info("sslcontext") is not None
    return forwarded_origin(
        peer(request),
        request.headers.items(),
        services.options.trusted_proxies,
        scheme="https" if tls else "http",
        host=request.headers.get("Host", ""),
    )


def own_origins(request: web.Request, services: Services) -> set[str]:
    """The origins that count as ours: the address asked for, and the public URLs."""
    origins = {own_origin(request, services)}
    for url in (services.options.public_url, services.people.settings.public_url):
        if url:
            parts = urlsplit(url)
            origins.add(f"{parts.scheme}://{parts.netloc}".lower())
    return origins


def peer(request: web.Request) -> str:
    """The other end of the connection; "" for a unix socket."""
    name = request.transport.get_extra_info("peername") if request.transport else None
    return str(name[0]) if isinstance(name, tuple) else ""


def content_security_policy(
    host: str, image_origins: tuple[str, ...], framed_by: tuple[str, ...] = ()
) -> str:
    """
    Nothing but our own files: no inline script or style, no eval, no frames. Sockets are named
    because older Safari does not take 'self' for ws:. `framed_by`: whose pages may frame this one.
    """
    sockets = f" ws://{host} wss://{host}" if SAFE_HOST.fullmatch(host) else ""
    images = "".join(f" {origin}" for origin in image_origins)
    return "; ".join(
        (
            "default-src 'self'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' data:{images}",
            f"connect-src 'self'{sockets}",
            "media-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            f"frame-ancestors {' '.join(framed_by) or NOBODY}",
        )
    )


def harden(
    request: web.BaseRequest,
    response: web.StreamResponse,
    host: str = "",
    images: tuple[str, ...] = (),
) -> None:
    """Put the security headers on an answer. `host` is how the client calls us."""
    for name, value in PLAIN.items():
        response.headers.setdefault(name, value)
    framed_by = response.get(FRAMED_BY, ())
    if not framed_by:  # it knows no list of origins, so it may only say no
        response.headers.setdefault("X-Frame-Options", "DENY")
    policy = content_security_policy(host, images, framed_by)
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers.setdefault("Cache-Control", "no-store")
