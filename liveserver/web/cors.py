"""
Which answers pages of other origins may read: those of WHIP and WHEP, where the operator lists the
origin (`[client] allowed_origins`). Cookies never count there.
"""

from aiohttp import web

from liveserver.gateway.handshake import is_among
from liveserver.problems import Refused
from liveserver.services import Services
from liveserver.web.headers import own_origins
from liveserver.web.route import Call

OPEN = ("/whip/", "/whep/")
#: what a client of RFC 9725 reads of an answer
EXPOSED = "Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After"
ASKED = {
    "Access-Control-Allow-Methods": "POST, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
    "Access-Control-Max-Age": "300",
}


def open_to_listed(
    request: web.BaseRequest, response: web.StreamResponse, services: Services
) -> None:
    """Let a listed page read the answer, refusals too."""
    if not request.path.startswith(OPEN):
        return
    response.headers.setdefault("Vary", "Origin")
    origin = request.headers.get("Origin", "")
    if origin and is_among(origin, services.options.allowed_origins):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED


def refuse_foreign(call: Call) -> None:
    """Raises Refused for a page that is neither ours nor listed; programs send no Origin."""
    for origin in call.request.headers.getall("Origin", []):
        ours = origin.lower() in own_origins(call.request, call.services)
        if not ours and not is_among(origin, call.services.options.allowed_origins):
            raise Refused("forbidden", "This Origin may not do that here.")


async def preflight(call: Call) -> web.Response:
    """What may be sent here, to a browser that asks for a page, or to a client (RFC 9725, 4.2)."""
    refuse_foreign(call)
    kind = {} if call.params.get("session") else {"Accept-Post": "application/sdp"}
    return web.Response(status=204, headers={**ASKED, **kind})
