"""The server API under `/api/`: an operator's programs, by key."""

import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

import msgspec

from liveserver.gateway import codes, remote
from liveserver.problems import REFUSALS, Refused
from liveserver.server_api import ServerApi
from liveserver.web.requests import api as shapes
from liveserver.web.route import Call, Route
from rooms.bus import Position
from rooms.text import is_json

DONE = shapes.Done(result=shapes.Nothing())
AT_ONCE = 50  # publications of one broadcast on their way together

A = TypeVar("A", bound=shapes.Answer)
Handler = Callable[[Call], Awaitable[A]]


def _command(answer: type[A]) -> Callable[[Handler[A]], Handler[A]]:
    """What a command refuses is its answer, with status 200, as clients of this API expect."""

    def decorate(handler: Handler[A]) -> Handler[A]:
        @wraps(handler)
        async def run(call: Call) -> A:
            try:
                _check_needs(call.body)
                return await handler(call)
            except (codes.Fail, *REFUSALS) as problem:
                return answer(error=_error(problem))

        return run

    return decorate


def _check_needs(body: shapes.Command) -> None:
    if not all(getattr(body, name) for name in body.needs):
        raise codes.Fail(codes.BAD_COMMAND)


def _error(problem: Exception) -> shapes.ApiError:
    if isinstance(problem, codes.Fail):
        return shapes.ApiError(problem.error.code, problem.error.message)
    assert isinstance(problem, REFUSALS)
    error = codes.channel_error_of(problem)
    return shapes.ApiError(error.code, error.message)


def _api(call: Call) -> ServerApi:
    if call.services.api is None:
        raise Refused("unavailable", "This process holds no connections.")
    return call.services.api


def _bytes(plain: msgspec.Raw, encoded: str) -> bytes:
    """What stands in a field or, in base64, in the one beside it. Raises codes.Fail."""
    if not encoded:
        return bytes(plain)
    try:
        return b64decode(encoded, validate=True)
    except ValueError:
        raise codes.Fail(codes.BAD_COMMAND) from None


def _text(plain: msgspec.Raw, encoded: str) -> str:
    """The same as text: JSON, or empty. Raises codes.Fail."""
    data = _bytes(plain, encoded)
    if data and not is_json(data):
        raise codes.Fail(codes.BAD_COMMAND)
    return data.decode()


def _whom(body: shapes.Whom) -> dict[str, str]:
    """Which connections are meant."""
    return {"user": body.user, "client": body.client, "session": body.session}


def _position(since: shapes.Since | None) -> Position | None:
    return Position(since.epoch, since.offset) if since else None


@_command(shapes.Published)
async def publish(call: Call) -> shapes.Published:
    """Publish JSON into a channel. The server's own events of rooms cannot be published."""
    body: shapes.Publish = call.body
    place = await _api(call).publish(
        body.channel,
        _bytes(body.data, body.b64data),
        skip_history=body.skip_history,
        key=body.idempotency_key,
    )
    return shapes.Published(result=place)


@_command(shapes.Broadcasted)
async def broadcast(call: Call) -> shapes.Broadcasted:
    """The same into many channels; each has its own answer."""
    body: shapes.Broadcast = call.body
    api, data, slots = _api(call), _bytes(body.data, body.b64data), asyncio.Semaphore(AT_ONCE)

    async def one(channel: str) -> shapes.Published:
        async with slots:
            try:
                place = await api.publish(
                    channel, data, skip_history=body.skip_history, key=body.idempotency_key
                )
            except (codes.Fail, *REFUSALS) as problem:
                return shapes.Published(error=_error(problem))
            return shapes.Published(result=place)

    responses = await asyncio.gather(*map(one, body.channels))
    return shapes.Broadcasted(result=shapes.Responses(responses))


@_command(shapes.PresenceAnswer)
async def presence(call: Call) -> shapes.PresenceAnswer:
    """Who is in a channel whose namespace keeps presence."""
    found = await _api(call).presence(call.body.channel)
    return shapes.PresenceAnswer(result=shapes.PresenceResult(found))


@_command(shapes.StatsAnswer)
async def presence_stats(call: Call) -> shapes.StatsAnswer:
    """How many clients and users are in a channel."""
    stats = await _api(call).presence_stats(call.body.channel)
    return shapes.StatsAnswer(result=shapes.StatsResult(stats.num_clients, stats.num_users))


@_command(shapes.HistoryAnswer)
async def history(call: Call) -> shapes.HistoryAnswer:
    """Kept publications of a channel, and its position."""
    body: shapes.History = call.body
    read = await _api(call).history(
        body.channel, since=_position(body.since), limit=body.limit, reverse=body.reverse
    )
    return shapes.HistoryAnswer(
        result=shapes.HistoryResult(read.publications, read.epoch, read.offset)
    )


@_command(shapes.Done)
async def history_remove(call: Call) -> shapes.Done:
    """Forget the kept publications of a channel."""
    await _api(call).history_remove(call.body.channel)
    return DONE


@_command(shapes.ChannelsAnswer)
async def channels(call: Call) -> shapes.ChannelsAnswer:
    """Channels that somebody watches, on all workers."""
    found = await _api(call).channels(call.body.pattern)
    named = {name: shapes.ChannelInfo(count) for name, count in found.items()}
    return shapes.ChannelsAnswer(result=shapes.ChannelsResult(named))


@_command(shapes.InfoAnswer)
async def info(call: Call) -> shapes.InfoAnswer:
    """The workers that hold connections."""
    return shapes.InfoAnswer(result=shapes.InfoResult(_api(call).info()))


@_command(shapes.Done)
async def disconnect(call: Call) -> shapes.Done:
    """Close a user's connections, on all workers."""
    body: shapes.Disconnect = call.body
    how = body.disconnect or shapes.How()
    if len(how.reason.encode()) > shapes.REASON_BYTES_MAX:
        raise codes.Fail(codes.BAD_COMMAND)
    order = remote.Disconnect(
        **_whom(body),
        whitelist=body.whitelist,
        code=how.code,
        reason=how.reason,
    )
    await _api(call).disconnect(order)
    return DONE


@_command(shapes.Done)
async def subscribe(call: Call) -> shapes.Done:
    """Subscribe a user's connections to a channel, on all workers, for as long as they last."""
    body: shapes.Subscribe = call.body
    order = remote.Subscribe(
        **_whom(body),
        channel=body.channel,
        info=_text(body.info, body.b64info),
        data=_text(body.data, body.b64data),
        since=_position(body.recover_since),
    )
    await _api(call).subscribe(order)
    return DONE


@_command(shapes.Done)
async def unsubscribe(call: Call) -> shapes.Done:
    """End a user's subscription of a channel, or all of them, on all workers."""
    body: shapes.Unsubscribe = call.body
    order = remote.Unsubscribe(**_whom(body), channel=body.channel)
    await _api(call).unsubscribe(order)
    return DONE


@_command(shapes.Done)
async def refresh(call: Call) -> shapes.Done:
    """Let a user's connections expire at another time, or now, on all workers."""
    body: shapes.Refresh = call.body
    order = remote.Refresh(
        **_whom(body),
        expired=body.expired,
        expire_at=body.expire_at,
    )
    await _api(call).refresh(order)
    return DONE


async def batch(call: Call) -> shapes.BatchAnswer:
    """Many commands in one request, each with its own answer, in the order of the commands."""
    body: shapes.Batch = call.body
    slots = asyncio.Semaphore(AT_ONCE if body.parallel else 1)  # who waits has its turn in order

    async def one(step: shapes.Step) -> dict[str, Any]:
        async with slots:
            return await _step(call, step)

    return shapes.BatchAnswer(await asyncio.gather(*map(one, body.commands)))


async def _step(call: Call, step: shapes.Step) -> dict[str, Any]:
    given = [name for name in step.__struct_fields__ if getattr(step, name) is not None]
    if len(given) != 1:
        return {"error": _error(codes.Fail(codes.BAD_COMMAND))}
    [name] = given
    answer = await _HANDLERS[name](replace(call, body=getattr(step, name)))
    return {"error": answer.error} if answer.error else {name: answer.result}


_HANDLERS: dict[str, Callable[[Call], Awaitable[Any]]] = {
    handler.__name__: handler
    for handler in (
        publish, broadcast, presence, presence_stats, history, history_remove, channels, info,
        disconnect, subscribe, unsubscribe, refresh,
    )
}  # fmt: skip


def _row(
    handler: Callable[[Call], Awaitable[Any]],
    request: type[msgspec.Struct],
    answer: type[msgspec.Struct],
    summary: str,
) -> Route:
    name = handler.__name__
    return Route(
        method="POST",
        path=f"/api/{name}",
        action=f"api.{name}",
        handler=handler,
        summary=summary,
        tag="server",
        request=request,
        body_optional=request in (shapes.Info, shapes.Channels),
        any_media=True,
        answer=answer,
        limit="none",  # wrong keys are limited, right ones are the operator's own programs
    )


ROUTES = [
    _row(publish, shapes.Publish, shapes.Published, "Publish into a channel"),
    _row(broadcast, shapes.Broadcast, shapes.Broadcasted, "Publish into many channels"),
    _row(presence, shapes.OneChannel, shapes.PresenceAnswer, "Who is in a channel"),
    _row(presence_stats, shapes.OneChannel, shapes.StatsAnswer, "How many are in a channel"),
    _row(history, shapes.History, shapes.HistoryAnswer, "Kept publications"),
    _row(history_remove, shapes.OneChannel, shapes.Done, "Forget kept publications"),
    _row(channels, shapes.Channels, shapes.ChannelsAnswer, "Watched channels"),
    _row(info, shapes.Info, shapes.InfoAnswer, "The workers"),
    _row(disconnect, shapes.Disconnect, shapes.Done, "Close connections of a user"),
    _row(subscribe, shapes.Subscribe, shapes.Done, "Subscribe connections of a user"),
    _row(refresh, shapes.Refresh, shapes.Done, "Change when connections expire"),
    _row(batch, shapes.Batch, shapes.BatchAnswer, "Many commands in one request"),
    _row(unsubscribe, shapes.Unsubscribe, shapes.Done, "End subscriptions of a user"),
]
