"""
The books: what was ordered from the shelf, what coupons paid of it, and what went back. All of it
from rows that are only ever added, never from a counter.

    I10 money: what goes back of an order is what its refunds say, never more than was paid
    I12 the budget of a coupon and its limit for each buyer hold
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from orders.order import is_held
from orders.rows import CouponUseRow, LineRow
from orders.shapes import Order
from orders.tables_memory import Tables

Must = Callable[[str, bool, str], None]
Asked = tuple[int | None, bool]  # (cents, restock) of a refund; None is all that is left


@dataclass
class Refunds:
    """What staff wrote down of the refunds that they asked for, by (order, key)."""

    sent: dict[tuple[str, str], set[Asked]] = field(default_factory=dict)
    done: dict[tuple[str, str], Asked] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)  # repeats of one that was done, refused


class Books:
    """Kept with each commit. `must` is told what must hold, by the name of its invariant."""

    def __init__(self, must: Must) -> None:
        self._must = must
        self.lines: defaultdict[str, list[LineRow]] = defaultdict(list)  # by order
        self._uses: dict[str, CouponUseRow] = {}  # by order
        self._limits: dict[str, int] = {}  # the highest limit that a coupon ever had
        self._read = 0

    def at_commit(self, tables: Tables) -> None:
        """What must hold at every moment."""
        for line in tables.lines[self._read :]:
            self.lines[line.order_id].append(line)
        self._read = len(tables.lines)
        for use in tables.coupon_uses[len(self._uses) :]:
            self._uses[use.order_id] = use
        self._must("I12", len(self._uses) == len(tables.coupon_uses), "two coupons on one order")
        self._coupons(tables)
        self._refunds(tables)

    def _coupons(self, tables: Tables) -> None:
        spent: Counter[str] = Counter()
        uses: Counter[tuple[str, str]] = Counter()
        for use in self._uses.values():
            order = tables.orders[use.order_id]
            if is_held(order.state, bool(order.restocked)):
                spent[use.coupon_id] += use.cents
                uses[(use.coupon_id, use.buyer)] += 1
        for row in tables.coupons.values():
            name, cents = row.code, spent[row.id]
            self._must("I12", cents <= row.budget, f"{name}: {cents} of {row.budget} spent")
            self._must("I2", cents == row.used, f"{name}: {cents} spent, {row.used} counted")
            self._limits[row.id] = max(self._limits.get(row.id, 0), row.per_buyer_limit)
        for (coupon, buyer), times in uses.items():
            self._must("I12", times <= self._limits[coupon], f"{buyer} used {coupon} {times} times")
        for place, times in tables.coupon_buyers.items():
            self._must("I2", times == uses[place], f"{place}: {times} uses counted")

    def _refunds(self, tables: Tables) -> None:
        back: Counter[str] = Counter()
        restocked: Counter[str] = Counter()
        for row in tables.refunds.values():
            back[row.order_id] += row.amount_cents
            restocked[row.order_id] += row.restock
        for order in tables.orders.values():
            cents, name = back[order.id], f"{order.id}: {back[order.id]} given back"
            self._must("I10", cents == order.refunded_cents, f"{name}, {order.refunded_cents} said")
            whole = order.state == "refunded"
            self._must("I10", not whole or cents == order.amount_cents, f"{name}, refunded whole")
            once = restocked[order.id] == order.restocked
            self._must("I10", once, f"{order.id}: {restocked[order.id]} times back in stock")
        captured: Counter[str] = Counter()
        for payment in tables.payments.values():
            captured[payment.order_id] += payment.amount_cents * (payment.state == "captured")
        for order_id, cents in back.items():
            paid = captured[order_id]
            self._must("I10", cents <= paid, f"{order_id}: {cents} given back of {paid}")

    def at_end(self, tables: Tables, refunds: Refunds) -> None:
        """What clients wrote down, and the sums of each order."""
        for order in tables.orders.values():
            shown = msgspec.json.decode(order.answer, type=Order)
            whole = sum(line.quantity * line.unit_price_cents for line in self.lines[order.id])
            fits = shown.amount_cents + shown.discount_cents == whole
            self._must("I10", fits, f"{order.id}: {shown.amount_cents} of {whole}")
            use = self._uses.get(order.id)
            used = (None, 0) if use is None else (use.coupon_id, use.cents)
            named = (shown.coupon and shown.coupon.id, shown.discount_cents)
            self._must("I12", used == named, f"{order.id}: {named} shown, {used} stored")
        self._written_down(tables, refunds)

    def _written_down(self, tables: Tables, refunds: Refunds) -> None:
        """A refund with a key is the one that was asked for; one that was answered is there."""
        for what in refunds.forgotten:
            self._must("I5", False, f"{what}, although the refund was made")
        known = {row.id: row for row in tables.refunds.values()}
        for (order, key), asked in refunds.sent.items():
            row = known.get(f"ref_{order}_{key}")
            done = refunds.done.get((order, key))
            if row is None:
                self._must("I3", done is None, f"{order} {key}: the refund is not stored")
                continue
            stored = {(row.amount_cents, bool(row.restock))}
            if row.completes:
                stored.add((None, bool(row.restock)))
            self._must("I4", bool(stored & asked), f"{order} {key}: nobody asked for {stored}")
            self._must("I3", done is None or done in stored, f"{order} {key}: {done}, {stored}")
