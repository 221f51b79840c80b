"""Flash sales and reservations."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field

from liveserver.web.requests.common import Body, Cents, Units
from liveserver.web.requests.products import Sku
from orders.shapes import Buyers, HostAway

Countdown = Annotated[int, Meta(ge=0, le=300)]
Duration = Annotated[int, Meta(ge=1, le=86_400)]
Time = Annotated[str, Meta(max_length=40)]


class NewSale(Body):
    """Starts after `countdown_seconds` of the server's clock, or at `starts_at` (RFC 3339, within
    30 days), not both. A price under half the list price needs `confirm_low_price`. `buyers` left
    out: what this server takes as usual. `host_away`: what the sale does while the picture of the
    host is gone; one that pauses keeps the time it had left, for ten minutes at most."""

    sku: Sku
    price_cents: Cents
    units: Units
    per_buyer_limit: Units = 1
    buyers: Buyers | None = None
    countdown_seconds: Countdown = 0
    starts_at: Time | None = None
    duration_seconds: Duration = 300
    hold_seconds: Duration = 300
    confirm_low_price: bool = False
    host_away: HostAway = "go_on"


class SaleChanges(Body):
    """What is left out stays. `units` is the new total; times are RFC 3339. `starts_at` only before
    the start; the end moves along unless `ends_at` is given; neither while the sale pauses. A sale
    that pauses goes on at once with `host_away` = `go_on`."""

    units: Units | UnsetType = UNSET
    per_buyer_limit: Units | UnsetType = UNSET
    starts_at: Time | UnsetType = UNSET
    ends_at: Time | UnsetType = UNSET
    host_away: HostAway | UnsetType = UNSET


class SaleCancel(Body):
    """`honour` keeps the orders that were taken, `void` cancels them too."""

    orders: Literal["honour", "void"] = "honour"


class NewReservation(Body):
    """`metadata` (up to 2 kB of JSON) comes back with the order and in webhooks."""

    quantity: Units = 1
    metadata: dict[str, Any] = field(default_factory=dict)


class NewPlace(Body):
    """How many are wished for; an offer may be of fewer. `metadata` goes into the order."""

    quantity: Units = 1
    metadata: dict[str, Any] = field(default_factory=dict)
