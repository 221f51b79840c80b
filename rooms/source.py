"""What a room shows of the shop. The server implements it; rooms know nothing of money."""

from typing import Protocol


class ShowSource(Protocol):
    """The port. Both methods may raise `rooms.errors.Unavailable`."""

    async def products(self, ids: list[str]) -> list[dict[str, object]]:
        """Product objects in this order; unknown ids are left out."""

    async def sales(self, room: str) -> dict[str, tuple[bytes, int]]:
        """Flash sales worth showing in the room: id -> (FlashSale JSON, version)."""
