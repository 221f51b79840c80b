"""Buying, the same by HTTP and by the viewer socket."""

from typing import Any

from liveserver.identity import Identity
from liveserver.problems import Refused
from liveserver.services import Services
from orders.errors import InFlight
from orders.requests import Cancel, Pay, Reserve

PROVIDER = "demo"


async def reserve(
    services: Services,
    identity: Identity,
    sale: str,
    quantity: int,
    key: str,
    metadata: dict[str, Any],
) -> bytes:
    """
    Hold units; the JSON of the order.

    A buyer has one reservation on its way at a time, so that no single one fills the queue.

    Raises:
        orders.errors.Refusal: What the writer decided, or `InFlight`.
    """
    if identity.user in services.reserving:
        raise InFlight("Your reservation before this one is being worked on.")
    services.reserving.add(identity.user)
    try:
        return await services.door.ask(
            Reserve(
                flash_sale=sale,
                buyer=identity.user,
                buyer_name=identity.name,
                guest=identity.guest,
                quantity=quantity,
                key=key,
                metadata=metadata,
                actor=identity.user,
            )
        )
    finally:
        services.reserving.discard(identity.user)


async def pay(services: Services, identity: Identity, order: str) -> bytes:
    """
    Pay with the demo provider; the JSON of the order. Repeated, it changes nothing: the payment
    has the order's id.

    Raises:
        Refused: `forbidden` where there is no demo provider.
        orders.errors.Refusal: What the writer decided.
    """
    if not services.options.demo:
        raise Refused("forbidden", "There is no demo payment here; pay at the shop's checkout.")
    payment = f"{PROVIDER}_{order}"
    return await services.door.ask(
        Pay(order=order, provider=PROVIDER, payment=payment, actor=identity.user)
    )


async def cancel(services: Services, identity: Identity, order: str) -> bytes:
    """End an unpaid order. Raises orders.errors.Refusal."""
    return await services.door.ask(Cancel(order=order, actor=identity.user))
