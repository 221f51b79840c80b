"""
What is on record about speaking in rooms, and the port through which it is kept.

Whatever staff do is recorded together with its line in the audit log, in one transaction. The scope
`""` is the whole server; all others are rooms.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from rooms.audit import Deed, Entry
from rooms.moderation import Kind, Lists, Sanction
from rooms.reports import Held, HeldState, Report, ReportState
from rooms.room import ChatRules
from rooms.words import WordList

SERVER = ""  # the scope of lists that hold in every room


class OnRecord(msgspec.Struct, frozen=True):
    """One reading of a room: rules, sanctions that hold, and which lists are in force."""

    rules: ChatRules
    mutes: dict[str, int]
    bans: frozenset[str]
    revisions: dict[str, str]  # scope -> revision of its lists; a scope without lists is missing


class ModerationStore(Protocol):
    """The port; `moderation_sql.py` is the adapter. Raises Unavailable, NotFound."""

    async def on_record(self, room: str, now: int) -> OnRecord | None:
        """What holds in the room; None if there is no such room."""

    async def lists(self, scope: str) -> Lists:
        """The word lists of a scope."""

    async def replace_lists(
        self, scope: str, lists: Sequence[WordList], revision: str, deed: Deed, at: int
    ) -> None:
        """Put these lists in place of all that the scope had."""

    async def change_rules(
        self, room: str, change: Callable[[ChatRules], ChatRules], deed: Deed, at: int
    ) -> tuple[ChatRules, int]:
        """Change the room's chat rules; they and the new version of their part."""

    async def sanction(self, room: str, kind: Kind, what: Sanction, deed: Deed) -> None:
        """Record a mute or ban, in place of an earlier one. Raises WrongState if too many hold."""

    async def lift(self, room: str, kind: Kind, user: str, deed: Deed, at: int) -> bool:
        """End a mute or ban. False, and nothing recorded, if there is none."""

    async def sanctions(
        self, room: str, kind: Kind, now: int, after: str, limit: int
    ) -> list[Sanction]:
        """Those that hold, in order of user."""

    async def record(self, room: str, deed: Deed, at: int) -> None:
        """Write a line of the audit log alone."""

    async def was_deleted(self, room: str, message: str) -> bool:
        """Whether the audit log knows of this one message that it was deleted."""

    async def audit(self, scope: str, before: int | None, limit: int) -> list[Entry]:
        """Lines of the audit log, newest first, with numbers below `before`."""

    async def add_report(self, report: Report) -> Report:
        """
        Queue a report; a repeated one answers the first. Raises TooFast beyond the limits.
        """

    async def reports(
        self, room: str, state: ReportState | None, after: str, limit: int
    ) -> list[Report]:
        """Reports in order of id, which is that of time."""

    async def decide_report(
        self, room: str, id: str, state: ReportState, deed: Deed, at: int
    ) -> list[Report]:
        """Close a report and all others about the same message. Raises NotFound, WrongState."""

    async def hold(self, held: Held) -> None:
        """Queue a message for staff. Raises TooFast beyond the limits."""

    async def held(self, room: str, after: str, limit: int) -> list[Held]:
        """Messages that wait, in order of id."""

    async def decide_held(self, room: str, id: str, state: HeldState, deed: Deed, at: int) -> Held:
        """Close a message that waits. Raises NotFound, WrongState."""
