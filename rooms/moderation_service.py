"""
What staff and viewers do about what is said: rules, mutes, bans, word lists, deleting, reports.

Everything is on record before anybody hears of it, together with its line in the audit log. Rules
and sanctions hold on every worker at once (`guard_service.py`). Every method raises
`rooms.errors.Refusal`; times are integer milliseconds from `now`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from rooms import moderation as rules
from rooms import words
from rooms.audit import DELETED, Deed, Entry
from rooms.bus import Bus, Publication
from rooms.errors import Invalid, NotFound, Unavailable
from rooms.guard_service import Guard
from rooms.moderation import Kind, Sanction
from rooms.moderation_store import SERVER, ModerationStore
from rooms.reports import (
    Fate,
    Held,
    HeldState,
    Report,
    ReportState,
    Said,
    check_report,
    tombstone,
)
from rooms.room import ChatRules
from rooms.service import RoomService
from rooms.times import rfc3339
from rooms.words import WordList

PAGE_MAX = 200  # rows in one answer
ON_SCREEN_MS = 60_000  # a danmaku may be on screens so long, and in no archive (yet)
UNTOLD_MAX = 1_000  # deleted messages of which the bus took no news: as many as staff would retry

log = logging.getLogger(__name__)


class Actor(msgspec.Struct, frozen=True):
    """Who of the staff acts."""

    user: str
    role: str


class Archive(Protocol):
    """What keeps shows for later. A deleted message becomes a tombstone there."""

    async def erase(self, room: str, channel: str, ids: Sequence[str], at: int) -> None:
        """Take the text and the sender out of these messages of the channel; unknown ids pass."""

    async def fate(self, room: str, channel: str, id: str) -> Fate:
        """What is on record of a message."""


class Moderation:
    """
    The use cases. `archive` is told of deleted messages before viewers are; `made_at` tells when an
    id was made, in milliseconds, 0 where that cannot be told.
    """

    def __init__(
        self,
        rooms: RoomService,
        guard: Guard,
        store: ModerationStore,
        bus: Bus,
        *,
        now: Callable[[], int],
        new_id: Callable[[str], str],
        archive: Archive | None = None,
        made_at: Callable[[str], int] = lambda id: 0,
    ) -> None:
        self._rooms = rooms
        self._guard = guard
        self._store = store
        self._bus = bus
        self._now = now
        self._new_id = new_id
        self._archive = archive
        self._made_at = made_at
        self._untold: dict[str, None] = {}  # deleted messages that screens may still show

    # --- rules and word lists ------------------------------------------------------------------

    async def change_rules(self, room: str, changes: dict[str, Any], actor: Actor) -> ChatRules:
        """Slow mode, full mute, links. Everybody in the room sees the new rules."""
        deed = _deed(actor, "chat.rules", details=changes)
        new, version = await self._store.change_rules(
            room, lambda old: rules.changed_rules(old, changes), deed, self._now()
        )
        event = {"type": "chat.rules", **msgspec.to_builtins(new)}
        await self._apply(room)
        await self._rooms.tell_change(room, (event, version), actor.user)
        return new

    async def lists(self, scope: str) -> list[WordList]:
        """The word lists of a room, or (`""`) those of all rooms."""
        return (await self._store.lists(scope)).lists

    async def put_lists(
        self, scope: str, lists: Sequence[WordList], actor: Actor
    ) -> list[WordList]:
        """Replace all word lists of a scope; they hold on every worker at once."""
        checked = await asyncio.to_thread(words.check_lists, lists, self._guard.folding)
        summary = {one.name: f"{one.action}, {len(one.words)} words" for one in checked}
        deed = _deed(actor, "word_lists", details=summary)
        await self._store.replace_lists(scope, checked, self._new_id("wl"), deed, self._now())
        await self._apply(scope)
        if scope != SERVER:
            await self._tell_staff(scope, {"type": "moderation.word_lists"}, actor)
        return checked

    # --- people --------------------------------------------------------------------------------

    async def mute(
        self,
        room: str,
        user: str,
        seconds: int,
        reason: str,
        actor: Actor,
        *,
        delete_messages: bool = False,
    ) -> Sanction:
        """Let nobody hear `user` in this room for that long. Raises Invalid, NotFound."""
        seconds = rules.check_mute_seconds(seconds, reason)
        until = self._now() + seconds * 1000
        muted = await self._sanction(room, "mute", user, until, reason, actor)
        event = {"type": "moderation.user_muted", "user": user, "until": rfc3339(until)}
        await self._tell_all(room, event, muted, actor)
        if delete_messages:
            await self.delete_of(room, user, reason, actor)
        return muted

    async def ban(
        self, room: str, user: str, reason: str, actor: Actor, *, delete_messages: bool = False
    ) -> Sanction:
        """Let `user` neither speak, throw nor like in this room, until it is lifted."""
        banned = await self._sanction(room, "ban", user, None, reason, actor)
        event = {"type": "moderation.user_banned", "user": user, "banned": True}
        await self._tell_all(room, event, banned, actor)
        if delete_messages:
            await self.delete_of(room, user, reason, actor)
        return banned

    async def lift(self, room: str, kind: Kind, user: str, actor: Actor) -> None:
        """End a mute or ban, if there is one."""
        deed = _deed(actor, f"un{kind}", user)
        if not await self._store.lift(room, kind, user, deed, self._now()):
            return
        await self._apply(room)
        lifted = Sanction(user=user, by=actor.user, at=self._now())
        event: dict[str, Any] = {"type": "moderation.user_muted", "user": user, "until": None}
        if kind == "ban":
            event = {"type": "moderation.user_banned", "user": user, "banned": False}
        await self._tell_all(room, event, lifted, actor)

    async def sanctions(self, room: str, kind: Kind, after: str, limit: int) -> list[Sanction]:
        """Those that hold, in order of user."""
        return await self._store.sanctions(room, kind, self._now(), after, limit)

    async def _sanction(
        self, room: str, kind: Kind, user: str, until: int | None, reason: str, actor: Actor
    ) -> Sanction:
        rules.check_target(user, actor.user)
        reason = rules.check_reason(reason, self._guard.folding)
        at = self._now()
        name = await self._name_of(room, user)
        what = Sanction(user=user, name=name, until=until, reason=reason, by=actor.user, at=at)
        details = {} if until is None else {"until": rfc3339(until)}
        deed = _deed(actor, kind, user, reason, details)
        await self._store.sanction(room, kind, what, deed)
        await self._apply(room)
        return what

    # --- messages ------------------------------------------------------------------------------

    async def delete(self, room: str, id: str, reason: str, actor: Actor) -> None:
        """
        Take a message away everywhere: on screens, in history, in the archive. One that is deleted
        already is told nobody again. Raises NotFound.
        """
        reason = rules.check_reason(reason, self._guard.folding)
        namespace = "danmaku" if id.startswith("dmk_") else "chat"
        channel = f"{namespace}:{room}"
        fate = await self._fate(room, channel, id)
        if fate == "unknown":
            raise NotFound("There is no such message in this room")
        if fate == "said" or id in self._untold:
            await self._delete(room, channel, [id], reason, actor)

    async def _fate(self, room: str, channel: str, id: str) -> Fate:
        """What became of a message: by the history, the archive, the audit log, its own age."""
        chat = channel.startswith("chat:")
        for _, said in await self._kept(room) if chat else ():
            if said.id == id:
                return "deleted" if said.type == "deleted" else "said"
        if self._archive is not None:
            fate = await self._archive.fate(room, channel, id)
            if fate != "unknown":
                return fate
        if await self._store.was_deleted(room, id):
            return "deleted"
        return "unknown" if chat or self._now() - self._made_at(id) > ON_SCREEN_MS else "said"

    async def delete_of(self, room: str, user: str, reason: str, actor: Actor) -> int:
        """Take away all that is kept of one person's chat; how many messages that were."""
        reason = rules.check_reason(reason, self._guard.folding)
        ids = [said.id for _, said in await self._kept(room) if said.user.get("id") == user]
        if ids:
            await self._delete(room, f"chat:{room}", ids, reason, actor)
        return len(ids)

    async def _delete(
        self, room: str, channel: str, ids: list[str], reason: str, actor: Actor
    ) -> None:
        at = self._now()
        self._untold |= dict.fromkeys(ids)
        kept = await self._kept(room) if channel.startswith("chat:") else []
        found = {item.offset: said for item, said in kept if said.id in ids}
        evidence = {said.id: {"user": said.user, "text": said.text} for said in found.values()}
        target = ids[0] if len(ids) == 1 else f"{len(ids)} messages"
        deed = _deed(actor, DELETED, target, reason, {"channel": channel, **evidence})
        await self._store.record(room, deed, at)
        if found:
            graves = {offset: tombstone(said.id, at) for offset, said in found.items()}
            await self._bus.amend(room, channel, kept[0][0].epoch, graves)
        if self._archive is not None:
            await self._archive.erase(room, channel, ids, at)
        await self._announce_deleted(room, channel, ids)
        told = {"type": "moderation.message_deleted", "channel": channel, "ids": ids}
        await self._tell_staff(room, told, actor)

    async def _announce_deleted(self, room: str, channel: str, ids: list[str]) -> None:
        """Tell all screens. Whatever failed before can be deleted again, and is then told."""
        for id in ids:
            event = {"type": "moderation.message_deleted", "channel": channel, "id": id}
            await self._rooms.announce(room, event)
            self._untold.pop(id, None)
        while len(self._untold) > UNTOLD_MAX:
            del self._untold[next(iter(self._untold))]

    async def _kept(self, room: str) -> list[tuple[Publication, Said]]:
        """The room's chat as far as the bus keeps it, oldest first."""
        read = await self._bus.history(room, f"chat:{room}", since=None, limit=-1)
        return [(item, msgspec.json.decode(item.data, type=Said)) for item in read.publications]

    async def _name_of(self, room: str, user: str) -> str:
        """How a person was called in the chat; empty if nothing of theirs is kept."""
        try:
            kept = await self._kept(room)
        except Unavailable:
            return ""
        names = [said.user.get("name", "") for _, said in kept if said.user.get("id") == user]
        return str(names[-1]) if names else ""

    # --- what waits for staff ------------------------------------------------------------------

    async def report(
        self, room: str, reporter: str, *, message: str, user: str, reason: str, note: str
    ) -> Report:
        """Report a message that is kept, or a person. Raises Invalid, NotFound, TooFast."""
        reason, note = check_report(reason, note)
        await self._rooms.get(room)
        name = said_text = ""
        if message:
            said = next((said for _, said in await self._kept(room) if said.id == message), None)
            if said is None or said.type != "chat":
                raise NotFound("This message is not in the chat of this room any more")
            user, name = str(said.user.get("id", "")), str(said.user.get("name", ""))
            said_text = said.text
        elif user:
            name = await self._name_of(room, user)
        else:
            raise Invalid("A report is about a message or a user")
        report = Report(
            id=self._new_id("rpt"), room=room, reporter=reporter, user=user, name=name,
            message=message, text=said_text, reason=reason, note=note, at=self._now(),
        )  # fmt: skip
        queued = await self._store.add_report(report)
        if queued.id == report.id:
            await self._tell_staff(room, {"type": "moderation.report", "id": report.id}, None)
        return queued

    async def reports(
        self, room: str, state: ReportState | None, after: str, limit: int
    ) -> list[Report]:
        """Reports in order of time."""
        return await self._store.reports(room, state, after, limit)

    async def decide_report(self, room: str, id: str, state: ReportState, actor: Actor) -> Report:
        """Close a report, and the others about the same message; their reporters are told."""
        deed = _deed(actor, "report." + state, id)
        closed = await self._store.decide_report(room, id, state, deed, self._now())
        events: dict[str, list[dict[str, Any]]] = {
            one.reporter: [
                {"type": "moderation.report", "room": room, "id": one.id, "state": state}
            ]
            for one in closed
        }
        try:
            await self._rooms.tell_users(events)
        except Unavailable as problem:
            log.warning("%s: reporters are not told: %s", room, problem)
        await self._tell_staff(room, {"type": "moderation.report", "id": id, "state": state}, actor)
        return next(one for one in closed if one.id == id)

    async def held(self, room: str, after: str, limit: int) -> list[Held]:
        """Messages that wait for staff."""
        return await self._store.held(room, after, limit)

    async def decide_held(self, room: str, id: str, state: HeldState, actor: Actor) -> Held:
        """Show a message that waits, or refuse it; its sender is told."""
        deed = _deed(actor, "held." + state, id)
        held = await self._store.decide_held(room, id, state, deed, self._now())
        if state == "shown":
            await self._rooms.release(room, held.channel, held.data, held.info)
        event = {"type": "moderation.held", "room": room, "id": id, "state": state}
        await self._rooms.tell_user(held.user, event)
        await self._tell_staff(room, {"type": "moderation.held", "id": id, "state": state}, actor)
        return held

    async def audit(self, scope: str, before: int | None, limit: int) -> list[Entry]:
        """What staff did, newest first."""
        return await self._store.audit(scope, before, limit)

    # --- telling -------------------------------------------------------------------------------

    async def _apply(self, scope: str) -> None:
        """On record: from now on it holds everywhere; without the bus a few seconds later."""
        try:
            await self._guard.changed(scope)
        except Unavailable as problem:
            log.warning("moderation of %s reaches other workers late: %s", scope, problem)

    async def _tell_all(
        self, room: str, event: dict[str, Any], what: Sanction, actor: Actor
    ) -> None:
        """The room, the person, and the staff, each as much as is theirs to know."""
        kind = "moderation.banned" if "banned" in event else "moderation.muted"
        personal: dict[str, Any] = {"type": kind, "room": room, "reason": what.reason}
        personal |= {name: event[name] for name in ("until", "banned") if name in event}
        try:
            await self._rooms.announce(room, event)
            await self._rooms.tell_user(what.user, personal)
        except Unavailable as problem:
            log.warning("%s of %s in %s is not told: %s", kind, what.user, room, problem)
        told: dict[str, Any] = {**event, "reason": what.reason, "name": what.name}
        await self._tell_staff(room, told, actor)

    async def _tell_staff(self, room: str, event: dict[str, Any], actor: Actor | None) -> None:
        try:
            who: dict[str, Any] = {} if actor is None else {"actor": actor.user}
            await self._rooms.tell_console(room, {**event, **who})
        except Unavailable as problem:
            log.warning("%s: the staff are not told of %s: %s", room, event["type"], problem)


def _deed(
    actor: Actor,
    action: str,
    target: str = "",
    reason: str = "",
    details: dict[str, Any] | None = None,
) -> Deed:
    return Deed(
        actor=actor.user,
        role=actor.role,
        action=action,
        target=target,
        reason=reason,
        details=details or {},
    )
