"""What staff and viewers send about what is said in rooms, and what they read."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from liveserver.web.requests.common import LINE, Body, Id, Page, PageSize, Query
from rooms.moderation import MUTE_SECONDS_MAX, SLOW_MODE_SECONDS_MAX, USER_LENGTH_MAX
from rooms.reports import NOTE_LENGTH_MAX
from rooms.words import LISTS_MAX, NAME_LENGTH_MAX, WORD_LENGTH_MAX, WORDS_MAX, WordList

User = Annotated[str, Meta(min_length=1, max_length=USER_LENGTH_MAX, pattern=LINE)]
Reason = Annotated[str, Meta(max_length=200, pattern=LINE)]
Word = Annotated[str, Meta(min_length=1, max_length=WORD_LENGTH_MAX, pattern=LINE)]
Seconds = Annotated[int, Meta(ge=1, le=MUTE_SECONDS_MAX)]
SlowMode = Annotated[int, Meta(ge=0, le=SLOW_MODE_SECONDS_MAX)]
ReportReason = Literal[
    "spam", "abuse", "fraud", "sexual", "violence", "privacy", "minors", "illegal", "other"
]


class RulesChanges(Body):
    """What is left out stays. `links`: whether messages may hold addresses."""

    slow_mode_seconds: SlowMode | UnsetType = UNSET
    muted_all: bool | UnsetType = UNSET
    links: bool | UnsetType = UNSET


class WordListBody(Body):
    """
    A text with one of the words is refused, held until staff have seen it, or shown with the word
    masked; words of a list that says `pass` are exceptions.
    """

    name: Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH_MAX, pattern=LINE)]
    action: Literal["refuse", "hold", "mask", "pass"]
    words: Annotated[list[Word], Meta(max_length=WORDS_MAX)]


class WordListsBody(Body):
    """All lists, in place of all that were there."""

    items: Annotated[list[WordListBody], Meta(max_length=LISTS_MAX)]


class WordLists(Struct, kw_only=True):
    items: list[WordList]
    next_cursor: str | None


class Mute(Body):
    """`delete_messages` takes away what is kept of the person's chat as well."""

    user: User
    seconds: Seconds
    reason: Reason = ""
    delete_messages: bool = False


class Ban(Body):
    """The person may neither speak, throw nor like in the room, until the ban is lifted."""

    user: User
    reason: Reason = ""
    delete_messages: bool = False


class SanctionView(Struct, kw_only=True):
    """A mute or a ban. `until` null: until it is lifted."""

    user: str
    name: str
    until: str | None
    reason: str
    by: str
    created_at: str


class SanctionPage(Query):
    limit: PageSize = 50
    cursor: Annotated[str, Meta(min_length=1, max_length=1_400)] | None = None


class SanctionList(Struct, kw_only=True):
    items: list[SanctionView]
    next_cursor: str | None


class WhyQuery(Query):
    """Why a message is deleted, for the audit log."""

    reason: Reason = ""


class ReportBody(Body, kw_only=True):
    """About a message of the chat, or about a person."""

    message: Id | None = None
    user: User | None = None
    reason: ReportReason
    note: Annotated[str, Meta(max_length=NOTE_LENGTH_MAX, pattern=LINE)] = ""


class ReportView(Struct, kw_only=True):
    """`text` and `name` are those of the reported message, as the room's history has them."""

    id: str
    room: str
    reporter: str
    user: str
    name: str
    message: str | None
    text: str
    reason: str
    note: str
    state: Literal["open", "upheld", "dismissed"]
    created_at: str
    decided_at: str | None


class ReportPage(Page):
    state: Literal["open", "upheld", "dismissed"] = "open"


class ReportList(Struct, kw_only=True):
    items: list[ReportView]
    next_cursor: str | None


class ReportDecision(Body):
    """Holds for all open reports about the same message."""

    state: Literal["upheld", "dismissed"]


class HeldView(Struct, kw_only=True):
    """A message that a word list holds; nobody but staff has seen it."""

    id: str
    channel: str
    user: str
    name: str
    text: str
    list: str
    state: Literal["open", "shown", "refused"]
    created_at: str
    decided_at: str | None


class HeldList(Struct, kw_only=True):
    items: list[HeldView]
    next_cursor: str | None


class HeldDecision(Body):
    state: Literal["shown", "refused"]


class AuditEntry(Struct, kw_only=True):
    """
    What somebody of the staff did. `hash` is the SHA-256 of the entry and of `previous`, the hash
    of the entry before.
    """

    number: int
    created_at: str
    actor: str
    role: str
    action: str
    target: str
    reason: str
    details: dict[str, Any] = field(default_factory=dict)
    previous: str
    hash: str


class AuditPage(Query):
    """Newest first."""

    limit: PageSize = 50
    cursor: Annotated[str, Meta(pattern=r"^[0-9]{1,15}$")] | None = None


class AuditList(Struct, kw_only=True):
    items: list[AuditEntry]
    next_cursor: str | None
