"""
Reading what the writer wrote: the shapes of products, sales and orders, for everyone who asks.

Reads never wait for the writer (on SQLite by an engine made with `read_only=True`).
Lists are pages: at most `limit` items and the cursor of the next page, None after the last.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy import Select, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from orders import schema_sql as t
from orders.errors import Unavailable
from orders.failures_sql import ERRORS, failure_of
from orders.lease import Lease
from orders.lease_sql import read as read_lease
from orders.ledger_sql import find_answer
from orders.rows import OPEN_STATES, CouponRow, PlaceRow, ProductRow, SaleRow, ShopRow, merged
from orders.shapes import Coupon, FlashSale, Grant, Order, OrderEdge, Place, Product, Turnover
from orders.times import rfc3339
from orders.waitlist import nowhere, shape

log = logging.getLogger(__name__)

READ_SECONDS = 5.0  # a page that takes longer helps nobody
MAX_PAGE = 200  # items; more makes an answer that no page shows
SHOWN_AFTER_END_MS = 3_600_000  # an ended sale stays in its room for an hour


class Reads:
    """All queries. A missing thing is None; a database that fails raises `Unavailable`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    # ── products ────────────────────────────────────────────────────────────────────────────

    async def product(self, product_id: str) -> Product | None:
        found = await self.products([product_id])
        return found[0] if found else None

    async def products(self, ids: Sequence[str]) -> list[Product]:
        """The products with these ids, in the order of `ids`; missing ones are left out."""
        rows = await self._products(_products().where(t.product.c.id.in_(list(ids))))
        by_id = {product.id: product for product in rows}
        return [by_id[product_id] for product_id in ids if product_id in by_id]

    async def products_of(
        self, merchant: str, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[Product], str | None]:
        """A merchant's products, oldest first."""
        query = _products().where(t.product.c.merchant == merchant).order_by(t.product.c.id)
        if cursor is not None:
            query = query.where(t.product.c.id > cursor)
        limit = _page(limit)
        return _cut(await self._products(query.limit(limit + 1)), limit)

    async def products_by_sku(self, merchant: str, skus: Sequence[str]) -> dict[str, Product]:
        """A merchant's products with these SKUs."""
        p = t.product.c
        query = _products().where(p.merchant == merchant, p.sku.in_(skus))
        return {product.sku: product for product in await self._products(query)}

    async def granted_products(self, room: str) -> list[Product]:
        """What a room may sell."""
        query = _products().join(t.sale_grant, t.sale_grant.c.product_id == t.product.c.id)
        query = query.where(t.sale_grant.c.room == room).order_by(t.product.c.id)
        return await self._products(query)

    async def grants(self, product_id: str) -> list[Grant]:
        """What rooms may sell of a product."""
        g = t.sale_grant
        async with self._connect() as connection:
            rows = await connection.execute(
                select(g).where(g.c.product_id == product_id).order_by(g.c.room)
            )
            return [Grant(**row._mapping) for row in rows]

    async def _products(self, query: Select[Any]) -> list[Product]:
        async with self._connect() as connection:
            rows = await connection.execute(query)
            return [ProductRow(**row._mapping).shape() for row in rows]

    # ── flash sales ─────────────────────────────────────────────────────────────────────────

    async def flash_sale(self, sale_id: str) -> FlashSale | None:
        async with self._connect() as connection:
            lease = await read_lease(connection)
            query = select(t.flash_sale).where(t.flash_sale.c.id == sale_id)
            found = await _sales(connection, query, lease)
        return found[0] if found else None

    async def sales_of_room(self, room: str) -> list[FlashSale]:
        """What the room shows: open sales, and those that ended within the hour."""
        s = t.flash_sale.c
        async with self._connect() as connection:
            lease = await read_lease(connection)
            shown_from = 0 if lease is None else lease.now - SHOWN_AFTER_END_MS
            query = select(t.flash_sale).where(
                s.room == room, or_(s.state.in_(OPEN_STATES), s.ends_at > shown_from)
            )
            return await _sales(connection, query.order_by(s.id), lease)

    async def place(self, sale_id: str, buyer: str) -> Place | None:
        """A buyer's newest place in the waiting list of a sale; None when there is no such sale."""
        s, w = t.flash_sale.c, t.waitlist.c
        mine = select(t.waitlist).where(w.flash_sale_id == sale_id, w.buyer == buyer)
        async with self._connect() as connection:
            state = (
                await connection.execute(select(s.state).where(s.id == sale_id))
            ).scalar_one_or_none()
            if state is None:
                return None
            row = (await connection.execute(mine.order_by(w.n.desc()).limit(1))).one_or_none()
            n, people = (0 if row is None else row.n), (0, 0)
            if state in OPEN_STATES:
                ahead = func.coalesce(func.sum(case((w.n <= n, 1), else_=0)), 0)
                line = select(ahead, func.count()).where(
                    w.flash_sale_id == sale_id, w.state == "waiting"
                )
                stands, waiting = (await connection.execute(line)).one()
                people = (int(stands), waiting)
        if row is None:
            return nowhere(sale_id, people[1])
        place = PlaceRow(**row._mapping)
        waits = place.state == "waiting" and state in OPEN_STATES
        return shape(place, people[0] if waits else None, people[1])

    async def sale_merchant(self, sale_id: str) -> str | None:
        """The merchant of a sale's product, to decide who may change it."""
        s = t.flash_sale.c
        async with self._connect() as connection:
            found = await connection.execute(select(s.merchant).where(s.id == sale_id))
            merchant: str | None = found.scalar_one_or_none()
            return merchant

    # ── shops ────────────────────────────────────────────────────────────────────────────────

    async def shop(self, merchant: str) -> ShopRow:
        """How a merchant's orders are paid and sent, secrets included: not for answers."""
        async with self._connect() as connection:
            query = select(t.shop).where(t.shop.c.merchant == merchant)
            row = (await connection.execute(query)).one_or_none()
            return ShopRow(merchant=merchant) if row is None else ShopRow(**row._mapping)

    # ── coupons ──────────────────────────────────────────────────────────────────────────────

    async def coupon(self, coupon_id: str) -> Coupon | None:
        found = await self._coupons(select(t.coupon).where(t.coupon.c.id == coupon_id))
        return found[0] if found else None

    async def coupons_of(
        self, merchant: str, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[Coupon], str | None]:
        """A shop's coupons, newest first."""
        c = t.coupon.c
        query = select(t.coupon).where(c.merchant == merchant).order_by(c.id.desc())
        if cursor is not None:
            query = query.where(c.id < cursor)
        limit = _page(limit)
        return _cut(await self._coupons(query.limit(limit + 1)), limit)

    async def _coupons(self, query: Select[Any]) -> list[Coupon]:
        async with self._connect() as connection:
            rows = await connection.execute(query)
            return [CouponRow(**row._mapping).shape() for row in rows]

    # ── orders ──────────────────────────────────────────────────────────────────────────────

    async def order(self, order_id: str) -> Order | None:
        found = await self._orders(select(t.orders).where(t.orders.c.id == order_id))
        return found[0] if found else None

    async def orders_of_buyer(
        self, buyer: str, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[Order], str | None]:
        """A buyer's orders, newest first."""
        return await self._order_page(t.orders.c.buyer == buyer, cursor, limit)

    async def orders_of_merchant(
        self, merchant: str, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[Order], str | None]:
        """A shop's orders, newest first."""
        return await self._order_page(t.orders.c.merchant == merchant, cursor, limit)

    async def order_history(self, order_id: str) -> list[OrderEdge]:
        """Every edge of an order, first to last; empty when there is no such order."""
        e = t.order_edges.c
        query = select(e.sequence, e.from_state, e.state, e.actor, e.at)
        async with self._connect() as connection:
            rows = await connection.execute(
                query.where(e.order_id == order_id).order_by(e.sequence)
            )
            return [
                OrderEdge(
                    sequence=row.sequence,
                    from_state=row.from_state or None,
                    state=row.state,
                    actor=row.actor,
                    at=rfc3339(row.at),
                )
                for row in rows
            ]

    async def turnover(
        self,
        since: int,
        until: int,
        *,
        merchant: str | None = None,
        room: str | None = None,
        placed_in: tuple[int, int] | None = None,
    ) -> list[Turnover]:
        """
        Placed, paid and refunded in [since, until) milliseconds, of a shop, a room, or all; with
        `placed_in` only of orders that were placed in that time, whenever they were paid.

        A payment that no order could take and that went back counts nowhere. An order that a late
        payment made counts as placed once more: the one that it replaces was never paid.
        """
        o, p, r = t.orders.c, t.payments.c, t.refunds.c
        placed = select(o.currency, func.sum(o.amount_cents), func.count()).where(
            o.created_at >= since, o.created_at < until
        )
        paid = select(o.currency, func.sum(p.amount_cents), func.count()).select_from(
            t.payments.join(t.orders, o.id == p.order_id)
        )
        paid = paid.where(p.state == "captured", o.paid_at >= since, o.paid_at < until)
        back = select(o.currency, func.sum(r.amount_cents), func.count()).select_from(
            t.refunds.join(t.orders, o.id == r.order_id)
        )
        back = back.where(r.kind == "order", r.at >= since, r.at < until)
        sums: dict[str, Turnover] = {}
        async with self._connect() as connection:
            for query, cents, count in (
                (placed, "placed_cents", "placed_orders"), (paid, "paid_cents", "paid_orders"),
                (back, "refunded_cents", "refunds"),
            ):  # fmt: skip
                if merchant is not None:
                    query = query.where(o.merchant == merchant)
                if room is not None:
                    query = query.where(o.room == room)
                if placed_in is not None:
                    query = query.where(o.created_at >= placed_in[0], o.created_at < placed_in[1])
                for row in await connection.execute(query.group_by(o.currency)):
                    total = sums.setdefault(row[0], _nothing(row[0]))
                    setattr(total, cents, int(row[1]))
                    setattr(total, count, row[2])
        return [sums[currency] for currency in sorted(sums)]

    async def states_of_orders(self, room: str, since: int, until: int) -> dict[str, int]:
        """How many of a room's orders placed in [since, until) milliseconds are in each state."""
        o = t.orders.c
        query = (
            select(o.state, func.count())
            .where(o.room == room, o.created_at >= since, o.created_at < until)
            .group_by(o.state)
        )
        async with self._connect() as connection:
            return {state: count for state, count in await connection.execute(query)}

    async def order_by_key(self, buyer: str, space: str, key: str) -> Order | None:
        """The order that this key made, as it is now."""
        o = t.orders.c
        query = select(t.orders).where(o.buyer == buyer, o.space == space, o.key == key)
        found = await self._orders(query)
        return found[0] if found else None

    async def answer_by_key(self, buyer: str, space: str, key: str) -> tuple[str, bytes] | None:
        """(fingerprint, answer) of the order that this key made, as its buyer got it."""
        async with self._connect() as connection:
            return await find_answer(connection, buyer, space, key)

    async def buyers_of_sale(self, sale: str) -> set[str]:
        """Who has an order in this sale, of whatever state, made with a key of their own."""
        o = t.orders.c
        query = select(o.buyer).where(o.flash_sale_id == sale, o.space == "client").distinct()
        async with self._connect() as connection:
            return {row[0] for row in await connection.execute(query)}

    async def _order_page(
        self, condition: Any, cursor: str | None, limit: int
    ) -> tuple[list[Order], str | None]:
        query = select(t.orders).where(condition).order_by(t.orders.c.id.desc())
        if cursor is not None:
            query = query.where(t.orders.c.id < cursor)
        limit = _page(limit)
        return _cut(await self._orders(query.limit(limit + 1)), limit)

    async def _orders(self, query: Select[Any]) -> list[Order]:
        async with self._connect() as connection:
            rows = await connection.execute(query)
            return [
                msgspec.json.decode(merged(row.answer, row.changes), type=Order) for row in rows
            ]

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(READ_SECONDS), self._engine.connect() as connection:
                yield connection
        except ERRORS as error:
            log.warning("read failed: %s", failure_of(error))
            raise Unavailable("the database does not answer: try again") from error


def _products() -> Select[Any]:
    stock = t.product_stock.c
    query = select(t.product, stock.total, stock.committed)
    return query.join(t.product_stock, stock.product_id == t.product.c.id)


async def _sales(
    connection: AsyncConnection, query: Select[Any], lease: Lease | None
) -> list[FlashSale]:
    fence = 0 if lease is None else lease.fence
    rows = await connection.execute(query)
    return [SaleRow(**row._mapping).shape(fence) for row in rows]


def _nothing(currency: str) -> Turnover:
    return Turnover(
        currency=currency,
        placed_cents=0,
        placed_orders=0,
        paid_cents=0,
        paid_orders=0,
        refunded_cents=0,
        refunds=0,
    )


def _page(limit: int) -> int:
    return max(1, min(limit, MAX_PAGE))


def _cut(items: list[Any], limit: int) -> tuple[list[Any], str | None]:
    """The page, and where the next one starts if there is more than the page."""
    if len(items) <= limit:
        return items, None
    return items[:limit], items[limit - 1].id
