"""
Setting counters right that the audit found wrong: computed again from orders, lines and stock
moves, in one transaction under a fence of its own.

The fence is taken in the first statement, so that a running writer's next batch finds it taken,
drops its memory and loads what was repaired. What is no counter (the states of orders, their edges,
amounts, payments) is never changed: that needs a person.
"""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from orders import lease_sql
from orders.audit_sql import CHECKS
from orders.lease import RELEASED

#: counter of the audit -> how it is set. `:name` is the row as the audit names it, `:first` and
#: `:second` the two halves of a name of two parts.
REPAIRS = {
    "product_stock.total": "UPDATE product_stock SET total = :counted WHERE product_id = :name",
    "product_stock.committed": (
        "UPDATE product_stock SET committed = :counted WHERE product_id = :name"
    ),
    "flash_sale.sold": (
        "UPDATE flash_sale SET sold = :counted, counter = counter + 1, units = CASE"
        " WHEN state IN ('scheduled', 'running') THEN units ELSE :counted END WHERE id = :name"
    ),
    "flash_sale.units of a closed sale": (
        "UPDATE flash_sale SET units = sold, counter = counter + 1 WHERE id = :name"
    ),
    "buyer_units.units": (
        "UPDATE buyer_units SET units = :counted WHERE flash_sale_id = :first AND buyer = :second"
    ),
    "buyer_units (no row)": "INSERT INTO buyer_units VALUES (:first, :second, :counted)",
    "sale_grant.used": (
        "UPDATE sale_grant SET used = :counted WHERE product_id = :first AND room = :second"
    ),
    "coupon.used": "UPDATE coupon SET used = :counted WHERE id = :name",
    "coupon_buyer.used": (
        "UPDATE coupon_buyer SET used = :counted WHERE coupon_id = :first AND buyer = :second"
    ),
}


class Repaired(NamedTuple):
    """`done`: one line for each counter that was set. `left`: what needs a person."""

    done: list[str]
    left: list[str]


class CannotRepair(Exception):
    """The database refuses the right number: more is held than there is."""


async def repair(engine: AsyncEngine, now: int, *, dry_run: bool) -> Repaired:
    """
    Set every wrong counter, all or none; with `dry_run` only say which. `now` in milliseconds.

    Raises:
        CannotRepair: A CHECK stands against the right number.
    """
    async with engine.connect() as connection:
        try:
            await _take_lease(connection, now)
            done = await _set_all(connection)
            left = await _differences(connection)
        except IntegrityError as error:
            await connection.rollback()
            raise CannotRepair(str(error.orig)) from error
        if dry_run or not done:
            await connection.rollback()
        else:
            await connection.commit()
    return Repaired(done, left)


async def _take_lease(connection: AsyncConnection, now: int) -> None:
    """The next fence, released again at once: the row stays locked to the end."""
    seen = await lease_sql.read(connection)
    if seen is None:
        return
    # whatever the beat is by now: on PostgreSQL the holder may raise it between the two
    await connection.execute(
        text("UPDATE lease SET fence = fence + 1, holder = :holder, beat = 0, now = :now"),
        {"holder": RELEASED, "now": max(now, seen.now)},
    )


async def _set_all(connection: AsyncConnection) -> list[str]:
    done = []
    for check in CHECKS:
        if check.counter not in REPAIRS:
            continue
        for name, stored, counted in (await connection.execute(text(check.sql))).all():
            first, _space, second = name.partition(" ")
            values = {"name": name, "first": first, "second": second, "counted": counted}
            statement = text(REPAIRS[check.counter])
            wanted = {key: values[key] for key in values if f":{key}" in statement.text}
            await connection.execute(statement, wanted)
            done.append(f"{check.counter} {name}: {stored} becomes {counted}")
    return done


async def _differences(connection: AsyncConnection) -> list[str]:
    return [
        f"{check.counter} {name}: stored {stored}, counted {counted}"
        for check in CHECKS
        for name, stored, counted in (await connection.execute(text(check.sql))).all()
    ]
