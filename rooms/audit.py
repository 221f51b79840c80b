"""
The record of what staff did, as a chain: every entry holds the hash of the one before.

Nothing in the server changes or removes an entry. Who does it in the database breaks the chain
from there on, unless every later entry is made anew; so a copy of the newest hash, kept elsewhere,
proves all entries up to it.
"""

import hashlib
from collections.abc import Iterable

import msgspec

DELETED = "message.delete"  # the action of a deed
FIRST = ""  # what the first entry has in place of a hash before it


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody of the staff did. `target` is a user, a message, or empty."""

    actor: str
    role: str
    action: str
    target: str = ""
    reason: str = ""
    details: dict[str, object] = {}


class Entry(Deed, frozen=True, kw_only=True):
    """A deed on record. `number` counts from 1 in each room."""

    number: int
    at: int  # milliseconds
    previous: str
    hash: str


def entry(deed: Deed, room: str, number: int, at: int, previous: str) -> Entry:
    """The deed as the next link of its room's chain."""
    fields = msgspec.structs.asdict(deed)
    return Entry(
        **fields,
        number=number,
        at=at,
        previous=previous,
        hash=_hash(fields, room, number, at, previous),
    )


def first_broken(room: str, entries: Iterable[Entry]) -> int | None:
    """Number of the first entry that does not follow on the one before it; None if all do."""
    before: Entry | None = None
    for one in entries:
        fields = {name: getattr(one, name) for name in Deed.__struct_fields__}
        whole = one.hash == _hash(fields, room, one.number, one.at, one.previous)
        follows = before is None or (one.number, one.previous) == (before.number + 1, before.hash)
        if not (whole and follows):
            return one.number
        before = one
    return None


def _hash(fields: dict[str, object], room: str, number: int, at: int, previous: str) -> str:
    body = msgspec.json.encode([previous, room, number, at, fields], order="sorted")
    return hashlib.sha256(body).hexdigest()
