"""The documents that describe the server, made once at start."""

from collections.abc import Sequence

import msgspec
from aiohttp import web

from liveserver.services import WebOptions
from liveserver.web.asyncapi import asyncapi
from liveserver.web.docs_page import render
from liveserver.web.openapi import openapi
from liveserver.web.route import Route


class Documents(msgspec.Struct, frozen=True):
    """Finished bodies."""

    openapi: bytes
    asyncapi: bytes
    page: bytes


DOCUMENTS: web.AppKey[Documents] = web.AppKey("documents", Documents)


def make_documents(routes: Sequence[Route], options: WebOptions) -> Documents:
    """All three from the table and the shapes."""
    http = openapi(routes, options.version)
    events = asyncapi(options.version)
    return Documents(
        openapi=msgspec.json.encode(http),
        asyncapi=msgspec.json.encode(events),
        page=render(http, events).encode(),
    )
