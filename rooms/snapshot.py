"""The snapshot of the contract, put together from the parts without reading what it need not."""

import msgspec

from rooms import bus
from rooms.room import SALE_PREFIX, empty, is_over


class _Sale(msgspec.Struct):
    id: str
    state: str
    starts_at: str
    ends_at: str
    version: int


class _Started(msgspec.Struct):
    started_at: str | None = None


def encode(found: bus.Snapshot, server_time: int) -> bytes:
    """The snapshot as JSON; `server_time` in integer milliseconds."""
    body: dict[str, object] = {
        part: msgspec.Raw(found.parts[part]) if part in found.parts else nothing
        for part, nothing in empty().items()
    }
    body["flash_sales"] = [msgspec.Raw(sale) for sale in _sales(found)]
    body["stats"] = {"online": found.online, "likes": found.likes}
    body["position"] = found.position
    body["server_time"] = server_time
    return msgspec.json.encode(body)


def sales_over(found: bus.Snapshot) -> list[tuple[str, int]]:
    """(part, version) of the sales that the room need not keep any longer."""
    started_at = _started_at(found)
    return [
        (part, sale.version)
        for part, sale, _ in _all_sales(found)
        if is_over(sale.state, sale.ends_at, started_at)
    ]


def _sales(found: bus.Snapshot) -> list[bytes]:
    """JSON of the sales worth showing, in order of start and id, as the fold has them."""
    started_at = _started_at(found)
    shown = [
        (sale.starts_at, sale.id, body)
        for _, sale, body in _all_sales(found)
        if not is_over(sale.state, sale.ends_at, started_at)
    ]
    return [body for _, _, body in sorted(shown)]


def _all_sales(found: bus.Snapshot) -> list[tuple[str, _Sale, bytes]]:
    return [
        (part, msgspec.json.decode(body, type=_Sale), body)
        for part, body in found.parts.items()
        if part.startswith(SALE_PREFIX)
    ]


def _started_at(found: bus.Snapshot) -> str | None:
    if "room" not in found.parts:
        return None
    return msgspec.json.decode(found.parts["room"], type=_Started).started_at
