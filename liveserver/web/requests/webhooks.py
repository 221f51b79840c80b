"""Webhook endpoints, deliveries, and the same events pulled."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from liveserver.web.requests.common import Body, Id, Page, Query
from orders.webhooks import Delivery, Endpoint

Url = Annotated[str, Meta(min_length=1, max_length=2_000, pattern=r"^[!-~]+$")]
EventType = Literal[
    "order.reserved", "order.paid", "order.expired", "order.cancelled", "order.shipped",
    "order.completed", "order.refunded", "stock.low", "stock.sold_out", "flash_sale.ended",
    "room.started", "room.ended",
]  # fmt: skip
Events = Annotated[list[EventType], Meta(max_length=50)]


class NewEndpoint(Body):
    """`events` empty or left out: all of them."""

    url: Url
    events: Events = field(default_factory=list)


class EndpointChanges(Body):
    """What is left out stays. `state` "active" also wakes an endpoint that was switched off."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    state: Literal["active", "disabled"] | UnsetType = UNSET


class Replay(Body):
    """Send everything again that happened since then (RFC 3339), at most 30 days back."""

    since: Annotated[str, Meta(max_length=40)]


class DeliveryQuery(Page):
    endpoint: Id | None = None
    state: Literal["pending", "delivered", "failed"] | None = None


class EventQuery(Query):
    """
    `after` is the `n` of the last event known, and so is `cursor`, which every list takes and
    which goes before; `types` is a comma-separated list.
    """

    cursor: Annotated[str, Meta(pattern=r"^[0-9]{1,15}$")] | None = None
    after: Annotated[int, Meta(ge=0, le=9_007_199_254_740_991)] = 0
    types: Annotated[str, Meta(max_length=500)] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class EndpointList(Struct, kw_only=True):
    items: list[Endpoint]
    next_cursor: str | None


class DeliveryList(Struct, kw_only=True):
    items: list[Delivery]
    next_cursor: str | None


class Event(Struct, kw_only=True):
    """One committed event; `data` is the webhook's."""

    n: int
    id: str  # the `webhook-id` of its deliveries
    type: str
    timestamp: str
    data: dict[str, Any]


class EventList(Struct, kw_only=True):
    """`next_cursor` is the next `cursor` or `after`; null when there is nothing newer."""

    items: list[Event]
    next_cursor: str | None
