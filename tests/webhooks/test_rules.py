"""Signing, retries, circuits and filters as pure rules."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from orders import webhooks as rules
from orders.errors import Invalid
from orders.feed import FeedEvent
from orders.webhooks_shapes import Answer, DeliveryRow, EndpointRow, Health

NOW = 1_763_780_000_123


def a_delivery(**changes: object) -> DeliveryRow:
    row = DeliveryRow(
        id="dlv_1", endpoint="whe_1", merchant="shop", event_id="evt_1", type="order.paid",
        body=b"{}", due_at=NOW, created_at=NOW, claim="clm_1",
    )  # fmt: skip
    return msgspec.structs.replace(row, **changes)


def an_endpoint(**changes: object) -> EndpointRow:
    row = EndpointRow(
        id="whe_1", merchant="shop", url="https://shop.example/", events=[], state="active",
        secret=rules.make_secret(bytes(32)), created_at=NOW,
    )  # fmt: skip
    return msgspec.structs.replace(row, **changes)


@given(st.binary(min_size=32, max_size=32), st.text(), st.integers(0, 2**33))
def test_signatures_are_those_of_the_independent_package(
    random: bytes, text: str, seconds: int
) -> None:
    """Whatever the secret, body and time."""
    secret, body = rules.make_secret(random), json.dumps(text, ensure_ascii=False)
    body = body.encode(errors="replace").decode()
    expected = Webhook(secret).sign("evt_1", datetime.fromtimestamp(seconds, UTC), body)
    assert rules.sign(secret, "evt_1", seconds, body.encode()) == expected


def test_an_id_with_a_dot_is_our_mistake() -> None:
    """It would make the signed text ambiguous."""
    with pytest.raises(AssertionError):
        rules.sign(rules.make_secret(bytes(32)), "evt.1", 1, b"")


def test_event_ids_depend_on_time_and_number_alone() -> None:
    """So that a replay finds them again; and they sort like their times."""
    assert rules.event_id(NOW, 7) == rules.event_id(NOW, 7)
    ids = [rules.event_id(NOW, 7), rules.event_id(NOW, 8), rules.event_id(NOW + 1, 1)]
    assert ids == sorted(set(ids))
    assert all("." not in name for name in ids)


def test_every_event_of_one_millisecond_has_an_id_of_its_own() -> None:
    """A batch tells hundreds; an id that was there already would be queued for nobody."""
    assert len({rules.event_id(NOW, n) for n in range(5_000)}) == 5_000
    assert rules.event_id(NOW, 2**63 - 1) != rules.event_id(NOW, 2**62 - 1)


def test_the_body_is_json_around_the_data_as_it_is() -> None:
    """Not a byte of the data changes."""
    body = rules.envelope("order.paid", NOW, b'{"order":{"b":1.0,"a":"\xc3\xa9"}}')
    assert body.endswith(b',"data":{"order":{"b":1.0,"a":"\xc3\xa9"}}}')
    assert json.loads(body)["timestamp"] == "2025-11-22T02:53:20.123Z"


def test_an_empty_filter_means_all_and_order_does_not_matter() -> None:
    """Types are kept in the order of the table, once each."""
    assert rules.check_events([]) == []
    assert rules.check_events(["room.ended", "order.paid", "room.ended"]) == [
        "order.paid",
        "room.ended",
    ]
    with pytest.raises(Invalid, match=r"webhook\.test"):
        rules.check_events(["webhook.test"])


@pytest.mark.parametrize(
    ("endpoint", "wanted"),
    [
        (an_endpoint(), True),
        (an_endpoint(events=["order.paid"]), True),
        (an_endpoint(events=["order.shipped"]), False),
        (an_endpoint(merchant="another"), False),
    ],
)
def test_the_filter(endpoint: EndpointRow, wanted: bool) -> None:
    """Own events of the chosen types."""
    event = FeedEvent(n=1, type="order.paid", merchant="shop", at=NOW, data=b"{}")
    assert rules.wants(endpoint, event) is wanted


@pytest.mark.parametrize(
    ("status", "attempts", "state"),
    [
        (200, 0, "delivered"),
        (204, 9, "delivered"),
        (299, 0, "delivered"),
        (None, 0, "pending"),
        (199, 0, "pending"),
        (301, 0, "pending"),
        (404, 8, "pending"),
        (500, 9, "failed"),
        (410, 0, "failed"),
    ],
)
def test_what_an_attempt_makes_of_a_delivery(status: int, attempts: int, state: str) -> None:
    """Only 2xx is success; 410 ends it; the tenth failure ends it."""
    after = rules.outcome(a_delivery(attempts=attempts), Answer(status=status), NOW, 0.0)
    assert (after.state, after.attempts, after.claim) == (state, attempts + 1, None)
    assert (after.event_id, after.body) == ("evt_1", b"{}")
    assert (after.delivered_at == NOW) is (state == "delivered")
    assert (after.last_error is None) is (state == "delivered")


@given(st.integers(1, 9), st.floats(-1, 1))
def test_waits_follow_the_schedule_within_the_jitter(attempts: int, jitter: float) -> None:
    """± 20 % of the example schedule of Standard Webhooks."""
    wait = rules.next_attempt(attempts, Answer(status=500), NOW, jitter) - NOW
    assert 0.8 * rules.RETRY_DELAYS_MS[attempts] <= wait <= 1.2 * rules.RETRY_DELAYS_MS[attempts]


def test_the_schedule_spans_three_days() -> None:
    """75:35:05, as published."""
    assert sum(rules.RETRY_DELAYS_MS) == (75 * 3600 + 35 * 60 + 5) * 1000


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("120", 120_000),
        (" 7 ", 7_000),
        ("999999999999", rules.RETRY_AFTER_MAX_MS),
        ("Sat, 22 Nov 2025 02:54:20 GMT", 59_877),
        ("Sat, 22 Nov 2025 02:00:00 GMT", 0),
        ("-5", 0),
        ("soon", 0),
        ("²", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, wait: int) -> None:
    """Unreadable is as good as absent, and no receiver parks a delivery for longer than a day."""
    answer = Answer(status=503, retry_after=text)
    assert rules.asked_wait(answer, NOW) == wait


def test_retry_after_never_shortens_the_schedule() -> None:
    """A receiver may ask for later, not for sooner."""
    answer = Answer(status=503, retry_after="1")
    assert rules.next_attempt(2, answer, NOW, 0.0) == NOW + rules.RETRY_DELAYS_MS[2]


def test_pauses_double_up_to_a_bound() -> None:
    """None before the fifth failure in a row, never more than five minutes."""
    pauses = [rules.circuit_pause(failures) for failures in range(40)]
    assert pauses[:7] == [0, 0, 0, 0, 0, 5_000, 10_000]
    assert max(pauses) == rules.CIRCUIT_PAUSE_MAX_MS
    assert (rules.slots(4), rules.slots(5)) == (rules.SLOTS, rules.SLOTS_TROUBLED)


def test_one_success_makes_an_endpoint_healthy() -> None:
    """But it does not enable one that its merchant switched off meanwhile."""
    ill = Health(failures=9, failing_since=NOW - 1, paused_until=NOW + 9)
    assert rules.health_after(ill, Answer(status=200), NOW) == Health()
    off = msgspec.structs.replace(ill, state="disabled", disabled_reason="merchant")
    assert rules.health_after(off, Answer(status=200), NOW).state == "disabled"
    assert rules.health_after(off, Answer(status=410), NOW).disabled_reason == "merchant"


@pytest.mark.parametrize(
    ("since", "state"),
    [(rules.DISABLE_AFTER_MS - 1, "active"), (rules.DISABLE_AFTER_MS, "disabled")],
)
def test_five_days_of_failures_disable(since: int, state: str) -> None:
    """Not a moment earlier."""
    health = Health(failures=3, failing_since=NOW - since)
    assert rules.health_after(health, Answer(status=500), NOW).state == state


@given(st.lists(st.sampled_from([None, 200, 301, 410, 429, 500]), max_size=30))
def test_health_is_always_consistent(statuses: list[int | None]) -> None:
    """Disabled exactly with a reason; failing since exactly while failing."""
    health = Health()
    for step, status in enumerate(statuses):
        health = rules.health_after(health, Answer(status=status), NOW + step * rules.HOUR)
        assert (health.state == "disabled") is (health.disabled_reason is not None)
        assert (health.failures > 0) is (health.failing_since is not None)


def test_requeueing_starts_from_the_beginning() -> None:
    """The same id and bytes, all attempts anew, at once."""
    for state in ("delivered", "failed", "pending"):
        row = rules.requeue(a_delivery(state=state, attempts=7, delivered_at=1), NOW)
        assert (row.state, row.attempts, row.due_at, row.claim) == ("pending", 0, NOW, None)
        assert (row.event_id, row.body, row.delivered_at) == ("evt_1", b"{}", None)


def test_disabling_and_enabling() -> None:
    """A reason stays with the state; enabling forgets the failures."""
    off = rules.edited(an_endpoint(), url=None, events=None, state="disabled")
    assert off.disabled_reason == "merchant"
    failed = an_endpoint(
        state="disabled", disabled_reason="failing", failures=9, failing_since=1, paused_until=NOW
    )
    assert (
        rules.edited(failed, url=None, events=None, state="disabled").disabled_reason == "failing"
    )
    on = rules.edited(failed, url=None, events=None, state="active")
    assert (on.disabled_reason, on.failures, on.failing_since, on.paused_until) == (
        None,
        0,
        None,
        0,
    )
