"""
Conditions under which one guard is the last one, and writers that lack a guard of their own.

A plant is told of every wait of a writer and then may spoil what is in memory, or write into the
database as a second client would: everything that belongs together, in one step.
"""

import copy
from collections.abc import Callable

from orders.batch_service import Merger, _insert_orders, _write
from orders.decide import what_is_missing
from orders.desk import Desk
from orders.memory import Memory
from orders.rows import EdgeRow
from orders.service import Writer
from orders.tables_memory import Tables
from orders.waiting_service import Ask
from tests.simulation.world import World

Waited = Callable[[str], None]


def forgets_keys(world: World) -> Waited:
    """Memory holds no key: a repeated request looks like a new one."""

    def waited(_place: str) -> None:
        for memory in memories(world):
            memory.keys.clear()

    return waited


def forgets_units(world: World) -> Waited:
    """Memory holds no buyer's units: everybody seems to be new."""

    def waited(_place: str) -> None:
        for memory in memories(world):
            for sale in memory.sales.values():
                sale.units_of.clear()

    return waited


def believes_in_units(world: World) -> Waited:
    """Memory thinks that two more units are left than there are."""
    spoilt: set[tuple[str, int]] = set()

    def waited(_place: str) -> None:
        for memory in memories(world):
            for sale in memory.sales.values():
                version = (sale.row.id, sale.row.counter)
                if version not in spoilt and sale.row.sold >= 2:
                    spoilt.add(version)
                    sale.row = copy.copy(sale.row)
                    sale.row.sold -= 2

    return waited


def second_client_cuts(world: World) -> Waited:
    """Somebody else takes a free unit out of the sale, as an edit would: counter and all."""

    def waited(place: str) -> None:
        if place != "write" or world.random.random() > 0.1:
            return
        tables = world.database.tables
        for sale in list(tables.sales.values()):
            if sale.is_open and sale.units > sale.sold + 2:
                cut = tables.sales[sale.id] = copy.copy(sale)
                cut.units -= 1
                cut.counter += 1
                product = tables.products[sale.product_id] = copy.copy(
                    tables.products[sale.product_id]
                )
                product.committed -= 1
                if sale.granted:
                    room = (sale.product_id, sale.room)
                    grant = tables.grants[room] = copy.copy(tables.grants[room])
                    grant.used -= 1

    return waited


def second_client_cancels(world: World) -> Waited:
    """Somebody else ends a reserved order between the read and the write of a batch."""

    def waited(place: str) -> None:
        if place != "write" or world.random.random() > 0.3:
            return
        tables = world.database.tables
        reserved = [
            row
            for row in tables.orders.values()
            if row.state == "reserved" and row.flash_sale_id is not None
        ]
        if reserved:
            _cancel(tables, world.random.choice(reserved).id)

    return waited


def _cancel(tables: Tables, order_id: str) -> None:
    move(tables, order_id, "cancelled")
    order = tables.orders[order_id]
    assert order.flash_sale_id is not None
    sale = tables.sales[order.flash_sale_id] = copy.copy(tables.sales[order.flash_sale_id])
    sale.sold -= order.quantity
    sale.counter += 1
    tables.units[(sale.id, order.buyer)] -= order.quantity


def move(tables: Tables, order_id: str, *states: str) -> None:
    """Somebody else leads an order through these states, and writes the edges."""
    order = tables.orders[order_id] = copy.copy(tables.orders[order_id])
    for to in states:
        from_state, order.state = order.state, to
        order.sequence += 1
        tables.edges[(order.id, order.sequence)] = EdgeRow(
            n=max(row.n for row in tables.edges.values()) + 1, order_id=order.id,
            sequence=order.sequence, from_state=from_state, state=to, at=0, actor="other",
            event=None, changes="{}",
        )  # fmt: skip


def two_holders(world: World) -> Waited:
    """
    A holder stands still before its transaction begins, until another one has taken over; then it
    goes on, and questions reach both.
    """
    world.net.to_anyone = True
    since = [-9.0]

    def waited(place: str) -> None:
        now = world.time()
        serving = [process for process in world.writers.values() if process.is_serving]
        if place == "connect" and len(serving) == 1 and now - since[0] > 8:
            since[0] = now
            serving[0].stopped_until = now + 6.5

    return waited


def memories(world: World) -> list[Memory]:
    """What the living writers hold in memory."""
    found = (process.writer._merger.memory for process in world.writers.values() if process.alive)
    return [memory for memory in found if memory is not None]


class HastyMerger(Merger):
    """Answers before its commit."""

    async def _attempt(self, asks: list[Ask]) -> list[Ask]:
        memory, now = self.memory, self.now()
        assert memory is not None
        batch = [ask.request for ask in asks]
        wanted = what_is_missing(memory, batch, now)
        async with self._ledger.transaction(memory.fence, now) as transaction:
            desk = Desk(memory, await transaction.read(wanted), now, self._new_id)
            results = self._decide(desk, batch, wanted)
            again = await _insert_orders(transaction, desk, batch, results)
            left = self._answer(asks, results, again)
            asks.clear()  # they are answered: a failure has nobody left to tell
            if desk.is_dirty:
                await _write(transaction, desk)
        self._remember(desk, wanted)
        return left


class Hasty(Writer):
    """A writer that answers before its commit."""

    merging = HastyMerger


class Blind(Writer):
    """A writer that never looks whether somebody else wrote."""

    async def _beat(self) -> None:
        self._checked_ms = self._monotonic_ms()
        await super()._beat()


class EarlyMerger(Merger):
    """Changes its memory before its commit."""

    async def _attempt(self, asks: list[Ask]) -> list[Ask]:
        memory, now = self.memory, self.now()
        assert memory is not None
        batch = [ask.request for ask in asks]
        wanted = what_is_missing(memory, batch, now)
        async with self._ledger.transaction(memory.fence, now) as transaction:
            desk = Desk(memory, await transaction.read(wanted), now, self._new_id)
            asks = self._line.claim(asks)
            batch = [ask.request for ask in asks]
            results = self._decide(desk, batch, wanted)
            again = await _insert_orders(transaction, desk, batch, results)
            self._remember(desk, wanted)
            if desk.is_dirty:
                await _write(transaction, desk)
        return self._answer(asks, results, again)


class Early(Blind):
    """And one that changes its memory before its commit."""

    merging = EarlyMerger
