"""
The ledger that the writer writes: a port, because the simulation has one in memory.

    Failure
    ├── LeaseLost      another holder has the fence now; nothing was written
    ├── MemoryWrong    a guard did not hold what memory said; nothing was written, load it again
    ├── Busy           lock, dead-lock or serialization; nothing was written, try the whole again
    ├── BadData        one of the rows cannot be stored; nothing was written
    └── Broken         the connection is gone; `outcome_unknown` when that was during the commit
"""

from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

import msgspec

from orders.lease import Lease
from orders.order import DEAD, TIMED
from orders.rows import (
    AnswerRow,
    CouponBuyerDelta,
    CouponDelta,
    CouponRow,
    CouponUseRow,
    EdgeRow,
    GrantDelta,
    GrantRow,
    InboundRow,
    LineRow,
    NoteRow,
    OrderMove,
    OrderRow,
    PaymentMove,
    PaymentRow,
    PlaceMove,
    PlaceRow,
    ProductRow,
    RefundRow,
    SaleChange,
    SaleRow,
    ShopRow,
    StockChangeRow,
    StockDelta,
    UnitsDelta,
)
from orders.shapes import Order

#: Orders that one batch ends at most: a new request waits for the batch before its own too, some
#: 20 ms of it on PostgreSQL. With 500 where nobody waited yet, the p99 of new reservations more
#: than doubled while 50,000 fell due.
MAX_ENDED_IN_A_BATCH = 100
MAX_ENDED_BESIDE_REQUESTS = 25  # the same in a batch that somebody waits for


#: How long the answer of a request with a key is kept: longer than a system's retries go on.
KEEP_ANSWERS_MS = 7 * 24 * 3_600_000
#: Older ones that a batch which keeps new ones forgets: as many as it can add, so none pile up.
MAX_FORGOTTEN = 1_000


class Failure(Exception):
    """Base of everything that keeps a batch from being committed."""


class LeaseLost(Failure):
    pass


class MemoryWrong(Failure):
    pass


class Busy(Failure):
    pass


class BadData(Failure):
    pass


class Broken(Failure):
    def __init__(self, detail: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(detail)
        self.outcome_unknown = outcome_unknown


class OrderKey(NamedTuple):
    """What an order is found by when its request is repeated."""

    buyer: str
    space: str
    key: str


class SkuAsked(NamedTuple):
    """A product by its SKU: of a merchant, or granted to a room when no merchant is named."""

    sku: str
    merchant: str | None
    room: str | None


class CouponAsked(NamedTuple):
    """A coupon by its code, of the shop of a product, and what this buyer used of it."""

    code: str
    product: str
    buyer: str


class Wanted(msgspec.Struct):
    """What a batch must know that memory does not hold."""

    keys: set[OrderKey] = msgspec.field(default_factory=set)
    orders: set[str] = msgspec.field(default_factory=set)
    sales: set[str] = msgspec.field(default_factory=set)
    products: set[str] = msgspec.field(default_factory=set)
    skus: set[SkuAsked] = msgspec.field(default_factory=set)
    grants: set[tuple[str, str]] = msgspec.field(default_factory=set)  # (product, room)
    payments: set[tuple[str, str]] = msgspec.field(default_factory=set)  # (provider, id)
    payments_of: set[str] = msgspec.field(default_factory=set)  # orders
    refunds: set[str] = msgspec.field(default_factory=set)
    coupons: set[str] = msgspec.field(default_factory=set)
    coupon_codes: set[tuple[str, str]] = msgspec.field(default_factory=set)  # (merchant, code)
    coupons_asked: set[CouponAsked] = msgspec.field(default_factory=set)
    inbound: set[tuple[str, str]] = msgspec.field(default_factory=set)  # (merchant, id)
    places: set[tuple[str, str]] = msgspec.field(default_factory=set)  # (buyer, key)
    answers: set[tuple[str, str]] = msgspec.field(default_factory=set)  # (owner, key)
    due_at: int | None = None  # orders whose deadline came by then
    void_sale: str | None = None  # orders of this sale, to be cancelled or refunded
    void_after: str = ""  # only those with a greater id
    most_ended: int = MAX_ENDED_IN_A_BATCH  # of those two, each

    def __bool__(self) -> bool:
        return bool(
            self.keys or self.orders or self.sales or self.products or self.skus or self.grants
            or self.payments or self.payments_of or self.refunds
            or self.coupons or self.coupon_codes or self.coupons_asked
            or self.inbound or self.places or self.answers
            or self.due_at is not None or self.void_sale is not None
        )  # fmt: skip


class Facts(msgspec.Struct):
    """The rows that were wanted and exist, locked until the end of the transaction."""

    by_key: dict[OrderKey, OrderRow] = msgspec.field(default_factory=dict)
    orders: dict[str, OrderRow] = msgspec.field(default_factory=dict)
    sales: dict[str, SaleRow] = msgspec.field(default_factory=dict)
    products: dict[str, ProductRow] = msgspec.field(default_factory=dict)
    skus: dict[SkuAsked, list[str]] = msgspec.field(default_factory=dict)  # product ids
    skus_elsewhere: set[str] = msgspec.field(default_factory=set)  # not granted where asked for
    grants: dict[tuple[str, str], GrantRow] = msgspec.field(default_factory=dict)
    payments: dict[tuple[str, str], PaymentRow] = msgspec.field(default_factory=dict)
    payments_of: dict[str, list[PaymentRow]] = msgspec.field(default_factory=dict)  # by order
    refunds: dict[str, RefundRow] = msgspec.field(default_factory=dict)
    coupons: dict[tuple[str, str], CouponRow] = msgspec.field(default_factory=dict)
    coupon_uses: dict[tuple[str, str], int] = msgspec.field(default_factory=dict)  # (id, buyer)
    inbound: set[tuple[str, str]] = msgspec.field(default_factory=set)  # known ones
    places: dict[tuple[str, str], PlaceRow] = msgspec.field(default_factory=dict)
    answers: dict[tuple[str, str], AnswerRow] = msgspec.field(default_factory=dict)
    due: list[str] = msgspec.field(default_factory=list)  # ids of `orders`, oldest first
    due_more: bool = False  # there may be more than these
    next_due_at: int | None = None  # the earliest deadline after `due_at`
    void: list[str] = msgspec.field(default_factory=list)
    void_more: bool = False


class Effects(msgspec.Struct):
    """Everything that a batch changes, one list for each statement."""

    orders: list[OrderRow] = msgspec.field(default_factory=list)
    lines: list[LineRow] = msgspec.field(default_factory=list)
    edges: list[EdgeRow] = msgspec.field(default_factory=list)
    moves: list[OrderMove] = msgspec.field(default_factory=list)
    payments: list[PaymentRow] = msgspec.field(default_factory=list)
    payment_moves: list[PaymentMove] = msgspec.field(default_factory=list)
    refunds: list[RefundRow] = msgspec.field(default_factory=list)
    new_coupons: list[CouponRow] = msgspec.field(default_factory=list)
    coupons: list[CouponRow] = msgspec.field(default_factory=list)  # limits set; not `used`
    coupons_used: list[CouponDelta] = msgspec.field(default_factory=list)
    coupon_buyers: list[CouponBuyerDelta] = msgspec.field(default_factory=list)
    coupon_uses: list[CouponUseRow] = msgspec.field(default_factory=list)
    shops: list[ShopRow] = msgspec.field(default_factory=list)
    inbound: list[InboundRow] = msgspec.field(default_factory=list)
    units_taken: list[UnitsDelta] = msgspec.field(default_factory=list)  # deltas above 0
    units_returned: list[UnitsDelta] = msgspec.field(default_factory=list)  # deltas below 0
    new_sales: list[SaleRow] = msgspec.field(default_factory=list)
    sales: list[SaleChange] = msgspec.field(default_factory=list)
    new_products: list[ProductRow] = msgspec.field(default_factory=list)
    products: list[ProductRow] = msgspec.field(default_factory=list)
    stock: list[StockDelta] = msgspec.field(default_factory=list)
    stock_changes: list[StockChangeRow] = msgspec.field(default_factory=list)
    grants: list[GrantRow] = msgspec.field(default_factory=list)  # limits set; `used` untouched
    grants_used: list[GrantDelta] = msgspec.field(default_factory=list)
    notes: list[NoteRow] = msgspec.field(default_factory=list)
    place_moves: list[PlaceMove] = msgspec.field(default_factory=list)
    new_places: list[PlaceRow] = msgspec.field(default_factory=list)
    answers: list[AnswerRow] = msgspec.field(default_factory=list)  # and old ones are forgotten

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__struct_fields__)


class Loaded(msgspec.Struct):
    """What a new holder starts with: its cache of the open sales, and the next number."""

    sales: list[SaleRow]
    units: list[tuple[str, str, int]]  # (sale, buyer, units)
    keys: list[tuple[str, str, str]]  # (buyer, key, sale)
    last_n: int
    next_due_at: int | None
    shops: list[ShopRow]
    voids: list[str]  # sales whose orders are still to be cancelled
    waiting: list[PlaceRow] = msgspec.field(default_factory=list)  # in the open sales, in order


class Transaction(Protocol):
    """One transaction, begun with the fence. Leaving the block without `commit` rolls back."""

    async def read(self, wanted: Wanted) -> Facts:
        """The wanted rows, locked."""

    async def insert_orders(self, rows: list[OrderRow]) -> set[str]:
        """Insert orders whose key is unknown; the ids that were inserted."""

    async def write(self, effects: Effects) -> None:
        """
        Everything but the orders.

        Raises:
            MemoryWrong: A guard found another counter, state, limit or stock than memory said.
        """

    async def commit(self) -> None:
        """Make it true. `Broken.outcome_unknown` when nobody can say whether it is."""


class Answers(Protocol):
    """The one question of a waiter that got no answer in time."""

    async def answer_by_key(self, buyer: str, space: str, key: str) -> tuple[str, bytes] | None:
        """(fingerprint, answer) of the order with this key."""


class Ledger(Answers, Protocol):
    """The database as the writer sees it. All methods raise `Failure`s."""

    async def read_lease(self) -> Lease | None:
        """The lease of now, None before the first holder."""

    async def take_lease(self, holder: str, seen: Lease | None, now: int) -> Lease | None:
        """
        The lease with the next fence for `holder`, None when it is no longer as `seen`.

        Waits for the transaction of an earlier holder, whose commit nobody has heard of.
        """

    async def renew_lease(self, fence: int, now: int) -> None:
        """Raise the beat. Raises `LeaseLost`."""

    async def release_lease(self, fence: int, now: int) -> None:
        """Give the lease back, so that the next holder need not wait."""

    async def load(self) -> Loaded:
        """What the cache holds, in one snapshot."""

    async def counters(self) -> dict[str, int]:
        """The counter of every open sale, to notice a row that somebody else wrote."""

    def transaction(self, fence: int, now: int) -> AbstractAsyncContextManager[Transaction]:
        """Begin with the fence: raises `LeaseLost` before anything is read."""


def follow(wanted: Wanted, facts: Facts) -> Wanted:
    """
    What the found rows lead to: the sales of orders, the products and grants of SKUs, the payments
    of orders to refund, and what a late payment needs to make a new order of a dead one.
    """
    more = Wanted()
    for order_id in wanted.orders & facts.orders.keys():
        if _is_dead(facts.orders[order_id], wanted.due_at):
            _follow_dead(facts.orders[order_id], more)
    more.payments_of = {name for name in facts.void if facts.orders[name].state == "paid"}
    more.sales = {
        order.flash_sale_id for order in facts.orders.values() if order.flash_sale_id is not None
    } - facts.sales.keys()
    for asked, ids in facts.skus.items():
        more.products |= set(ids) - facts.products.keys()
        if asked.room is not None:
            more.grants |= {(product, asked.room) for product in ids} - facts.grants.keys()
    return more


def _is_dead(order: OrderRow, due_at: int | None) -> bool:
    """Whether an order is dead, or may die in this batch before its payment is decided."""
    dying = order.state in TIMED and due_at is not None and (order.expires_at or 0) <= due_at
    return order.state in DEAD or dying


def _follow_dead(order: OrderRow, more: Wanted) -> None:
    more.keys.add(OrderKey(order.buyer, "server", late_key(order.id)))
    for line in msgspec.json.decode(order.answer, type=Order).lines:
        more.products.add(line.product_id)
        if order.room is not None and order.flash_sale_id is None:
            more.grants.add((line.product_id, order.room))


def late_key(order_id: str) -> str:
    """The key of the one order that a late payment makes of a dead one."""
    return f"late:{order_id}"
