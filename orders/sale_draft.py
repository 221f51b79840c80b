"""A sale as one batch leaves it."""

import msgspec

from orders.rows import SaleChange, SaleRow


class SaleDraft:
    """A sale in this batch: its row as it will be, and what its buyers take or return."""

    def __init__(self, row: SaleRow, units_of: dict[str, int], *, is_new: bool = False) -> None:
        self.base = row
        self.row = msgspec.structs.replace(row, counter=row.counter + (not is_new))
        self.taken: dict[str, int] = {}
        self.is_new = is_new
        self._units_of = units_of

    def units_of(self, buyer: str) -> int:
        """Units that the buyer holds, this batch included."""
        return self._units_of.get(buyer, 0) + self.taken.get(buyer, 0)

    def take(self, buyer: str, quantity: int) -> None:
        """Units to a buyer, or back from one when `quantity` is negative."""
        self.row.sold += quantity
        self.taken[buyer] = self.taken.get(buyer, 0) + quantity

    @property
    def changed(self) -> bool:
        """Whether anything but the counter differs from what is stored."""
        if self.is_new or any(self.taken.values()):
            return True
        return msgspec.structs.replace(self.row, counter=self.base.counter) != self.base

    def change(self) -> SaleChange:
        """The guarded update of this sale."""
        row = self.row
        return SaleChange(
            id=row.id,
            known=self.base.counter,
            sold_delta=row.sold - self.base.sold,
            units=row.units,
            state=row.state,
            per_buyer_limit=row.per_buyer_limit,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            void=row.void,
            host_away=row.host_away,
            paused_at=row.paused_at,
        )
