"""Shows: their archive for everybody, as files, and the report for staff."""

from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from aiohttp import web

from liveserver.access import allow
from liveserver.archive import exports
from liveserver.archive.entry import Line, Show
from liveserver.problems import Refused
from liveserver.web.handlers.rehearsals import is_staff
from liveserver.web.requests.common import Page
from liveserver.web.requests.shows import (
    ArchiveRule,
    EventLine,
    EventList,
    EventQuery,
    ShowList,
    ShowReport,
    ShowView,
)
from liveserver.web.route import Call, Route, Subject, of_room
from rooms.times import rfc3339

EXPORT_PAGE = 1_000  # lines read at once: an export holds no more of a show in memory


async def list_shows(call: Call) -> ShowList:
    page: Page = call.query
    room = call.params["room"]
    await call.services.rooms.get(room)
    found = await call.services.archive.shows_of(
        room, page.cursor, page.limit, rehearsals=is_staff(call.identity, room)
    )
    following = found[-1].id if len(found) == page.limit else None
    return ShowList(items=[_view(show) for show in found], next_cursor=following)


async def read_show(call: Call) -> ShowView:
    return _view(await _show(call))


async def events(call: Call) -> EventList:
    query: EventQuery = call.query
    show = await _readable(call)
    found = await call.services.archive.lines(
        show.id,
        after=_place(query.cursor),
        limit=query.limit,
        channel=None if query.channel is None else f"{query.channel}:{show.room}",
        since=query.since,
        until=query.until,
    )
    following = str(found[-1].n) if len(found) == query.limit else None
    return EventList(items=[_event(line) for line in found], next_cursor=following)


async def set_rule(call: Call) -> ArchiveRule:
    rule: ArchiveRule = call.body
    room = call.params["room"]
    await call.services.rooms.get(room)
    await call.services.archive.set_open(room, rule.open)
    return rule


async def report(call: Call) -> ShowReport:
    services, show = call.services, await _show(call)
    counts = await services.archive.summary(show.id)
    ended_at = show.ended_at or services.now() + 1
    while_live = (show.started_at, ended_at)
    orders = await services.reads.states_of_orders(show.room, *while_live)
    turnover = await services.reads.turnover(
        0, services.now() + 1, room=show.room, placed_in=while_live
    )
    room = await services.rooms.get(show.room)
    return ShowReport(
        show=_view(show),
        seconds=(ended_at - show.started_at) // 1000,
        viewers_peak=counts.viewers_peak,
        likes=counts.likes,
        messages=counts.messages,
        danmaku=counts.danmaku,
        deleted=counts.deleted,
        gaps=counts.gaps,
        turnover=turnover,
        orders=orders,
        shipments_waiting=orders.get("paid", 0),
        webhooks_failed=await services.webhooks.failed(room.merchant_ids, show.started_at),
    )


# --- files -------------------------------------------------------------------------------------


async def export_xml(call: Call) -> web.StreamResponse:
    """Danmaku in Bilibili's format."""

    async def write(show: Show, response: web.StreamResponse) -> None:
        secret = call.services.options.export_secret
        await response.write(exports.XML_HEAD.encode())
        async for lines in _pages(call, show, ("danmaku",)):
            text = "".join(
                exports.xml_line(item, lambda user: exports.user_hash(secret, user))
                for item in exports.danmaku_of(lines, show.started_at)
            )
            await response.write(text.encode())
        await response.write(exports.XML_TAIL.encode())

    return await _export(call, "xml", "application/xml", write)


async def export_ass(call: Call) -> web.StreamResponse:
    """Danmaku as subtitles that fly."""

    async def write(show: Show, response: web.StreamResponse) -> None:
        lanes = exports.AssLanes()
        room = await call.services.rooms.get(show.room)
        await response.write(exports.ass_head(room.title).encode())
        async for lines in _pages(call, show, ("danmaku",)):
            items = exports.danmaku_of(lines, show.started_at)
            await response.write("".join(lanes.line(item) for item in items).encode())

    return await _export(call, "ass", "text/x-ssa", write)


async def export_jsonl(call: Call) -> web.StreamResponse:
    """Everything, one JSON object a line."""

    async def write(show: Show, response: web.StreamResponse) -> None:
        async for lines in _pages(call, show, ()):
            await response.write(b"".join(exports.json_line(line) for line in lines))

    return await _export(call, "jsonl", "application/jsonl", write)


async def _export(
    call: Call,
    ending: str,
    media: str,
    write: Callable[[Show, web.StreamResponse], Awaitable[None]],
) -> web.StreamResponse:
    """Send a file while it is read. What fails in the middle cuts the connection."""
    show = await _readable(call)
    response = web.StreamResponse()
    response.content_type = media
    response.charset = "utf-8"
    response.headers["Content-Disposition"] = f'attachment; filename="{show.id}.{ending}"'
    await response.prepare(call.request)
    await write(show, response)
    await response.write_eof()
    return response


async def _pages(call: Call, show: Show, types: tuple[str, ...]) -> AsyncIterator[list[Line]]:
    after = 0
    while True:
        lines = await call.services.archive.lines(
            show.id, after=after, limit=EXPORT_PAGE, types=types
        )
        if not lines:
            return
        yield lines
        after = lines[-1].n


# --- who may read ------------------------------------------------------------------------------


async def _show(call: Call) -> Show:
    if isinstance(call.subject.thing, Show):
        return call.subject.thing
    show = await call.services.archive.show(call.params["show"])
    if show is None:
        raise Refused("not-found", f"There is no show {call.params['show']}.")
    return show


async def of_show(call: Call) -> Subject:
    """The room of the show."""
    show = await _show(call)
    return Subject(room=show.room, thing=show)


async def _readable(call: Call) -> Show:
    """The show, where the caller may read it: staff always, others when it is over and open."""
    show = await _show(call)
    if show.ended_at is None or not show.open:
        allow(call.identity, "show.report", room=show.room)
    return show


def _view(show: Show) -> ShowView:
    ended_at = None if show.ended_at is None else rfc3339(show.ended_at)
    return ShowView(
        id=show.id, room=show.room, started_at=rfc3339(show.started_at), ended_at=ended_at,
        open=show.open, rehearsal=show.rehearsal,
    )  # fmt: skip


def _event(line: Line) -> EventLine:
    event = msgspec.Raw(line.json.encode())
    return EventLine(
        n=line.n, channel=line.channel, epoch=line.epoch, offset=line.offset, at=line.at,
        event=event,
    )  # fmt: skip


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isdecimal() or len(cursor) > 18:
        raise Refused("validation", "The cursor is not one of this list.")
    return int(cursor)


def _file(ending: str, media: str, handler: Callable[[Call], Awaitable[object]]) -> Route:
    return Route(
        method="GET",
        path="/v1/shows/{show}/export." + ending,
        action="show.read",
        handler=handler,
        summary=(handler.__doc__ or "").rstrip("."),
        tag="shows",
        about=of_show,
        answer=None,
        media=media,
    )


ROUTES = [
    Route(
        method="GET",
        path="/v1/rooms/{room}/shows",
        action="show.list",
        handler=list_shows,
        summary="Shows of a room, newest first",
        tag="shows",
        query=Page,
        answer=ShowList,
    ),
    Route(
        method="PUT",
        path="/v1/rooms/{room}/archive",
        action="show.rule",
        handler=set_rule,
        summary="Whether anybody may read shows of this room when they are over",
        tag="shows",
        request=ArchiveRule,
        about=of_room,
        answer=ArchiveRule,
        limit="write",
    ),
    Route(
        method="GET",
        path="/v1/shows/{show}",
        action="show.read",
        handler=read_show,
        summary="One show",
        tag="shows",
        about=of_show,
        answer=ShowView,
    ),
    Route(
        method="GET",
        path="/v1/shows/{show}/events",
        action="show.read",
        handler=events,
        summary="What was shown and said, in order",
        tag="shows",
        query=EventQuery,
        about=of_show,
        answer=EventList,
        refuses=("unauthorized", "forbidden"),
    ),
    Route(
        method="GET",
        path="/v1/shows/{show}/report",
        action="show.report",
        handler=report,
        summary="What came of a show",
        tag="shows",
        about=of_show,
        answer=ShowReport,
    ),
    _file("xml", "application/xml", export_xml),
    _file("ass", "text/x-ssa", export_ass),
    _file("jsonl", "application/jsonl", export_jsonl),
]
