"""What waits for staff: reports of viewers, and messages that a word list holds."""

from typing import Any, Literal

import msgspec

from rooms import text
from rooms.errors import Invalid
from rooms.moderation import REASONS

NOTE_LENGTH_MAX = 300
OPEN_MAX = 1_000  # reports of one room that nobody has looked at; more tell staff nothing new
OF_REPORTER_MAX = 5  # of one person in `OF_REPORTER_MS`
OF_REPORTER_MS = 10 * 60 * 1000
HELD_MAX = 500  # messages of one room that wait for staff
HELD_OF_USER_MAX = 3  # of one person

ReportState = Literal["open", "upheld", "dismissed"]
HeldState = Literal["open", "shown", "refused"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a viewer finds wrong with a message or a person. The text of the message is taken from the
    room's history, not from the report.
    """

    id: str
    room: str
    reporter: str
    user: str  # who is reported
    name: str = ""
    message: str = ""  # id of the message, empty for a report about the person
    text: str = ""  # of that message
    reason: str
    note: str = ""
    at: int
    state: ReportState = "open"
    decided_by: str = ""
    decided_at: int | None = None

    @property
    def about(self) -> str:
        """One report by one person about one thing."""
        return self.message or f"user {self.user}"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A message that waits. `data` and `info` are the publication as it will go out."""

    id: str
    room: str
    channel: str
    user: str
    name: str
    text: str
    list: str
    data: bytes
    info: bytes
    at: int
    state: HeldState = "open"
    decided_by: str = ""
    decided_at: int | None = None


Fate = Literal["said", "deleted", "unknown"]  # of a message


class Said(msgspec.Struct, kw_only=True):
    """What a line of chat holds, as far as staff need it."""

    type: str = ""
    id: str = ""
    user: dict[str, Any] = {}
    text: str = ""
    at: int = 0


def check_report(reason: str, note: str) -> tuple[str, str]:
    """Reason and note of a report. Raises Invalid."""
    if reason not in REASONS:
        raise Invalid("The reason is one of " + ", ".join(REASONS))
    if not note.strip():
        return reason, ""
    return reason, text.clean(note, longest=NOTE_LENGTH_MAX, what="The note")


def tombstone(id: str, at: int) -> bytes:
    """What stands in a channel's history where a deleted message stood."""
    return msgspec.json.encode({"type": "deleted", "id": id, "at": at})
