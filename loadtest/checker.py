"""
The checker: the clients' journals and SQL, nothing else. `python -m loadtest check --help`.

It knows the rules of the shop by itself (states, edges, which states hold units) and imports
nothing of the server, so that a mistake there cannot hide itself here. Every violation is one line
that begins with the number of its invariant.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from loadtest.journal import Line

HELD = {
    "reserved", "pending_payment", "payment_unknown", "paid", "shipped", "completed", "refunding",
}  # fmt: skip
EDGES = {
    ("", "reserved"), ("", "paid"), ("reserved", "pending_payment"), ("reserved", "expired"),
    ("reserved", "cancelled"), ("pending_payment", "paid"), ("pending_payment", "payment_unknown"),
    ("pending_payment", "cancelled"), ("pending_payment", "expired"), ("payment_unknown", "paid"),
    ("payment_unknown", "expired"), ("paid", "shipped"), ("paid", "refunding"),
    ("shipped", "completed"), ("shipped", "refunding"), ("completed", "refunding"),
    ("refunding", "refunded"),
}  # fmt: skip
PAID = {"paid", "shipped", "completed", "refunding", "refunded"}
RELEASED = {"expired", "cancelled"}
LATE_MS = 15_000  # an unpaid order ends within 5 s of its deadline, and 10 s after a recovery

ORDERS = """
SELECT o.id, o.buyer, o.space, o.key, o.answer, o.state, o.sequence, o.merchant, o.flash_sale_id,
       o.quantity, o.amount_cents, o.refunded_cents, o.restocked, o.expires_at, o.paid_at
FROM orders o
"""
Row = dict[str, Any]


@dataclass
class Books:
    """Everything that the checks read, as it is in SQL in one snapshot."""

    orders: dict[str, Row] = field(default_factory=dict)
    lines: list[Row] = field(default_factory=list)
    edges: list[Row] = field(default_factory=list)
    sales: dict[str, Row] = field(default_factory=dict)
    stock: dict[str, Row] = field(default_factory=dict)
    units: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    coupons: list[Row] = field(default_factory=list)
    endpoints: list[Row] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)
    clock: int = 0  # the writer's, at its last beat


@dataclass
class Run:
    """The books beside the journal, with what the checks share."""

    books: Books
    journal: list[Line]
    outage_ms: int = 0  # how long nothing could be decided; deadlines wait for it

    @property
    def asks(self) -> list[Line]:
        return [line for line in self.journal if line["kind"] == "ask"]

    def units_of(self, order: Row) -> int:
        return int(order["quantity"]) if is_held(order) else 0


async def read_books(url: str) -> Books:
    """One snapshot of the database at `url` (a SQLAlchemy URL; SQLite or PostgreSQL)."""
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                await connection.execution_options(isolation_level="REPEATABLE READ")
            else:
                await connection.exec_driver_sql("BEGIN")
            return await _read(connection)
    finally:
        await engine.dispose()


async def _read(connection: AsyncConnection) -> Books:
    async def rows(query: str) -> list[Row]:
        return [dict(row._mapping) for row in await connection.execute(text(query))]

    def by_id(found: list[Row], key: str = "id") -> dict[str, Row]:
        return {row[key]: row for row in found}

    lease = await rows("SELECT now FROM lease")
    return Books(
        orders=by_id(await rows(ORDERS)),
        lines=await rows("SELECT * FROM order_lines"),
        edges=await rows("SELECT * FROM order_edges ORDER BY n"),
        sales=by_id(await rows("SELECT * FROM flash_sale")),
        stock=by_id(await rows("SELECT * FROM product_stock"), "product_id"),
        units=await rows("SELECT * FROM buyer_units"),
        payments=await rows("SELECT * FROM payments"),
        coupons=await rows("SELECT id, used, budget FROM coupon"),
        endpoints=await rows("SELECT * FROM webhook_endpoint"),
        deliveries=await rows("SELECT endpoint, event_id, type, body FROM webhook_delivery"),
        clock=int(lease[0]["now"]) if lease else 0,
    )


def is_held(order: Row) -> bool:
    """Whether the order holds its units."""
    state = order["state"]
    return state in HELD or (state == "refunded" and not order["restocked"])


def is_open(sale: Row) -> bool:
    return sale["state"] in ("scheduled", "running")


# ── the invariants ──────────────────────────────────────────────────────────────────────────────


def no_oversell(run: Run) -> Iterator[str]:
    """I1: never more units held than there are: now, and after every edge that ever happened."""
    most: dict[str, int] = {}
    for line in run.journal:
        if line["kind"] == "sale" and line.get("units") is not None:
            most[line["sale"]] = max(most.get(line["sale"], 0), line["units"])
    held: Counter[str] = Counter()
    for edge in run.books.edges:
        order = run.books.orders.get(edge["order_id"])
        if order is None or order["flash_sale_id"] is None:
            continue
        sale, quantity = order["flash_sale_id"], order["quantity"]
        if edge["from_state"] == "":
            held[sale] += quantity
        elif edge["state"] in RELEASED or (edge["state"] == "refunded" and order["restocked"]):
            held[sale] -= quantity
        if sale in most and held[sale] > most[sale]:
            yield f"sale {sale}: {held[sale]} units held after edge {edge['n']} of {most[sale]}"
            most.pop(sale)
    for sale_id, sale in run.books.sales.items():
        if is_open(sale) and held[sale_id] > sale["units"]:
            yield f"sale {sale_id}: {held[sale_id]} units held of {sale['units']}"
    by_product: Counter[str] = Counter()
    for line in run.books.lines:
        if is_held(run.books.orders[line["order_id"]]):
            by_product[line["product_id"]] += line["quantity"]
    for product, units in by_product.items():
        total = run.books.stock[product]["total"]
        if units > total:
            yield f"product {product}: {units} units held of {total}"


def conservation(run: Run) -> Iterator[str]:
    """I2: `sold`, `committed` and the buyers' units are what the orders add up to."""
    sold: Counter[str] = Counter()
    of_buyer: Counter[tuple[str, str]] = Counter()
    committed: Counter[str] = Counter()
    for order in run.books.orders.values():
        if order["flash_sale_id"] is not None:
            sold[order["flash_sale_id"]] += run.units_of(order)
            of_buyer[order["flash_sale_id"], order["buyer"]] += run.units_of(order)
    for line in run.books.lines:
        order = run.books.orders[line["order_id"]]
        sale = run.books.sales.get(order["flash_sale_id"] or "")
        if is_held(order) and (sale is None or not is_open(sale)):
            committed[line["product_id"]] += line["quantity"]
    for sale_id, sale in run.books.sales.items():
        if sale["sold"] != sold[sale_id]:
            yield f"sale {sale_id}: sold {sale['sold']}, orders hold {sold[sale_id]}"
        if is_open(sale):
            committed[sale["product_id"]] += sale["units"]
    for product, stock in run.books.stock.items():
        if stock["committed"] != committed[product]:
            yield f"product {product}: committed {stock['committed']}, held {committed[product]}"
    stored = {(row["flash_sale_id"], row["buyer"]): row["units"] for row in run.books.units}
    for place in stored.keys() | of_buyer.keys():
        if stored.get(place, 0) != of_buyer[place]:
            yield f"buyer {place}: stored {stored.get(place, 0)}, orders hold {of_buyer[place]}"


def successes_are_true(run: Run) -> Iterator[str]:
    """I3: every success that a client recorded is in SQL, for the same quantity and price."""
    prices = {x["sale"]: x["price_cents"] for x in run.journal if x["kind"] == "sale"}
    for line in run.asks:
        if line["status"] not in (200, 201):
            continue
        told = json.loads(line["body"])
        order = run.books.orders.get(told["id"])
        if order is None:
            yield f"order {told['id']} was acknowledged and is not there"
        elif line["what"] == "reserve":
            facts = (order["buyer"], order["key"], order["flash_sale_id"], order["quantity"])
            asked = (line["buyer"], line["key"], line["sale"], line["quantity"])
            if facts != asked:
                yield f"order {told['id']}: asked {asked}, stored {facts}"
            amounts = {order["amount_cents"], told["amount_cents"]}
            if amounts != {prices[line["sale"]] * line["quantity"]}:
                yield f"order {told['id']}: amounts {amounts} for {line['quantity']} units"
        elif line["what"] == "pay" and told["state"] == "paid" and order["state"] not in PAID:
            yield f"order {told['id']}: paid was acknowledged, it is {order['state']}"
        elif line["what"] == "cancel" and order["state"] != "cancelled":
            yield f"order {told['id']}: cancelled was acknowledged, it is {order['state']}"


def no_phantoms(run: Run) -> Iterator[str]:
    """I4: every order has a key that a client sent, or a payment that made it."""
    sent = {(line["buyer"], line["key"]) for line in run.asks if line["what"] == "reserve"}
    paid = {payment["order_id"] for payment in run.books.payments}
    for order in run.books.orders.values():
        known = (order["buyer"], order["key"]) in sent
        if not (known if order["space"] == "client" else order["id"] in paid):
            yield f"order {order['id']}: nobody asked for it ({order['space']} {order['key']})"


def one_order_a_key(run: Run) -> Iterator[str]:
    """I5: one order for a key, and the same bytes to everyone who repeats it."""
    found = Counter((o["buyer"], o["space"], o["key"]) for o in run.books.orders.values())
    for place, count in found.items():
        if count > 1:
            yield f"key {place} has {count} orders"
    answers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in run.asks:
        if line["what"] == "reserve" and line["status"] in (200, 201):
            answers[line["buyer"], line["key"]].add(line["body"])
    stored = {(o["buyer"], o["key"]): o["answer"] for o in run.books.orders.values()}
    for pair, bodies in answers.items():
        if bodies != {stored.get(pair)}:
            yield f"key {pair} was answered {len(bodies)} ways, or not as stored"


def nothing_stuck(run: Run) -> Iterator[str]:
    """I6: an unpaid order ends soon after its deadline."""
    bound = LATE_MS + run.outage_ms
    for order in run.books.orders.values():
        late = run.books.clock - (order["expires_at"] or run.books.clock)
        if order["state"] == "reserved" and late > bound:
            yield f"order {order['id']}: still reserved {late} ms after its deadline"
    for edge in run.books.edges:
        if edge["state"] == "expired" and edge["from_state"] == "reserved":
            late = edge["at"] - run.books.orders[edge["order_id"]]["expires_at"]
            if late > bound:
                yield f"order {edge['order_id']}: expired {late} ms after its deadline"
            if late < 0:
                yield f"order {edge['order_id']}: expired {-late} ms before its deadline"


def resolved_once(run: Run) -> Iterator[str]:
    """I7: never both paid and released."""
    states: dict[str, list[str]] = defaultdict(list)
    for edge in run.books.edges:
        states[edge["order_id"]].append(edge["state"])
    for order, passed in states.items():
        ends = [state for state in passed if state == "paid" or state in RELEASED]
        if len(ends) > 1:
            yield f"order {order}: {' and '.join(ends)}"


def limits_hold(run: Run) -> Iterator[str]:
    """I8: no buyer ever holds more than one buyer may have."""
    most: dict[str, int] = {}
    for line in run.journal:
        if line["kind"] == "sale" and line.get("limit") is not None:
            most[line["sale"]] = max(most.get(line["sale"], 0), line["limit"])
    held: Counter[tuple[str, str]] = Counter()
    for edge in run.books.edges:
        order = run.books.orders.get(edge["order_id"])
        if order is None or order["flash_sale_id"] not in most:
            continue
        place = (order["flash_sale_id"], order["buyer"])
        if edge["from_state"] == "":
            held[place] += order["quantity"]
        elif edge["state"] in RELEASED:
            held[place] -= order["quantity"]
        if order["space"] == "client" and held[place] > most[place[0]]:
            yield f"buyer {place}: holds {held[place]} after edge {edge['n']} of {most[place[0]]}"


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
        if lines[order["id"]] < order["amount_cents"]:
            yield f"order {order['id']}: lines {lines[order['id']]} of {order['amount_cents']}"


def everyone_hears(run: Run) -> Iterator[str]:
    """I11: every committed order event is in every active endpoint's queue, once."""
    queued: Counter[tuple[str, str, str, int]] = Counter()
    names: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    for row in run.books.deliveries:
        if not row["type"].startswith("order."):
            continue
        order = json.loads(row["body"])["data"]["order"]
        queued[row["endpoint"], row["type"], order["id"], order["sequence"]] += 1
        names[row["type"], order["id"], order["sequence"]].add(row["event_id"])
    for event, ids in names.items():
        if len(ids) > 1:
            yield f"event {event} has {len(ids)} webhook ids"
    for endpoint in run.books.endpoints:
        wanted = endpoint["events"]
        kinds = json.loads(wanted) if isinstance(wanted, str) else wanted
        for edge in run.books.edges:
            order = run.books.orders[edge["order_id"]]
            if (
                edge["event"] in kinds
                and endpoint["state"] == "active"
                and order["merchant"] == endpoint["merchant"]
                and edge["at"] > endpoint["created_at"]
            ):
                place = (endpoint["id"], edge["event"], order["id"], edge["sequence"])
                if queued[place] != 1:
                    yield f"event {place} is queued {queued[place]} times"


def budgets_hold(run: Run) -> Iterator[str]:
    """I12: no coupon is used more often than its budget allows."""
    for coupon in run.books.coupons:
        if not 0 <= coupon["used"] <= coupon["budget"]:
            yield f"coupon {coupon['id']}: used {coupon['used']} of {coupon['budget']}"


def pages_show_the_truth(run: Run) -> Iterator[str]:
    """I13: after the rush, pages show SQL's units left."""
    for line in run.journal:
        if line["kind"] == "seen":
            sale = run.books.sales[line["sale"]]
            left = sale["units"] - sale["sold"] if is_open(sale) else 0
            if line["units_left"] != left:
                yield f"{line['where']} {line['sale']}: shows {line['units_left']}, SQL {left}"


INVARIANTS: dict[str, Callable[[Run], Iterator[str]]] = {
    "I1": no_oversell,
    "I2": conservation,
    "I3": successes_are_true,
    "I4": no_phantoms,
    "I5": one_order_a_key,
    "I6": nothing_stuck,
    "I7": resolved_once,
    "I8": limits_hold,
    "I9": edges_are_allowed,
    "I10": money_is_right,
    "I11": everyone_hears,
    "I12": budgets_hold,
    "I13": pages_show_the_truth,
}


def check(run: Run) -> list[str]:
    """Every violation, each a line that begins with its invariant."""
    return [f"{name} {words}" for name, look in INVARIANTS.items() for words in look(run)]


def database_url(place: str) -> str:
    """A SQLAlchemy URL from a URL or from the path of a SQLite file, which is opened to read."""
    if "://" in place:
        return place
    return f"sqlite+aiosqlite:///file:{Path(place).absolute()}?mode=ro&uri=true"
