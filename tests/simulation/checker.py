"""
The invariants, from the rows and from what clients wrote down; never from a counter of the server.

    I1 no oversell · I2 conservation · I3 every recorded success is stored · I4 no phantom order
    I5 one order a key, repeats byte for byte · I6 nothing is held for ever
    I7 never both paid and released · I8 the limit of a buyer · I9 only allowed edges, without gaps
    I10 money and I12 coupons: tests/simulation/books.py
    I13 everyone shows what is stored · line: nobody who waits is passed by anybody behind
    answered: whoever asks again is answered after the faults
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import msgspec

from orders.ledger import OrderKey
from orders.order import EDGES, is_held
from orders.rows import OrderRow
from orders.tables_memory import Tables
from tests.simulation.books import Books, Refunds
from tests.simulation.world import World

Bought = tuple[str | None, tuple[tuple[str, int], ...], int]  # (sale, its products, cents)


@dataclass
class Journal:
    """What clients wrote down, outside the server."""

    sent: set[tuple[str, str]] = field(default_factory=set)  # (buyer, key) of every request
    joined: set[tuple[str, str]] = field(default_factory=set)  # (buyer, key) of places in line
    taken: dict[tuple[str, str], bytes] = field(default_factory=dict)  # their successes
    asked: dict[tuple[str, str], Bought] = field(default_factory=dict)  # for what
    changed: list[tuple[str, str]] = field(default_factory=list)  # successes that differ
    forgotten: list[str] = field(default_factory=list)  # repeats of a success that were refused
    paid: set[str] = field(default_factory=set)  # orders whose payment was confirmed
    cancelled: set[str] = field(default_factory=set)
    refunds: Refunds = field(default_factory=Refunds)
    unanswered: list[str] = field(default_factory=list)
    refused: int = 0

    def success(self, buyer: str, key: str, asked: Bought, body: bytes) -> None:
        """A wish was answered with an order."""
        place = (buyer, key)
        if self.taken.setdefault(place, body) != body:
            self.changed.append(place)
        if self.asked.setdefault(place, asked) != asked:
            self.changed.append(place)


class Checker:
    """Collects violations: the first of each invariant, in words."""

    def __init__(self, *, lenient: bool = False) -> None:
        self.lenient = lenient  # memory is spoilt on purpose: it may refuse what it forgot
        self.found: dict[str, str] = {}
        self.limits: dict[str, int] = {}  # the highest limit that a sale ever had
        self.books = Books(self.must)
        self.commits = 0

    def must(self, invariant: str, holds: bool, detail: str) -> None:
        if not holds:
            self.found.setdefault(invariant, detail)

    # ── always ──────────────────────────────────────────────────────────────────────────────

    def at_commit(self, tables: Tables) -> None:
        """After every commit: what must hold at every moment."""
        self.commits += 1
        self.books.at_commit(tables)
        held: defaultdict[str, int] = defaultdict(int)
        by_buyer: defaultdict[tuple[str, str], int] = defaultdict(int)
        for order in tables.orders.values():
            if order.flash_sale_id is not None and is_held(order.state, bool(order.restocked)):
                held[order.flash_sale_id] += order.quantity
                by_buyer[(order.flash_sale_id, order.buyer)] += order.quantity
        committed, used = self._shelf(tables)
        sold = committed.copy()
        for sale in tables.sales.values():
            mine = held[sale.id]
            self.must("I1", mine <= sale.units, f"{sale.id}: {mine} of {sale.units} sold")
            self.must("I2", mine == sale.sold, f"{sale.id}: {mine} held, {sale.sold} counted")
            units = sale.units if sale.is_open else mine
            committed[sale.product_id] += units
            sold[sale.product_id] += mine
            if sale.granted:
                used[(sale.product_id, sale.room)] += units
            limit = max(self.limits.get(sale.id, 0), sale.per_buyer_limit)
            self.limits[sale.id] = limit
        for (sale_id, buyer), units in by_buyer.items():
            self.must("I8", units <= self.limits[sale_id], f"{buyer} holds {units} of {sale_id}")
        for place, units in tables.units.items():
            self.must("I2", units == by_buyer[place], f"{place}: {units} counted")
        for product in tables.products.values():
            name = product.sku
            self.must("I1", sold[product.id] <= product.total, f"{name}: {sold[product.id]} sold")
            self.must(
                "I2",
                product.committed == committed[product.id],
                f"{name}: {product.committed} committed, {committed[product.id]} held",
            )
        for place, grant in tables.grants.items():
            self.must("I2", grant.used == used[place], f"grant {place}: {grant.used} used")

    def _shelf(self, tables: Tables) -> tuple[Counter[str], Counter[tuple[str, str]]]:
        """Units of each product, and of each grant, that orders without a sale hold."""
        committed: Counter[str] = Counter()
        used: Counter[tuple[str, str]] = Counter()
        for order in tables.orders.values():
            if order.flash_sale_id is None and is_held(order.state, bool(order.restocked)):
                for line in self.books.lines[order.id]:
                    committed[line.product_id] += line.quantity
                    if order.room is not None:
                        used[(line.product_id, order.room)] += line.quantity
        return committed, used

    # ── after quiescence ────────────────────────────────────────────────────────────────────

    def at_end(self, world: World, journal: Journal) -> None:
        """When faults are over and everyone was answered."""
        tables = world.database.tables
        self.at_commit(tables)
        for who in journal.unanswered:
            self.must("answered", False, who)
        self._successes(tables, journal)
        self._keys(tables, journal)
        self._lines(tables)
        self.books.at_end(tables, journal.refunds)
        for order in tables.orders.values():
            self._history(tables, order, journal)
        self._shown(world)

    def _successes(self, tables: Tables, journal: Journal) -> None:
        for (buyer, key), body in journal.taken.items():
            shown = msgspec.json.decode(body)
            row = tables.orders.get(shown["id"])
            stored = row is not None and row.answer.encode() == body and row.buyer == buyer
            self.must("I3", stored, f"{buyer} {key}: {shown['id']} is not stored so")
            asked = journal.asked[(buyer, key)]
            lines = tuple(sorted((line["product_id"], line["quantity"]) for line in shown["lines"]))
            same = (shown["flash_sale"], lines, shown["amount_cents"]) == asked
            self.must("I3", same, f"{buyer} {key}: {asked} asked, {shown}")
        if not self.lenient:
            for what in journal.forgotten:
                self.must("I5", False, f"{what}, although there is an order")
        for place in journal.changed:
            self.must("I5", False, f"{place}: a repeat got another answer")

    def _keys(self, tables: Tables, journal: Journal) -> None:
        seen: set[OrderKey] = set()
        wished = {
            place.order_id
            for place in tables.places.values()
            if (place.buyer, place.key) in journal.joined
        }
        for order in tables.orders.values():
            key = OrderKey(order.buyer, order.space, order.key)
            self.must("I5", key not in seen, f"{key}: two orders")
            seen.add(key)
            known = (order.buyer, order.key) in journal.sent or order.space == "server"
            if order.space == "waitlist":
                known = order.id in wished
            self.must("I4", known, f"{key}: nobody asked for it")

    def _lines(self, tables: Tables) -> None:
        """Units that came back went to who stood first: nobody behind got one before."""
        places = tables.places.values()
        stood = {place.order_id: place.n for place in places if place.order_id is not None}
        for order in tables.orders.values():
            born = tables.edges[(order.id, 1)].n
            came = stood.get(order.id, born)  # others stood nowhere until they got it
            for place in places:
                if place.flash_sale_id != order.flash_sale_id or place.state in ("left", "passed"):
                    continue
                offer = tables.edges.get((place.order_id or "", 1))
                passed = place.n < came and (offer is None or born < offer.n)
                self.must("line", not passed, f"{order.id} ({order.space}) passed {place}")
        for place in places:
            sale = tables.sales[place.flash_sale_id]
            idle = place.state == "waiting" and sale.state == "running" and sale.left > 0
            self.must("line", not idle, f"{place} waits, {sale.left} left")

    def _history(self, tables: Tables, order: OrderRow, journal: Journal) -> None:
        state, released = "", False
        for sequence in range(1, order.sequence + 1):
            step = tables.edges.get((order.id, sequence))
            if step is None:
                self.must("I9", False, f"{order.id}: no edge {sequence}")
                return
            fits = step.from_state == state and (state, step.state) in EDGES
            self.must("I9", fits, f"{order.id}: {step.from_state} → {step.state} after {state!r}")
            released = released or (fits and EDGES[(state, step.state)].releases)
            state = step.state
        self.must("I9", state == order.state, f"{order.id} is {order.state}, its edges say {state}")
        self.must("I9", (order.id, order.sequence + 1) not in tables.edges, f"{order.id}: more")
        if order.id in journal.paid or any(
            p.order_id == order.id for p in tables.payments.values()
        ):
            self.must("I7", not released, f"{order.id}: paid and released")
        self.must("I3", order.id not in journal.cancelled or released, f"{order.id}: not cancelled")
        self.must("I3", order.id not in journal.paid or order.paid_at is not None, f"{order.id}")
        if order.state == "reserved" and tables.lease is not None:
            late = tables.lease.now - (order.expires_at or 0)
            self.must("I6", late < 5_000, f"{order.id}: held {late} ms too long")

    def _shown(self, world: World) -> None:
        """The writer's memory and the newest news of the gateways."""
        tables, writer = world.database.tables, world.serving()
        self.must("I13", not world.ahead, "".join(world.ahead[:1]))
        if writer is None:
            self.must("answered", False, "nobody serves")
            return
        stored, shown = stored_and_shown(world)
        self.must("I13", stored == shown, f"stored {stored}, in memory {shown}")
        for gateway in world.gateways.values():
            for sale in gateway.sales.values():
                row = tables.sales.get(sale.id)
                counter = sale.version % 2**32
                if row is not None and counter == row.counter:
                    self.must("I13", sale.units_left == row.left, f"{gateway.name}: {sale}")


def stored_and_shown(world: World) -> tuple[object, object]:
    """The open sales, their buyers' units and lines: as stored, and in the writer's memory."""
    tables, writer = world.database.tables, world.serving()
    memory = None if writer is None else writer._merger.memory
    if memory is None:
        return {}, None
    stored = {
        sale.id: (
            sale,
            {who: n for (where, who), n in tables.units.items() if where == sale.id and n},
            [
                n
                for n, place in sorted(tables.places.items())
                if place.flash_sale_id == sale.id and place.state == "waiting"
            ],
        )
        for sale in tables.sales.values()
        if sale.is_open
    }
    shown = {
        sale.row.id: (
            sale.row,
            {who: n for who, n in sale.units_of.items() if n},
            [place.n for place in sale.line.values()],
        )
        for sale in memory.sales.values()
    }
    return stored, shown
