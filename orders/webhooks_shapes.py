"""
What merchants see of their webhooks, and what the server keeps about them.

The seen ones follow the rules of `orders.shapes`: times are RFC 3339 text. The kept ones (`…Row`)
are the columns of the tables: times are integer milliseconds, and secrets are in them.
"""

from typing import Literal

import msgspec

from orders.times import rfc3339, rfc3339_or_none

EndpointState = Literal["active", "disabled"]
DisabledReason = Literal["merchant", "gone", "failing"]
DeliveryState = Literal["pending", "delivered", "failed"]


# What merchants see ------------------------------------------------------------------------------


class Endpoint(msgspec.Struct, kw_only=True):
    """A webhook endpoint as its merchant sees it."""

    id: str
    merchant: str
    url: str
    events: list[str]  # empty: all
    state: EndpointState
    disabled_reason: DisabledReason | None
    failing_since: str | None  # nothing got through since then
    replaying: bool
    created_at: str


class EndpointWithSecret(Endpoint, kw_only=True):
    """The answer to creating an endpoint and to rotating its secret; the only time it is shown."""

    secret: str


class Delivery(msgspec.Struct, kw_only=True):
    """One event on its way to one endpoint, as the merchant sees it."""

    id: str
    endpoint: str
    event_id: str  # the `webhook-id` header
    type: str
    state: DeliveryState
    attempts: int
    next_attempt_at: str | None
    created_at: str
    delivered_at: str | None
    last_attempt_at: str | None
    last_status: int | None
    last_error: str | None
    last_response: str | None
    duration_ms: int | None


# What the server keeps ---------------------------------------------------------------------------


class EndpointRow(msgspec.Struct, kw_only=True):
    """An endpoint as stored. Times in milliseconds."""

    id: str
    merchant: str
    url: str
    events: list[str]
    state: EndpointState
    disabled_reason: DisabledReason | None = None
    secret: str
    old_secret: str | None = None
    old_secret_until: int = 0
    failures: int = 0  # in a row
    failing_since: int | None = None
    paused_until: int = 0
    replay_after: int | None = None  # feed number that the running replay has reached
    replay_until: int | None = None
    created_at: int


class DeliveryRow(msgspec.Struct, kw_only=True):
    """A delivery as stored. `due_at` of a claimed one is the end of the claim."""

    id: str
    endpoint: str
    merchant: str
    event_id: str
    type: str
    body: bytes
    state: DeliveryState = "pending"
    attempts: int = 0  # since it was queued last
    due_at: int
    claim: str | None = None
    created_at: int
    delivered_at: int | None = None
    last_attempt_at: int | None = None
    last_status: int | None = None
    last_error: str | None = None
    last_response: str | None = None
    duration_ms: int | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt brought: a status, or an error in words."""

    status: int | None = None
    error: str | None = None
    response: str = ""
    retry_after: str | None = None
    duration_ms: int = 0


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an endpoint that attempts change."""

    state: EndpointState = "active"
    disabled_reason: DisabledReason | None = None
    failures: int = 0
    failing_since: int | None = None
    paused_until: int = 0


# From one to the other ---------------------------------------------------------------------------


def endpoint_shape(row: EndpointRow) -> Endpoint:
    """What the merchant sees of an endpoint: no secret, no counters."""
    return Endpoint(
        id=row.id,
        merchant=row.merchant,
        url=row.url,
        events=row.events,
        state=row.state,
        disabled_reason=row.disabled_reason,
        failing_since=rfc3339_or_none(row.failing_since),
        replaying=row.replay_after is not None,
        created_at=rfc3339(row.created_at),
    )


def with_secret(row: EndpointRow) -> EndpointWithSecret:
    """The endpoint with its secret, for the one answer that shows it."""
    return EndpointWithSecret(**msgspec.structs.asdict(endpoint_shape(row)), secret=row.secret)


def delivery_shape(row: DeliveryRow) -> Delivery:
    """What the merchant sees of a delivery."""
    return Delivery(
        id=row.id,
        endpoint=row.endpoint,
        event_id=row.event_id,
        type=row.type,
        state=row.state,
        attempts=row.attempts,
        next_attempt_at=rfc3339(row.due_at) if row.state == "pending" else None,
        created_at=rfc3339(row.created_at),
        delivered_at=rfc3339_or_none(row.delivered_at),
        last_attempt_at=rfc3339_or_none(row.last_attempt_at),
        last_status=row.last_status,
        last_error=row.last_error,
        last_response=row.last_response,
        duration_ms=row.duration_ms,
    )
