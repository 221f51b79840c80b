"""WHIP and WHEP: who may is decided here, all else by the media process."""

import asyncio

from aiohttp import web

from liveserver.access import allow
from liveserver.problems import Refused
from liveserver.stream_keys_sql import looks_like_key
from liveserver.web.cors import preflight, refuse_foreign
from liveserver.web.headers import own_origin
from liveserver.web.read import body_bytes
from liveserver.web.requests.video import HookTest, HookTests, StreamKey, Uplink
from liveserver.web.route import Call, Method, Route, of_room

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
MERCHANTS_TESTED = 5  # of a room; a preflight is no load test
ENDPOINTS_TESTED = 3  # of a merchant
HOOK_SECONDS = 4.0  # a receiver that takes longer is told as one that did not get it
HOOK_LOOK_SECONDS = 0.2
BY_KEY = "key"  # the credential of whoever has the room's stream key


async def make_key(call: Call) -> StreamKey:
    """A new key for the room's picture. The one before ends, and with it what it sends."""
    room = await call.services.rooms.get(call.params["room"])
    if call.services.stream_keys is None:
        raise Refused("unavailable", "This process keeps no stream keys.")
    key = await call.services.stream_keys.rotate(room.id)
    if call.services.video is not None:
        await _withdraw(call, room.id)
    origin = call.services.options.public_url or own_origin(call.request, call.services)
    return StreamKey(key=key, whip_url=f"{origin}/whip/{room.id}", rtmp_url=None)


async def _withdraw(call: Call, room: str) -> None:
    assert call.services.video is not None
    try:
        headers = {"X-Credential": BY_KEY}
        await call.services.video.ask("DELETE", f"/credentials/{room}", headers=headers)
    except Refused:
        pass  # a media process that is away sends nothing by the old key either


async def publish(call: Call) -> web.Response:
    """WHIP (RFC 9725): an offer that sends, by the room's stream key or its streamer's token."""
    credential = await _credential(call)
    await call.services.rooms.get(call.params["room"])
    return await _pass_on(call, {"X-Credential": credential})


async def change_published(call: Call) -> web.Response:
    """Trickle or restart ICE, or (DELETE) end the stream."""
    await _credential(call)
    return await _pass_on(call, {})


async def watch(call: Call) -> web.Response:
    """WHEP: an offer that receives. 409 with Retry-After while nobody sends."""
    refuse_foreign(call)
    await call.services.rooms.get(call.params["room"])
    return await _pass_on(call, {})


async def change_watched(call: Call) -> web.Response:
    """Trickle or restart ICE, or (DELETE) leave. The address of the session is the right."""
    refuse_foreign(call)
    return await _pass_on(call, {})


async def _credential(call: Call) -> str:
    """
    Who publishes: `key`, or the streamer.

    Raises:
        Refused: `unauthorized`, `forbidden`.
    """
    room = call.params["room"]
    kind, _, key = call.request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and looks_like_key(key.strip()):
        keys = call.services.stream_keys
        if keys is None or not await keys.is_valid(room, key.strip()):
            raise Refused("unauthorized", "This is not the room's present stream key.")
        return BY_KEY
    allow(call.identity, "video.key", room=room)
    return f"user:{call.who.user}"


async def _pass_on(call: Call, headers: dict[str, str]) -> web.Response:
    if call.services.video is None:
        raise Refused("unavailable", "This server has no video.")
    request = call.request
    body = b"" if request.method == "DELETE" else await body_bytes(request)
    for name in ("Content-Type", "If-Match"):
        if name in request.headers:
            headers[name] = request.headers[name]
    answer = await call.services.video.ask(request.method, request.path, headers=headers, body=body)
    response = web.Response(status=answer.status, body=answer.body)
    for name, value in answer.headers:
        if name == "Content-Type":
            response.headers[name] = value
        else:
            response.headers.add(name, value)
    return response


async def uplink(call: Call) -> Uplink:
    """Bytes to measure the way up with; they are thrown away."""
    body = await body_bytes(call.request)
    return Uplink(received=len(body), server_time=call.services.now())


async def test_hooks(call: Call) -> HookTests:
    """Send `webhook.test` to all endpoints of the room's merchants, and wait a little for it."""
    room = await call.services.rooms.get(call.params["room"])
    hooks = call.services.webhooks
    asked = []
    for merchant in room.merchant_ids[:MERCHANTS_TESTED]:
        for endpoint in (await hooks.endpoints(merchant))[:ENDPOINTS_TESTED]:
            delivery = await hooks.test(merchant, endpoint.id)
            asked.append((merchant, endpoint.id, delivery.id))
    deadline = asyncio.get_running_loop().time() + HOOK_SECONDS
    while True:
        items = [await _hook_test(call, *one) for one in asked]
        late = asyncio.get_running_loop().time() > deadline
        if late or all(item.state != "pending" for item in items):
            return HookTests(items=items)
        await asyncio.sleep(HOOK_LOOK_SECONDS)


async def _hook_test(call: Call, merchant: str, endpoint: str, delivery: str) -> HookTest:
    newest, _ = await call.services.webhooks.deliveries(merchant, endpoint=endpoint, limit=10)
    state = next((one.state for one in newest if one.id == delivery), "pending")
    return HookTest(merchant=merchant, endpoint=endpoint, state=state)


def _session_routes(kind: str, action: str, *, keyed: bool) -> list[Route]:
    handler = change_published if keyed else change_watched
    methods: tuple[Method, ...] = ("PATCH", "DELETE")
    return [
        Route(
            method=method,
            path=f"/{kind}/{{room}}/{{session}}",
            action=action,
            handler=handler,
            summary="Trickle or restart ICE" if method == "PATCH" else "End the session",
            tag="video",
            body_media=(FRAGMENT,) if method == "PATCH" else (),
            status=204 if method == "PATCH" else 200,
            refuses=("invalid-state",),
            stream_key=keyed,
            cross_origin=not keyed,
            limit="write",
        )
        for method in methods
    ]


def _preflight_routes(kind: str, action: str) -> list[Route]:
    return [
        Route(
            method="OPTIONS",
            path=path,
            action=action,
            handler=preflight,
            summary="What may be sent here, and by pages of which origin",
            tag="video",
            status=204,
            cross_origin=True,
            documented=False,
        )
        for path in (f"/{kind}/{{room}}", f"/{kind}/{{room}}/{{session}}")
    ]


ROUTES = [
    Route(
        method="POST",
        path="/v1/rooms/{room}/stream-key",
        action="video.key",
        handler=make_key,
        summary="A new stream key for OBS and its like",
        tag="video",
        about=of_room,
        answer=StreamKey,
        limit="write",
    ),
    Route(
        method="POST",
        path="/whip/{room}",
        action="video.publish",
        handler=publish,
        summary="Send the room's picture (WHIP)",
        tag="video",
        body_media=(SDP,),
        status=201,
        refuses=("invalid-state",),
        stream_key=True,
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/rooms/{room}/preflight/uplink",
        action="video.preflight",
        handler=uplink,
        summary="Measure the way up",
        tag="video",
        body_media=("application/octet-stream",),
        about=of_room,
        answer=Uplink,
        limit="write",
    ),
    Route(
        method="POST",
        path="/v1/rooms/{room}/preflight/webhooks",
        action="video.preflight",
        handler=test_hooks,
        summary="Test the webhooks of the room's merchants",
        tag="video",
        about=of_room,
        answer=HookTests,
        limit="write",
    ),
    *_session_routes("whip", "video.publish", keyed=True),
    Route(
        method="POST",
        path="/whep/{room}",
        action="video.watch",
        handler=watch,
        summary="Get the room's picture (WHEP)",
        tag="video",
        body_media=(SDP,),
        status=201,
        refuses=("invalid-state",),
        cross_origin=True,
        limit="write",
    ),
    *_session_routes("whep", "video.watch", keyed=False),
    *_preflight_routes("whip", "video.publish"),
    *_preflight_routes("whep", "video.watch"),
]
