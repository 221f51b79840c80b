"""
The waiting list of a sold-out sale: who waits, in which order, and how a batch changes it.

The order is the number that the writer gave to each place. Units that come back belong to the list
before anybody else: while people wait, nothing is left for those who come later. Nobody is passed:
who stands first is offered what there is, at most what was wished for.
"""

import msgspec

from orders.errors import Forbidden, KeyConflict, LimitExceeded, NotFound, SoldOut, WrongState
from orders.money import MAX_UNITS, check_integer
from orders.requests import JoinWaitlist
from orders.rows import PlaceRow, SaleRow
from orders.sale import MAX_ID_CHARS, MAX_KEY_CHARS, MAX_NAME_CHARS, check_metadata, check_open
from orders.shapes import Place, PlaceState
from orders.text import check_text
from orders.times import rfc3339

MAX_PLACES = 10_000  # people in line for one sale, about 5 MB of memory; the next one is refused
#: Offers that one batch makes at most, so that a large refill keeps no reserve waiting.
MAX_OFFERS_IN_A_BATCH = 500
SPACE = "waitlist"  # of the keys of orders that an offer made


class LineDraft:
    """The line of one sale in this batch. `waiting` is the committed line by buyer, unchanged."""

    def __init__(self, waiting: dict[str, PlaceRow]) -> None:
        self._waiting = waiting
        self._ahead = iter(waiting.values())
        self._head: PlaceRow | None = None  # the first of `_ahead`, once it was looked at
        self._positions: dict[int, int] | None = None
        self.joined: dict[str, PlaceRow] = {}  # in order, those who still wait
        self.new: list[PlaceRow] = []  # all places that this batch made
        self.ended: dict[str, PlaceRow] = {}  # committed places that wait no more, by buyer

    def __len__(self) -> int:
        return len(self._waiting) - len(self.ended) + len(self.joined)

    def find(self, buyer: str) -> PlaceRow | None:
        """The place in which this buyer waits."""
        if buyer in self.joined:
            return self.joined[buyer]
        return None if buyer in self.ended else self._waiting.get(buyer)

    def join(self, place: PlaceRow) -> None:
        """One more at the end."""
        self.joined[place.buyer] = place
        self.new.append(place)

    def first(self) -> PlaceRow | None:
        """Whose turn it is."""
        while self._head is None or self._head.buyer in self.ended:
            self._head = next(self._ahead, None)
            if self._head is None:
                return next(iter(self.joined.values()), None)
        return self._head

    def end(self, place: PlaceRow, state: str, order_id: str | None = None) -> None:
        """This place waits no more: offered, left or passed."""
        if self.joined.get(place.buyer) is place:
            del self.joined[place.buyer]
            place.state, place.order_id = state, order_id
        else:
            ended = msgspec.structs.replace(place, state=state, order_id=order_id)
            self.ended[place.buyer] = ended

    def newest(self, place: PlaceRow) -> PlaceRow:
        """The same place as this batch leaves it."""
        ended = self.ended.get(place.buyer)
        return ended if ended is not None and ended.n == place.n else place

    def commit(self) -> None:
        """Change the committed line: the transaction is committed."""
        for buyer in self.ended:
            del self._waiting[buyer]
        self._waiting.update(self.joined)

    def positions(self) -> dict[int, int]:
        """Who stands where in the committed line, by number of the place, from 1."""
        if self._positions is None:
            places = enumerate(self._waiting.values(), start=1)
            self._positions = {place.n: at for at, place in places}
        return self._positions

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.new or self.ended)


def check_join_request(request: JoinWaitlist) -> None:
    """What can be refused without knowing any row."""
    check_integer(request.quantity, "quantity", least=1, most=MAX_UNITS)
    check_text(request.key, "key", most=MAX_KEY_CHARS)
    check_text(request.buyer, "buyer", most=MAX_ID_CHARS)
    check_text(request.buyer_name, "buyer_name", least=0, most=MAX_NAME_CHARS)
    check_text(request.flash_sale, "flash_sale", most=MAX_ID_CHARS)
    if request.metadata:
        check_metadata(request.metadata)


def check_same_join(known: PlaceRow, request: JoinWaitlist) -> None:
    """Whether a place found by its key belongs to this request."""
    if (known.flash_sale_id, known.quantity) != (request.flash_sale, request.quantity):
        raise KeyConflict("this key was used for another place in line")


def check_join(
    sale: SaleRow | None, request: JoinWaitlist, units_of_buyer: int, people: int, now: int
) -> None:
    """Whether the buyer may line up: clock, who may buy, limit, and only for what is sold out."""
    if sale is None:
        raise NotFound("no such flash sale")
    check_open(sale, now)
    if sale.buyers == "account" and request.guest:
        raise Forbidden("this sale is for buyers with an account: sign in first")
    limit = sale.per_buyer_limit
    if units_of_buyer + request.quantity > limit:
        raise LimitExceeded(
            f"one buyer may have {limit}, you have {units_of_buyer}",
            limit=limit,
            units=units_of_buyer,
        )
    if not people and sale.left:
        raise WrongState(f"{sale.left} left: reserve instead of waiting", units_left=sale.left)
    if people >= MAX_PLACES:
        raise SoldOut("sold out, and the waiting list is full", waiting=people)


def offer_key(place: PlaceRow) -> str:
    """The key of the one order that can be made of a place."""
    return f"offer:{place.n}"


def shape(place: PlaceRow, position: int | None, people: int) -> Place:
    """A place as its buyer sees it. `position` None: whoever reads it waits no more."""
    state: PlaceState = place.state  # type: ignore[assignment]  # a CHECK bounds the values
    if state == "waiting" and position is None:
        state = "over"
    return Place(
        flash_sale=place.flash_sale_id,
        state=state,
        position=position,
        waiting=people,
        quantity=place.quantity,
        order=place.order_id,
        joined_at=rfc3339(place.joined_at),
    )


def nowhere(sale_id: str, people: int) -> Place:
    """What a buyer sees who never lined up for this sale."""
    return Place(
        flash_sale=sale_id,
        state="none",
        position=None,
        waiting=people,
        quantity=0,
        order=None,
        joined_at=None,
    )
