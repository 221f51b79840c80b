"""The webhook service against real receivers and both databases."""

import asyncio
import json
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
import standardwebhooks.webhooks
from aiohttp import web
from standardwebhooks import Webhook

from orders import webhooks as rules
from orders.addresses import Policy
from orders.errors import Invalid, NotFound, WrongState
from orders.times import rfc3339
from orders.webhooks_http import HttpSender
from orders.webhooks_sql import SqlWebhooks
from tests.webhooks.parts import (
    START,
    Clock,
    ListFeed,
    Make,
    Receiver,
    ok,
    settle,
    status,
    until,
)


def verify(secret: str, headers: dict[str, str], body: bytes) -> dict[str, object]:
    """Check a request with the independent package, at the time at which it was signed."""
    moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)

    class Then(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return moment

    with patch.object(standardwebhooks.webhooks, "datetime", Then):
        result: dict[str, object] = Webhook(secret).verify(body, headers)
    return result


async def test_a_committed_event_arrives_signed(
    make: Make, feed: ListFeed, receiver: Receiver
) -> None:
    """The body is type, timestamp and data, and an independent library accepts the signature."""
    webhooks = make(receiver)
    made = await webhooks.create("shop", receiver.url)
    feed.add(data='{"order":{"id":"ord_1","title":"手作陶杯"}}')
    await settle(webhooks)
    [(headers, body)] = receiver.requests
    assert verify(made.secret, headers, body) == {
        "type": "order.paid",
        "timestamp": "2025-11-22T02:53:20.123Z",
        "data": {"order": {"id": "ord_1", "title": "手作陶杯"}},
    }
    assert headers["content-type"] == "application/json"
    [delivery], _ = await webhooks.deliveries("shop")
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("delivered", 1, 200)
    assert delivery.last_response == "thank you"


async def test_an_endpoint_gets_what_it_asked_for(
    make: Make, feed: ListFeed, receiver: Receiver
) -> None:
    """The filter names types; events of other shops never come."""
    webhooks = make(receiver)
    await webhooks.create("shop", receiver.url, ["order.paid"])
    for kind in ("order.reserved", "order.paid", "room.started"):
        feed.add(kind)
    feed.add("order.paid", merchant="another")
    await settle(webhooks)
    assert [json.loads(body)["type"] for _, body in receiver.requests] == ["order.paid"]


async def test_a_failed_attempt_is_repeated_with_the_same_id_and_bytes(
    make: Make, feed: ListFeed, receiver: Receiver, clock: Clock
) -> None:
    """Only the time of the attempt and thus the signature differ."""
    webhooks = make(receiver)
    made = await webhooks.create("shop", receiver.url)
    receiver.answer = status(500)
    feed.add()
    await settle(webhooks)
    [delivery], _ = await webhooks.deliveries("shop")
    assert (delivery.state, delivery.last_error) == ("pending", "answered 500")
    await settle(webhooks)
    assert len(receiver.requests) == 1, "not before its time"

    receiver.answer = ok
    clock.ms += 6_001
    await settle(webhooks)
    (first, body), (second, again) = receiver.requests
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    assert int(second["webhook-timestamp"]) == clock.ms // 1000
    verify(made.secret, second, again)


async def test_a_delivery_is_given_up_after_the_whole_schedule(
    make: Make, feed: ListFeed, receiver: Receiver, clock: Clock
) -> None:
    """Ten attempts in about three days; the endpoint stays, since five days are not over."""
    webhooks = make(receiver)
    made = await webhooks.create("shop", receiver.url)
    receiver.answer = status(503)
    feed.add()
    for attempt in range(1, len(rules.RETRY_DELAYS_MS) + 1):
        await settle(webhooks)
        [delivery], _ = await webhooks.deliveries("shop")
        assert len(receiver.requests) == delivery.attempts == attempt
        if delivery.next_attempt_at:
            pause = rules.CIRCUIT_PAUSE_MAX_MS
            clock.ms = max(rules.parse_time(delivery.next_attempt_at), clock.ms + pause)
    assert (delivery.state, delivery.next_attempt_at) == ("failed", None)
    assert (await webhooks.endpoint("shop", made.id)).state == "active"


async def test_nothing_through_for_five_days_disables(
    make: Make, feed: ListFeed, receiver: Receiver, clock: Clock
) -> None:
    """The merchant sees why, and enabling starts afresh."""
    webhooks = make(receiver)
    made = await webhooks.create("shop", receiver.url)
    receiver.answer = status(500)
    for _ in range(7):
        feed.add(at=clock.ms)
        await settle(webhooks)
        clock.ms += 25 * rules.HOUR
    endpoint = await webhooks.endpoint("shop", made.id)
    assert (endpoint.state, endpoint.disabled_reason) == ("disabled", "failing")
    assert endpoint.failing_since == "2025-11-22T02:53:20.123Z"
    with pytest.raises(WrongState):
        await webhooks.test("shop", made.id)

    receiver.answer = ok
    assert (await webhooks.edit("shop", made.id, state="active")).disabled_reason is None
    await settle(webhooks)
    rows, _ = await webhooks.deliveries("shop", state="pending")
    assert rows == [], "what waited is delivered after all"


async def test_gone_disables_at_once(make: Make, feed: ListFeed, receiver: Receiver) -> None:
    """410 means the receiver will never want anything again."""
    webhooks = make(receiver)
    made = await webhooks.create("shop", receiver.url)
    receiver.answer = status(410)
    feed.add()
    await settle(webhooks)
    endpoint = await webhooks.endpoint("shop", made.id)
    assert (endpoint.state, endpoint.disabled_reason) == ("disabled", "gone")
    feed.add()
    await settle(webhooks)
    rows, _ = await webhooks.deliveries("shop")
    assert [row.state for row in rows] == ["failed"], "no new ones are queued"


async def test_a_redirect_is_a_failure(
    make: Make, feed: ListFeed, receiver: Receiver, other_receiver: Receiver
) -> None:
    """The place it points to never hears of it."""
    webhooks = make(receiver, other_receiver)
    await webhooks.create("shop", receiver.url)
    receiver.answer = status(302, Location=other_receiver.url)
    feed.add()
    await settle(webhooks)
    assert other_receiver.requests == []
    [delivery], _ = await webhooks.deliveries("shop")
    assert delivery.last_error and "redirects are not followed" in delivery.last_error


async def test_retry_after_is_honoured(
    make: Make, feed: ListFeed, receiver: Receiver, clock: Clock
) -> None:
    """A receiver that asks for ten minutes is left alone for ten minutes, by all its deliveries."""
    webhooks = make(receiver)
    await webhooks.create("shop", receiver.url)
    receiver.answer = status(429, Retry_After="600")
    feed.add()
    await settle(webhooks)
    feed.add()
    clock.ms += 599_000
    await settle(webhooks)
    assert len(receiver.requests) == 1
    receiver.answer = ok
    clock.ms += 1_001
    await settle(webhooks)
    assert len(receiver.requests) == 3


async def test_rotated_secrets_both_verify(
    make: Make, feed: ListFeed, receiver: Receiver, clock: Clock
) -> None:
    """For a day the receiver may know either; then only the new one signs."""
    webhooks = make(receiver)
    old = await webhooks.create("shop", receiver.url)
    new = await webhooks.rotate_secret("shop", old.id)
    assert new.secret != old.secret
    feed.add()
    await settle(webhooks)
    headers, body = receiver.requests[0]
    verify(old.secret, headers, body)
    verify(new.secret, headers, body)

    clock.ms += rules.ROTATION_MS
    feed.add()
    await settle(webhooks)
    headers, body = receiver.requests[1]
    verify(new.secret, headers, body)
    with pytest.raises(standardwebhooks.webhooks.WebhookVerificationError):
        verify(old.secret, headers, body)


async def test_a_crash_between_sending_and_noting_sends_again_with_the_same_id(
    make: Make, feed: ListFeed, receiver: Receiver, clock: Clock
) -> None:
    """The claim of the dead sender ends, another one takes over, the receiver sees a repetition."""
    dead = make(receiver)
    await dead.create("shop", receiver.url)
    feed.add()
    await dead.follow()
    await dead.deliver()
    await dead.idle()  # sent, answered, and the process is gone before it is stored
    assert len(receiver.requests) == 1

    successor = make(receiver)
    await settle(successor)
    assert len(receiver.requests) == 1, "claimed"
    clock.ms += 60_001
    await settle(successor)
    assert len(receiver.requests) == 2
    assert len(set(receiver.ids)) == 1
    await settle(dead)  # it was only asleep: its outcome comes too late and changes nothing
    [delivery], _ = await successor.deliveries("shop")
    assert (delivery.state, delivery.attempts) == ("delivered", 1)
    assert len(receiver.requests) == 2


async def test_two_followers_queue_each_event_once(
    make: Make, feed: ListFeed, receiver: Receiver, store: SqlWebhooks
) -> None:
    """Rows and cursor move together and only from where the follower saw it."""
    webhooks = make(receiver)
    await webhooks.create("shop", receiver.url)
    for _ in range(20):
        feed.add()
    other = make(receiver)
    await asyncio.gather(webhooks.follow(), other.follow())
    await settle(webhooks)
    assert sorted(receiver.ids) == sorted(rules.event_id(e.at, e.n) for e in feed.events)
    assert not await store.append(5, 99, ["shop"], lambda _: pytest.fail("asked in vain"))
    assert await store.cursor() == feed.events[-1].n


async def test_two_senders_send_each_delivery_once(
    make: Make, feed: ListFeed, receiver: Receiver
) -> None:
    """Claims keep two processes apart."""
    one, two = make(receiver), make(receiver)
    await one.create("shop", receiver.url)
    for _ in range(30):
        feed.add()
    await one.follow()
    await asyncio.gather(settle(one), settle(two))
    assert len(receiver.ids) == len(set(receiver.ids)) == 30


async def test_a_slow_endpoint_delays_nobody_else(
    make: Make, feed: ListFeed, receiver: Receiver, other_receiver: Receiver
) -> None:
    """It holds its own few slots only, while the other one gets everything."""
    hold = asyncio.Event()

    async def slow(_request: web.Request) -> web.StreamResponse:
        await hold.wait()
        return web.Response()

    webhooks = make(receiver, other_receiver)
    await webhooks.create("shop", receiver.url)
    await webhooks.create("quick", other_receiver.url)
    receiver.answer = slow
    for _ in range(40):
        feed.add()
    for _ in range(40):
        feed.add(merchant="quick")
    running = asyncio.create_task(webhooks.run())
    await until(lambda: len(other_receiver.requests) == 40)
    assert len(receiver.requests) == rules.SLOTS
    hold.set()
    await until(lambda: len(receiver.requests) == 40)
    running.cancel()
    await asyncio.wait([running])


async def test_an_endpoint_in_trouble_is_asked_ever_more_rarely(
    make: Make, feed: ListFeed, receiver: Receiver, clock: Clock
) -> None:
    """After some failures in a row one request at a time, with pauses; one success ends it."""
    webhooks = make(receiver)
    await webhooks.create("shop", receiver.url)
    receiver.answer = status(500)
    for _ in range(50):
        feed.add()
    await settle(webhooks)
    tried = len(receiver.requests)
    assert rules.CIRCUIT_FAILURES <= tried < rules.CIRCUIT_FAILURES + rules.SLOTS
    clock.ms += rules.CIRCUIT_PAUSE_MAX_MS
    await settle(webhooks)
    assert len(receiver.requests) == tried + 1
    receiver.answer = ok
    clock.ms += rules.CIRCUIT_PAUSE_MAX_MS
    await settle(webhooks)
    assert len(set(receiver.ids)) == 50


async def test_stopping_gives_back_what_is_unsent(
    make: Make, feed: ListFeed, receiver: Receiver
) -> None:
    """The next process sends at once what this one could not finish."""

    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    webhooks = make(receiver)
    await webhooks.create("shop", receiver.url)
    receiver.answer = never
    feed.add()
    running = asyncio.create_task(webhooks.run())
    await until(lambda: receiver.requests)
    running.cancel()
    await asyncio.wait([running])

    receiver.answer = ok
    await settle(make(receiver))
    assert len(receiver.requests) == 2
    assert len(set(receiver.ids)) == 1


async def test_run_delivers_when_woken(make: Make, feed: ListFeed, receiver: Receiver) -> None:
    """News travel at once; nobody has to poll."""
    webhooks = make(receiver)
    await webhooks.create("shop", receiver.url)
    running = asyncio.create_task(webhooks.run())
    feed.add()
    webhooks.wake()
    await until(lambda: receiver.requests)
    running.cancel()
    await asyncio.wait([running])


async def test_a_broken_round_is_repeated(
    make: Make, feed: ListFeed, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A feed that fails once is logged and does not end the service."""
    webhooks = make(receiver)
    await webhooks.create("shop", receiver.url)
    feed.add()
    after, failures = feed.after, [RuntimeError("planted")]

    async def broken(n: int, limit: int) -> object:
        if failures:
            raise failures.pop()
        return await after(n, limit)

    feed.after = broken  # type: ignore[method-assign, assignment]
    running = asyncio.create_task(webhooks.run())
    await until(lambda: receiver.requests)
    running.cancel()
    await asyncio.wait([running])
    assert "planted" in caplog.text


async def test_the_test_event_comes_whatever_the_filter(make: Make, receiver: Receiver) -> None:
    """A merchant can try an endpoint before anything is sold."""
    webhooks = make(receiver)
    made = await webhooks.create("shop", receiver.url, ["order.shipped"])
    delivery = await webhooks.test("shop", made.id)
    await settle(webhooks)
    [(headers, body)] = receiver.requests
    assert verify(made.secret, headers, body)["type"] == "webhook.test"
    assert headers["webhook-id"] == delivery.event_id


async def test_redelivery_repeats_id_and_bytes(
    make: Make, feed: ListFeed, receiver: Receiver
) -> None:
    """Delivered or not, one delivery can be sent again."""
    webhooks = make(receiver)
    await webhooks.create("shop", receiver.url)
    feed.add()
    await settle(webhooks)
    [delivery], _ = await webhooks.deliveries("shop")
    assert (await webhooks.redeliver("shop", delivery.id)).state == "pending"
    await settle(webhooks)
    (first, body), (second, again) = receiver.requests
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    with pytest.raises(NotFound):
        await webhooks.redeliver("another", delivery.id)
    await webhooks.edit("shop", delivery.endpoint, state="disabled")
    with pytest.raises(WrongState):
        await webhooks.redeliver("shop", delivery.id)


async def test_replay_sends_everything_since_then(
    make: Make, feed: ListFeed, receiver: Receiver, clock: Clock
) -> None:
    """Also what came before the endpoint existed; nothing older, nothing of other types."""
    webhooks = make(receiver)
    clock.ms = START + rules.HOUR
    for minute in range(30):
        feed.add(at=START + minute * rules.MINUTE)
        feed.add("room.started", at=START + minute * rules.MINUTE)
    while await webhooks.follow():
        pass
    made = await webhooks.create("shop", receiver.url, ["order.paid"])
    feed.add(at=clock.ms)
    await settle(webhooks)
    assert len(receiver.requests) == 1, "an endpoint starts with what comes after it"

    since = rfc3339(START + 20 * rules.MINUTE)
    assert (await webhooks.replay("shop", made.id, since)).replaying
    with patch("orders.webhooks_service.FEED_BATCH", 7):
        await settle(webhooks)
    expected = [rules.event_id(e.at, e.n) for e in feed.events[40:] if e.type == "order.paid"]
    assert len(expected) == 11
    assert sorted(set(receiver.ids)) == sorted(expected)
    assert len(receiver.ids) == 12, "the one delivered before came again, with its id"
    assert not (await webhooks.endpoint("shop", made.id)).replaying


@pytest.mark.parametrize(
    "since", ["yesterday", "2025-11-22T02:53:20", "2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z"]
)
async def test_an_impossible_replay_is_refused(make: Make, receiver: Receiver, since: str) -> None:
    """Not a time, without offset, in the future, longer ago than anything is kept."""
    webhooks = make(receiver)
    made = await webhooks.create("shop", receiver.url)
    with pytest.raises(Invalid):
        await webhooks.replay("shop", made.id, since)


async def test_endpoints_belong_to_their_merchant(make: Make, receiver: Receiver) -> None:
    """Another merchant's endpoint is as good as none."""
    webhooks = make(receiver)
    made = await webhooks.create("shop", receiver.url)
    assert await webhooks.endpoints("another") == []
    for call in (
        webhooks.endpoint("another", made.id),
        webhooks.edit("another", made.id, state="disabled"),
        webhooks.rotate_secret("another", made.id),
        webhooks.test("another", made.id),
        webhooks.replay("another", made.id, "2025-11-22T00:00:00Z"),
        webhooks.delete("another", made.id),
    ):
        with pytest.raises(NotFound):
            await call
    [mine] = await webhooks.endpoints("shop")
    assert mine == await webhooks.endpoint("shop", made.id)
    assert not hasattr(mine, "secret")


async def test_the_number_of_endpoints_is_bounded(make: Make, receiver: Receiver) -> None:
    """Every event is stored once for each."""
    webhooks = make(receiver)
    for _ in range(rules.ENDPOINTS_MAX):
        await webhooks.create("shop", receiver.url)
    with pytest.raises(WrongState, match="at most"):
        await webhooks.create("shop", receiver.url)


async def test_editing_and_deleting(make: Make, feed: ListFeed, receiver: Receiver) -> None:
    """An endpoint switched off gets nothing; a deleted one is gone with its deliveries."""
    webhooks = make(receiver)
    made = await webhooks.create("shop", receiver.url)
    off = await webhooks.edit("shop", made.id, state="disabled", events=["order.paid"])
    assert (off.state, off.disabled_reason, off.events) == ("disabled", "merchant", ["order.paid"])
    feed.add()
    await settle(webhooks)
    assert receiver.requests == []
    await webhooks.edit("shop", made.id, state="active")
    feed.add()
    await settle(webhooks)
    assert len(receiver.requests) == 1
    with pytest.raises(Invalid, match=r"unknown event types: order\.lost"):
        await webhooks.edit("shop", made.id, events=["order.lost"])
    with pytest.raises(Invalid):
        await webhooks.edit("shop", made.id, url="http://10.0.0.1/")
    await webhooks.delete("shop", made.id)
    assert await webhooks.deliveries("shop") == ([], None)
    with pytest.raises(NotFound):
        await webhooks.delete("shop", made.id)


async def test_deliveries_come_in_pages(make: Make, feed: ListFeed, receiver: Receiver) -> None:
    """Newest first, each exactly once."""
    webhooks = make(receiver)
    made = await webhooks.create("shop", receiver.url)
    for _ in range(5):
        feed.add()
    await settle(webhooks)
    seen, cursor = [], None
    for _ in range(3):
        rows, cursor = await webhooks.deliveries(
            "shop", endpoint=made.id, state="delivered", cursor=cursor, limit=2
        )
        seen += [row.event_id for row in rows]
    assert cursor is None
    assert seen == [rules.event_id(e.at, e.n) for e in reversed(feed.events)]
    with pytest.raises(Invalid):
        await webhooks.deliveries("shop", state="lost")


async def test_old_deliveries_are_removed(
    make: Make, feed: ListFeed, receiver: Receiver, clock: Clock
) -> None:
    """Nothing is kept for longer than a replay reaches."""
    webhooks = make(receiver)
    await webhooks.create("shop", receiver.url)
    feed.add()
    await settle(webhooks)
    clock.ms += rules.REPLAY_MAX_MS
    await webhooks.tidy()
    assert len((await webhooks.deliveries("shop"))[0]) == 1
    clock.ms += 1
    await webhooks.tidy()
    assert await webhooks.deliveries("shop") == ([], None)


async def test_a_refused_address_is_a_failed_attempt(
    make: Make, feed: ListFeed, receiver: Receiver
) -> None:
    """What was allowed when registered but is not now is not reached, and the merchant sees why."""
    webhooks = make(receiver)
    await webhooks.create("shop", receiver.url)
    strict = make(receiver, sender=HttpSender(Policy()))
    feed.add()
    await settle(strict)
    assert receiver.requests == []
    [delivery], _ = await strict.deliveries("shop")
    assert delivery.last_error and "not a public address (loopback)" in delivery.last_error
