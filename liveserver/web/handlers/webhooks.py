"""A merchant's webhook endpoints and deliveries, and the same events to pull."""

from typing import Any

import msgspec
from msgspec import UNSET

from liveserver.web.requests.webhooks import (
    DeliveryList,
    DeliveryQuery,
    EndpointChanges,
    EndpointList,
    Event,
    EventList,
    EventQuery,
    NewEndpoint,
    Replay,
)
from liveserver.web.route import Call, Created, Route, of_shop
from orders.feed import FeedEvent
from orders.times import rfc3339
from orders.webhooks import Delivery, Endpoint, EndpointWithSecret, event_id

SCAN_EVENTS = 500  # of all shops, read at once while looking for one shop's
SCANS_MAX = 10  # in one request; a shop with few events gets a cursor to go on from


async def create(call: Call) -> Created:
    """The only answer, besides that of rotating it, that shows the secret."""
    body: NewEndpoint = call.body
    made = await call.services.webhooks.create(call.merchant, body.url, body.events)
    return Created(made, f"/v1/webhook-endpoints/{made.id}")


async def list_endpoints(call: Call) -> EndpointList:
    items = await call.services.webhooks.endpoints(call.merchant)
    return EndpointList(items=items, next_cursor=None)


async def read(call: Call) -> Endpoint:
    return await call.services.webhooks.endpoint(call.merchant, call.params["endpoint"])


async def edit(call: Call) -> Endpoint:
    body: EndpointChanges = call.body
    changes: dict[str, Any] = {
        k: v for k, v in msgspec.structs.asdict(body).items() if v is not UNSET
    }
    return await call.services.webhooks.edit(call.merchant, call.params["endpoint"], **changes)


async def delete(call: Call) -> None:
    await call.services.webhooks.delete(call.merchant, call.params["endpoint"])


async def rotate(call: Call) -> EndpointWithSecret:
    """A new secret; for 24 hours the old one signs as well."""
    return await call.services.webhooks.rotate_secret(call.merchant, call.params["endpoint"])


async def test(call: Call) -> Delivery:
    return await call.services.webhooks.test(call.merchant, call.params["endpoint"])


async def replay(call: Call) -> Endpoint:
    body: Replay = call.body
    return await call.services.webhooks.replay(call.merchant, call.params["endpoint"], body.since)


async def list_deliveries(call: Call) -> DeliveryList:
    query: DeliveryQuery = call.query
    items, following = await call.services.webhooks.deliveries(
        call.merchant,
        endpoint=query.endpoint,
        state=query.state,
        cursor=query.cursor,
        limit=query.limit,
    )
    return DeliveryList(items=items, next_cursor=following)


async def redeliver(call: Call) -> Delivery:
    return await call.services.webhooks.redeliver(call.merchant, call.params["delivery"])


async def list_events(call: Call) -> EventList:
    """The shop's events behind `after`, in the order in which they were committed."""
    query: EventQuery = call.query
    types = {name.strip() for name in query.types.split(",") if name.strip()}
    after = query.after if query.cursor is None else int(query.cursor)
    found = list[FeedEvent]()
    for _ in range(SCANS_MAX):
        batch = await call.services.feed.after(after, SCAN_EVENTS)
        for event in batch:
            if len(found) == query.limit:
                break
            after = event.n
            if event.merchant == call.merchant and (not types or event.type in types):
                found.append(event)
        if len(batch) < SCAN_EVENTS or len(found) == query.limit:
            break
    more = after < await call.services.feed.last()
    return EventList(
        items=[_event(event) for event in found], next_cursor=str(after) if more else None
    )


def _event(event: FeedEvent) -> Event:
    return Event(
        n=event.n,
        id=event_id(event.at, event.n),
        type=event.type,
        timestamp=rfc3339(event.at),
        data=msgspec.json.decode(event.data),
    )


ENDPOINT = "/v1/webhook-endpoints/{endpoint}"

ROUTES = [
    Route(
        method="GET",
        path="/v1/webhook-endpoints",
        action="webhook.list",
        handler=list_endpoints,
        summary="My endpoints",
        tag="webhooks",
        about=of_shop,
        answer=EndpointList,
    ),
    Route(
        method="POST",
        path="/v1/webhook-endpoints",
        action="webhook.create",
        handler=create,
        summary="Add an endpoint; shows its secret once",
        tag="webhooks",
        request=NewEndpoint,
        about=of_shop,
        answer=EndpointWithSecret,
        status=201,
        refuses=("invalid-state",),
        limit="write",
    ),
    Route(
        method="GET",
        path=ENDPOINT,
        action="webhook.list",
        handler=read,
        summary="One endpoint",
        tag="webhooks",
        about=of_shop,
        answer=Endpoint,
    ),
    Route(
        method="PATCH",
        path=ENDPOINT,
        action="webhook.edit",
        handler=edit,
        summary="Change an endpoint, or switch it on or off",
        tag="webhooks",
        request=EndpointChanges,
        about=of_shop,
        answer=Endpoint,
        refuses=("invalid-state",),
        limit="write",
    ),
    Route(
        method="DELETE",
        path=ENDPOINT,
        action="webhook.delete",
        handler=delete,
        summary="Remove an endpoint",
        tag="webhooks",
        about=of_shop,
        status=204,
        limit="write",
    ),
    Route(
        method="POST",
        path=ENDPOINT + "/rotate-secret",
        action="webhook.rotate",
        handler=rotate,
        summary="A new secret; the old one signs for 24 hours more",
        tag="webhooks",
        about=of_shop,
        answer=EndpointWithSecret,
        limit="write",
    ),
    Route(
        method="POST",
        path=ENDPOINT + "/test",
        action="webhook.test",
        handler=test,
        summary="Send a test event",
        tag="webhooks",
        about=of_shop,
        answer=Delivery,
        refuses=("invalid-state",),
        limit="write",
    ),
    Route(
        method="POST",
        path=ENDPOINT + "/replay",
        action="webhook.replay",
        handler=replay,
        summary="Send everything again since a time",
        tag="webhooks",
        request=Replay,
        about=of_shop,
        answer=Endpoint,
        refuses=("invalid-state",),
        limit="write",
    ),
    Route(
        method="GET",
        path="/v1/webhook-deliveries",
        action="delivery.list",
        handler=list_deliveries,
        summary="What was sent, newest first",
        tag="webhooks",
        query=DeliveryQuery,
        about=of_shop,
        answer=DeliveryList,
    ),
    Route(
        method="POST",
        path="/v1/webhook-deliveries/{delivery}/redeliver",
        action="delivery.redeliver",
        handler=redeliver,
        summary="Send one delivery again",
        tag="webhooks",
        about=of_shop,
        answer=Delivery,
        refuses=("invalid-state",),
        limit="write",
    ),
    Route(
        method="GET",
        path="/v1/events",
        action="event.list",
        handler=list_events,
        summary="The events of the webhooks, pulled in order",
        tag="webhooks",
        query=EventQuery,
        about=of_shop,
        answer=EventList,
    ),
]
