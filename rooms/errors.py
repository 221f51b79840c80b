"""
What a room refuses, as values.

    Refusal
    ├── Invalid            the text, name, colour or channel is not acceptable
    ├── Forbidden          this person may not do this here
    ├── NotFound           no such room, message or part
    ├── WrongState         the room is not live, or already is
    ├── Rehearses          nothing is sold in a rehearsal
    ├── TooFast            a rate or a cap; the text is kept by its sender
    └── Unavailable        the bus or the database does not answer; trying again helps

`problem` is the stable name of the contract's table of problems; the server turns it into an HTTP
status, an RPC code or a close code in one place (`liveserver/problems.py`).
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


class WrongState(Refusal):
    problem = "invalid-state"


class Rehearses(Refusal):
    problem = "rehearsal"


class TooFast(Refusal):
    problem = "rate-limited"


class Unavailable(Refusal):
    problem = "unavailable"
