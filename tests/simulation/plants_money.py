"""
Second clients that write about money between the read and the write of a batch: each does what a
writer would be right to do at that moment, in one step, and this writer has not seen it.
"""

import copy
import itertools
from collections.abc import Callable, Iterator

import msgspec

from orders.ledger import OrderKey
from orders.requests import AnyRequest, CreateOrder, Refund
from orders.rows import CouponUseRow, EdgeRow, OrderRow, RefundRow
from orders.tables_memory import Tables
from tests.simulation.plants import Waited, move
from tests.simulation.world import World

REFUNDABLE = ("paid", "shipped")


def second_client_spends(world: World) -> Waited:
    """Somebody else sells to another buyer with a coupon that is asked for, inside its budget."""
    numbers = itertools.count(1)
    return _second_client_buys(world, lambda _request: f"other{next(numbers)}")


def second_client_sells(world: World) -> Waited:
    """The same to the same buyer, inside the limit for one buyer."""
    return _second_client_buys(world, lambda request: request.buyer)


def _second_client_buys(world: World, buyer: Callable[[CreateOrder], str]) -> Waited:
    def waited(place: str) -> None:
        tables = world.database.tables
        for request in _waiting(world, place):
            if not isinstance(request, CreateOrder) or request.coupon is None:
                continue
            use = next((use for use in tables.coupon_uses if _is_of(tables, use, request)), None)
            if use is not None:
                mine = msgspec.structs.replace(use, buyer=buyer(request))
                if _is_left(tables, mine):
                    _buy_again(tables, mine)

    return waited


def _is_of(tables: Tables, use: CouponUseRow, request: CreateOrder) -> bool:
    order = tables.orders[use.order_id]
    return tables.coupons[use.coupon_id].code == request.coupon and order.room is None


def _is_left(tables: Tables, use: CouponUseRow) -> bool:
    coupon = tables.coupons[use.coupon_id]
    uses = tables.coupon_buyers.get((use.coupon_id, use.buyer), 0)
    lines = [line for line in tables.lines if line.order_id == use.order_id]
    return (
        uses < coupon.per_buyer_limit
        and coupon.used + use.cents <= coupon.budget
        and all(line.quantity <= tables.products[line.product_id].free for line in lines)
    )


def _buy_again(tables: Tables, use: CouponUseRow) -> None:
    """The order of this use once more, for the buyer of the use."""
    old = tables.orders[use.order_id]
    new = f"{old.id}b{len(tables.orders)}"
    tables.orders[new] = msgspec.structs.replace(
        old, id=new, buyer=use.buyer, space="server", key=new, state="reserved", sequence=1,
        answer=old.answer.replace(old.id, new), changes="{}", refunded_cents=0, restocked=0,
        paid_at=None,
    )  # fmt: skip
    tables.keys[OrderKey(use.buyer, "server", new)] = new
    tables.edges[(new, 1)] = EdgeRow(
        n=max(row.n for row in tables.edges.values()) + 1, order_id=new, sequence=1,
        from_state="", state="reserved", at=0, actor="other", event=None, changes="{}",
    )  # fmt: skip
    for line in [line for line in tables.lines if line.order_id == old.id]:
        tables.lines.append(msgspec.structs.replace(line, order_id=new))
        _commit(tables, line.product_id, line.quantity)
    mine = msgspec.structs.replace(use, order_id=new)
    tables.coupon_uses.append(mine)
    _use(tables, mine, 1)


def _commit(tables: Tables, product: str, units: int) -> None:
    row = tables.products[product] = copy.copy(tables.products[product])
    row.committed += units


def _use(tables: Tables, use: CouponUseRow, times: int) -> None:
    coupon = tables.coupons[use.coupon_id] = copy.copy(tables.coupons[use.coupon_id])
    coupon.used += use.cents * times
    place = (use.coupon_id, use.buyer)
    tables.coupon_buyers[place] = tables.coupon_buyers.get(place, 0) + times


def second_client_refunds(world: World) -> Waited:
    """Somebody else does a refund of a part that waits for this writer, under the same key."""

    def waited(place: str) -> None:
        tables = world.database.tables
        for request, order in _wanted(world, place):
            row_id, cents = f"ref_{order.id}_{request.key}", request.amount_cents
            left = order.amount_cents - order.refunded_cents
            if cents is None or cents >= left or request.restock or row_id in tables.refunds:
                continue
            state = order.state
            move(tables, order.id, state)
            _note(tables, order.id, row_id, cents, restock=0)

    return waited


def second_client_pays_back(world: World) -> Waited:
    """Somebody else gives all of a shelf order back, units included, while a refund waits."""

    def waited(place: str) -> None:
        tables = world.database.tables
        for _request, order in _wanted(world, place):
            left = order.amount_cents - order.refunded_cents
            if order.flash_sale_id is not None or world.random.random() > 0.5:
                continue
            move(tables, order.id, "refunding", "refunded")
            _note(tables, order.id, f"ref_other_{order.id}", left, restock=1)
            for line in [line for line in tables.lines if line.order_id == order.id]:
                _commit(tables, line.product_id, -line.quantity)
                if order.room is not None:
                    room = (line.product_id, order.room)
                    grant = tables.grants[room] = copy.copy(tables.grants[room])
                    grant.used -= line.quantity
            for use in [use for use in tables.coupon_uses if use.order_id == order.id]:
                _use(tables, use, -1)

    return waited


def _waiting(world: World, place: str) -> list[AnyRequest]:
    """The requests that wait at the gateways while a batch is about to be written."""
    if place != "write":
        return []
    return [request for gateway in world.gateways.values() for request in gateway.waiting()]


def _wanted(world: World, place: str) -> Iterator[tuple[Refund, OrderRow]]:
    """The refunds among them that can be done."""
    for request in _waiting(world, place):
        if isinstance(request, Refund):
            order = world.database.tables.orders[request.order]
            if order.state in REFUNDABLE:
                yield request, order


def _note(tables: Tables, order_id: str, refund_id: str, cents: int, restock: int) -> None:
    """The refund as it is stored, and what the order says of it."""
    order = tables.orders[order_id]
    order.refunded_cents += cents
    order.restocked = restock
    tables.refunds[refund_id] = RefundRow(
        id=refund_id, order_id=order_id, provider="manual", payment_id="", kind="order",
        amount_cents=cents, completes=int(order.refunded_cents == order.amount_cents),
        currency=order.currency, restock=restock, reason="other", actor="other", at=0,
    )  # fmt: skip
