"""What is said in rooms: rules, sanctions, word lists, deleting, reports, the record."""

import binascii
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from liveserver.problems import Refused
from liveserver.web.requests.common import Page
from liveserver.web.requests.moderation import (
    AuditEntry,
    AuditList,
    AuditPage,
    Ban,
    HeldDecision,
    HeldList,
    HeldView,
    Mute,
    ReportBody,
    ReportDecision,
    ReportList,
    ReportPage,
    ReportView,
    RulesChanges,
    SanctionList,
    SanctionPage,
    SanctionView,
    WhyQuery,
    WordLists,
    WordListsBody,
)
from liveserver.web.route import Call, Created, Limit, Route, of_room
from rooms.audit import Entry
from rooms.moderation import Kind, Sanction
from rooms.moderation_service import Actor
from rooms.moderation_store import SERVER
from rooms.reports import Held, Report
from rooms.room import ChatRules
from rooms.times import rfc3339
from rooms.words import WordList


async def rules(call: Call) -> ChatRules:
    given = msgspec.structs.asdict(call.body)
    changes = {name: value for name, value in given.items() if value is not UNSET}
    return await call.services.moderation.change_rules(_room(call), changes, _actor(call))


async def word_lists(call: Call) -> WordLists:
    found = await call.services.moderation.lists(_scope(call))
    return WordLists(items=found, next_cursor=None)


async def put_word_lists(call: Call) -> WordLists:
    body: WordListsBody = call.body
    asked = [WordList(name=one.name, action=one.action, words=one.words) for one in body.items]
    kept = await call.services.moderation.put_lists(_scope(call), asked, _actor(call))
    return WordLists(items=kept, next_cursor=None)


async def mute(call: Call) -> Created:
    body: Mute = call.body
    made = await call.services.moderation.mute(
        _room(call), body.user, body.seconds, body.reason, _actor(call),
        delete_messages=body.delete_messages,
    )  # fmt: skip
    return Created(_sanction(made), f"/v1/rooms/{_room(call)}/mutes")


async def ban(call: Call) -> Created:
    body: Ban = call.body
    made = await call.services.moderation.ban(
        _room(call), body.user, body.reason, _actor(call), delete_messages=body.delete_messages
    )
    return Created(_sanction(made), f"/v1/rooms/{_room(call)}/bans")


async def mutes(call: Call) -> SanctionList:
    return await _sanctions(call, "mute")


async def bans(call: Call) -> SanctionList:
    return await _sanctions(call, "ban")


async def _sanctions(call: Call, kind: Kind) -> SanctionList:
    query: SanctionPage = call.query
    after = _after_user(query.cursor)
    found = await call.services.moderation.sanctions(_room(call), kind, after, query.limit + 1)
    items, more = found[: query.limit], len(found) > query.limit
    following = urlsafe_b64encode(items[-1].user.encode()).decode() if more else None
    return SanctionList(items=[_sanction(one) for one in items], next_cursor=following)


async def unmute(call: Call) -> None:
    await call.services.moderation.lift(_room(call), "mute", call.params["user"], _actor(call))


async def unban(call: Call) -> None:
    await call.services.moderation.lift(_room(call), "ban", call.params["user"], _actor(call))


async def delete(call: Call) -> None:
    query: WhyQuery = call.query
    await call.services.moderation.delete(
        _room(call), call.params["message"], query.reason, _actor(call)
    )


async def report(call: Call) -> Created:
    body: ReportBody = call.body
    queued = await call.services.moderation.report(
        _room(call), call.who.user, message=body.message or "", user=body.user or "",
        reason=body.reason, note=body.note,
    )  # fmt: skip
    return Created(_report(queued), f"/v1/rooms/{_room(call)}/reports")


async def reports(call: Call) -> ReportList:
    query: ReportPage = call.query
    found = await call.services.moderation.reports(
        _room(call), query.state, query.cursor or "", query.limit + 1
    )
    items, following = _page(found, query.limit)
    return ReportList(items=[_report(one) for one in items], next_cursor=following)


async def decide_report(call: Call) -> ReportView:
    body: ReportDecision = call.body
    decided = await call.services.moderation.decide_report(
        _room(call), call.params["report"], body.state, _actor(call)
    )
    return _report(decided)


async def held(call: Call) -> HeldList:
    query: Page = call.query
    found = await call.services.moderation.held(_room(call), query.cursor or "", query.limit + 1)
    items, following = _page(found, query.limit)
    return HeldList(items=[_held(one) for one in items], next_cursor=following)


async def decide_held(call: Call) -> HeldView:
    body: HeldDecision = call.body
    decided = await call.services.moderation.decide_held(
        _room(call), call.params["held"], body.state, _actor(call)
    )
    return _held(decided)


async def audit(call: Call) -> AuditList:
    query: AuditPage = call.query
    before = None if query.cursor is None else int(query.cursor)
    found = await call.services.moderation.audit(_scope(call), before, query.limit + 1)
    items, more = found[: query.limit], len(found) > query.limit
    following = str(items[-1].number) if more else None
    return AuditList(items=[_entry(one) for one in items], next_cursor=following)


def _room(call: Call) -> str:
    return call.params["room"]


def _scope(call: Call) -> str:
    """The room of the path, or all rooms where the path names none."""
    return call.params.get("room", SERVER)


def _actor(call: Call) -> Actor:
    return Actor(call.who.user, call.who.role)


def _after_user(cursor: str | None) -> str:
    try:
        return "" if cursor is None else b64decode(cursor, b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise Refused("validation", "In the query: cursor is none of ours.") from None


def _page(found: Sequence[Any], limit: int) -> tuple[Sequence[Any], str | None]:
    """A page of what has ids in order, and the cursor of the next."""
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def _sanction(one: Sanction) -> SanctionView:
    return SanctionView(
        user=one.user,
        name=one.name,
        until=_time(one.until),
        reason=one.reason,
        by=one.by,
        created_at=rfc3339(one.at),
    )


def _report(one: Report) -> ReportView:
    return ReportView(
        id=one.id,
        room=one.room,
        reporter=one.reporter,
        user=one.user,
        name=one.name,
        message=one.message or None,
        text=one.text,
        reason=one.reason,
        note=one.note,
        state=one.state,
        created_at=rfc3339(one.at),
        decided_at=_time(one.decided_at),
    )


def _held(one: Held) -> HeldView:
    return HeldView(
        id=one.id,
        channel=one.channel,
        user=one.user,
        name=one.name,
        text=one.text,
        list=one.list,
        state=one.state,
        created_at=rfc3339(one.at),
        decided_at=_time(one.decided_at),
    )


def _entry(one: Entry) -> AuditEntry:
    return AuditEntry(
        number=one.number,
        created_at=rfc3339(one.at),
        actor=one.actor,
        role=one.role,
        action=one.action,
        target=one.target,
        reason=one.reason,
        details=one.details,
        previous=one.previous,
        hash=one.hash,
    )


def _time(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


def _route(method: Any, path: str, action: str, handler: Any, summary: str, **more: Any) -> Route:
    """A row about a room; what changes something is limited as a write."""
    limit: Limit = "read" if method == "GET" else "write"
    return Route(
        method=method,
        path=path,
        action=action,
        handler=handler,
        summary=summary,
        tag="moderation",
        limit=limit,
        **{"about": of_room, "status": 204 if method == "DELETE" else 200, **more},
    )


ROOM = "/v1/rooms/{room}"
STATE = ("invalid-state",)

ROUTES = [
    _route("PATCH", ROOM + "/chat", "chat.rules", rules, "Slow mode, full mute, links",
           request=RulesChanges, answer=ChatRules),
    _route("GET", ROOM + "/word-lists", "chat.words", word_lists, "The room's word lists",
           answer=WordLists),
    _route("PUT", ROOM + "/word-lists", "chat.words", put_word_lists, "Replace the word lists",
           request=WordListsBody, answer=WordLists),
    _route("GET", "/v1/word-lists", "words.edit", word_lists, "Word lists of all rooms",
           answer=WordLists, about=None),
    _route("PUT", "/v1/word-lists", "words.edit", put_word_lists, "Replace those of all rooms",
           request=WordListsBody, answer=WordLists, about=None),
    _route("GET", ROOM + "/mutes", "chat.mute", mutes, "Who is muted",
           query=SanctionPage, answer=SanctionList),
    _route("POST", ROOM + "/mutes", "chat.mute", mute, "Mute a person for a time",
           request=Mute, answer=SanctionView, status=201, refuses=STATE),
    _route("DELETE", ROOM + "/mutes/{user}", "chat.mute", unmute, "Lift a mute"),
    _route("GET", ROOM + "/bans", "chat.ban", bans, "Who is banned",
           query=SanctionPage, answer=SanctionList),
    _route("POST", ROOM + "/bans", "chat.ban", ban, "Ban a person",
           request=Ban, answer=SanctionView, status=201, refuses=STATE),
    _route("DELETE", ROOM + "/bans/{user}", "chat.ban", unban, "Lift a ban"),
    _route("DELETE", ROOM + "/messages/{message}", "chat.delete", delete,
           "Delete a message everywhere", query=WhyQuery),
    _route("POST", ROOM + "/reports", "chat.report", report, "Report a message or a person",
           request=ReportBody, answer=ReportView, status=201, about=None),
    _route("GET", ROOM + "/reports", "chat.reports", reports, "Reports of viewers, oldest first",
           query=ReportPage, answer=ReportList),
    _route("POST", ROOM + "/reports/{report}/decide", "chat.reports", decide_report,
           "Close a report", request=ReportDecision, answer=ReportView, refuses=STATE),
    _route("GET", ROOM + "/held", "chat.held", held, "Messages that wait for staff",
           query=Page, answer=HeldList),
    _route("POST", ROOM + "/held/{held}/decide", "chat.held", decide_held,
           "Show a message that waits, or refuse it", request=HeldDecision, answer=HeldView,
           refuses=STATE),
    _route("GET", ROOM + "/audit", "chat.audit", audit, "What staff did, newest first",
           query=AuditPage, answer=AuditList),
    _route("GET", "/v1/audit", "words.edit", audit, "What was done for all rooms, newest first",
           query=AuditPage, answer=AuditList, about=None),
]  # fmt: skip
