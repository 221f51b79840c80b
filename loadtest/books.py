"""
What the checks compare: the clients' journal, and everything in SQL in one snapshot.

It knows the rules of the shop by itself: which states there are, and which of them hold units.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from loadtest.journal import Line

HELD = {
    "reserved", "pending_payment", "payment_unknown", "paid", "shipped", "completed", "refunding",
}  # fmt: skip
PAID = {"paid", "shipped", "completed", "refunding", "refunded"}
RELEASED = {"expired", "cancelled"}
PLACING = {"reserve", "create"}

ORDERS = """
SELECT o.id, o.buyer, o.space, o.key, o.answer, o.state, o.sequence, o.merchant, o.room,
       o.flash_sale_id, o.quantity, o.amount_cents, o.refunded_cents, o.restocked,
       o.expires_at, o.paid_at
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
    refunds: list[Row] = field(default_factory=list)
    places: list[Row] = field(default_factory=list)  # of the waiting lists, first to last
    coupons: list[Row] = field(default_factory=list)
    coupon_uses: list[Row] = field(default_factory=list)
    coupon_buyers: list[Row] = field(default_factory=list)
    grants: list[Row] = field(default_factory=list)
    endpoints: list[Row] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)
    clock: int = 0  # the writer's, at its last beat

    def discount_of(self, order: Row) -> int:
        """What coupons took off an order, in cents."""
        if self._discounts is None:
            self._discounts = {use["order_id"]: use["cents"] for use in self.coupon_uses}
        return self._discounts.get(order["id"], 0)

    _discounts: dict[str, int] | None = None


@dataclass
class Run:
    """The books beside the journal, with what the checks share."""

    books: Books
    journal: list[Line]
    outage_ms: int = 0  # how long nothing could be decided; deadlines wait for it

    @property
    def asks(self) -> list[Line]:
        return [line for line in self.journal if line["kind"] == "ask"]

    @property
    def placings(self) -> list[Line]:
        """The asks that make an order."""
        return [line for line in self.asks if line["what"] in PLACING]

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
        refunds=await rows("SELECT * FROM refunds"),
        places=await rows("SELECT * FROM waitlist ORDER BY n"),
        coupons=await rows("SELECT id, used, budget FROM coupon"),
        coupon_uses=await rows("SELECT * FROM coupon_use"),
        coupon_buyers=await rows("SELECT * FROM coupon_buyer"),
        grants=await rows("SELECT product_id, room, units_max, used FROM sale_grant"),
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


def held_over_time(
    run: Run, parts: Callable[[Row], Iterable[tuple[Hashable, int]]]
) -> Iterator[tuple[Any, int, Row, Row]]:
    """
    Every step of the ledger that changed what is held, with the sum after it.

    Args:
        parts: What an order holds: (of what, how much).

    Yields:
        (of what, held after the step, the edge, its order).
    """
    held: Counter[Hashable] = Counter()
    for edge in run.books.edges:
        order = run.books.orders.get(edge["order_id"])
        sign = _direction(edge, order)
        if order is None or not sign:
            continue
        for place, amount in parts(order):
            held[place] += sign * amount
            yield place, held[place], edge, order


def _direction(edge: Row, order: Row | None) -> int:
    """1 for the step that takes units, -1 for one that gives them back."""
    if edge["from_state"] == "":
        return 1
    given_back = edge["state"] == "refunded" and order is not None and order["restocked"]
    return -1 if edge["state"] in RELEASED or given_back else 0
