"""
The desk on which one batch is decided: drafts of the rows that it changes, nothing committed yet.

Requests are decided one after the other, each on the drafts that the ones before left. The result
is a set of `Effects` for one transaction; only after its commit do the drafts reach the memory
(`orders.outcome`).
"""

from collections.abc import Callable

import msgspec

from orders.ledger import Effects, Facts, MemoryWrong
from orders.memory import Memory
from orders.order import edge
from orders.rows import (
    CouponBuyerDelta,
    CouponDelta,
    EdgeRow,
    GrantDelta,
    LineRow,
    NoteRow,
    OrderRow,
    PaymentMove,
    PaymentRow,
    ProductRow,
    SaleRow,
    ShopRow,
    StockChangeRow,
    StockDelta,
)
from orders.sale_draft import SaleDraft
from orders.shapes import Order
from orders.waitlist import LineDraft

#: An answer is made when the batch is decided, because a later request may change the same row.
Answer = bytes | Callable[[], bytes]


class Desk:
    """One attempt at one batch. `now` is the sale clock, `new_id` makes ids by prefix."""

    def __init__(
        self, memory: Memory, facts: Facts, now: int, new_id: Callable[[str], str]
    ) -> None:
        self.memory = memory
        self.facts = facts
        self.now = now
        self.new_id = new_id
        self.n = memory.last_n
        self.sales: dict[str, SaleDraft] = {}
        self.lines: dict[str, LineDraft] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.new_orders: dict[str, OrderRow] = {}
        self.order_base: dict[str, str] = {}  # order id -> its state before this batch
        self.stock: dict[str, StockDelta] = {}
        self.shops: dict[str, ShopRow] = {}
        self.products_changed: set[str] = set()
        self.kept: dict[tuple[str, str], tuple[str, Answer]] = {}  # (owner, key) of this batch
        self.out = Effects()
        for row in facts.sales.values():
            self._compare(row)

    def _compare(self, row: SaleRow) -> None:
        """A sale that was read must be what memory says of it."""
        known = self.memory.sales.get(row.id)
        if row.is_open != (known is not None):
            raise MemoryWrong(f"sale {row.id} is {row.state} in the database")
        if known is not None and known.row.counter != row.counter:
            raise MemoryWrong(f"sale {row.id}: counter {row.counter}, not {known.row.counter}")

    # ── rows ────────────────────────────────────────────────────────────────────────────────

    def next_n(self) -> int:
        """The next number of the feed; a gap means nothing."""
        self.n += 1
        return self.n

    def sale_row(self, sale_id: str) -> SaleRow | None:
        """A sale to look at."""
        draft = self.sales.get(sale_id)
        if draft is not None:
            return draft.row
        known = self.memory.sales.get(sale_id)
        return known.row if known is not None else self.facts.sales.get(sale_id)

    def sale(self, sale_id: str) -> SaleDraft | None:
        """A sale to change."""
        draft = self.sales.get(sale_id)
        if draft is not None:
            return draft
        known = self.memory.sales.get(sale_id)
        if known is not None:
            draft = SaleDraft(known.row, known.units_of)
        elif sale_id in self.facts.sales:
            draft = SaleDraft(self.facts.sales[sale_id], {})
        else:
            return None
        self.sales[sale_id] = draft
        return draft

    def units_of(self, sale_id: str, buyer: str) -> int:
        """Units of an open sale that the buyer holds, this batch included."""
        draft = self.sales.get(sale_id)
        if draft is not None:
            return draft.units_of(buyer)
        known = self.memory.sales.get(sale_id)
        return 0 if known is None else known.units_of.get(buyer, 0)

    def line(self, sale_id: str) -> LineDraft:
        """Who waits for a sale, this batch included; nobody when it is not open."""
        draft = self.lines.get(sale_id)
        if draft is None:
            known = self.memory.sales.get(sale_id)
            draft = self.lines[sale_id] = LineDraft({} if known is None else known.line)
        return draft

    def is_waited_for(self, sale_id: str) -> bool:
        """Whether somebody stands in line for what this sale gets back."""
        draft = self.lines.get(sale_id)
        if draft is not None:
            return len(draft) > 0
        known = self.memory.sales.get(sale_id)
        return known is not None and bool(known.line)

    def sales_with_line(self) -> list[str]:
        """The sales that somebody waits for, this batch included."""
        waited_for = [name for name, sale in self.memory.sales.items() if sale.line]
        return waited_for + [name for name in self.lines if name not in waited_for]

    def shop(self, merchant: str) -> ShopRow:
        """How a merchant's orders are paid and sent, to look at."""
        known = self.shops.get(merchant) or self.memory.shops.get(merchant)
        return ShopRow(merchant=merchant) if known is None else known

    def put_shop(self, row: ShopRow) -> None:
        """How it shall be from now on."""
        self.shops[row.merchant] = row
        self.out.shops = [other for other in self.out.shops if other.merchant != row.merchant]
        self.out.shops.append(row)

    # ── answers that have a key ─────────────────────────────────────────────────────────────

    def known_answer(self, place: tuple[str, str]) -> tuple[str, Answer] | None:
        """(fingerprint, answer) that this (owner, key) had, in this batch or before."""
        row = self.facts.answers.get(place)
        return self.kept.get(place) if row is None else (row.fingerprint, row.answer.encode())

    def keep_answer(self, place: tuple[str, str], fingerprint: str, answer: Answer) -> None:
        """Store what (owner, key) is answered, with what was done for it."""
        self.kept[place] = (fingerprint, answer)

    # ── stock and grants ────────────────────────────────────────────────────────────────────

    def move_stock(self, product_id: str, *, total: int = 0, committed: int = 0) -> None:
        """Change a product's stock; guarded again by the database."""
        delta = self.stock.setdefault(
            product_id, StockDelta(product_id=product_id, total=0, committed=0)
        )
        delta.total += total
        delta.committed += committed
        row = self.facts.products.get(product_id)
        if row is not None:
            row.total += total
            row.committed += committed
        self.products_changed.add(product_id)

    def count_in_grant(self, sale: SaleRow, units: int) -> None:
        """Count units of a sale in its room's grant."""
        if sale.granted and units:
            self.use_grant(sale.product_id, sale.room, units)

    def use_grant(self, product_id: str, room: str, units: int) -> None:
        """Count units in what a room may sell of a product; guarded again by the database."""
        self.out.grants_used.append(GrantDelta(product_id=product_id, room=room, used=units))
        grant = self.facts.grants.get((product_id, room))
        if grant is not None:
            grant.used += units

    def use_coupon(self, coupon: str, buyer: str, cents: int, uses: int) -> None:
        """Take a discount from a coupon's budget, or give it back; guarded by the database."""
        self.out.coupons_used.append(CouponDelta(id=coupon, cents=cents))
        self.out.coupon_buyers.append(CouponBuyerDelta(coupon_id=coupon, buyer=buyer, uses=uses))
        for row in self.facts.coupons.values():
            if row.id == coupon:
                row.used += cents
        place = (coupon, buyer)
        self.facts.coupon_uses[place] = self.facts.coupon_uses.get(place, 0) + uses

    def record_stock(self, product_id: str, delta: int, reason: str, actor: str) -> None:
        """The immutable row of a change of a product's total."""
        self.out.stock_changes.append(
            StockChangeRow(
                n=self.next_n(), product_id=product_id, delta=delta, reason=reason, actor=actor,
                at=self.now,
            )
        )  # fmt: skip

    # ── orders ──────────────────────────────────────────────────────────────────────────────

    def add_order(self, row: OrderRow, lines: list[LineRow], actor: str) -> None:
        """A new order with its first edge."""
        self.new_orders[row.id] = row
        self.out.lines.extend(lines)
        self._add_edge(row, "", row.state, actor)

    def move_order(self, row: OrderRow, to: str, actor: str, changes: dict[str, object]) -> None:
        """One edge of an order; where it ends the order, its stock goes back."""
        step = edge(row.state, to)
        releases = step.releases or (to == "refunded" and bool(row.restocked))
        self.order_base.setdefault(row.id, row.state)
        fields: dict[str, object] = msgspec.json.decode(row.changes)
        fields.update(changes, state=to, sequence=row.sequence + 1)
        from_state, row.state = row.state, to
        row.sequence += 1
        row.changes = msgspec.json.encode(fields).decode()
        self._add_edge(row, from_state, to, actor)
        if releases:
            self.release(row)

    def _add_edge(self, row: OrderRow, from_state: str, to: str, actor: str) -> None:
        self.out.edges.append(
            EdgeRow(
                n=self.next_n(),
                order_id=row.id,
                sequence=row.sequence,
                from_state=from_state,
                state=to,
                at=self.now,
                actor=actor,
                event=edge(from_state, to).event,
                changes=row.changes,
            )
        )

    def move_payment(self, known: PaymentRow, to: PaymentRow) -> None:
        """A known payment in another state; a batch writes one step for each."""
        place = (known.provider, known.id)
        for booked in (row for row in self.out.payments if (row.provider, row.id) == place):
            booked.state, booked.order_id = to.state, to.order_id
            booked.amount_cents, booked.currency = to.amount_cents, to.currency
            return
        steps = [row for row in self.out.payment_moves if (row.provider, row.id) == place]
        if steps:
            steps[0].state, steps[0].order_id = to.state, to.order_id
            steps[0].amount_cents, steps[0].currency = to.amount_cents, to.currency
            return
        self.out.payment_moves.append(
            PaymentMove(
                provider=known.provider, id=known.id, known_state=known.state, state=to.state,
                order_id=to.order_id, amount_cents=to.amount_cents, currency=to.currency,
            )
        )  # fmt: skip

    def release(self, row: OrderRow) -> None:
        """Give the units of an ended order back: to its sale, or past a closed sale to stock."""
        if row.flash_sale_id is None:
            self._release_lines(row)
            return
        draft = self.sale(row.flash_sale_id)
        assert draft is not None, f"order {row.id} has no sale"
        draft.take(row.buyer, -row.quantity)
        if not draft.row.is_open:
            draft.row.units -= row.quantity
            self.move_stock(draft.row.product_id, committed=-row.quantity)
            self.count_in_grant(draft.row, -row.quantity)

    def _release_lines(self, row: OrderRow) -> None:
        """The units of an order without a sale go back to stock, and to the grants of its room."""
        order = msgspec.json.decode(row.answer, type=Order)
        for line in order.lines:
            self.move_stock(line.product_id, committed=-line.quantity)
            if row.room is not None:
                self.use_grant(line.product_id, row.room, -line.quantity)
        if order.coupon is not None:
            self.use_coupon(order.coupon.id, row.buyer, -order.discount_cents, -1)

    def drop_orders(self, ids: set[str]) -> set[str]:
        """Take back new orders whose key was known after all; the sales that they touched."""
        touched = set()
        for order_id in ids:
            row = self.new_orders.pop(order_id)
            self.keys.pop((row.buyer, row.key), None)
            if row.flash_sale_id is None or row.space != "client":
                raise MemoryWrong("a key that was read and unknown is known")
            self.sales[row.flash_sale_id].take(row.buyer, -row.quantity)
            touched.add(row.flash_sale_id)
        self.out.lines = [line for line in self.out.lines if line.order_id not in ids]
        self.out.edges = [row for row in self.out.edges if row.order_id not in ids]
        return touched

    # ── sales ───────────────────────────────────────────────────────────────────────────────

    def close_sale(self, draft: SaleDraft, state: str) -> None:
        """End a sale: what it did not sell goes back to the product and the grant."""
        row = draft.row
        rest = row.units - row.sold
        row.state, row.units, row.paused_at = state, row.sold, None
        if rest:
            self.move_stock(row.product_id, committed=-rest)
            self.count_in_grant(row, -rest)
        self.note_sale("flash_sale.ended", row)

    def note_sale(self, event: str, row: SaleRow) -> None:
        """Tell the feed about a sale as it is now."""
        self.note(event, row.merchant, {"flash_sale": row.shape(self.memory.fence)}, row.room)

    def note(self, event: str, merchant: str, data: object, room: str | None) -> None:
        """Put an event that is no edge of an order into the feed."""
        body = msgspec.json.encode(data).decode()
        self.out.notes.append(
            NoteRow(
                n=self.next_n(), type=event, merchant=merchant, room=room, at=self.now, data=body
            )
        )

    def product_answer(self, row: ProductRow) -> Answer:
        """A product as it is at the end of the batch."""
        return lambda: msgspec.json.encode(row.shape())

    def sale_answer(self, row: SaleRow) -> Answer:
        """A sale as it is at the end of the batch; in its old version where nothing changed."""

        def shown() -> bytes:
            draft = self.sales[row.id]
            stored = draft.row if draft.changed else draft.base
            return msgspec.json.encode(stored.shape(self.memory.fence))

        return shown

    @property
    def is_dirty(self) -> bool:
        """Whether there is anything to commit."""
        return bool(
            self.new_orders or self.out or self.order_base or self.stock or self.kept
            or any(draft.changed for draft in self.sales.values())
            or any(line.changed for line in self.lines.values())
        )  # fmt: skip
