"""I10: what was taken is what paid orders cost, and all else goes back."""

from collections import Counter
from collections.abc import Iterator

from loadtest.books import PAID, RELEASED, Row, Run

LATE_MS = 15_000  # a payment that its order needs no more is settled in 5 s, and 10 s to recover
ANSWER_AT_ONCE = {"demo"}  # providers whose first answer comes with the first question
LATE_PAYMENT = "demo_late_{}"  # what the demo's provider takes late of an order, by its own name
SETTLED = {"captured", "returned"}


def money_is_right(run: Run) -> Iterator[str]:
    """I10: what was captured is what paid orders cost; no payment hangs on a dead order."""
    captured: Counter[str] = Counter()
    for payment in run.books.payments:
        if payment["state"] == "captured":
            captured[payment["order_id"]] += payment["amount_cents"]
    lines: Counter[str] = Counter()
    for line in run.books.lines:
        lines[line["order_id"]] += line["quantity"] * line["unit_price_cents"]
    for order in run.books.orders.values():
        paid = order["amount_cents"] if order["paid_at"] is not None else 0
        if captured[order["id"]] != paid:
            yield f"order {order['id']}: captured {captured[order['id']]}, paid {paid}"
        if order["refunded_cents"] > captured[order["id"]]:
            yield f"order {order['id']}: refunded {order['refunded_cents']} of {paid}"
        if lines[order["id"]] - run.books.discount_of(order) != order["amount_cents"]:
            yield f"order {order['id']}: lines {lines[order['id']]} of {order['amount_cents']}"
    yield from _goes_back_whole(run)
    yield from _left_open(run)
    yield from _late_money(run)
    yield from _told_money(run)


def _goes_back_whole(run: Run) -> Iterator[str]:
    """A payment that no order could take is refunded once, and no other is."""
    back: dict[tuple[str, str], list[int]] = {}
    for refund in run.books.refunds:
        if refund["kind"] == "payment":
            place = (refund["provider"], refund["payment_id"])
            back.setdefault(place, []).append(refund["amount_cents"])
    for payment in run.books.payments:
        given = back.pop((payment["provider"], payment["id"]), [])
        wanted = [payment["amount_cents"]] if payment["state"] == "returned" else []
        if given != wanted:
            yield f"payment {payment['id']}: refunded {given} instead of {wanted}"
    for place in back:
        yield f"payment {place}: refunded, and never taken"


def _left_open(run: Run) -> Iterator[str]:
    """A payment of an order that ended, or that another paid, does not stay open."""
    ended: dict[str, int] = {}
    for edge in run.books.edges:
        if edge["state"] in PAID | RELEASED:
            ended.setdefault(edge["order_id"], edge["at"])
    for payment in run.books.payments:
        at = ended.get(payment["order_id"])
        if payment["state"] != "open" or payment["provider"] not in ANSWER_AT_ONCE or at is None:
            continue
        if run.books.clock - at > LATE_MS + run.outage_ms:
            state = run.books.orders[payment["order_id"]]["state"]
            yield f"payment {payment['id']}: still open, its order is {state}"


def _late_money(run: Run) -> Iterator[str]:
    """
    What a provider took late, and only told when asked, has paid its order at the deadline; of an
    order that was cancelled it has made a new one, or went back.
    """
    payments = {(p["provider"], p["id"]): p for p in run.books.payments}
    for line in run.asks:
        if line["what"] != "start" or line["outcome"] != "late" or line["status"] != 200:
            continue
        order = run.books.orders.get(line["order"])
        if order is None or order["state"] not in PAID | RELEASED:
            continue
        taken = payments.get(("demo", LATE_PAYMENT.format(order["id"])))
        if order["state"] == "expired" or taken is None or taken["state"] == "closed":
            yield f"order {order['id']}: its payment was taken, it is {order['state']}"


def _told_money(run: Run) -> Iterator[str]:
    """What the shop's system told is in the books once and for all; what others told is not."""
    payments = {(p["provider"], p["id"]): p for p in run.books.payments}
    for line in run.journal:
        if line["kind"] != "notice" or not line["status"]:
            continue
        booked = payments.get((line["provider"], line["payment"]))
        if line["is_forged"]:
            if line["status"] != 401 or booked is not None:
                yield f"payment {line['payment']}: a forged message was answered {line['status']}"
        elif line["status"] == 204:
            yield from _as_told(line, booked)
        elif line["status"] < 500 and line["status"] not in (409, 429):
            yield f"payment {line['payment']}: its message was answered {line['status']}"


def _as_told(line: Row, booked: Row | None) -> Iterator[str]:
    allowed = {"returned"} if line["is_wrong"] else SETTLED
    if booked is None or booked["state"] not in allowed:
        yield f"payment {line['payment']}: told, and is {booked and booked['state']}"
    elif booked["amount_cents"] != line["amount_cents"]:
        yield f"payment {line['payment']}: told {line['amount_cents']}, {booked['amount_cents']}"
