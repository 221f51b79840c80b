"""
Webhooks: what merchants are told, how it is signed, and when it is tried again.

The wire format is Standard Webhooks 1.0 (https://www.standardwebhooks.com): three headers, a
signature over `id.timestamp.body`, and a body `{"type", "timestamp", "data"}` whose bytes never
change between attempts. A delivery is one event on its way to one endpoint:

    pending ──2xx──▶ delivered          pending ──410──▶ failed, and the endpoint is disabled
    pending ──else─▶ pending, later     pending ──last attempt failed──▶ failed
    delivered or failed ──redeliver or replay──▶ pending, the same id and bytes

An endpoint that keeps failing is asked ever more rarely (the circuit) and is disabled when nothing
got through for five days. Times are integer milliseconds, jitter and ids are arguments.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from orders.errors import Invalid, WrongState
from orders.feed import FeedEvent
from orders.ids import new_id
from orders.times import rfc3339
from orders.webhooks_shapes import Answer, DeliveryRow, DeliveryState, EndpointRow, EndpointState
from orders.webhooks_shapes import Delivery as Delivery  # what merchants see, for the doors
from orders.webhooks_shapes import Endpoint as Endpoint
from orders.webhooks_shapes import EndpointWithSecret as EndpointWithSecret
from orders.webhooks_shapes import Health as Health

EVENT_TYPES = (
    "order.reserved", "order.paid", "order.expired", "order.cancelled", "order.shipped",
    "order.completed", "order.refunded", "stock.low", "stock.sold_out", "flash_sale.ended",
    "room.started", "room.ended",
)  # fmt: skip
TEST_TYPE = "webhook.test"

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

#: Wait before each attempt, the example schedule of Standard Webhooks: about three days in all.
RETRY_DELAYS_MS = (
    0, 5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR,
    24 * HOUR,
)  # fmt: skip
JITTER = 0.2  # ± share of a wait, so that a crowd of retries does not come back as a crowd
RETRY_AFTER_MAX_MS = 24 * HOUR  # a receiver may not park a delivery for longer

DISABLE_AFTER_MS = 5 * DAY  # of failures alone; longer than the whole schedule of one event
CIRCUIT_FAILURES = 5  # in a row: from here on one request at a time, with pauses
CIRCUIT_PAUSE_MS = 5 * SECOND  # doubles with each further failure …
CIRCUIT_PAUSE_MAX_MS = 5 * MINUTE  # … up to this
SLOTS = 8  # requests at once to one endpoint; the receiver of a small shop takes that
SLOTS_TROUBLED = 1  # while the circuit is not closed

SECRET_BYTES = 32  # Standard Webhooks: 24 to 64
ROTATION_MS = 24 * HOUR  # both secrets sign for so long after a rotation
URL_MAX = 2_000  # characters; longer ones are cut by proxies
ENDPOINTS_MAX = 20  # per merchant: every event is stored once for each
REPLAY_MAX_MS = 30 * DAY  # how far back a replay reaches, and how long deliveries are kept
CLOCKS_APART_MS = 60_000  # the sale clock dates events; it may be ahead of another process's

#: The edges of a delivery's life as data: (from, what happened) -> to.
TRANSITIONS: dict[tuple[DeliveryState, str], DeliveryState] = {
    ("pending", "accepted"): "delivered",
    ("pending", "retry"): "pending",
    ("pending", "exhausted"): "failed",
    ("pending", "gone"): "failed",
    ("pending", "redeliver"): "pending",
    ("delivered", "redeliver"): "pending",
    ("failed", "redeliver"): "pending",
}


# Signing -----------------------------------------------------------------------------------------


def make_secret(random: bytes) -> str:
    """A signing secret from `SECRET_BYTES` random bytes."""
    assert len(random) == SECRET_BYTES
    return "whsec_" + base64.b64encode(random).decode()


def sign(secret: str, webhook_id: str, timestamp_seconds: int, body: bytes) -> str:
    """One `v1` signature as Standard Webhooks defines it."""
    assert "." not in webhook_id, "the signed text is joined by dots"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{webhook_id}.{timestamp_seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def headers(
    secrets: Iterable[str], webhook_id: str, timestamp_seconds: int, body: bytes
) -> dict[str, str]:
    """The headers of one attempt; with two secrets the receiver may know either."""
    signatures = (sign(secret, webhook_id, timestamp_seconds, body) for secret in secrets)
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_seconds),
        "webhook-signature": " ".join(signatures),
    }


def secrets_now(endpoint: EndpointRow, now: int) -> list[str]:
    """The secrets that sign at this moment, the newest first."""
    if endpoint.old_secret and now < endpoint.old_secret_until:
        return [endpoint.secret, endpoint.old_secret]
    return [endpoint.secret]


# Events ------------------------------------------------------------------------------------------


def envelope(event_type: str, at: int, data: bytes) -> bytes:
    """The body; `data` is JSON already and goes in as it is."""
    head = f'{{"type":"{event_type}","timestamp":"{rfc3339(at)}","data":'
    return head.encode() + data + b"}"


def event_id(at: int, n: int) -> str:
    """
    The `webhook-id` of a feed event: from its time and number, so that it is the same for every
    endpoint, attempt and replay, and never that of an event in an older, restored database.
    """
    return new_id("evt", at, lambda _bits: n)


def wants(endpoint: EndpointRow, event: FeedEvent) -> bool:
    """Whether this endpoint gets this event."""
    if endpoint.merchant != event.merchant:
        return False
    return event.type in endpoint.events if endpoint.events else True


def check_events(events: Sequence[str]) -> list[str]:
    """
    The event filter of an endpoint, without repetitions; empty means all.

    Raises:
        Invalid: Names the unknown types.
    """
    unknown = sorted(set(events) - set(EVENT_TYPES))
    if unknown:
        raise Invalid(f"unknown event types: {', '.join(unknown)[:200]}", known=list(EVENT_TYPES))
    return [name for name in EVENT_TYPES if name in events]


# After an attempt --------------------------------------------------------------------------------


def accepted(answer: Answer) -> bool:
    """Only 2xx counts; a redirect is a failure, since following it would sign for a stranger."""
    return answer.status is not None and 200 <= answer.status < 300


def outcome(delivery: DeliveryRow, answer: Answer, now: int, jitter: float) -> DeliveryRow:
    """
    The delivery after one more attempt.

    Args:
        jitter: Evenly spread in [-1, 1].
    """
    assert delivery.state == "pending"
    attempts = delivery.attempts + 1
    if accepted(answer):
        event = "accepted"
    elif answer.status == 410:
        event = "gone"
    else:
        event = "retry" if attempts < len(RETRY_DELAYS_MS) else "exhausted"
    state = TRANSITIONS["pending", event]
    return msgspec.structs.replace(
        delivery,
        state=state,
        attempts=attempts,
        due_at=next_attempt(attempts, answer, now, jitter) if state == "pending" else now,
        claim=None,
        delivered_at=now if state == "delivered" else None,
        last_attempt_at=now,
        last_status=answer.status,
        last_error=None if state == "delivered" else (answer.error or in_words(answer.status)),
        last_response=answer.response or None,
        duration_ms=answer.duration_ms,
    )


def next_attempt(attempts: int, answer: Answer, now: int, jitter: float) -> int:
    """When to try again after `attempts` failed ones: the schedule, or later if asked to."""
    delay = RETRY_DELAYS_MS[attempts] * (1 + JITTER * jitter)
    return now + max(round(delay), asked_wait(answer, now))


def asked_wait(answer: Answer, now: int) -> int:
    """Milliseconds that the receiver asked for by Retry-After (seconds or a date), bounded."""
    text = (answer.retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * SECOND, RETRY_AFTER_MAX_MS)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0  # unreadable is as good as absent
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(round(moment.timestamp() * 1000) - now, 0), RETRY_AFTER_MAX_MS)


def health_after(health: Health, answer: Answer, now: int) -> Health:
    """The endpoint's health after one more attempt of any of its deliveries."""
    if accepted(answer):
        return Health(state=health.state, disabled_reason=health.disabled_reason)
    failures = health.failures + 1
    since = health.failing_since if health.failing_since is not None else now
    reason = health.disabled_reason
    if health.state == "active":
        if answer.status == 410:
            reason = "gone"
        elif now - since >= DISABLE_AFTER_MS:
            reason = "failing"
    pause = circuit_pause(failures)
    if answer.status in (429, 502, 503, 504):  # "not now" means all of the endpoint's deliveries
        pause = max(pause, asked_wait(answer, now))
    return Health(
        state="disabled" if reason else health.state,
        disabled_reason=reason,
        failures=failures,
        failing_since=since,
        paused_until=max(health.paused_until, now + pause) if pause else health.paused_until,
    )


def circuit_pause(failures: int) -> int:
    """How long an endpoint with so many failures in a row is left alone, in milliseconds."""
    if failures < CIRCUIT_FAILURES:
        return 0
    doubled = CIRCUIT_PAUSE_MS << min(failures - CIRCUIT_FAILURES, 16)
    return min(doubled, CIRCUIT_PAUSE_MAX_MS)


def slots(failures: int) -> int:
    """How many requests at once the endpoint may get."""
    return SLOTS if failures < CIRCUIT_FAILURES else SLOTS_TROUBLED


def in_words(status: int | None) -> str:
    """What a status that is no success means for the delivery."""
    if status is None:
        return "no answer"
    if 300 <= status < 400:
        return f"answered {status}: redirects are not followed, register the final URL"
    if status == 410:
        return "answered 410 Gone: the endpoint was disabled"
    return f"answered {status}"


def requeue(delivery: DeliveryRow, now: int) -> DeliveryRow:
    """The delivery from the start again, at once, with the same id and bytes."""
    return msgspec.structs.replace(
        delivery,
        state=TRANSITIONS[delivery.state, "redeliver"],
        attempts=0,
        due_at=now,
        claim=None,
        delivered_at=None,
    )


# Changes of an endpoint ---------------------------------------------------------------------------


def edited(
    row: EndpointRow,
    *,
    url: str | None,
    events: list[str] | None,
    state: EndpointState | None,
) -> EndpointRow:
    """The endpoint with what is given changed, and asked again at once."""
    state = state or row.state
    reason = None if state == "active" else (row.disabled_reason or "merchant")
    return msgspec.structs.replace(
        nudged(row),
        url=row.url if url is None else url,
        events=row.events if events is None else events,
        state=state,
        disabled_reason=reason,
        # A fresh start: else one more failure would disable it again at once.
        failing_since=None if state != row.state else row.failing_since,
    )


def nudged(row: EndpointRow) -> EndpointRow:
    """The endpoint without its pause."""
    return msgspec.structs.replace(row, failures=0, paused_until=0)


def asked(row: EndpointRow) -> EndpointRow:
    """
    The endpoint without its pause, since its merchant wants something sent now.

    Raises:
        WrongState: It is disabled, so nothing would be sent.
    """
    if row.state != "active":
        raise WrongState("the endpoint is disabled; enable it first")
    return nudged(row)


def rotated(row: EndpointRow, secret: str, now: int) -> EndpointRow:
    """The endpoint with a new secret; the one before signs as well for a while."""
    return msgspec.structs.replace(
        row, secret=secret, old_secret=row.secret, old_secret_until=now + ROTATION_MS
    )


def replaying(row: EndpointRow, after: int, until: int) -> EndpointRow:
    """The endpoint with a replay of the feed's events in (after, until] before it."""
    return msgspec.structs.replace(asked(row), replay_after=after, replay_until=until)


# Times -------------------------------------------------------------------------------------------


def parse_time(text: str) -> int:
    """
    RFC 3339 with an offset as milliseconds.

    Raises:
        Invalid: Not such a time.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        pass  # refused below, in the same words
    raise Invalid("write the time as 2026-01-31T20:00:00Z", field="since")
