"""
What a rehearsal is: a show that is not listed, tells no merchant, and sells nothing.

The room is `live` with `rehearsal` true: who has the link sees all that a show has, marked as a
rehearsal. A flash sale is tried as a picture of one, the room's part `rehearsal_sale`: it has the
form of a sale, belongs to the show that it names, and exists in no ledger.
"""

import msgspec

from rooms.errors import Rehearses, WrongState
from rooms.room import Room

SALE_PART = "rehearsal_sale"
SALE_ID = "rehearsal"  # what the ids of such sales begin with


def begin(old: Room, *, show: str, started_at: str, rehearsal: bool) -> Room:
    """
    The room with a new show. `started_at` (RFC 3339) never goes back, even if the clock jumps:
    what one show left behind stays behind.

    Raises:
        WrongState: A show or a rehearsal is on.
    """
    if old.state == "live":
        raise WrongState("The room rehearses" if old.rehearsal else "The room is live already")
    return msgspec.structs.replace(
        old,
        state="live",
        show=show,
        started_at=max(started_at, old.started_at or ""),
        rehearsal=rehearsal,
    )


def is_on(room: Room) -> bool:
    """Whether the room rehearses now."""
    return room.rehearsal and room.state == "live"


def check_sells(room: Room) -> None:
    """Raises Rehearses while nothing is for sale in the room."""
    if is_on(room):
        raise Rehearses("The room rehearses: nothing is sold until its show begins", room=room.id)


def check_is_real(sale: str) -> None:
    """Raises Rehearses for the id of a sale that is only tried."""
    if sale.startswith(SALE_ID):
        raise Rehearses("This sale is part of a rehearsal: nothing is sold", flash_sale=sale)


def check_is_on(room: Room) -> None:
    """Raises WrongState unless the room rehearses."""
    if not is_on(room):
        raise WrongState("The room does not rehearse", room=room.id)
