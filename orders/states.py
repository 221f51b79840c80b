"""
What the holder publishes of its running sales, and what a gateway refuses by itself because of it.

A state is a sale's row in one version (fence, counter) and the number of buyers who have an order
in it. A message carries the buyers who came since the message before, so that a gateway knows them
all: it loads the list from the database when it first hears of a sale, and again when a message is
missing. It refuses only what a state younger than 3 s refuses, and never a buyer who has an order:
that one may be repeating its request. Whatever it does not know for certain, it passes on.

One thing stays: a unit that comes back after the state and is sold within those 3 s. A repetition
of that request through another gateway may be told sold out until the next state; then it gets its
order. A key that made an order elsewhere is unknown here: docs/decisions/0016.
"""

import msgspec

from orders.errors import Ended, Forbidden, NotStarted, Refusal
from orders.memory import Memory
from orders.requests import Reserve
from orders.rows import SaleRow
from orders.sale import reserve_refusal

FRESH_MS = 3_000  # an older state refuses nobody
MAX_BUYERS = 5_000  # in one message, about 150 kB; above it gateways load the list again


class State(msgspec.Struct, array_like=True):
    """One sale. `buyers` are those who came after the first `since`; there are `number` now."""

    row: SaleRow
    since: int
    number: int
    buyers: list[str]


class States(msgspec.Struct, array_like=True):
    """One message of the holder with `fence`, at its sale clock's `now` (milliseconds)."""

    fence: int
    now: int
    sales: list[State]


class Outgoing:
    """The holder's end: what has changed since the last message."""

    def __init__(self) -> None:
        self._fence = 0
        self._told: dict[str, int] = {}  # sale -> number of buyers in the last message
        self._new: dict[str, list[str]] = {}  # sale -> buyers after those; bounded by MAX_BUYERS
        self._changed: set[str] = set()
        self._closed: dict[str, SaleRow] = {}  # to be told once more

    @property
    def has_changes(self) -> bool:
        return bool(self._changed)

    def closed(self, row: SaleRow) -> None:
        """A commit closed this sale, and nobody got an order in the same one."""
        self._closed[row.id] = row

    def changed(self, sale: str, buyers: list[str]) -> None:
        """A commit changed this sale; `buyers` are new in it."""
        self._changed.add(sale)
        new = self._new.setdefault(sale, [])
        if len(new) <= MAX_BUYERS:
            new += buyers

    def take(self, memory: Memory, now: int, *, everything: bool) -> States:
        """The next message: the sales that changed, or all."""
        if memory.fence != self._fence:
            self._fence, self._told, everything = memory.fence, {}, True
            self._new.clear()
        names = memory.sales.keys() if everything else self._changed & memory.sales.keys()
        sales = [self._state(memory, name) for name in sorted(names)]
        sales += [self._last(row) for row in self._closed.values() if row.id in self._told]
        self._changed.clear()
        self._closed.clear()
        for gone in self._told.keys() - memory.sales.keys():
            del self._told[gone]
        for gone in self._new.keys() - memory.sales.keys():
            del self._new[gone]
        return States(memory.fence, now, sales)

    def _state(self, memory: Memory, name: str) -> State:
        sale = memory.sales[name]
        number, new = len(sale.buyers), self._new.pop(name, [])
        since = self._told.get(name, number - len(new))
        if number - since != len(new):  # loaded anew, or too many: gateways load them too
            since, new = number, []
        self._told[name] = number
        return State(sale.row, since, number, new)

    def _last(self, row: SaleRow) -> State:
        """The last state of a sale: from now on gateways refuse it for what it is."""
        since, new = self._told[row.id], self._new.pop(row.id, [])
        if len(new) > MAX_BUYERS:
            return State(row, since + len(new), since + len(new), [])
        return State(row, since, since + len(new), new)


class _Known(msgspec.Struct):
    """A sale as a gateway knows it. `buyers` is complete for `number`, or None while loading."""

    row: SaleRow
    number: int
    now: int
    published_ms: int
    heard_ms: int
    buyers: set[str] | None
    coming: set[str] = msgspec.field(default_factory=set)  # heard of while loading


class KnownStates:
    """The gateway's end."""

    def __init__(self) -> None:
        self._fence = 0
        self._sales: dict[str, _Known] = {}
        self.refused = 0

    def hear(self, states: States, published_ms: int, heard_ms: int) -> list[str]:
        """
        Take a message that was published not before `published_ms` (our monotonic clock).

        Returns:
            The sales whose buyers must be loaded: `loading`, read, `loaded`.
        """
        if states.fence < self._fence:
            return []
        if states.fence > self._fence:
            self._fence, self._sales = states.fence, {}
        self._forget(heard_ms)
        for state in states.sales:
            known = self._sales.get(state.row.id)
            if known is not None and known.row.counter > state.row.counter:
                continue  # overtaken on its way
            if known is None or known.number != state.since:
                buyers = set[str]() if state.since == 0 else None
                known = _Known(state.row, 0, 0, 0, 0, buyers)
                self._sales[state.row.id] = known
            (known.coming if known.buyers is None else known.buyers).update(state.buyers)
            known.row, known.number, known.now = state.row, state.number, states.now
            known.published_ms, known.heard_ms = min(published_ms, heard_ms), heard_ms
        return [name for name, known in self._sales.items() if known.buyers is None]

    def _forget(self, now_ms: int) -> None:
        """Sales that nobody speaks of any more: they are over."""
        for name in [n for n, known in self._sales.items() if now_ms - known.heard_ms > 60_000]:
            del self._sales[name]

    def loading(self, sale: str) -> object:
        """To be taken before the list is read, and given to `loaded`."""
        return self._sales.get(sale)

    def loaded(self, sale: str, token: object, buyers: set[str], at_least: int) -> None:
        """The list as read: complete for the `at_least` buyers of the state of `loading`."""
        known = self._sales.get(sale)
        asked_for = known is not None and known is token and known.buyers is None
        if known is not None and asked_for and len(buyers) >= at_least:
            known.buyers = buyers | known.coming
            known.coming = set()

    def number(self, sale: str) -> int:
        """How many buyers the newest state of a sale counts."""
        known = self._sales.get(sale)
        return 0 if known is None else known.number

    def refusal(self, request: Reserve, now_ms: int) -> Refusal | None:
        """What the holder would say, or None where only it can tell."""
        known = self._sales.get(request.flash_sale)
        if (
            known is None
            or known.buyers is None
            or now_ms - known.published_ms >= FRESH_MS
            or request.buyer in known.buyers
        ):
            return None
        earliest = known.now + max(0, now_ms - known.heard_ms)
        latest = known.now + now_ms - known.published_ms
        found = refused(known.row, request, earliest, latest)
        if isinstance(found, Ended) and known.row.is_open and known.now < known.row.ends_at:
            return None  # an order made between this state and the end may be asked for again
        self.refused += found is not None
        return found


def refused(row: SaleRow, request: Reserve, earliest: int, latest: int) -> Refusal | None:
    """The refusal of a buyer without an order, when the sale clock is between the two."""
    found = reserve_refusal(row, request, 0, earliest)
    if isinstance(found, NotStarted):
        return found if latest < row.starts_at else None
    return None if isinstance(found, Forbidden) else found
