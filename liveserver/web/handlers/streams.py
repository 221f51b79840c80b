"""Requests of clients that have a stream instead of a WebSocket."""

import msgspec
from aiohttp import web

from liveserver.gateway.handshake import is_listed
from liveserver.gateway.http_head import allowed
from liveserver.gateway.options import EMULATION_PATH
from liveserver.gateway.stream import OCTETS
from liveserver.problems import Refused
from liveserver.web import read
from liveserver.web.headers import own_origins
from liveserver.web.route import JSON, Call, Route
from rooms import protobuf, protobuf_fields
from rooms.commands import BadCommand


class Emulated(msgspec.Struct):
    """`data`: commands joined by newlines, as a JSON string; `session`, `node` of the connect."""

    session: str
    node: str
    data: msgspec.Raw

    @property
    def commands(self) -> bytes:
        raw = bytes(self.data)
        return msgspec.json.decode(raw, type=str).encode() if raw.startswith(b'"') else raw


async def send(call: Call) -> web.Response:
    """
    Commands of a client whose stream may be on any worker. The session, which only the client
    knows, is the right. 204 says that they were passed on; answers come by the stream.
    """
    headers = _cors(call)
    raw = await read.body_bytes(call.request)
    node, session, commands = _read(call.request.content_type, raw)
    if not session:  # in Protobuf even no body at all is a message
        raise Refused("validation", "In the body: no session is named.")
    if call.services.emulation is None:
        raise Refused("unavailable", "This process holds no connections.")
    await call.services.emulation.send(node, session, commands)
    return web.Response(status=204, headers=headers)


def _read(media: str, raw: bytes) -> tuple[str, str, bytes]:
    """Node, session and commands of a body. Raises Refused."""
    try:
        if media == JSON:
            request = msgspec.json.decode(raw, type=Emulated)
            return request.node, request.session, request.commands
        if media == OCTETS:
            message: protobuf_fields.Emulated = protobuf.read(protobuf_fields.Emulated, raw)
            return message.node, message.session, bytes(message.data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, BadCommand) as error:
        raise Refused("validation", f"In the body: {error}.") from None
    raise Refused("unsupported-media-type", f"Send the body as {JSON} or {OCTETS}.")


async def preflight(call: Call) -> web.Response:
    """Whether a page of another origin may send."""
    return web.Response(status=204, headers=_cors(call))


def _cors(call: Call) -> dict[str, str]:
    """What lets the page read the answer. Raises Refused for a foreign page."""
    origins = call.request.headers.getall("Origin", [])
    emulation = call.services.emulation
    if not origins:
        return {}
    own = origins[0].lower() in own_origins(call.request, call.services)
    if len(origins) == 1 and (
        own or (emulation is not None and is_listed(origins[0], emulation.gateway.options))
    ):
        return allowed(origins[0])
    raise Refused("forbidden", "This origin is not allowed to connect.")


ROUTES = [
    Route(
        method="POST",
        path=EMULATION_PATH,
        action="emulation.send",
        handler=send,
        summary="Commands of a client with a stream",
        tag="operation",
        body_media=(JSON, OCTETS),
        status=204,
        refuses=("forbidden", "not-found", "unsupported-media-type"),
        cross_origin=True,
    ),
    Route(
        method="OPTIONS",
        path=EMULATION_PATH,
        action="emulation.send",
        handler=preflight,
        summary="Whether a page may send to /emulation",
        tag="operation",
        documented=False,
        cross_origin=True,
    ),
]
