"""Payments in SQL, for those who ask their providers."""

import asyncio

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from orders import schema_sql as t
from orders.failures_sql import ERRORS, failure_of
from orders.payments import OpenPayment

#: A closed one is asked again: the deadline waits for a last word on every payment.
UNSURE = ("open", "closed")
READ_SECONDS = 5.0  # the next round tries again


class SqlPayments:
    """`orders.payments_service.Waiting` over the writer's tables."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def open_payments(self, after: str, limit: int) -> list[OpenPayment]:
        """Raises a `Failure` when the database does not answer."""
        o, p = t.orders.c, t.payments.c
        query = (
            select(p.provider, p.id, p.order_id, p.amount_cents, p.currency)
            .join(t.orders, o.id == p.order_id)
            .where(t.IS_UNKNOWN, p.state.in_(UNSURE), o.id > after)
            .order_by(o.id, p.provider, p.id)
            .limit(limit)
        )
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
