"""
One table for everything that can be refused: HTTP status, RPC code, and whether to try again.

`rooms` and `orders` raise their own refusals, which carry the name of a row here. HTTP answers
`application/problem+json` (RFC 9457), the viewer socket a Centrifuge error `{code, message}`.
"""

from typing import Any, NamedTuple

import msgspec

import orders.errors
import rooms.errors

TYPE_PREFIX = "/problems/"


class Problem(NamedTuple):
    """One row: HTTP `status`, RPC `code`, `temporary` = the same call may succeed later."""

    status: int
    code: int
    title: str
    temporary: bool = False


PROBLEMS: dict[str, Problem] = {
    "bad-request": Problem(400, 107, "The request cannot be read"),
    "validation": Problem(422, 1009, "A value is not acceptable"),
    "unauthorized": Problem(401, 101, "Sign in first"),
    "forbidden": Problem(403, 1008, "Not allowed"),
    "not-found": Problem(404, 1007, "Not found"),
    "method-not-allowed": Problem(405, 108, "Method not allowed"),
    "sold-out": Problem(409, 1001, "Sold out"),
    "limit-exceeded": Problem(409, 1002, "Limit per buyer reached"),
    "not-started": Problem(409, 1003, "Not started yet"),
    "ended": Problem(409, 1004, "Ended"),
    "idempotency-conflict": Problem(422, 1006, "The key was used with another request"),
    "in-flight": Problem(409, 1010, "The same request is being worked on", temporary=True),
    "invalid-state": Problem(409, 1011, "Not possible in this state"),
    "price-unconfirmed": Problem(409, 1012, "Confirm the low price"),
    "rehearsal": Problem(409, 1015, "This is a rehearsal"),
    "too-large": Problem(413, 1013, "Too large"),
    "unsupported-media-type": Problem(415, 1014, "This type of body is not taken"),
    "rate-limited": Problem(429, 111, "Too fast", temporary=True),
    "internal": Problem(500, 100, "Something went wrong here", temporary=True),
    "unavailable": Problem(503, 100, "Not available right now", temporary=True),
    "outcome-unknown": Problem(504, 1016, "Perhaps done: look first"),
}

Refusal = rooms.errors.Refusal | orders.errors.Refusal
REFUSALS = (rooms.errors.Refusal, orders.errors.Refusal)


class Refused(rooms.errors.Refusal):
    """A refusal of the server itself (log-in, access, request format), named by its row."""

    def __init__(self, name: str, detail: str, **facts: object) -> None:
        assert name in PROBLEMS, name
        super().__init__(detail, **facts)
        self.problem = name  # type: ignore[misc]  # a row of the table, chosen per instance


def problem_body(name: str, detail: str, facts: dict[str, Any] | None = None) -> bytes:
    """The RFC 9457 object of one refusal as JSON."""
    row = PROBLEMS[name]
    return msgspec.json.encode(
        {
            "type": TYPE_PREFIX + name,
            "title": row.title,
            "status": row.status,
            "detail": detail,
            **(facts or {}),
        }
    )


def rpc_error(name: str, detail: str) -> dict[str, Any]:
    """The Centrifuge error object of one refusal."""
    row = PROBLEMS[name]
    return {"code": row.code, "message": detail, "temporary": row.temporary}
