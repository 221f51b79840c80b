"""
Decisions about money: pay, verdicts of providers, late and double payments, refunds.

A payment is `open` while its provider may still take the money, `closed` when it never will,
`captured` when it paid an order, and `returned` when no order could take it: then the whole of it
goes back, once, by a refund whose id is made of the payment's.
"""

import msgspec

from orders.decide_late import late_order, revive
from orders.desk import Answer, Desk
from orders.errors import Invalid, KeyConflict, NotFound, Refusal, WrongState
from orders.ledger import Wanted
from orders.memory import Memory
from orders.money import MAX_CENTS, check_currency, check_integer
from orders.order import DEAD, PAYABLE, edge, path
from orders.requests import MarkPaid, Pay, Refund, StartPayment, Verdict
from orders.rows import VOID_NONE, OrderRow, PaymentRow, RefundRow
from orders.shapes import PaymentOutcome
from orders.shapes import Refund as RefundShape
from orders.text import check_text
from orders.times import rfc3339

MANUAL = "manual"  # the provider of money that a merchant says has arrived
MAX_PROVIDER_CHARS = 300  # a name of ours, or one with the shop's behind it
REFUNDABLE = ("paid", "shipped", "completed")
MAX_REASON_CHARS = 500
MAX_REFERENCE_CHARS = 200


def order_row(desk: Desk, order_id: str) -> OrderRow:
    """An order to change. Raises `NotFound`."""
    row = desk.facts.orders.get(order_id)
    if row is None:
        raise NotFound("no such order")
    return row


# ── paying ──────────────────────────────────────────────────────────────────────────────────────


def pay_wants(
    memory: Memory, request: Pay | StartPayment | Verdict | MarkPaid, wanted: Wanted
) -> None:
    if isinstance(request, MarkPaid):
        provider = of_shop(MANUAL, request.merchant)
    else:
        provider = request.provider
    wanted.orders.add(request.order)
    wanted.payments.add((provider, request.payment))
    wanted.payments_of.add(request.order)


def of_shop(provider: str, merchant: str) -> str:
    """Payments that a shop names itself are its own: two shops may both have a number 1001."""
    return f"{provider}:{merchant}"


def pay(desk: Desk, request: Pay) -> Answer:
    """The whole amount, once: the same payment repeated changes nothing."""
    row = order_row(desk, request.order)
    booked = _booked(desk, request.provider, request.payment, row)
    if booked is not None and booked.state == "captured":
        return row.json
    _check_payable(desk, row)
    edge(row.state, path(row.state, "paid")[0])
    _capture(desk, row, _payment(desk, row, request.provider, request.payment), request.actor)
    return row.json


def start(desk: Desk, request: StartPayment) -> Answer:
    """From now on the deadline asks the provider instead of ending the order."""
    row = order_row(desk, request.order)
    if _booked(desk, request.provider, request.payment, row) is not None:
        return row.json
    if row.state not in ("reserved", "pending_payment"):
        raise WrongState(f"an order that is {row.state} cannot be paid", state=row.state)
    _check_payable(desk, row)
    _book(desk, _payment(desk, row, request.provider, request.payment), "open")
    if row.state == "reserved":
        desk.move_order(row, "pending_payment", request.actor, {})
    return row.json


def mark_paid(desk: Desk, request: MarkPaid) -> Answer:
    """The merchant has the money. Of a dead order a new one is made, while there is stock."""
    row = order_row(desk, request.order)
    provider = of_shop(MANUAL, request.merchant)
    booked = desk.facts.payments.get((provider, request.payment))
    if booked is not None:
        return _whose(desk, row, booked).json
    payment = _payment(desk, row, provider, request.payment)
    if row.state in DEAD:
        if late_order(desk, row) is not None:
            raise WrongState("a late payment made a new order of it already", state=row.state)
        return _capture_late(desk, row, payment, request.actor).json
    if row.state not in PAYABLE:
        raise WrongState(f"the order is {row.state}", state=row.state)
    _capture(desk, row, payment, request.actor)
    return row.json


def _whose(desk: Desk, row: OrderRow, booked: PaymentRow) -> OrderRow:
    """The order, or the one that was made of it late. Raises `WrongState` for any other's."""
    if booked.order_id == row.id:
        return row
    late = late_order(desk, row)
    if late is None or late.id != booked.order_id:
        raise WrongState("this payment belongs to another order")
    return late


def _booked(desk: Desk, provider: str, payment: str, row: OrderRow) -> PaymentRow | None:
    """The payment if it is known. Raises `WrongState` when it is another order's."""
    check_text(provider, "provider", most=MAX_PROVIDER_CHARS)
    check_text(payment, "payment", most=MAX_REFERENCE_CHARS)
    booked = desk.facts.payments.get((provider, payment))
    if booked is not None and booked.order_id != row.id:
        raise WrongState("this payment belongs to another order")
    return booked


def _check_payable(desk: Desk, row: OrderRow) -> None:
    if row.state == "reserved" and row.expires_at is not None and desk.now >= row.expires_at:
        raise WrongState("the order was held until its deadline, which has passed", state="expired")


def _payment(
    desk: Desk,
    row: OrderRow,
    provider: str,
    payment: str,
    amount_cents: int | None = None,
    currency: str | None = None,
) -> PaymentRow:
    return PaymentRow(
        provider=provider,
        id=payment,
        order_id=row.id,
        amount_cents=row.amount_cents if amount_cents is None else amount_cents,
        currency=currency or row.currency,
        state="",
        at=desk.now,
    )


def _book(desk: Desk, payment: PaymentRow, state: str) -> None:
    """A new payment, or a known one in another state."""
    place = (payment.provider, payment.id)
    known = desk.facts.payments.get(place)
    booked = payment.moved(state)
    if known is None:
        desk.out.payments.append(booked)
    else:
        desk.move_payment(known, booked)
    desk.facts.payments[place] = booked
    others = [
        row
        for row in desk.facts.payments_of.get(booked.order_id, [])
        if (row.provider, row.id) != place
    ]
    desk.facts.payments_of[booked.order_id] = [*others, booked]


def _capture(desk: Desk, row: OrderRow, payment: PaymentRow, actor: str) -> None:
    """An order that is held becomes paid; one of a voided sale is paid back at once."""
    steps = path(row.state, "paid")
    row.paid_at = desk.now
    for step in steps:
        fields: dict[str, object] = {"paid_at": rfc3339(desk.now)} if step == "paid" else {}
        desk.move_order(row, step, actor, fields)
    _book(desk, payment, "captured")
    if row.flash_sale_id is not None:
        sale = desk.sale_row(row.flash_sale_id)
        if sale is not None and sale.void != VOID_NONE:
            refund_all(desk, row, "the sale was cancelled")


def _capture_late(desk: Desk, dead: OrderRow, payment: PaymentRow, actor: str) -> OrderRow:
    """The order that a late payment makes. Raises a refusal before anything was changed."""
    late = revive(desk, dead, actor)
    _book(desk, msgspec.structs.replace(payment, order_id=late.id), "captured")
    return late


# ── what providers say ──────────────────────────────────────────────────────────────────────────


def verdict(desk: Desk, request: Verdict) -> Answer:
    """
    A payment that was captured pays its order, makes a new one of a dead order, or goes back whole.
    One that never will be ends the order that waited only for it.
    """
    row = order_row(desk, request.order)
    check_text(request.provider, "provider", most=MAX_PROVIDER_CHARS)
    check_text(request.payment, "payment", most=MAX_REFERENCE_CHARS)
    known = desk.facts.payments.get((request.provider, request.payment))
    if not request.paid:
        return _unpaid(desk, row, known, request)
    check_integer(request.amount_cents, "amount_cents", least=0, most=MAX_CENTS)
    check_currency(request.currency)
    if known is not None:
        _whose(desk, row, known)
        if known.state in ("captured", "returned"):
            return _outcome("repeated", row)
    payment = _payment(
        desk, row, request.provider, request.payment, request.amount_cents, request.currency
    )
    return _paid(desk, row, payment, request.actor)


def _paid(desk: Desk, row: OrderRow, payment: PaymentRow, actor: str) -> Answer:
    if (payment.amount_cents, payment.currency) != (row.amount_cents, row.currency):
        return _return(desk, row, payment, "another amount than the order's", actor)
    if row.state in PAYABLE:
        _capture(desk, row, payment, actor)
        return _outcome("paid", row)
    if row.state not in DEAD:
        return _return(desk, row, payment, "the order is paid already", actor)
    if late_order(desk, row) is not None:
        return _return(desk, row, payment, "the order was paid late already", actor)
    try:
        late = _capture_late(desk, row, payment, actor)
    except Refusal as refusal:
        return _return(desk, row, payment, f"too late: {refusal.detail}", actor)
    return _outcome("late", late)


def _unpaid(desk: Desk, row: OrderRow, known: PaymentRow | None, request: Verdict) -> Answer:
    if known is not None and known.order_id != row.id:
        raise WrongState("this payment belongs to another order")
    if known is not None and known.state == "open":
        _book(desk, known, "closed")
    waiting = [p for p in desk.facts.payments_of.get(row.id, []) if p.state == "open"]
    if row.state == "payment_unknown" and not waiting:
        desk.move_order(row, "expired", request.actor, {})
    return _outcome("unpaid", row)


def _outcome(outcome: str, row: OrderRow, refund: RefundRow | None = None) -> Answer:
    shape = None if refund is None else refund_shape(refund)

    def answer() -> bytes:
        return msgspec.json.encode(
            PaymentOutcome(outcome=outcome, order=msgspec.Raw(row.json()), refund=shape)  # type: ignore[arg-type]
        )

    return answer


def _return(desk: Desk, row: OrderRow, payment: PaymentRow, why: str, actor: str) -> Answer:
    """The whole payment goes back. Its refund has the payment's id, so there is one."""
    _book(desk, payment, "returned")
    refund = RefundRow(
        id=f"ref_{len(payment.provider)}_{payment.provider}_{payment.id}",  # `_` may be in both
        order_id=row.id,
        provider=payment.provider,
        payment_id=payment.id,
        kind="payment",
        amount_cents=payment.amount_cents,
        completes=1,
        currency=payment.currency,
        restock=0,
        reason=why[:MAX_REASON_CHARS],
        actor=actor,
        at=desk.now,
    )
    desk.out.refunds.append(refund)
    return _outcome("returned", row, refund)


# ── refunds ─────────────────────────────────────────────────────────────────────────────────────


def refund_id(request: Refund) -> str | None:
    """The id that a refund with a key always has."""
    return None if request.key is None else f"ref_{request.order}_{request.key}"


def refund_wants(memory: Memory, request: Refund, wanted: Wanted) -> None:
    wanted.orders.add(request.order)
    wanted.payments_of.add(request.order)
    known = refund_id(request)
    if known is not None:
        wanted.refunds.add(known)


def refund(desk: Desk, request: Refund) -> Answer:
    """
    Give back a part or all that is left. The part that completes the amount ends the order and may
    put its units back into stock.
    """
    check_text(request.reason, "reason", least=0, most=MAX_REASON_CHARS)
    row = order_row(desk, request.order)
    known_id = refund_id(request)
    known = None if known_id is None else desk.facts.refunds.get(known_id)
    if known is not None:
        _check_same_refund(known, row, request)
        return row.json
    if row.state not in REFUNDABLE:
        raise WrongState(f"an order that is {row.state} cannot be refunded", state=row.state)
    left = row.amount_cents - row.refunded_cents
    amount = left if request.amount_cents is None else request.amount_cents
    check_integer(amount, "amount_cents", least=min(1, left), most=left)
    if request.restock and amount < left:
        raise Invalid(
            "units go back into stock only with the refund that completes the amount",
            field="restock",
            left_cents=left,
        )
    give_back(desk, row, amount, request.reason, request.actor, request.restock, known_id)
    return row.json


def _check_same_refund(known: RefundRow, row: OrderRow, request: Refund) -> None:
    """No amount means all that was left: only the refund that gave it back is the same one."""
    if request.amount_cents is None:
        same_amount = bool(known.completes)
    else:
        same_amount = request.amount_cents == known.amount_cents
    is_same = known.order_id == row.id and same_amount and int(request.restock) == known.restock
    if not is_same:
        raise KeyConflict("this key was used for another refund")


def give_back(
    desk: Desk,
    row: OrderRow,
    amount: int,
    reason: str,
    actor: str,
    restock: bool,
    refund_id: str | None = None,
) -> None:
    """One refund of a paid order, with its edges."""
    captured = [p for p in desk.facts.payments_of.get(row.id, []) if p.state == "captured"]
    paid_by = captured[0] if captured else None
    done = RefundRow(
        id=refund_id or desk.new_id("ref"),
        order_id=row.id,
        provider=MANUAL if paid_by is None else paid_by.provider,
        payment_id="" if paid_by is None else paid_by.id,
        kind="order",
        amount_cents=amount,
        completes=int(row.refunded_cents + amount == row.amount_cents),
        currency=row.currency,
        restock=int(restock),
        reason=reason,
        actor=actor,
        at=desk.now,
    )
    desk.out.refunds.append(done)
    desk.facts.refunds[done.id] = done
    row.refunded_cents += amount
    fields: dict[str, object] = {"refunded_cents": row.refunded_cents}
    if row.refunded_cents < row.amount_cents:
        desk.move_order(row, row.state, actor, fields)
        return
    row.restocked = int(restock)
    desk.move_order(row, "refunding", actor, {})
    desk.move_order(row, "refunded", actor, fields)


def refund_all(desk: Desk, row: OrderRow, reason: str, actor: str = "system") -> None:
    """All that is left of an order whose sale was voided; its units are free again."""
    left = row.amount_cents - row.refunded_cents
    give_back(desk, row, left, reason, actor, restock=True)


def refund_shape(row: RefundRow) -> RefundShape:
    """A refund as merchants see it."""
    return RefundShape(
        id=row.id,
        order=row.order_id,
        provider=row.provider,
        payment=row.payment_id,
        amount_cents=row.amount_cents,
        currency=row.currency,
        restock=bool(row.restock),
        reason=row.reason,
        at=rfc3339(row.at),
    )
