"""The invariants of single orders: true, wanted, once, in time, step by step, and paid right."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from loadtest.books import PAID, PLACING, RELEASED, Row, Run
from loadtest.journal import Line

EDGES = {
    ("", "reserved"), ("", "paid"), ("reserved", "pending_payment"), ("reserved", "expired"),
    ("reserved", "cancelled"), ("pending_payment", "paid"), ("pending_payment", "payment_unknown"),
    ("pending_payment", "cancelled"), ("pending_payment", "expired"), ("payment_unknown", "paid"),
    ("payment_unknown", "expired"), ("paid", "shipped"), ("paid", "refunding"),
    ("shipped", "completed"), ("shipped", "refunding"), ("completed", "refunding"),
    ("refunding", "refunded"),
}  # fmt: skip
LATE_MS = 15_000  # an order ends within 5 s of what ends it, and 10 s after a recovery
TIMED = {"reserved", "pending_payment"}
AT_DEADLINE = {("reserved", "expired"), ("pending_payment", "payment_unknown")}
ANSWER_AT_ONCE = {"demo"}  # providers whose first answer comes with the first question


def successes_are_true(run: Run) -> Iterator[str]:
    """I3: every success that a client recorded is in SQL, for the same quantity and price."""
    for line in run.asks:
        if line["status"] not in (200, 201) or line["what"] == "join":
            continue
        told = json.loads(line["body"])
        order = run.books.orders.get(told["id"])
        if order is None:
            yield f"order {told['id']} was acknowledged and is not there"
        elif line["what"] in PLACING:
            yield from _as_asked(run, line, told, order)
        elif line["what"] == "pay" and told["state"] == "paid" and order["state"] not in PAID:
            yield f"order {told['id']}: paid was acknowledged, it is {order['state']}"
        elif line["what"] == "cancel" and order["state"] != "cancelled":
            yield f"order {told['id']}: cancelled was acknowledged, it is {order['state']}"


def _as_asked(run: Run, line: Line, told: Row, order: Row) -> Iterator[str]:
    """What was asked for, at the price of the sale or of the shelf less the coupon's discount."""
    facts = (order["buyer"], order["key"], order["flash_sale_id"], order["quantity"])
    asked = (line["buyer"], line["key"], line.get("sale"), line["quantity"])
    if facts != asked:
        yield f"order {told['id']}: asked {asked}, stored {facts}"
    price = line["price_cents"] * line["quantity"] - run.books.discount_of(order)
    amounts = {order["amount_cents"], told["amount_cents"]}
    if amounts != {price}:
        yield f"order {told['id']}: amounts {amounts} instead of {price}"


def no_phantoms(run: Run) -> Iterator[str]:
    """
    I4: every order has a key that a client sent, came from a place in line that has one, or has a
    payment that made it.
    """
    sent = {(line["buyer"], line["key"]) for line in run.placings}
    joined = {(line["buyer"], line["key"]) for line in run.asks if line["what"] == "join"}
    places = [place for place in run.books.places if (place["buyer"], place["key"]) in joined]
    wished = {place["order_id"] for place in places}
    paid = {payment["order_id"] for payment in run.books.payments}
    for order in run.books.orders.values():
        known = {
            "client": (order["buyer"], order["key"]) in sent,
            "waitlist": order["id"] in wished,
            "server": order["id"] in paid,
        }
        if not known[order["space"]]:
            yield f"order {order['id']}: nobody asked for it ({order['space']} {order['key']})"


def one_order_a_key(run: Run) -> Iterator[str]:
    """I5: one order for a key, and the same bytes to everyone who repeats it."""
    found = Counter((o["buyer"], o["space"], o["key"]) for o in run.books.orders.values())
    for place, count in found.items():
        if count > 1:
            yield f"key {place} has {count} orders"
    answers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in run.placings:
        if line["status"] in (200, 201):
            answers[line["buyer"], line["key"]].add(line["body"])
    clients = [o for o in run.books.orders.values() if o["space"] == "client"]
    stored = {(o["buyer"], o["key"]): o["answer"] for o in clients}
    for pair, bodies in answers.items():
        if bodies != {stored.get(pair)}:
            yield f"key {pair} was answered {len(bodies)} ways, or not as stored"


def nothing_stuck(run: Run) -> Iterator[str]:
    """I6: an unpaid order ends soon after its deadline, one whose payment is unknown soon after."""
    bound = LATE_MS + run.outage_ms
    for order in run.books.orders.values():
        late = run.books.clock - (order["expires_at"] or run.books.clock)
        if order["state"] in TIMED and late > bound:
            yield f"order {order['id']}: still {order['state']} {late} ms after its deadline"
    for edge in run.books.edges:
        if (edge["from_state"], edge["state"]) in AT_DEADLINE:
            late = edge["at"] - run.books.orders[edge["order_id"]]["expires_at"]
            if late > bound:
                yield f"order {edge['order_id']}: {edge['state']} {late} ms after its deadline"
            if late < 0:
                yield f"order {edge['order_id']}: {edge['state']} {-late} ms before its deadline"
    yield from _unknown_too_long(run, bound)


def _unknown_too_long(run: Run, bound: int) -> Iterator[str]:
    """Counted from the step on: the providers named here answer the first question."""
    others = {p["order_id"] for p in run.books.payments if p["provider"] not in ANSWER_AT_ONCE}
    since: dict[str, int] = {}
    for edge in run.books.edges:
        order = edge["order_id"]
        if edge["from_state"] == "payment_unknown" and order in since:
            waited = edge["at"] - since.pop(order)
            if waited > bound:
                yield f"order {order}: its payment was unknown for {waited} ms"
        if edge["state"] == "payment_unknown" and order not in others:
            since[order] = edge["at"]
    for order, at in since.items():
        if run.books.clock - at > bound:
            yield f"order {order}: its payment is unknown for {run.books.clock - at} ms"


def resolved_once(run: Run) -> Iterator[str]:
    """I7: never both paid and released."""
    states: dict[str, list[str]] = defaultdict(list)
    for edge in run.books.edges:
        states[edge["order_id"]].append(edge["state"])
    for order, passed in states.items():
        ends = [state for state in passed if state == "paid" or state in RELEASED]
        if len(ends) > 1:
            yield f"order {order}: {' and '.join(ends)}"


def edges_are_allowed(run: Run) -> Iterator[str]:
    """I9: only allowed edges, each from the state before it, numbered without a gap."""
    last: dict[str, tuple[int, str]] = {}
    for edge in run.books.edges:
        sequence, state = last.get(edge["order_id"], (0, ""))
        if (edge["from_state"], edge["state"]) not in EDGES:
            yield f"order {edge['order_id']}: {edge['from_state']} > {edge['state']}"
        if (edge["sequence"], edge["from_state"]) != (sequence + 1, state):
            yield f"order {edge['order_id']}: edge {edge['sequence']} after {sequence} {state!r}"
        last[edge["order_id"]] = (edge["sequence"], edge["state"])
    for order in run.books.orders.values():
        if last.get(order["id"]) != (order["sequence"], order["state"]):
            yield f"order {order['id']}: is {order['state']}, last edge {last.get(order['id'])}"
