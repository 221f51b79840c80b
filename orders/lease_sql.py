"""The lease as a row: every change is guarded by the fence that its writer knows."""

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from orders.lease import LEASE_NAME, RELEASED, Lease
from orders.schema_sql import lease


async def read(connection: AsyncConnection) -> Lease | None:
    """The row of now."""
    row = (
        await connection.execute(
            select(lease.c.holder, lease.c.fence, lease.c.beat, lease.c.now).where(
                lease.c.name == LEASE_NAME
            )
        )
    ).one_or_none()
    return None if row is None else Lease(row[0], row[1], row[2], row[3])


async def take(
    connection: AsyncConnection, holder: str, seen: Lease | None, now: int
) -> Lease | None:
    """The next fence for `holder`, None when the row is no longer as `seen`."""
    if seen is None:
        taken = Lease(holder, 1, 0, now)
        if await read(connection) is not None:
            return None
        await connection.execute(
            insert(lease).values(name=LEASE_NAME, holder=holder, fence=1, beat=0, now=now)
        )
        return taken
    taken = Lease(holder, seen.fence + 1, 0, max(now, seen.now))
    changed = await connection.execute(
        update(lease)
        .where(lease.c.name == LEASE_NAME, lease.c.fence == seen.fence, lease.c.beat == seen.beat)
        .values(holder=holder, fence=taken.fence, beat=0, now=taken.now)
    )
    return taken if changed.rowcount == 1 else None


async def beat(connection: AsyncConnection, fence: int, now: int) -> bool:
    """Raise the beat; False when the fence is somebody else's. Holds the row to the end."""
    changed = await connection.execute(
        update(lease)
        .where(lease.c.name == LEASE_NAME, lease.c.fence == fence, lease.c.holder != RELEASED)
        .values(beat=lease.c.beat + 1, now=now)
    )
    return changed.rowcount == 1


async def release(connection: AsyncConnection, fence: int, now: int) -> None:
    """Give the lease back, if it is still ours."""
    await connection.execute(
        update(lease)
        .where(lease.c.name == LEASE_NAME, lease.c.fence == fence)
        .values(holder=RELEASED, now=now)
    )
