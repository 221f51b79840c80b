"""Sessions: a guest's name or an account's password for a token; the pages keep it as a cookie."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from liveserver.identity import Identity
from liveserver.people import GUEST_TTL_SECONDS, STAFF_TTL_SECONDS
from liveserver.problems import Refused
from liveserver.tokens import COOKIE
from liveserver.web.doors import is_secure, take
from liveserver.web.requests.people import NewSession, Session, SessionWithToken
from liveserver.web.route import Call, Route


async def create(call: Call) -> web.Response:
    """Sign in, or become a guest; a guest who comes back keeps being the same person."""
    body: NewSession = call.body
    if (body.user is None) != (body.password is None):
        raise Refused("validation", "user and password belong together.")
    if body.user is not None and body.password is not None:
        if body.name is not None:
            raise Refused("validation", "name is for guests; user and password are for accounts.")
        take(call, "login")
        identity = await call.services.people.authenticate(body.user, body.password)
        return session_answer(call, identity, STAFF_TTL_SECONDS)
    identity = call.services.people.guest(body.name, keep=call.identity)
    return session_answer(call, identity, GUEST_TTL_SECONDS)


def session_answer(call: Call, identity: Identity, ttl_seconds: int) -> web.Response:
    """201 with the token in the body and in the cookie."""
    token = call.services.tokens.issue(identity, ttl_seconds)
    expires = call.services.now() // 1000 + ttl_seconds
    shape = SessionWithToken(token=token, **_fields(identity, expires))
    response = web.Response(
        status=201,
        body=msgspec.json.encode(shape),
        content_type="application/json",
        headers={"Location": "/v1/session"},
    )
    response.set_cookie(
        COOKIE, token, max_age=ttl_seconds, path="/", httponly=True, samesite="Lax",
        secure=is_secure(call),
    )  # fmt: skip
    return response


async def read(call: Call) -> Session:
    """Who the token or cookie stands for."""
    return Session(**_fields(call.who, call.who.expires_at))


async def delete(call: Call) -> web.Response:
    """Forget the cookie. A token that was copied elsewhere ends at its time."""
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Lax", secure=is_secure(call))
    return response


def _fields(identity: Identity, expires: int | None) -> dict[str, Any]:
    return {
        "user": identity.user,
        "role": identity.role,
        "name": identity.name,
        "guest": identity.guest,
        "rooms": list(identity.rooms),
        "merchant": identity.merchant,
        "expires_at": None if expires is None else _rfc3339(expires),
    }


def _rfc3339(seconds: int) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    except (ValueError, OverflowError, OSError):
        return None  # a token of another system that is good for longer than the calendar


ROUTES = [
    Route(
        method="POST",
        path="/v1/session",
        action="session.create",
        handler=create,
        summary="Sign in, or become or rename a guest",
        tag="people",
        request=NewSession,
        body_optional=True,
        answer=SessionWithToken,
        status=201,
        refuses=("unauthorized",),
        limit="session",
    ),
    Route(
        method="GET",
        path="/v1/session",
        action="session.read",
        handler=read,
        summary="Who I am",
        tag="people",
        answer=Session,
    ),
    Route(
        method="DELETE",
        path="/v1/session",
        action="session.delete",
        handler=delete,
        summary="Sign out of the pages",
        tag="people",
        status=204,
    ),
]
