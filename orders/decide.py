"""
Every request and what decides it, as one table; and one batch from requests to effects.
"""

from collections.abc import Sequence
from typing import NamedTuple

from orders import (
    decide_coupons,
    decide_delivery,
    decide_inbound,
    decide_orders,
    decide_payments,
    decide_products,
    decide_sales,
    decide_shelf,
    decide_shops,
    decide_waitlist,
    requests,
)
from orders.decide_once import Decide, Wants, decide_once, wants_once
from orders.desk import Answer, Desk
from orders.errors import Refusal
from orders.ledger import MAX_ENDED_BESIDE_REQUESTS, MAX_ENDED_IN_A_BATCH, Wanted
from orders.memory import Memory
from orders.requests import AnyRequest
from orders.sale import check_reserve_request
from orders.text import check_prose
from orders.waitlist import check_join_request

MAX_TEXT_CHARS = 10_000  # of any field; the rules of each field are narrower


class Rule(NamedTuple):
    """`wants`: what must be read first. `decide`: the answer, or a `Refusal`."""

    wants: Wants
    decide: Decide


def _once(wants: Wants, decide: Decide) -> Rule:
    """The rule of a request that may have a key."""
    return Rule(wants_once(wants), decide_once(decide))


RULES: dict[type, Rule] = {
    requests.Reserve: Rule(decide_orders.reserve_wants, decide_orders.reserve),
    requests.CreateOrder: Rule(decide_shelf.create_wants, decide_shelf.create),
    requests.EditShop: Rule(decide_shops.wants, decide_shops.edit),
    requests.SetSecret: Rule(decide_shops.wants, decide_shops.set_secret),
    requests.Inbound: Rule(decide_inbound.wants, decide_inbound.decide),
    requests.CreateCoupon: _once(decide_coupons.create_wants, decide_coupons.create),
    requests.EditCoupon: _once(decide_coupons.edit_wants, decide_coupons.edit),
    requests.Pay: Rule(decide_payments.pay_wants, decide_payments.pay),
    requests.StartPayment: Rule(decide_payments.pay_wants, decide_payments.start),
    requests.Verdict: Rule(decide_payments.pay_wants, decide_payments.verdict),
    requests.MarkPaid: Rule(decide_payments.pay_wants, decide_payments.mark_paid),
    requests.Refund: Rule(decide_payments.refund_wants, decide_payments.refund),
    requests.Ship: Rule(decide_delivery.order_wants, decide_delivery.ship),
    requests.Complete: Rule(decide_delivery.order_wants, decide_delivery.complete),
    requests.Cancel: Rule(decide_orders.cancel_wants, decide_orders.cancel),
    requests.JoinWaitlist: Rule(decide_waitlist.join_wants, decide_waitlist.join),
    requests.LeaveWaitlist: Rule(decide_waitlist.leave_wants, decide_waitlist.leave),
    requests.CreateProduct: _once(decide_products.create_wants, decide_products.create),
    requests.EditProduct: _once(decide_products.edit_wants, decide_products.edit),
    requests.AdjustStock: _once(decide_products.adjust_wants, decide_products.adjust),
    requests.SetGrant: _once(decide_products.grant_wants, decide_products.set_grant),
    requests.CreateSale: _once(decide_sales.create_wants, decide_sales.create),
    requests.EditSale: _once(decide_sales.edit_wants, decide_sales.edit),
    requests.HostLeft: Rule(decide_sales.host_wants, decide_sales.host_left),
    requests.HostBack: Rule(decide_sales.host_wants, decide_sales.host_back),
    requests.CancelSale: _once(decide_sales.cancel_wants, decide_sales.cancel),
    requests.Note: Rule(decide_products.note_wants, decide_products.note),
}

Result = Answer | Refusal


def check_request(request: AnyRequest) -> None:
    """What can be refused at the door: no text gets in that a database cannot hold."""
    if isinstance(request, requests.Reserve):
        check_reserve_request(request)
        return
    if isinstance(request, requests.CreateOrder):
        decide_shelf.check_request(request)
        return
    if isinstance(request, requests.JoinWaitlist):
        check_join_request(request)
        return
    for name in request.__struct_fields__:
        value = getattr(request, name)
        if isinstance(value, str):
            check_prose(value, name, most=MAX_TEXT_CHARS)


def what_is_missing(memory: Memory, batch: Sequence[AnyRequest], now: int) -> Wanted:
    """What the requests and the timers need that memory does not hold."""
    wanted = Wanted(most_ended=MAX_ENDED_BESIDE_REQUESTS if batch else MAX_ENDED_IN_A_BATCH)
    for request in batch:
        RULES[type(request)].wants(memory, request, wanted)
    if memory.next_due_at is not None and now >= memory.next_due_at:
        wanted.due_at = now
    if memory.voids:
        wanted.void_sale, wanted.void_after = memory.voids[0], memory.void_after
        wanted.sales.add(memory.voids[0])
    return wanted


def decide(desk: Desk, batch: Sequence[AnyRequest], void_sale: str | None) -> list[Result]:
    """
    The result of each request, timers first, so that freed units can be sold in this batch: to
    those who wait before anybody else.
    """
    decide_sales.turn_by_clock(desk)
    decide_orders.expire_due(desk)
    if void_sale is not None:
        decide_orders.void_orders(desk, void_sale)
    results = [_result(desk, request) for request in batch]
    decide_waitlist.offer_returned(desk)
    return results


def _result(desk: Desk, request: AnyRequest) -> Result:
    try:
        return RULES[type(request)].decide(desk, request)
    except Refusal as refusal:
        return refusal
