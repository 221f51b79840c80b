"""Buying, the same by HTTP and by the viewer socket."""

from collections.abc import Callable
from typing import Any

from liveserver.identity import Identity
from liveserver.problems import Refused
from liveserver.services import Services
from orders import payments_demo as demo
from orders.decide_orders import CLIENT
from orders.errors import InFlight, Refusal
from orders.requests import (
    Cancel,
    CreateOrder,
    JoinWaitlist,
    LeaveWaitlist,
    LineAsked,
    Pay,
    Placing,
    Queueing,
    Reserve,
    StartPayment,
    Verdict,
)
from rooms.rehearsal import check_is_real, check_sells, is_on


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
    return await _place(services, reservation(identity, sale, quantity, key, metadata))


def reservation(
    identity: Identity, sale: str, quantity: int, key: str, metadata: dict[str, Any]
) -> Reserve:
    """What this person asks of the writer. Raises rooms.errors.Rehearses for a sale only tried."""
    check_is_real(sale)
    return Reserve(
        flash_sale=sale,
        buyer=identity.user,
        buyer_name=identity.name,
        guest=identity.guest,
        quantity=quantity,
        key=key,
        metadata=metadata,
        actor=identity.user,
    )


def place(services: Services, request: Placing, done: Callable[[bytes | Refusal], None]) -> None:
    """
    The same as `reserve` for a socket, of which a rush brings thousands at once: no task waits,
    `done` is called with the answer or the refusal.
    """
    reserving, buyer = services.reserving, request.buyer
    if buyer in reserving:
        done(_in_flight())
        return
    reserving.add(buyer)

    def answered(result: bytes | Refusal) -> None:
        reserving.discard(buyer)
        done(result)

    services.door.place(request, answered)


async def create(
    services: Services,
    identity: Identity,
    room: str | None,
    lines: list[LineAsked],
    key: str,
    metadata: dict[str, Any],
    coupon: str | None = None,
) -> bytes:
    """
    Buy products at their ordinary price, from a room's shelf or from the shop; the order's JSON.

    Raises:
        Refused: `forbidden` for guests outside the demo: nobody would answer for what they hold.
        rooms.errors.Refusal: There is no such room, or it rehearses.
        orders.errors.Refusal: What the writer decided, or `InFlight`.
    """
    if identity.guest and not services.options.demo:
        raise Refused("forbidden", "Orders are for buyers with an account: sign in first.")
    show = None if room is None else await _show_of(services, identity, room, key)
    return await _place(
        services,
        CreateOrder(
            buyer=identity.user,
            buyer_name=identity.name,
            lines=lines,
            key=key,
            room=room,
            show=show,
            coupon=coupon,
            metadata=metadata,
            actor=identity.user,
        ),
    )


async def _show_of(services: Services, identity: Identity, room: str, key: str) -> str | None:
    """The show to buy in. A rehearsal refuses what is new; a key of before gets its order again."""
    known = await services.rooms.get(room)
    if is_on(known) and await services.reads.order_by_key(identity.user, CLIENT, key) is None:
        check_sells(known)
    return known.show


async def join(
    services: Services,
    identity: Identity,
    sale: str,
    quantity: int,
    key: str,
    metadata: dict[str, Any],
) -> bytes:
    """
    Line up for what comes back to a sold-out sale; the place's JSON. The key gets its place again,
    in the state of now.

    Raises:
        orders.errors.Refusal: What the writer decided, or `InFlight`.
    """
    return await _place(
        services,
        JoinWaitlist(
            flash_sale=sale,
            buyer=identity.user,
            buyer_name=identity.name,
            guest=identity.guest,
            quantity=quantity,
            key=key,
            metadata=metadata,
            actor=identity.user,
        ),
    )


async def leave(services: Services, identity: Identity, sale: str) -> None:
    """Give the place in line up; without one nothing happens. Raises orders.errors.Refusal."""
    await services.door.ask(
        LeaveWaitlist(flash_sale=sale, buyer=identity.user, actor=identity.user)
    )


async def _place(services: Services, request: Queueing) -> bytes:
    if request.buyer in services.reserving:
        raise _in_flight()
    services.reserving.add(request.buyer)
    try:
        return await services.door.ask(request)
    finally:
        services.reserving.discard(request.buyer)


def _in_flight() -> InFlight:
    return InFlight("Your reservation before this one is being worked on.")


async def pay(services: Services, identity: Identity, order: str, outcome: str = demo.PAY) -> bytes:
    """
    Pay with the demo provider; the JSON of the order. Repeated, it changes nothing: the payment
    has the order's id. `outcome` is how the provider behaves (`orders.payments_demo`).

    Raises:
        Refused: `forbidden` where there is no demo provider.
        orders.errors.Refusal: What the writer decided.
    """
    if not services.options.demo:
        raise Refused("forbidden", "There is no demo payment here; pay at the shop's checkout.")
    payment = demo.payment_id(order, outcome)
    if outcome == demo.PAY:
        return await services.door.ask(
            Pay(order=order, provider=demo.NAME, payment=payment, actor=identity.user)
        )
    started = await services.door.ask(
        StartPayment(order=order, provider=demo.NAME, payment=payment, actor=identity.user)
    )
    if outcome == demo.FAIL:
        await services.door.ask(
            Verdict(order=order, provider=demo.NAME, payment=payment, paid=False)
        )
    return started


async def cancel(services: Services, identity: Identity, order: str) -> bytes:
    """End an unpaid order. Raises orders.errors.Refusal."""
    return await services.door.ask(Cancel(order=order, actor=identity.user))
