"""
What a sale refuses, as values.

    Refusal
    ├── Invalid              quantity, price, currency or text is not acceptable
    ├── Forbidden            outside the grant, or somebody else's
    ├── NotFound             no such product, sale or order
    ├── SoldOut              no unit left
    ├── LimitExceeded        this buyer already has as many as one buyer may have
    ├── NotStarted · Ended   the sale's clock says no
    ├── WrongState           the order or sale is in a state without this edge
    ├── PriceUnconfirmed     a flash price under half the list price, not confirmed
    ├── InFlight             the same key is being worked on; ask again
    ├── KeyConflict          the same key came with another body
    ├── Unavailable          not done, or safe to repeat as it is: the detail says which
    └── OutcomeUnknown       perhaps done, and not safe to repeat: look first

`problem` is the stable name of the contract's table; `liveserver/problems.py` translates it once.
"""

from typing import ClassVar


class Refusal(Exception):
    """Base of all refusals. Never raised itself."""

    problem: ClassVar[str] = "validation"

    def __init__(self, detail: str, **facts: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class Invalid(Refusal):
    problem = "validation"


class Forbidden(Refusal):
    problem = "forbidden"


class NotFound(Refusal):
    problem = "not-found"


class SoldOut(Refusal):
    problem = "sold-out"


class LimitExceeded(Refusal):
    problem = "limit-exceeded"


class NotStarted(Refusal):
    problem = "not-started"


class Ended(Refusal):
    problem = "ended"


class WrongState(Refusal):
    problem = "invalid-state"


class PriceUnconfirmed(Refusal):
    problem = "price-unconfirmed"


class InFlight(Refusal):
    problem = "in-flight"


class KeyConflict(Refusal):
    problem = "idempotency-conflict"


class Unavailable(Refusal):
    problem = "unavailable"


class OutcomeUnknown(Refusal):
    problem = "outcome-unknown"


#: problem name -> class, for refusals that travel between processes.
BY_PROBLEM: dict[str, type[Refusal]] = {
    kind.problem: kind
    for kind in (
        Invalid, Forbidden, NotFound, SoldOut, LimitExceeded, NotStarted, Ended, WrongState,
        PriceUnconfirmed, InFlight, KeyConflict, Unavailable, OutcomeUnknown,
    )
}  # fmt: skip
