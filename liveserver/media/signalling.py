"""
WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) over HTTP, on a unix socket for gateways alone.

The gateway has found out who asks; here `X-Credential` names whoever publishes. What real clients
do is taken as it comes: a missing If-Match stands for the present state, candidates are not needed.
"""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from aiohttp import web

from liveserver.media import stage as rules
from liveserver.media.sdp import OFFER_BYTES_MAX
from liveserver.media.stage import Answer, Refusal, Stage
from liveserver.problems import problem_body
from liveserver.settings_read import IceServer

log = logging.getLogger(__name__)

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
PROBLEM = "application/problem+json"

NAMES: dict[type[Refusal], str] = {
    rules.Unfit: "validation",
    rules.Broken: "validation",
    rules.Taken: "invalid-state",
    rules.NoPicture: "invalid-state",
    rules.Full: "unavailable",
    rules.Gone: "not-found",
    rules.Mismatch: "invalid-state",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WrongType(Refusal):
    """The body is of another type."""

    status = 415


NAMES[WrongType] = "unsupported-media-type"


class Status(msgspec.Struct):
    """What an operator may want to know. `load` is the part of one core that is in use."""

    load: float
    sessions: int
    publishers: int
    viewers: int
    packets_sent: int
    packets_dropped: int
    overflows: int
    strangers: int


class Signalling:
    """The HTTP application. `ready` says that the first start is over."""

    def __init__(self, stage: Stage, ice_servers: tuple[IceServer, ...]) -> None:
        self._stage = stage
        self._links = [link for server in ice_servers for link in links_of(server)]
        self._runner: web.AppRunner | None = None

    def app(self) -> web.Application:
        app = web.Application(client_max_size=OFFER_BYTES_MAX, middlewares=[_layer])
        app.router.add_post("/whip/{room}", self._publish)
        app.router.add_post("/whep/{room}", self._watch)
        for kind in ("whip", "whep"):
            app.router.add_patch(f"/{kind}/{{room}}/{{session}}", self._trickle)
            app.router.add_delete(f"/{kind}/{{room}}/{{session}}", self._leave)
        app.router.add_delete("/credentials/{room}", self._withdraw)
        app.router.add_get("/status", self._status)
        return app

    async def start(self, path: Path) -> None:
        """Serve on a unix socket that only this user may use. Raises OSError."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, at the start
        self._runner = web.AppRunner(self.app(), access_log=None)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(path)).start()
        path.chmod(0o600)  # noqa: ASYNC240

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _publish(self, request: web.Request) -> web.Response:
        text = await _body(request, SDP)
        weak = "X-Weak" in request.headers
        credential = request.headers.get("X-Credential", "")
        room = request.match_info["room"]
        return self._created("whip", room, self._stage.publish(room, credential, text, weak=weak))

    async def _watch(self, request: web.Request) -> web.Response:
        text = await _body(request, SDP)
        room = request.match_info["room"]
        return self._created("whep", room, self._stage.watch(room, text))

    def _created(self, kind: str, room: str, answer: Answer) -> web.Response:
        response = web.Response(status=201, text=answer.text, content_type=SDP, charset=None)
        response.headers["Content-Type"] = SDP  # exactly, as clients compare it
        response.headers["Location"] = f"/{kind}/{room}/{answer.session}"
        response.headers["ETag"] = answer.etag
        response.headers["Accept-Patch"] = FRAGMENT
        for link in self._links:
            response.headers.add("Link", link)
        return response

    async def _trickle(self, request: web.Request) -> web.Response:
        text = await _body(request, FRAGMENT)
        values = request.match_info
        if_match = request.headers.get("If-Match")
        answer = self._stage.trickle(values["room"], values["session"], if_match, text)
        if answer is None:
            return web.Response(status=204)
        response = web.Response(status=200, body=answer.text.encode())
        response.headers["Content-Type"] = FRAGMENT
        response.headers["ETag"] = answer.etag
        return response

    async def _leave(self, request: web.Request) -> web.Response:
        self._stage.leave(request.match_info["room"], request.match_info["session"])
        return web.Response(status=200)

    async def _withdraw(self, request: web.Request) -> web.Response:
        self._stage.drop(request.match_info["room"], request.headers.get("X-Credential", ""))
        return web.Response(status=204)

    async def _status(self, request: web.Request) -> web.Response:
        status = status_of(self._stage)
        return web.Response(body=msgspec.json.encode(status), content_type="application/json")


def status_of(stage: Stage) -> Status:
    casts = stage.broadcasts.values()
    return Status(
        load=round(stage.load, 3),
        sessions=len(stage.sessions),
        publishers=sum(cast.publisher is not None for cast in casts),
        viewers=sum(len(cast.viewers) for cast in casts),
        packets_sent=stage.forwarder.sender.sent,
        packets_dropped=stage.forwarder.sender.dropped,
        overflows=stage.forwarder.overflows,
        strangers=stage.mux.strangers,
    )


async def _body(request: web.Request, kind: str) -> str:
    """Raises WrongType, Broken."""
    if request.content_type != kind:
        raise WrongType(f"Send the body as {kind}")
    try:
        return (await request.read()).decode("utf-8")
    except UnicodeDecodeError:
        raise rules.Broken("The description is not UTF-8 text") from None


@web.middleware
async def _layer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        body = problem_body(NAMES[type(refusal)], f"{refusal}.", {"status": refusal.status})
        response = web.Response(status=refusal.status, body=body, content_type=PROBLEM)
        if refusal.retry_after is not None:
            response.headers["Retry-After"] = str(refusal.retry_after)
        return response


def links_of(server: IceServer) -> list[str]:
    """Link headers of one STUN or TURN server (RFC 9725, 4.6)."""
    links = []
    for url in server.urls:
        link = f'<{url}>; rel="ice-server"'
        if server.username:
            link += f'; username="{_quoted(server.username)}"'
            link += f'; credential="{_quoted(server.credential)}"; credential-type="password"'
        links.append(link)
    return links


def _quoted(text: str) -> str:
    """A quoted-string's inside; what no header may hold is left out."""
    kept = "".join(one for one in text if one.isprintable() and one.isascii())
    return kept.replace("\\", "\\\\").replace('"', '\\"')
