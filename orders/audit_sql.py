"""
Every counter, computed again from what it counts, in one snapshot.

The writer and the database keep these counters right. The audit trusts neither: it starts from the
orders, their lines and their edges, and says in words where a stored number differs.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from orders.order import EDGES, HELD

HELD_SQL = (
    f"(o.state IN ({', '.join(repr(state) for state in sorted(HELD))})"
    " OR (o.state = 'refunded' AND o.restocked = 0))"
)
ALLOWED_SQL = ", ".join(f"'{from_state}>{state}'" for from_state, state in sorted(EDGES))


class Check(NamedTuple):
    """
    One counter. `sql` yields (name, stored, counted) of every row where the two differ.
    """

    counter: str
    sql: str


def _sum(table: str, keys: Sequence[str], query: str) -> str:
    """Rows of a sum, to be joined as `c` on `keys`."""
    names = ", ".join(keys)
    return (
        f"LEFT JOIN (SELECT {names}, sum(q) AS counted FROM ({query}) x GROUP BY {names}) {table}"
    )


#: Units of each product that sales and orders of the shelf hold. A closed sale's units are its
#: sold ones, so both kinds of sales are summed alike (`flash_sale.units` is checked by itself).
COMMITTED = f"""
SELECT s.product_id, CASE WHEN s.state IN ('scheduled', 'running') THEN s.units ELSE 0 END AS q
FROM flash_sale s
UNION ALL
SELECT l.product_id, l.quantity FROM order_lines l JOIN orders o ON o.id = l.order_id
LEFT JOIN flash_sale s ON s.id = o.flash_sale_id
WHERE {HELD_SQL} AND (s.id IS NULL OR s.state NOT IN ('scheduled', 'running'))
"""

SOLD = f"""
SELECT o.flash_sale_id AS sale, l.quantity AS q
FROM orders o JOIN order_lines l ON l.order_id = o.id
WHERE o.flash_sale_id IS NOT NULL AND {HELD_SQL}
"""

BY_BUYER = f"""
SELECT o.flash_sale_id AS sale, o.buyer AS buyer, l.quantity AS q
FROM orders o JOIN order_lines l ON l.order_id = o.id
WHERE o.flash_sale_id IS NOT NULL AND {HELD_SQL}
"""

CHECKS = (
    Check(
        "product_stock.committed",
        "SELECT p.product_id, p.committed, coalesce(c.counted, 0) FROM product_stock p "
        + _sum("c", ["product_id"], COMMITTED)
        + " ON c.product_id = p.product_id WHERE p.committed <> coalesce(c.counted, 0)",
    ),
    Check(
        "product_stock.total",
        "SELECT p.product_id, p.total, coalesce(c.counted, 0) FROM product_stock p "
        + _sum("c", ["product_id"], "SELECT product_id, delta AS q FROM stock_change")
        + " ON c.product_id = p.product_id WHERE p.total <> coalesce(c.counted, 0)",
    ),
    Check(
        "flash_sale.sold",
        "SELECT s.id, s.sold, coalesce(c.counted, 0) FROM flash_sale s "
        + _sum("c", ["sale"], SOLD)
        + " ON c.sale = s.id WHERE s.sold <> coalesce(c.counted, 0)",
    ),
    Check(
        "flash_sale.units of a closed sale",
        "SELECT s.id, s.units, s.sold FROM flash_sale s"
        " WHERE s.state NOT IN ('scheduled', 'running') AND s.units <> s.sold",
    ),
    Check(
        "buyer_units.units",
        "SELECT u.flash_sale_id || ' ' || u.buyer, u.units, coalesce(c.counted, 0)"
        " FROM buyer_units u "
        + _sum("c", ["sale", "buyer"], BY_BUYER)
        + " ON c.sale = u.flash_sale_id AND c.buyer = u.buyer"
        " WHERE u.units <> coalesce(c.counted, 0)",
    ),
    Check(
        "buyer_units (no row)",
        "SELECT c.sale || ' ' || c.buyer, 0, c.counted FROM"
        f" (SELECT sale, buyer, sum(q) AS counted FROM ({BY_BUYER}) x GROUP BY sale, buyer) c"
        " LEFT JOIN buyer_units u ON u.flash_sale_id = c.sale AND u.buyer = c.buyer"
        " WHERE u.buyer IS NULL",
    ),
    Check(
        "sale_grant.used",
        "SELECT g.product_id || ' ' || g.room, g.used, coalesce(c.counted, 0) FROM sale_grant g "
        + _sum(
            "c",
            ["product_id", "room"],
            "SELECT product_id, room, units AS q FROM flash_sale WHERE granted = 1"
            " UNION ALL SELECT l.product_id, o.room, l.quantity FROM order_lines l"
            " JOIN orders o ON o.id = l.order_id"
            f" WHERE o.flash_sale_id IS NULL AND o.room IS NOT NULL AND {HELD_SQL}",
        )
        + " ON c.product_id = g.product_id AND c.room = g.room"
        " WHERE g.used <> coalesce(c.counted, 0)",
    ),
    Check(
        "coupon.used",
        "SELECT k.id, k.used, coalesce(c.counted, 0) FROM coupon k "
        + _sum(
            "c",
            ["coupon_id"],
            "SELECT u.coupon_id, u.cents AS q FROM coupon_use u JOIN orders o ON o.id = u.order_id"
            f" WHERE {HELD_SQL}",
        )
        + " ON c.coupon_id = k.id WHERE k.used <> coalesce(c.counted, 0)",
    ),
    Check(
        "coupon_buyer.used",
        "SELECT k.coupon_id || ' ' || k.buyer, k.used, coalesce(c.counted, 0) FROM coupon_buyer k "
        + _sum(
            "c",
            ["coupon_id", "buyer"],
            "SELECT u.coupon_id, u.buyer, 1 AS q FROM coupon_use u"
            f" JOIN orders o ON o.id = u.order_id WHERE {HELD_SQL}",
        )
        + " ON c.coupon_id = k.coupon_id AND c.buyer = k.buyer"
        " WHERE k.used <> coalesce(c.counted, 0)",
    ),
    Check(
        "orders of the waiting list",
        "SELECT o.id, o.quantity, coalesce(w.quantity, 0) FROM orders o"
        " LEFT JOIN waitlist w ON w.order_id = o.id AND w.buyer = o.buyer"
        " AND w.flash_sale_id = o.flash_sale_id"
        " WHERE o.space = 'waitlist' AND (w.n IS NULL OR o.quantity > w.quantity)",
    ),
    Check(
        "waitlist.order_id",
        "SELECT w.flash_sale_id || ' ' || w.buyer, w.order_id, 'no such order' FROM waitlist w"
        " LEFT JOIN orders o ON o.id = w.order_id AND o.buyer = w.buyer AND o.space = 'waitlist'"
        " WHERE w.state = 'offered' AND o.id IS NULL",
    ),
    Check(  # who waits while somebody behind was offered a unit
        "waitlist.n",
        "SELECT w.flash_sale_id || ' ' || w.buyer, w.n, c.counted FROM waitlist w"
        " JOIN (SELECT flash_sale_id, max(n) AS counted FROM waitlist WHERE state = 'offered'"
        " GROUP BY flash_sale_id) c ON c.flash_sale_id = w.flash_sale_id"
        " WHERE w.state = 'waiting' AND w.n < c.counted",
    ),
    Check(
        "orders.quantity",
        "SELECT o.id, o.quantity, coalesce(c.counted, 0) FROM orders o "
        + _sum("c", ["order_id"], "SELECT order_id, quantity AS q FROM order_lines")
        + " ON c.order_id = o.id WHERE o.quantity <> coalesce(c.counted, 0)",
    ),
    Check(
        "orders.amount_cents",
        "SELECT o.id, o.amount_cents, coalesce(c.counted, 0) FROM orders o "
        + _sum(
            "c",
            ["order_id"],
            "SELECT order_id, quantity * unit_price_cents AS q FROM order_lines"
            " UNION ALL SELECT order_id, -cents FROM coupon_use",
        )
        + " ON c.order_id = o.id WHERE o.amount_cents <> coalesce(c.counted, 0)",
    ),
    Check(
        "orders.sequence",
        "SELECT o.id, o.sequence, coalesce(c.counted, 0) FROM orders o "
        + _sum("c", ["order_id"], "SELECT order_id, 1 AS q FROM order_edges")
        + " ON c.order_id = o.id WHERE o.sequence <> coalesce(c.counted, 0)",
    ),
    Check(
        "orders.state",
        "SELECT o.id, o.state, coalesce(e.state, 'no edge') FROM orders o"
        " LEFT JOIN order_edges e ON e.order_id = o.id AND e.sequence = o.sequence"
        " WHERE o.state <> coalesce(e.state, 'no edge')",
    ),
    Check(
        "order_edges.state",
        "SELECT e.order_id || ' ' || e.sequence, e.from_state || '>' || e.state, 'no such edge'"
        f" FROM order_edges e WHERE e.from_state || '>' || e.state NOT IN ({ALLOWED_SQL})",
    ),
    Check(
        "orders.refunded_cents",
        "SELECT o.id, o.refunded_cents, coalesce(c.counted, 0) FROM orders o "
        + _sum(
            "c",
            ["order_id"],
            "SELECT order_id, amount_cents AS q FROM refunds WHERE kind = 'order'",
        )
        + " ON c.order_id = o.id WHERE o.refunded_cents <> coalesce(c.counted, 0)",
    ),
    Check(
        "payments.amount_cents of a returned payment",
        "SELECT p.provider || ' ' || p.id, p.amount_cents, coalesce(c.counted, 0) FROM payments p "
        + _sum(
            "c",
            ["provider", "payment_id"],
            "SELECT provider, payment_id, amount_cents AS q FROM refunds WHERE kind = 'payment'",
        )
        + " ON c.provider = p.provider AND c.payment_id = p.id WHERE p.state = 'returned'"
        " AND p.amount_cents <> coalesce(c.counted, 0)",
    ),
    Check(
        "payments.amount_cents of a paid order",
        "SELECT o.id, coalesce(c.counted, 0), o.amount_cents FROM orders o "
        + _sum(
            "c",
            ["order_id"],
            "SELECT order_id, amount_cents AS q FROM payments WHERE state = 'captured'",
        )
        + " ON c.order_id = o.id WHERE o.paid_at IS NOT NULL"
        " AND coalesce(c.counted, 0) <> o.amount_cents",
    ),
)


async def audit(engine: AsyncEngine) -> list[str]:
    """Every difference as one readable line; empty when all counters are right."""
    differences = []
    async with _snapshot(engine) as connection:
        for check in CHECKS:
            rows = await connection.execute(text(check.sql + " ORDER BY 1"))
            differences += [
                f"{check.counter} {name}: stored {stored}, counted {counted}"
                for name, stored, counted in rows
            ]
    return differences


@asynccontextmanager
async def _snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One moment of the database, without holding up its writer."""
    async with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            await connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        yield connection
