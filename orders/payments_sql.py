"""Payments in SQL, for those who ask their providers."""

import asyncio

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from orders import schema_sql as t
from orders.failures_sql import ERRORS, failure_of
from orders.order import PAYABLE
from orders.payments import OpenPayment, Place

#: A closed one is asked again: the deadline waits for a last word on every payment.
UNSURE = ("open", "closed")
READ_SECONDS = 5.0  # the next round tries again

_o, _p = t.orders.c, t.payments.c
_PAYMENTS = select(_p.provider, _p.id, _p.order_id, _p.amount_cents, _p.currency).join(
    t.orders, _o.id == _p.order_id
)


class SqlPayments:
    """`orders.payments_service.Waiting` over the writer's tables."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def unknown(self, after: Place, limit: int) -> list[OpenPayment]:
        """Raises a `Failure` when the database does not answer."""
        query = _PAYMENTS.where(t.IS_UNKNOWN, _p.state.in_(UNSURE), _o.id >= after[0])
        return await self._read(_page(query, _o.id, after, limit))

    async def left_open(self, after: Place, limit: int) -> list[OpenPayment]:
        """Raises a `Failure` when the database does not answer."""
        query = _PAYMENTS.where(t.IS_PAYMENT_OPEN, _o.state.not_in(PAYABLE))
        return await self._read(_page(query, _p.order_id, after, limit))

    async def _read(self, query: Select[tuple[str, str, str, int, str]]) -> list[OpenPayment]:
        try:
            async with asyncio.timeout(READ_SECONDS), self._engine.connect() as connection:
                return [
                    OpenPayment(
                        provider=row.provider,
                        id=row.id,
                        order=row.order_id,
                        amount_cents=row.amount_cents,
                        currency=row.currency,
                    )
                    for row in await connection.execute(query)
                ]
        except ERRORS as error:
            raise failure_of(error) from error


def _page(
    query: Select[tuple[str, str, str, int, str]],
    order: ColumnElement[str],
    after: Place,
    limit: int,
) -> Select[tuple[str, str, str, int, str]]:
    """The payments behind `after`, by order, provider and id: none is passed over or seen twice."""
    place = (order, _p.provider, _p.id)
    return query.where(tuple_(*place) > after).order_by(*place).limit(limit)
