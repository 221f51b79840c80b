"""Is it alive, is it ready, and how is it talked to."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import msgspec
from aiohttp import web

from liveserver.metrics import CONTENT_TYPE
from liveserver.problems import Refused
from liveserver.web import docs_page, problem
from liveserver.web.documents import DOCUMENTS, Documents
from liveserver.web.route import Call, Route

CHECK_SECONDS = 2.0  # a part that does not answer in this time is not there


class Health(msgspec.Struct, kw_only=True):
    """`status` is "ok"."""

    status: str


class Readiness(msgspec.Struct, kw_only=True):
    """`checks` names each part with "ok" or what is wrong."""

    status: str
    checks: dict[str, str]


async def livez(call: Call) -> Health:
    """The loop turns."""
    return Health(status="ok")


async def readyz(call: Call) -> web.StreamResponse | Readiness:
    """Everything that is needed answers; else 503 that names what does not."""
    checks = call.services.ready
    results = await asyncio.gather(*(_check(check()) for check in checks.values()))
    states = dict(zip(checks, results, strict=True))
    if all(state == "ok" for state in results):
        return Readiness(status="ok", checks=states)
    return problem.answer("unavailable", "A part does not answer.", {"checks": states})


async def _check(check: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check
    except TimeoutError:
        return "no answer"
    except Exception as error:
        return type(error).__name__  # the log has more; strangers read this
    return "ok"


async def metrics(call: Call) -> web.Response:
    """
    Prometheus text format, all processes in one answer. For an admin, with the API key, or from
    the networks of `METRICS_ALLOWED_CIDRS`.
    """
    if call.services.metrics is None:
        raise Refused("unavailable", "This process keeps no figures.")
    body = await call.services.metrics.scrape()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


async def openapi(call: Call) -> bytes:
    return _documents(call).openapi


async def asyncapi(call: Call) -> bytes:
    return _documents(call).asyncapi


async def docs(call: Call) -> web.Response:
    """All of it for people, without any script."""
    return _cached(_documents(call).page, "text/html")


async def docs_style(call: Call) -> web.Response:
    return _cached(docs_page.STYLE.encode(), "text/css")


def _cached(body: bytes, media: str) -> web.Response:
    return web.Response(
        body=body, content_type=media, charset="utf-8", headers={"Cache-Control": "no-cache"}
    )


def _documents(call: Call) -> Documents:
    return call.request.app[DOCUMENTS]


ROUTES = [
    Route(
        method="GET",
        path="/livez",
        action="meta.read",
        handler=livez,
        summary="Whether the process answers",
        tag="operation",
        answer=Health,
        limit="none",
    ),
    Route(
        method="GET",
        path="/readyz",
        action="meta.read",
        handler=readyz,
        summary="Whether everything it needs answers",
        tag="operation",
        answer=Readiness,
        limit="none",
    ),
    Route(
        method="GET",
        path="/metrics",
        action="metrics.read",
        handler=metrics,
        summary="Figures for Prometheus",
        tag="operation",
        media="text/plain",
        refuses=("unavailable",),
        limit="read",
    ),
    Route(
        method="GET",
        path="/openapi.json",
        action="meta.read",
        handler=openapi,
        summary="This description (OpenAPI 3.1)",
        tag="operation",
        answer=dict[str, Any],
    ),
    Route(
        method="GET",
        path="/asyncapi.json",
        action="meta.read",
        handler=asyncapi,
        summary="Viewer socket and webhooks (AsyncAPI 3.0)",
        tag="operation",
        answer=dict[str, Any],
    ),
    Route(
        method="GET",
        path="/docs",
        action="meta.read",
        handler=docs,
        summary="The descriptions for people",
        tag="operation",
        media="text/html",
        limit="none",
        documented=False,
    ),
    Route(
        method="GET",
        path="/docs.css",
        action="meta.read",
        handler=docs_style,
        summary="The style of /docs",
        tag="operation",
        media="text/css",
        limit="none",
        documented=False,
    ),
]
