"""
Webhooks as a service: the merchant's endpoints, and the loops that tell them what happened.

    committed events ──follow──▶ deliveries in SQL ──deliver──▶ merchants' servers
                    cursor and rows in one transaction      claims with an end

Only the process that serves orders calls `run`; all others use the endpoint methods alone. Nothing
is kept in memory that a crash may not lose: a delivery whose outcome was not stored is sent again
with the same id and bytes, and receivers know it by that.

One slow endpoint never delays others: each has few requests at once, those in trouble share a part
of all slots, and an endpoint that fails repeatedly is paused.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from orders import webhooks as rules
from orders.addresses import Policy
from orders.errors import Invalid, NotFound, Refusal, WrongState
from orders.feed import Feed, FeedEvent
from orders.ledger import Failure
from orders.pace_service import Pace
from orders.webhooks_ports import Finished, Sender, Store
from orders.webhooks_shapes import (
    Delivery,
    DeliveryRow,
    Endpoint,
    EndpointRow,
    EndpointState,
    EndpointWithSecret,
    delivery_shape,
    endpoint_shape,
    with_secret,
)
from orders.webhooks_url import check_url

log = logging.getLogger(__name__)

SENDS_MAX = 128  # requests at once over all endpoints: sockets, and bodies in memory
SENDS_TROUBLED_MAX = 32  # of these for endpoints whose last request failed
CLAIM_MS = 60_000  # a sender has that long to store an outcome; a request takes at most about 11 s
FEED_BATCH = 100  # events in one transaction; bounds its time, since buyers wait
FOLLOW_PAUSE_SECONDS = 0.05  # gathers a rush of events into fewer transactions
FOLLOW_PAUSE_MAX_SECONDS = 0.4  # in the worst rush: 250 events a second are always queued
DELIVER_PAUSE_SECONDS = 0.02  # gathers outcomes and claims: SQLite has one writer at a time
DELIVER_PAUSE_MAX_SECONDS = 1.0  # in the worst rush: the queue is there to wait in
POLL_SECONDS = 1.0  # looks for retries, and for work that other processes queued
ERROR_PAUSE_SECONDS = 1.0  # before a failed step is tried again
COUNT_SECONDS = 10.0  # between two counts of the queue, for the metrics
COUNT_MAX = 100_000  # counted no further: a longer queue is as bad
TIDY_SECONDS = 600.0  # between removals of old deliveries
TIDY_BATCH = 1_000  # rows in one transaction
REPLAYS_MAX = 20  # endpoints whose replay goes one batch further in one round
LIST_MAX = 100  # items of one page


class Webhooks:
    """
    Endpoints of merchants, and their deliveries.

    Args:
        store: The durable queue.
        sender: Sends one signed request.
        feed: The committed events.
        now: Wall clock in milliseconds.
        new_id: Makes an id from a prefix.
        random_bytes: Makes secrets and jitter.
        policy: What the operator exempts from the address guard; for the check of new URLs.
        https_only: Refuse `http://` URLs.
        pace: Whether there is a rush that the loops should leave room for.

    Methods with a merchant raise `NotFound` for what belongs to another one, `Invalid` for values
    that cannot be, and `Unavailable` when the database does not answer.
    """

    def __init__(
        self,
        store: Store,
        sender: Sender,
        feed: Feed,
        now: Callable[[], int],
        new_id: Callable[[str], str],
        *,
        random_bytes: Callable[[int], bytes],
        policy: Policy | None = None,
        https_only: bool = False,
        pace: Pace | None = None,
    ) -> None:
        self._store = store
        self._sender = sender
        self._feed = feed
        self._now = now
        self._new_id = new_id
        self._random_bytes = random_bytes
        self._policy = policy or Policy()
        self._https_only = https_only
        self._pace = pace or Pace()
        self._follow_wake = asyncio.Event()
        self._deliver_wake = asyncio.Event()
        self._sending: dict[asyncio.Task[None], DeliveryRow] = {}
        self._troubled: set[str] = set()  # delivery ids in flight to endpoints in trouble
        self.waiting = 0  # deliveries not at their end, as of the last count; for the metrics
        self.attempts: Counter[str] = Counter()  # by the state after it; for the metrics
        self._finished: list[Finished] = []  # not stored yet; counts towards SENDS_MAX

    # What merchants do ---------------------------------------------------------------------------

    async def create(
        self, merchant: str, url: str, events: Sequence[str] = ()
    ) -> EndpointWithSecret:
        """A new endpoint. Only this answer and that of `rotate_secret` show the secret."""
        row = EndpointRow(
            id=self._new_id("whe"),
            merchant=merchant,
            url=check_url(url, self._policy, https_only=self._https_only),
            events=rules.check_events(events),
            state="active",
            secret=self._new_secret(),
            created_at=self._now(),
        )
        if not await self._store.add_endpoint(row, rules.ENDPOINTS_MAX):
            raise WrongState(
                f"a shop has at most {rules.ENDPOINTS_MAX} endpoints; delete one first"
            )
        return with_secret(row)

    async def endpoints(self, merchant: str) -> list[Endpoint]:
        """All endpoints of a merchant, oldest first; there are at most `ENDPOINTS_MAX`."""
        return [endpoint_shape(row) for row in await self._store.endpoints(merchant)]

    async def endpoint(self, merchant: str, endpoint: str) -> Endpoint:
        """One endpoint."""
        return endpoint_shape(await self._endpoint(merchant, endpoint))

    async def edit(
        self,
        merchant: str,
        endpoint: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        state: EndpointState | None = None,
    ) -> Endpoint:
        """Change what is given. Any edit also ends a pause after failures."""
        if url is not None:
            url = check_url(url, self._policy, https_only=self._https_only)
        wanted = None if events is None else rules.check_events(events)
        return await self._change(
            merchant, endpoint, lambda row: rules.edited(row, url=url, events=wanted, state=state)
        )

    async def delete(self, merchant: str, endpoint: str) -> None:
        """Remove an endpoint with everything that waits for it."""
        if not await self._store.delete_endpoint(merchant, endpoint):
            raise NotFound("no such webhook endpoint")

    async def rotate_secret(self, merchant: str, endpoint: str) -> EndpointWithSecret:
        """A new secret; the one before signs as well for `ROTATION_MS`."""
        secret, now = self._new_secret(), self._now()
        row = await self._store.change_endpoint(
            merchant, endpoint, lambda row: rules.rotated(row, secret, now)
        )
        if row is None:
            raise NotFound("no such webhook endpoint")
        return with_secret(row)

    async def test(self, merchant: str, endpoint: str) -> Delivery:
        """Queue a `webhook.test` event, which every endpoint gets whatever its filter says."""
        await self._change(merchant, endpoint, rules.asked)
        row, now = await self._endpoint(merchant, endpoint), self._now()
        data = msgspec.json.encode({"endpoint": {"id": row.id, "url": row.url}})
        delivery = self._delivery(row, self._new_id("evt"), rules.TEST_TYPE, now, data)
        await self._store.add_delivery(delivery)
        self.wake()
        return delivery_shape(delivery)

    async def failed(self, merchants: Sequence[str], since: int) -> int:
        """How many deliveries of these shops, made since then (ms), were given up."""
        return await self._store.failed(merchants, since)

    async def deliveries(
        self,
        merchant: str,
        *,
        endpoint: str | None = None,
        state: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> tuple[list[Delivery], str | None]:
        """Newest first, with the cursor of the next page."""
        if state is not None and state not in ("pending", "delivered", "failed"):
            raise Invalid("state is one of pending, delivered, failed")
        limit = max(1, min(limit, LIST_MAX))
        rows = await self._store.deliveries(
            merchant, endpoint=endpoint, state=state, before=cursor, limit=limit + 1
        )
        following = rows[limit - 1].id if len(rows) > limit else None
        return [delivery_shape(row) for row in rows[:limit]], following

    async def redeliver(self, merchant: str, delivery: str) -> Delivery:
        """Send one delivery again from the start, with the same id and bytes."""
        known, now = await self._store.delivery(merchant, delivery), self._now()
        if known is None:
            raise NotFound("no such delivery")
        await self._change(merchant, known.endpoint, rules.asked)
        row = await self._store.change_delivery(
            merchant, delivery, lambda row: rules.requeue(row, now)
        )
        if row is None:
            raise NotFound("no such delivery")
        self.wake()
        return delivery_shape(row)

    async def replay(self, merchant: str, endpoint: str, since: str) -> Endpoint:
        """
        Send every event since then again, also those the endpoint never got.

        Ids and bytes are those of the first time. Works on in the background, and after a restart.
        """
        start, now = rules.parse_time(since), self._now()
        if not now - rules.REPLAY_MAX_MS <= start <= now + rules.CLOCKS_APART_MS:
            days = rules.REPLAY_MAX_MS // rules.DAY
            raise Invalid(f"since must lie within the last {days} days", field="since")
        after = await self._number_before(start)
        until = await self._feed.last()
        return await self._change(
            merchant, endpoint, lambda row: rules.replaying(row, after, until)
        )

    def wake(self) -> None:
        """There may be news in the feed or in the queue; call it on the loop."""
        self._follow_wake.set()
        self._deliver_wake.set()

    def hear(self) -> None:
        """There are news in the feed; what they queue wakes the deliveries."""
        self._follow_wake.set()

    @property
    def in_flight(self) -> int:
        """Requests on their way, and outcomes that are not stored yet."""
        return len(self._sending) + len(self._finished)

    async def idle(self) -> None:
        """Wait until no request is on its way."""
        if self._sending:
            await asyncio.wait(self._sending)

    # The loops -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the feed and deliver until cancelled; what is unsent then is given back."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(
                    self._forever(self._follow_round, self._follow_wake, POLL_SECONDS)
                )
                group.create_task(
                    self._forever(self._deliver_round, self._deliver_wake, POLL_SECONDS)
                )
                group.create_task(self._forever(self.tidy, asyncio.Event(), TIDY_SECONDS))
                group.create_task(self._forever(self.count, asyncio.Event(), COUNT_SECONDS))
        finally:
            await asyncio.shield(self._stop())

    async def follow(self) -> bool:
        """Queue the next events of the feed; whether there may be more."""
        after = await self._store.cursor()
        events = await self._feed.after(after, FEED_BATCH)
        if events:
            merchants = sorted({event.merchant for event in events})
            await self._store.append(
                after, events[-1].n, merchants, lambda found: self._queue_up(events, found)
            )
        replaying = await self._store.replaying(REPLAYS_MAX)
        for endpoint in replaying:
            await self._replay_further(endpoint)
        if events or replaying:
            self._deliver_wake.set()
        return len(events) == FEED_BATCH or bool(replaying)

    async def deliver(self) -> None:
        """Store what is finished, and start what is due and fits."""
        await self._store_finished()
        free = SENDS_MAX - self.in_flight
        if free <= 0:
            return
        now = self._now()
        in_flight = Counter(row.endpoint for row in self._sending.values())
        busy = [endpoint for endpoint, count in in_flight.items() if count >= rules.SLOTS]
        due = await self._store.due(now, busy, free)
        wanted = self._share(due, in_flight, free)
        if not wanted:
            return
        rows = await self._store.claim(wanted, now, now + CLAIM_MS, self._new_id("clm"))
        endpoints = {endpoint.id: endpoint for endpoint in due}
        for row in rows:
            self._start(row, endpoints[row.endpoint])

    async def tidy(self) -> None:
        """Remove deliveries that are older than any replay reaches."""
        oldest, removed = self._now() - rules.REPLAY_MAX_MS, TIDY_BATCH
        while removed == TIDY_BATCH:
            removed = await self._store.prune(oldest, TIDY_BATCH)

    async def count(self) -> None:
        """See how long the queue is."""
        self.waiting = await self._store.waiting(COUNT_MAX)

    async def _follow_round(self) -> None:
        more = True
        while more:
            more = await self.follow()
            await self._pace.rest(FOLLOW_PAUSE_SECONDS, FOLLOW_PAUSE_MAX_SECONDS)

    async def _deliver_round(self) -> None:
        await self.deliver()
        await self._pace.rest(DELIVER_PAUSE_SECONDS, DELIVER_PAUSE_MAX_SECONDS)

    async def _forever(
        self, step: Callable[[], Awaitable[None]], wake: asyncio.Event, seconds: float
    ) -> None:
        """Repeat a step when woken, and every so often. A failed step is logged and repeated."""
        while True:
            wake.clear()
            try:
                await step()
            except (Refusal, Failure) as problem:  # the database does not answer
                log.warning("webhooks: %s; trying again", problem)
                await asyncio.sleep(ERROR_PAUSE_SECONDS)
                continue
            except Exception:
                log.exception("webhooks: a round failed; trying again")
                await asyncio.sleep(ERROR_PAUSE_SECONDS)
                continue
            try:
                async with asyncio.timeout(seconds):  # wait_for may lose a cancel (Python 3.11)
                    await wake.wait()
            except TimeoutError:
                continue

    async def _stop(self) -> None:
        """Cancel requests in flight and give their deliveries back, so that nobody waits."""
        rows = list(self._sending.values())
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        try:
            await self._store_finished()
            if rows:
                await self._store.release(rows, self._now())
        except Exception:
            log.exception("webhooks: claims not given back; they end by themselves")

    # Following

    def _queue_up(self, events: list[FeedEvent], found: list[EndpointRow]) -> list[DeliveryRow]:
        return [
            self._of_event(endpoint, event)
            for event in events
            for endpoint in found
            if rules.wants(endpoint, event)
        ]

    def _of_event(self, endpoint: EndpointRow, event: FeedEvent) -> DeliveryRow:
        name = rules.event_id(event.at, event.n)
        return self._delivery(endpoint, name, event.type, event.at, event.data)

    def _delivery(
        self, endpoint: EndpointRow, event_id: str, event_type: str, at: int, data: bytes
    ) -> DeliveryRow:
        now = self._now()
        return DeliveryRow(
            id=self._new_id("dlv"),
            endpoint=endpoint.id,
            merchant=endpoint.merchant,
            event_id=event_id,
            type=event_type,
            body=rules.envelope(event_type, at, data),
            due_at=now,
            created_at=now,
        )

    async def _replay_further(self, endpoint: EndpointRow) -> None:
        assert endpoint.replay_after is not None and endpoint.replay_until is not None
        events = await self._feed.after(endpoint.replay_after, FEED_BATCH)
        inside = [event for event in events if event.n <= endpoint.replay_until]
        done = len(inside) < FEED_BATCH
        reached = None if done else inside[-1].n
        await self._store.replay(endpoint, reached, self._queue_up(inside, [endpoint]))

    async def _number_before(self, moment: int) -> int:
        """The feed number after which events are not older than `moment`, by halving."""
        low, high = 0, await self._feed.last()
        while low < high:
            middle = (low + high) // 2
            following = await self._feed.after(middle, 1)
            if not following or following[0].at >= moment:
                high = middle
            else:
                low = following[0].n
        return low

    # Delivering

    def _share(
        self, due: list[EndpointRow], in_flight: Counter[str], free: int
    ) -> list[tuple[str, int]]:
        """How many deliveries to take for which endpoint, the longest due first."""
        wanted = []
        troubled = SENDS_TROUBLED_MAX - len(self._troubled)
        for endpoint in due:
            count = min(free, rules.slots(endpoint.failures) - in_flight[endpoint.id])
            if endpoint.failures:
                count = min(count, troubled)
                troubled -= max(count, 0)
            if count > 0:
                wanted.append((endpoint.id, count))
                free -= count
        return wanted

    def _start(self, row: DeliveryRow, endpoint: EndpointRow) -> None:
        task = asyncio.create_task(self._send(row, endpoint), name=f"webhook {row.id}")
        self._sending[task] = row
        if endpoint.failures:
            self._troubled.add(row.id)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        row = self._sending.pop(task)
        self._troubled.discard(row.id)
        self._deliver_wake.set()
        if not task.cancelled() and task.exception() is not None:
            # Ours, not theirs. The claim ends by itself and the delivery comes back.
            log.error("webhooks: sending %s failed", row.id, exc_info=task.exception())

    async def _send(self, row: DeliveryRow, endpoint: EndpointRow) -> None:
        now = self._now()
        secrets = rules.secrets_now(endpoint, now)
        headers = rules.headers(secrets, row.event_id, now // 1000, row.body)
        answer = await self._sender.send(endpoint.url, headers, row.body)
        after = rules.outcome(row, answer, self._now(), self._jitter())
        self.attempts[after.state] += 1
        self._finished.append(Finished(row, after, answer))

    async def _store_finished(self) -> None:
        """One transaction for all outcomes that gathered meanwhile."""
        batch = list(self._finished)
        if batch:
            await self._store.finish(batch, self._now())
            del self._finished[: len(batch)]

    # Small parts

    async def _endpoint(self, merchant: str, endpoint: str) -> EndpointRow:
        row = await self._store.endpoint(merchant, endpoint)
        if row is None:
            raise NotFound("no such webhook endpoint")
        return row

    async def _change(
        self, merchant: str, endpoint: str, change: Callable[[EndpointRow], EndpointRow]
    ) -> Endpoint:
        row = await self._store.change_endpoint(merchant, endpoint, change)
        if row is None:
            raise NotFound("no such webhook endpoint")
        self.wake()
        return endpoint_shape(row)

    def _new_secret(self) -> str:
        return rules.make_secret(self._random_bytes(rules.SECRET_BYTES))

    def _jitter(self) -> float:
        """Evenly spread in [-1, 1]."""
        return int.from_bytes(self._random_bytes(4)) / 0x7FFF_FFFF - 1
