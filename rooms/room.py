"""
What a room is, as everybody in it sees it, and the one function that folds events into it.

*An old snapshot and the events since make the room of now.* The pages fold with the same rules
(`static/js/room-state.js`); both read the golden files in `tests/wire/`.

The state is the contract's snapshot as plain JSON values: `room, shelf, pinned, notice,
flash_sales, rehearsal_sale, chat_rules, video, stats`. On the bus it lies in parts (`room`,
`shelf`, …, `flash_sale:<id>`), and a numbered event replaces one part whole.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

RoomState = Literal["idle", "live", "ended"]
State = dict[str, Any]

SALE_PREFIX = "flash_sale:"
FINISHED = frozenset({"ended", "cancelled"})


class Room(msgspec.Struct, kw_only=True):
    """The room object of the contract, the same over HTTP, RPC, events and webhooks."""

    id: str
    title: str
    state: RoomState
    show: str | None
    started_at: str | None  # RFC 3339 UTC with milliseconds
    merchant_ids: list[str]
    rehearsal: bool = False  # the show is (or was the last and) a rehearsal: `rooms.rehearsal`


class ChatRules(msgspec.Struct, kw_only=True):
    """What chat allows right now."""

    slow_mode_seconds: int = 0
    muted_all: bool = False
    links: bool = True


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks, as others see it."""

    id: str
    name: str
    badges: list[str] = []


def empty() -> State:
    """A room in which nothing has happened yet."""
    return {
        "room": None,
        "shelf": [],
        "pinned": None,
        "notice": None,
        "flash_sales": [],
        "rehearsal_sale": None,
        "chat_rules": msgspec.to_builtins(ChatRules()),
        "video": None,
        "stats": {"online": 0, "likes": 0},
    }


def _chat_rules(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in ChatRules.__struct_fields__}


#: event type -> (the part that it replaces, where the part's new value stands in the event)
_PARTS: dict[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {
    "room.started": ("room", lambda event: event["room"]),
    "room.updated": ("room", lambda event: event["room"]),
    "room.ended": ("room", lambda event: event["room"]),
    "room.notice": ("notice", lambda event: event["text"]),
    "shelf.updated": ("shelf", lambda event: event["items"]),
    "shelf.pinned": ("pinned", lambda event: event["product_id"]),
    "flash_sale.updated": ("flash_sale", lambda event: event["flash_sale"]),
    "rehearsal.sale": ("rehearsal_sale", lambda event: event["flash_sale"]),
    "video.started": ("video", lambda event: event["video"]),
    "video.stopped": ("video", lambda event: event["video"]),
    "chat.rules": ("chat_rules", _chat_rules),
}


#: part -> (event that says it again, field of the value)
_SAID_BY = {
    "room": ("room.updated", "room"),
    "notice": ("room.notice", "text"),
    "shelf": ("shelf.updated", "items"),
    "pinned": ("shelf.pinned", "product_id"),
    "rehearsal_sale": ("rehearsal.sale", "flash_sale"),
    "video": ("video.started", "video"),
}


def part_of(event: Mapping[str, Any]) -> tuple[str, Any] | None:
    """The part that a numbered event replaces, and its new value; None if it changes no state."""
    known = _PARTS.get(event.get("type", ""))
    if known is None:
        return None
    part, value_of = known
    value = value_of(event)
    return (SALE_PREFIX + value["id"] if part == "flash_sale" else part), value


def apply(state: State, event: Mapping[str, Any]) -> State:
    """
    Fold one event into the room and return the room after it; `state` itself does not change.

    Every event is accepted in every state, because it has happened. Types that are not known change
    nothing, so that an old page survives a new server.
    """
    if event.get("type") == "room.stats":
        return {**state, "stats": {"online": event["online"], "likes": event["likes"]}}
    change = part_of(event)
    if change is None:
        return state
    part, value = change
    if part.startswith(SALE_PREFIX):
        return _tidied({**state, "flash_sales": _with_sale(state["flash_sales"], value)})
    return _tidied({**state, part: value})


def event_of(part: str, value: Any) -> dict[str, Any]:
    """The event (without `at`) that says again what a part is, for when the news of it was lost."""
    if part == "chat_rules":
        return {"type": "chat.rules", **value}
    if part.startswith(SALE_PREFIX):
        return {"type": "flash_sale.updated", "flash_sale": value}
    kind, field = _SAID_BY[part]
    return {"type": kind, field: value}


def state_of(parts: Mapping[str, Any]) -> State:
    """The room's state from the parts that the bus keeps (part -> JSON value)."""
    state = empty()
    for part, value in parts.items():
        if part.startswith(SALE_PREFIX):
            state["flash_sales"].append(value)
        else:
            state[part] = value
    return _tidied(state)


def is_over(sale_state: str, ends_at: str, show_started_at: str | None) -> bool:
    """Whether a sale was finished before the present show began, so that nobody needs it here."""
    return sale_state in FINISHED and show_started_at is not None and ends_at < show_started_at


def _with_sale(sales: list[dict[str, Any]], sale: dict[str, Any]) -> list[dict[str, Any]]:
    """The sales with this one in its newest version (a late older one changes nothing)."""
    for known in sales:
        if known["id"] == sale["id"] and known["version"] >= sale["version"]:
            return sales
    return [known for known in sales if known["id"] != sale["id"]] + [sale]


def _tidied(state: State) -> State:
    """Sales in order of start, without those finished before the show began."""
    started_at = (state["room"] or {}).get("started_at")
    sales = [
        sale
        for sale in state["flash_sales"]
        if not is_over(sale["state"], sale["ends_at"], started_at)
    ]
    sales.sort(key=lambda sale: (sale["starts_at"], sale["id"]))
    return {**state, "flash_sales": sales}
