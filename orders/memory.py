"""
What the writer keeps in memory: the open sales, their buyers and the keys used in them.

It is a cache. A holder loads it when it takes over and changes it only after a commit, so that
there is nothing to repair after a crash.
"""

import msgspec

from orders.ledger import Loaded
from orders.rows import PlaceRow, SaleRow


class OpenSale(msgspec.Struct):
    """A sale that is scheduled or running, and the units that each of its buyers holds."""

    row: SaleRow
    units_of: dict[str, int]
    buyers: set[str] = msgspec.field(default_factory=set)  # who has an order in it, of any state
    line: dict[str, PlaceRow] = msgspec.field(default_factory=dict)  # who waits, first to last


class Memory:
    """The cache of one holder. `fence` is the number of its lease."""

    def __init__(self, fence: int, loaded: Loaded) -> None:
        self.fence = fence
        self.sales = {row.id: OpenSale(row, {}) for row in loaded.sales}
        for sale, buyer, units in loaded.units:
            self.sales[sale].units_of[buyer] = units
        self.keys = {(buyer, key): sale for buyer, key, sale in loaded.keys}
        for buyer, _key, sale in loaded.keys:
            self.sales[sale].buyers.add(buyer)
        for place in loaded.waiting:
            self.sales[place.flash_sale_id].line[place.buyer] = place
        self.last_n = loaded.last_n
        self.next_due_at = loaded.next_due_at
        self.voids = list(loaded.voids)
        self.void_after = ""  # the first of these is through up to this order
        self.shops = {row.merchant: row for row in loaded.shops}

    def next_tick_at(self) -> int | None:
        """When the next sale starts or ends."""
        return min((_turn(sale.row) for sale in self.sales.values()), default=None)

    @property
    def is_behind(self) -> bool:
        """Whether there is work that waits for no request: orders to end, units to offer."""
        return bool(self.voids) or any(
            sale.line and sale.row.left and sale.row.state == "running"
            for sale in self.sales.values()
        )

    def is_due(self, sale: OpenSale, now: int) -> bool:
        """Whether a deadline has come that may change what this sale has left."""
        due = self.next_due_at is not None and now >= self.next_due_at
        return due or bool(self.voids) or now >= _turn(sale.row)

    def new_buyers(self, keys: dict[tuple[str, str], str]) -> dict[str, list[str]]:
        """Count the buyers of these committed keys; for each sale those who had no order in it."""
        new: dict[str, list[str]] = {}
        for (buyer, _key), name in keys.items():
            sale = self.sales.get(name)
            if sale is not None and buyer not in sale.buyers:
                sale.buyers.add(buyer)
                new.setdefault(name, []).append(buyer)
        return new

    def put(self, row: SaleRow, taken: dict[str, int]) -> None:
        """A sale as it was committed, with what its buyers took or returned."""
        if not row.is_open:
            self._forget(row.id)
            return
        sale = self.sales.get(row.id)
        if sale is None:
            sale = self.sales[row.id] = OpenSale(row, {})
        sale.row = row
        for buyer, delta in taken.items():
            sale.units_of[buyer] = sale.units_of.get(buyer, 0) + delta

    def _forget(self, sale_id: str) -> None:
        if self.sales.pop(sale_id, None) is not None:
            self.keys = {key: sale for key, sale in self.keys.items() if sale != sale_id}


def _turn(row: SaleRow) -> int:
    return row.starts_at if row.state == "scheduled" else row.ends_at
