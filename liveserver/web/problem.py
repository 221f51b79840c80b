"""Everything that goes wrong becomes `application/problem+json`, in one place."""

import logging
from typing import Any

from aiohttp import web
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from liveserver.problems import PROBLEMS, REFUSALS, problem_body

log = logging.getLogger(__name__)

MEDIA = "application/problem+json"
RETRY_SECONDS = 1  # what a client is told where nothing better is known

#: HTTP errors of the framework -> rows of the table
BY_STATUS = {
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
    503: "unavailable",
}
DETAILS = {
    "not-found": "There is nothing here.",
    "method-not-allowed": "This address does not take this method.",
    "too-large": "A body has at most 1 MiB.",
}

#: what a database or bus that is away raises
AWAY = (OperationalError, InterfaceError, PoolTimeout, ConnectionError, TimeoutError)


def answer(name: str, detail: str, facts: dict[str, Any] | None = None) -> web.Response:
    """The answer of one refusal. A fact `status` chooses among the statuses of a row."""
    facts = dict(facts or {})
    row = PROBLEMS[name]
    status = facts.setdefault("status", row.status)
    retry_after = facts.pop("retry_after", RETRY_SECONDS)
    headers = {"Retry-After": str(retry_after)} if status in (429, 503) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    try:
        body = problem_body(name, detail, facts)
    except (TypeError, ValueError):  # a fact that JSON does not know
        body = problem_body(name, detail, {"status": status})
    return web.Response(status=status, body=body, headers=headers, content_type=MEDIA)


def of_exception(error: Exception, request: web.BaseRequest) -> web.StreamResponse:
    """The answer for whatever a handler raised. What we did not expect is logged, never shown."""
    if isinstance(error, REFUSALS):
        return answer(error.problem, error.detail, error.facts)
    if isinstance(error, web.HTTPException):
        return _of_http(error)
    if isinstance(error, AWAY):
        log.warning("%s %s: %s", request.method, request.path, type(error).__name__)
        return answer("unavailable", "A part of the server does not answer right now.")
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return answer("internal", "The mistake is on this side and was logged.")


def _of_http(error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        return error  # a redirect
    name = BY_STATUS.get(error.status, "bad-request" if error.status < 500 else "internal")
    response = answer(name, DETAILS.get(name, error.reason), {"status": error.status})
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    if error.status == 413:
        response.force_close()  # the rest of the body is not worth reading
    return response
