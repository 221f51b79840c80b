"""
The tables of a ledger in memory, and the guarded statements on them.

A transaction works on a draft, which holds only the rows that it changed; what is committed is
never changed in place, so that whoever reads meanwhile sees the last commit. Each guard of the
database is here by name, and a simulation may take one away to see that it would be missed.
"""

import copy
from collections import ChainMap
from collections.abc import MutableMapping
from typing import TypeVar

from orders.lease import RELEASED, Lease
from orders.ledger import (
    KEEP_ANSWERS_MS,
    Effects,
    Facts,
    LeaseLost,
    MemoryWrong,
    OrderKey,
    Wanted,
)
from orders.order import TIMED, VOIDABLE
from orders.rows import (
    AnswerRow,
    CouponRow,
    CouponUseRow,
    EdgeRow,
    GrantRow,
    InboundRow,
    LineRow,
    NoteRow,
    OrderRow,
    PaymentRow,
    PlaceRow,
    ProductRow,
    RefundRow,
    Row,
    SaleRow,
    ShopRow,
    StockChangeRow,
)

#: What the database holds against a writer that is wrong. "rowcount" is the writer's own look at
#: how many rows an UPDATE found: without it a refused change is only left out.
GUARDS = (
    "fence", "unique key", "counter", "units", "limit", "state", "stock", "grant", "sequence",
    "payment", "refund", "coupon", "coupon limit", "sku", "place", "answer", "rowcount",
)  # fmt: skip


class Tables:
    """All rows. `without` names the guards that are taken away."""

    def __init__(self, without: frozenset[str] = frozenset()) -> None:
        self.without = without
        self.lease: Lease | None = None
        self.products: MutableMapping[str, ProductRow] = {}
        self.grants: MutableMapping[tuple[str, str], GrantRow] = {}
        self.sales: MutableMapping[str, SaleRow] = {}
        self.units: MutableMapping[tuple[str, str], int] = {}
        self.orders: MutableMapping[str, OrderRow] = {}
        self.keys: MutableMapping[OrderKey, str] = {}
        self.payments: MutableMapping[tuple[str, str], PaymentRow] = {}
        self.refunds: MutableMapping[str, RefundRow] = {}
        self.coupons: MutableMapping[str, CouponRow] = {}
        self.coupon_buyers: MutableMapping[tuple[str, str], int] = {}
        self.coupon_uses: list[CouponUseRow] = []
        self.shops: MutableMapping[str, ShopRow] = {}
        self.inbound: MutableMapping[tuple[str, str], InboundRow] = {}
        self.answers: MutableMapping[tuple[str, str], AnswerRow | None] = {}  # None: forgotten
        self.places: MutableMapping[int, PlaceRow] = {}
        self.place_keys: MutableMapping[tuple[str, str], int] = {}  # (buyer, key) -> n
        self.edges: MutableMapping[tuple[str, int], EdgeRow] = {}  # (order, sequence)
        self.lines: list[LineRow] = []
        self.notes: list[NoteRow] = []
        self.stock_changes: list[StockChangeRow] = []

    def draft(self) -> "Tables":
        """These tables for one transaction: its changes are seen through it alone."""
        draft = Tables()
        for name, value in vars(self).items():
            if isinstance(value, dict):
                setattr(draft, name, ChainMap({}, value))
            else:
                setattr(draft, name, [] if isinstance(value, list) else value)
        return draft

    def take(self, draft: "Tables") -> None:
        """The draft's transaction is committed."""
        for name, value in vars(self).items():
            changed = getattr(draft, name)
            if isinstance(value, dict):
                value.update(changed.maps[0])
            elif isinstance(value, list):
                value.extend(changed)
            else:
                setattr(self, name, changed)

    def refuses(self, guard: str, holds: bool, what: str) -> bool:
        """
        Whether a statement must leave this row alone, because its guard does not hold.

        Raises:
            MemoryWrong: It does not hold, and the writer looks.
        """
        if holds or guard in self.without:
            return False
        if "rowcount" in self.without:
            return True
        raise MemoryWrong(what)


def beat(tables: Tables, fence: int, now: int) -> None:
    """The first statement of every transaction of a holder. Raises `LeaseLost`."""
    lease = tables.lease
    lost = lease is None or lease.fence != fence or lease.holder == RELEASED
    if lost and "fence" not in tables.without:
        raise LeaseLost("another holder has the lease")
    if lease is not None and not lost:
        tables.lease = Lease(lease.holder, fence, lease.beat + 1, now)


def last_number(tables: Tables) -> int:
    """The newest number that the writer gave away."""
    newest = [rows[-1].n for rows in (tables.notes, tables.stock_changes) if rows]
    return max([*newest, *tables.places, *(row.n for row in tables.edges.values())], default=0)


def next_due(tables: Tables, after: int) -> int | None:
    """The earliest deadline after that time."""
    deadlines = [
        row.expires_at
        for row in tables.orders.values()
        if row.state in TIMED and row.expires_at is not None and row.expires_at > after
    ]
    return min(deadlines, default=None)


def insert_orders(tables: Tables, rows: list[OrderRow]) -> set[str]:
    """The ids of those whose key was unknown."""
    inserted = set()
    for row in rows:
        key = OrderKey(row.buyer, row.space, row.key)
        if key not in tables.keys or "unique key" in tables.without:
            tables.keys.setdefault(key, row.id)
            tables.orders[row.id] = copy.copy(row)
            inserted.add(row.id)
    return inserted


# ── reading ─────────────────────────────────────────────────────────────────────────────────────

K = TypeVar("K")
V = TypeVar("V", bound=Row)


def _found(table: MutableMapping[K, V], keys: set[K], into: dict[K, V]) -> None:
    """Copies, in an order that depends on the keys alone."""
    for key in sorted(keys, key=str):
        if key in table:
            into.setdefault(key, copy.copy(table[key]))


def find(tables: Tables, wanted: Wanted, facts: Facts) -> None:
    """Put the wanted rows into the facts."""
    for key in sorted(wanted.keys):
        if key in tables.keys:
            facts.by_key[key] = copy.copy(tables.orders[tables.keys[key]])
    _found(tables.orders, wanted.orders, facts.orders)
    _found(tables.sales, wanted.sales, facts.sales)
    _found(tables.products, wanted.products, facts.products)
    _found(tables.grants, wanted.grants, facts.grants)
    _found(tables.payments, wanted.payments, facts.payments)
    _found(tables.refunds, wanted.refunds, facts.refunds)
    for name in sorted(wanted.payments_of):
        found = [copy.copy(row) for row in tables.payments.values() if row.order_id == name]
        facts.payments_of[name] = sorted(found, key=lambda row: (row.provider, row.id))
    _find_coupons(tables, wanted, facts)
    facts.inbound |= {place for place in wanted.inbound if place in tables.inbound}
    for mine in sorted(wanted.places):
        if mine in tables.place_keys:
            facts.places[mine] = copy.copy(tables.places[tables.place_keys[mine]])
    for place in sorted(wanted.answers):
        answer = tables.answers.get(place)
        if answer is not None:
            facts.answers[place] = answer
    for asked in wanted.skus:
        facts.skus[asked] = [
            row.id
            for row in tables.products.values()
            if row.sku == asked.sku
            and (
                row.merchant == asked.merchant
                if asked.merchant is not None
                else (row.id, asked.room) in tables.grants
            )
        ]
        if asked.merchant is None and not facts.skus[asked]:
            facts.skus_elsewhere |= {
                row.sku for row in tables.products.values() if row.sku == asked.sku
            }
    _find_ending(tables, wanted, facts)


def _find_coupons(tables: Tables, wanted: Wanted, facts: Facts) -> None:
    shops = {
        (tables.products[asked.product].merchant, asked.code): asked.buyer
        for asked in sorted(wanted.coupons_asked)
        if asked.product in tables.products
    }
    for row in tables.coupons.values():
        place = (row.merchant, row.code)
        if row.id in wanted.coupons or place in wanted.coupon_codes or place in shops:
            facts.coupons.setdefault(place, copy.copy(row))
    buyers = {asked.buyer for asked in wanted.coupons_asked}
    for (coupon, buyer), used in tables.coupon_buyers.items():
        if buyer in buyers:
            facts.coupon_uses[(coupon, buyer)] = used


def _find_ending(tables: Tables, wanted: Wanted, facts: Facts) -> None:
    if wanted.due_at is not None:
        due_at = wanted.due_at
        due = [
            row
            for row in tables.orders.values()
            if row.state in TIMED and row.expires_at is not None and row.expires_at <= due_at
        ]
        due = sorted(due, key=lambda row: (row.expires_at or 0, row.id))[: wanted.most_ended]
        facts.due = [row.id for row in due]
        facts.due_more = len(due) == wanted.most_ended
        _found(tables.orders, set(facts.due), facts.orders)
        facts.next_due_at = next_due(tables, due_at)
    if wanted.void_sale is not None:
        void = [
            row.id
            for row in tables.orders.values()
            if row.flash_sale_id == wanted.void_sale
            and row.state in VOIDABLE
            and row.id > wanted.void_after
        ]
        facts.void = sorted(void)[: wanted.most_ended]
        facts.void_more = len(facts.void) == wanted.most_ended
        _found(tables.orders, set(facts.void), facts.orders)


# ── writing ─────────────────────────────────────────────────────────────────────────────────────


def write_products(tables: Tables, effects: Effects) -> None:
    """The statements on products, stock and grants."""
    for product in effects.new_products:
        taken = {(row.merchant, row.sku) for row in tables.products.values()}
        free = (product.merchant, product.sku) not in taken
        if not tables.refuses("sku", free, f"SKU {product.sku}"):
            tables.products[product.id] = copy.copy(product)
    for product in effects.products:
        old = tables.products[product.id]
        new = tables.products[product.id] = copy.copy(product)
        new.total, new.committed = old.total, old.committed
    _write_grants(tables, effects)
    for stock in effects.stock:
        row = copy.copy(tables.products[stock.product_id])
        row.total += stock.total
        row.committed += stock.committed
        if not tables.refuses("stock", 0 <= row.committed <= row.total, f"stock of {row.id}"):
            tables.products[row.id] = row
    tables.stock_changes.extend(effects.stock_changes)


def _write_grants(tables: Tables, effects: Effects) -> None:
    for grant in effects.grants:
        place = (grant.product_id, grant.room)
        used = tables.grants[place].used if place in tables.grants else 0
        tables.grants[place] = copy.copy(grant)
        tables.grants[place].used = used
    for delta in effects.grants_used:
        place = (delta.product_id, delta.room)
        room = copy.copy(tables.grants[place])
        room.used += delta.used
        inside = delta.used < 0 or room.units_max is None or room.used <= room.units_max
        if not tables.refuses("grant", room.used >= 0 and inside, f"grant of {room.room}"):
            tables.grants[place] = room


def write_sales(tables: Tables, effects: Effects) -> None:
    """The statements on flash sales and the units of their buyers."""
    for sale in effects.new_sales:
        tables.sales[sale.id] = copy.copy(sale)
    for change in effects.sales:
        row = copy.copy(tables.sales[change.id])
        if tables.refuses("counter", row.counter == change.known, f"counter of {row.id}"):
            continue
        row.sold += change.sold_delta
        row.counter += 1
        row.units, row.state, row.void = change.units, change.state, change.void
        row.per_buyer_limit = change.per_buyer_limit
        row.starts_at, row.ends_at = change.starts_at, change.ends_at
        row.host_away, row.paused_at = change.host_away, change.paused_at
        if not tables.refuses("units", 0 <= row.sold <= row.units, f"units of {row.id}"):
            tables.sales[row.id] = row
    for delta in (*effects.units_returned, *effects.units_taken):
        key = (delta.flash_sale_id, delta.buyer)
        units = tables.units.get(key, 0) + delta.delta
        limit = tables.sales[delta.flash_sale_id].per_buyer_limit
        holds = units >= 0 and (delta.delta < 0 or units <= limit)
        if not tables.refuses("limit", holds, f"units of {delta.buyer}"):
            tables.units[key] = units


def _write_coupons(tables: Tables, effects: Effects) -> None:
    """The statements on coupons: returned first, then limits, then used."""
    for row in effects.new_coupons:
        tables.coupons[row.id] = copy.copy(row)
    for edited in effects.coupons:
        used = tables.coupons[edited.id].used
        tables.coupons[edited.id] = copy.copy(edited)
        tables.coupons[edited.id].used = used
    for delta in effects.coupons_used:
        coupon = copy.copy(tables.coupons[delta.id])
        coupon.used += delta.cents
        holds = coupon.used >= 0 and (delta.cents < 0 or coupon.used <= coupon.budget)
        if not tables.refuses("coupon", holds, f"budget of {coupon.code}"):
            tables.coupons[coupon.id] = coupon
    for step in effects.coupon_buyers:
        place = (step.coupon_id, step.buyer)
        used = tables.coupon_buyers.get(place, 0) + step.uses
        limit = tables.coupons[step.coupon_id].per_buyer_limit
        holds = used >= 0 and (step.uses < 0 or used <= limit)
        if not tables.refuses("coupon limit", holds, f"coupon of {step.buyer}"):
            tables.coupon_buyers[place] = used
    tables.coupon_uses.extend(effects.coupon_uses)


def write_orders(tables: Tables, effects: Effects) -> None:
    """The statements on orders, their edges, payments, and notes."""
    for move in effects.moves:
        row = copy.copy(tables.orders[move.id])
        if tables.refuses("state", row.state == move.known_state, f"state of {row.id}"):
            continue
        row.state, row.sequence = move.state, move.sequence
        row.changes, row.paid_at = move.changes, move.paid_at
        row.refunded_cents, row.restocked = move.refunded_cents, move.restocked
        tables.orders[row.id] = row
    for payment in effects.payments:
        place = (payment.provider, payment.id)
        if not tables.refuses("payment", place not in tables.payments, f"payment {payment.id}"):
            tables.payments[place] = payment
    _write_payments(tables, effects)
    _write_coupons(tables, effects)
    for shop in effects.shops:
        tables.shops[shop.merchant] = copy.copy(shop)
    for message in effects.inbound:
        tables.inbound[(message.merchant, message.id)] = message
    for step in effects.edges:
        at = (step.order_id, step.sequence)
        while "sequence" in tables.without and at in tables.edges:
            at = (at[0], at[1] + 1)
        if not tables.refuses("sequence", at not in tables.edges, f"edges of {step.order_id}"):
            tables.edges[at] = step
    tables.lines.extend(effects.lines)
    tables.notes.extend(effects.notes)


def write_answers(tables: Tables, effects: Effects) -> None:
    """The statements on the answers of requests with a key."""
    for row in effects.answers:
        place = (row.owner, row.key)
        if not tables.refuses("answer", tables.answers.get(place) is None, f"key of {row.owner}"):
            tables.answers[place] = row
    if effects.answers:
        before = effects.answers[0].at - KEEP_ANSWERS_MS
        for place, known in list(tables.answers.items()):
            if known is not None and known.at < before:
                tables.answers[place] = None


def write_places(tables: Tables, effects: Effects) -> None:
    """The statements on waiting lists."""
    for move in effects.place_moves:
        place = copy.copy(tables.places[move.n])
        if not tables.refuses("place", place.state == "waiting", f"place {move.n}"):
            place.state, place.order_id = move.state, move.order_id
            tables.places[move.n] = place
    for new in effects.new_places:
        mine = (new.buyer, new.key)
        if not tables.refuses("place", mine not in tables.place_keys, f"place of {new.buyer}"):
            tables.place_keys[mine] = new.n
            tables.places[new.n] = copy.copy(new)


def _write_payments(tables: Tables, effects: Effects) -> None:
    """The statements on known payments, and on refunds."""
    for move in effects.payment_moves:
        known = copy.copy(tables.payments[(move.provider, move.id)])
        if not tables.refuses("payment", known.state == move.known_state, f"payment {move.id}"):
            known.state, known.order_id = move.state, move.order_id
            known.amount_cents, known.currency = move.amount_cents, move.currency
            tables.payments[(move.provider, move.id)] = known
    for refund in effects.refunds:
        is_new = refund.id not in tables.refunds
        if not tables.refuses("refund", is_new, f"refund {refund.id}"):
            place = refund.id if is_new else f"{refund.id} again"  # without its guard: two rows
            tables.refunds[place] = refund
