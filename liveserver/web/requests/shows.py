"""Shows: what is asked of the archive, and what it answers."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from liveserver.web.requests.common import Body, Page
from orders.shapes import Turnover

Milliseconds = Annotated[int, Meta(ge=0, le=9_007_199_254_740_991)]


class ShowView(Struct, kw_only=True):
    """
    One show of a room. `open`: anybody may read its events and exports once it is over; those of a
    rehearsal only staff may, who alone find it in the list.
    """

    id: str
    room: str
    started_at: str
    ended_at: str | None
    open: bool
    rehearsal: bool


class ShowList(Struct, kw_only=True):
    items: list[ShowView]
    next_cursor: str | None


class EventQuery(Page):
    """`from` (inclusive) and `to` (exclusive) in milliseconds since 1970."""

    channel: Literal["room", "chat", "danmaku", "archive"] | None = None
    since: Milliseconds | None = field(name="from", default=None)
    until: Milliseconds | None = field(name="to", default=None)


class EventLine(Struct, kw_only=True):
    """An event as viewers got it; `offset` is 0 for what the bus did not number."""

    n: int
    channel: str
    epoch: str
    offset: int
    at: int
    event: Any


class EventList(Struct, kw_only=True):
    items: list[EventLine]
    next_cursor: str | None


class ArchiveRule(Body):
    """Whether anybody may read what was shown and said in a room, once a show is over."""

    open: bool


class ShowReport(Struct, kw_only=True):
    """
    What came of a show. Turnover counts the orders that were placed in it, up to now: three sums
    that are never mixed.
    """

    show: ShowView
    seconds: int
    viewers_peak: int
    likes: int
    messages: int
    danmaku: int
    deleted: int
    gaps: int
    turnover: list[Turnover]
    orders: dict[str, int]
    shipments_waiting: int
    webhooks_failed: int
