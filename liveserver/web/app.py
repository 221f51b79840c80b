"""The aiohttp application: the table of routes behind one layer that never lets an error out."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from liveserver.services import Services
from liveserver.web import problem
from liveserver.web.connection import Server
from liveserver.web.cors import open_to_listed
from liveserver.web.documents import DOCUMENTS, make_documents
from liveserver.web.doors import SERVICES, door_of
from liveserver.web.handlers.pages import nowhere
from liveserver.web.headers import harden, own_origin
from liveserver.web.read import BODY_BYTES_MAX
from liveserver.web.table import ROUTES

log = logging.getLogger(__name__)

KEEPALIVE_SECONDS = 75.0  # browsers keep connections for a minute or so
LINE_BYTES_MAX = 8_190  # of a request line or header field; beyond that it is no browser


def build(services: Services) -> web.Application:
    """The application of one worker."""
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_layer])
    app[SERVICES] = services
    app[DOCUMENTS] = make_documents(ROUTES, services.options)
    for route in ROUTES:
        door = door_of(route)
        app.router.add_route(route.method, route.path, door)
        if route.method == "GET":  # RFC 9110: whoever may read may ask for the head alone
            app.router.add_route("HEAD", route.path, door)
    return app


@web.middleware
async def _layer(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every error becomes a problem, every answer gets the security headers and is counted."""
    begin = time.monotonic()
    try:
        response = await handler(request)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        response = problem.of_exception(error, request)
    services = request.app[SERVICES]
    if response.status == 404:
        response = await nowhere(request, services.options.static_dir) or response
    host = own_origin(request, services).partition("://")[2]
    harden(request, response, host, services.options.image_origins)
    open_to_listed(request, response, services)
    services.http_meters.answered(request, response.status, time.monotonic() - begin)
    return response


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return Server(made.request_handler, request_factory=made.request_factory, **made._kwargs)


def make_runner(app: web.Application, **options: Any) -> web.AppRunner:
    """
    A runner whose `server`, after `await runner.setup()`, makes one protocol per connection.
    No access log: the operator's proxy or the metrics count requests.
    """
    return _Runner(
        app,
        access_log=None,
        auto_decompress=False,  # a compressed body is refused, so it cannot be a bomb
        keepalive_timeout=KEEPALIVE_SECONDS,
        max_line_size=LINE_BYTES_MAX,
        max_field_size=LINE_BYTES_MAX,
        **options,
    )
