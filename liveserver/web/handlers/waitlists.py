"""Waiting lists of sold-out flash sales: line up, look, give the place up."""

from liveserver.buying import join as line_up
from liveserver.buying import leave as step_out
from liveserver.web.requests.sales import NewPlace
from liveserver.web.route import Call, Created, Route
from orders.errors import NotFound
from orders.shapes import Place


async def join(call: Call) -> Created:
    """One place a buyer; the same Idempotency-Key gets it again, in the state of now."""
    body: NewPlace = call.body
    sale = call.params["sale"]
    raw = await line_up(call.services, call.who, sale, body.quantity, call.key, body.metadata)
    return Created(raw, f"/v1/flash-sales/{sale}/waitlist")


async def read(call: Call) -> Place:
    """The caller's newest place, with the position in line."""
    place = await call.services.reads.place(call.params["sale"], call.who.user)
    if place is None:
        raise NotFound("There is no such flash sale.")
    return place


async def leave(call: Call) -> None:
    """Repeated, or without a place, it changes nothing. An order that was offered stays."""
    await step_out(call.services, call.who, call.params["sale"])


PATH = "/v1/flash-sales/{sale}/waitlist"

ROUTES = [
    Route(
        method="POST",
        path=PATH,
        action="waitlist.join",
        handler=join,
        summary="Line up for what comes back to a sold-out sale",
        tag="sales",
        request=NewPlace,
        body_optional=True,
        answer=Place,
        status=201,
        refuses=(
            "forbidden", "sold-out", "limit-exceeded", "not-started", "ended", "invalid-state",
            "in-flight", "idempotency-conflict",
        ),
        idempotent=True,
        limit="reserve",
    ),
    Route(
        method="GET",
        path=PATH,
        action="waitlist.read",
        handler=read,
        summary="The own place in line",
        tag="sales",
        answer=Place,
    ),
    Route(
        method="DELETE",
        path=PATH,
        action="waitlist.leave",
        handler=leave,
        summary="Give the place in line up",
        tag="sales",
        status=204,
        limit="reserve",
    ),
]  # fmt: skip
