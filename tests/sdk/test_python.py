"""The unmodified official Python SDK against a listening worker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from centrifuge import (
    CentrifugeError,
    Client,
    ClientEventHandler,
    ClientState,
    ReplyError,
    StreamPosition,
    SubscriptionEventHandler,
)

from liveserver.gateway import codes
from rooms.channels import Namespaces
from tests.gateway.conftest import Serve
from tests.gateway.support import PATIENCE, Place
from tests.gateway.test_commands import subscription_tokens


class Events(ClientEventHandler, SubscriptionEventHandler):
    """Everything an SDK reports, in order: `("subscribed", context)`."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []
        self._news = asyncio.Event()

    def of(self, kind: str) -> list[Any]:
        return [context for name, context in self.seen if name == kind]

    def data(self) -> list[Any]:
        return [context.pub.data for context in self.of("publication")]

    async def until(self, true: Callable[[], Any]) -> Any:
        async with asyncio.timeout(PATIENCE):
            while not (value := true()):
                self._news.clear()
                await self._news.wait()
        return value

    def _see(self, kind: str, context: Any) -> None:
        self.seen.append((kind, context))
        self._news.set()


def _recorder(kind: str) -> Any:
    async def record(self: Events, context: Any) -> None:
        self._see(kind, context)

    return record


for _kind in (
    "connecting", "connected", "disconnected", "error", "subscribing", "subscribed",
    "unsubscribed", "publication", "join", "leave",
):  # fmt: skip
    setattr(Events, f"on_{_kind}", _recorder(_kind))


@asynccontextmanager
async def sdk(place: Place, **options: Any) -> AsyncIterator[tuple[Client, Events]]:
    events = Events()
    client = Client(place.url, events=events, proxy=None, max_reconnect_delay=0.2, **options)
    await client.connect()
    try:
        yield client, events
    finally:
        await client.disconnect()


async def drop_everyone(place: Place) -> None:
    """As if the worker restarted: SDKs come back by themselves."""
    for connection in list(place.gateway.connections):
        connection.close(codes.SHUTDOWN)


async def test_connect_with_a_token_and_end_well(place: Place) -> None:
    """Connected with an id and a version; disconnect awaits the closing handshake."""
    async with sdk(place, token=place.token("u1")) as (client, events):
        await client.ready(PATIENCE)
        [context] = events.of("connected")
        assert context.client and context.version
        result = await client.rpc("whoami", None)
        assert result.data == {"user": "u1"}
    assert client.state == ClientState.DISCONNECTED
    assert not place.gateway.connections or await _empty(place)


async def _empty(place: Place) -> bool:
    async with asyncio.timeout(PATIENCE):
        while place.gateway.connections:  # noqa: ASYNC110 - another task closes them
            await asyncio.sleep(0.01)
    return True


async def test_connect_without_a_token(place: Place, open_place: Place) -> None:
    """Refused for good where tokens are asked for, welcome where they are not."""
    async with sdk(place) as (_, events):
        [context] = await events.until(lambda: events.of("disconnected"))
        assert context.code == 101
    async with sdk(open_place) as (client, _):
        await client.ready(PATIENCE)


async def test_a_wrong_token_ends_it_and_an_expired_one_is_renewed(place: Place) -> None:
    """3500 is terminal; on 109 the SDK asks for a new token and connects."""
    async with sdk(place, token=place.token("u1")[:-3] + "AAA") as (_, events):
        [context] = await events.until(lambda: events.of("disconnected"))
        assert (context.code, context.reason) == (3500, "invalid token")
    asked = []

    async def renew() -> str:
        asked.append(1)
        return place.token("u1", 3600)

    async with sdk(place, token=place.token("u1", -5), get_token=renew) as (client, _):
        await client.ready(PATIENCE)
        assert asked == [1]


async def test_a_token_is_refreshed_before_it_ends(place: Place) -> None:
    """`expires` and `ttl` make the SDK refresh in time; the connection stays."""
    renewed = asyncio.Event()

    async def renew() -> str:
        renewed.set()
        return place.token("u1", 3600)

    async with sdk(place, token=place.token("u1", 2), get_token=renew) as (client, events):
        await client.ready(PATIENCE)
        async with asyncio.timeout(PATIENCE):
            await renewed.wait()
        await client.rpc("echo", 1)
        assert len(events.of("connecting")) == 1


async def test_subscribe_publish_history_and_presence(place: Place, unique: str) -> None:
    """All commands of a subscription, with a subscription token."""
    token = subscription_tokens(place, unique)
    async with (
        sdk(place, token=place.token("u1", name="Ann")) as (first, _),
        sdk(place, token=place.token("u2")) as (second, _),
    ):
        seen = Events()
        here = first.new_subscription(unique, events=seen, token=token("u1"), join_leave=True)
        await here.subscribe()
        await here.ready(PATIENCE)
        there = second.new_subscription(unique, token=token("u2"))
        await there.subscribe()
        await there.ready(PATIENCE)
        await seen.until(lambda: [c for c in seen.of("join") if c.info.user == "u2"])
        await there.publish({"n": 1})
        await here.publish({"n": 2, "text": "直播\n"})
        await seen.until(lambda: len(seen.data()) == 2)
        assert seen.data() == [{"n": 1}, {"n": 2, "text": "直播\n"}]
        assert [c.pub.offset for c in seen.of("publication")] == [1, 2]
        assert seen.of("publication")[1].pub.info.conn_info == {"name": "Ann"}
        history = await here.history(limit=-1)
        assert [p.data["n"] for p in history.publications] == [1, 2]
        newest = await here.history(limit=1, reverse=True)
        assert [p.data["n"] for p in newest.publications] == [2]
        since = StreamPosition(offset=1, epoch=history.epoch)
        later = await here.history(limit=10, since=since)
        assert [p.data["n"] for p in later.publications] == [2]
        assert (await here.history()).offset == 2
        presence = await here.presence()
        assert {info.user for info in presence.clients.values()} == {"u1", "u2"}
        stats = await here.presence_stats()
        assert (stats.num_clients, stats.num_users) == (2, 2)
        await there.unsubscribe()
        await seen.until(lambda: [c for c in seen.of("leave") if c.info.user == "u2"])


async def test_errors_arrive_with_their_codes(place: Place) -> None:
    """Refusals of RPC and of subscriptions reach the application as they are."""
    async with sdk(place, token=place.token("u1")) as (client, _):
        await client.ready(PATIENCE)
        with pytest.raises(ReplyError) as refused:
            await client.rpc("refuse", {})
        assert (refused.value.code, str(refused.value.message)) == (1001, "Nothing is left")
        with pytest.raises(CentrifugeError):
            await client.rpc("unheard.of", {})
        events = Events()
        subscription = client.new_subscription("private-ish", events=events)
        await subscription.subscribe()
        [context] = await events.until(lambda: events.of("unsubscribed"))
        assert context.code == 103


async def test_it_recovers_across_a_reconnect(open_place: Place, unique: str) -> None:
    """What was published while it was away arrives, in order and once."""
    name = f"kept:{unique}"
    async with sdk(open_place) as (client, events):
        seen = Events()
        subscription = client.new_subscription(name, events=seen)
        await subscription.subscribe()
        await subscription.ready(PATIENCE)
        await open_place.publish(name, 1)
        await seen.until(lambda: seen.data() == [1])
        await drop_everyone(open_place)
        for n in (2, 3, 4):
            await open_place.publish(name, n)
        await seen.until(lambda: len(seen.data()) == 4)
        await open_place.publish(name, 5)
        await seen.until(lambda: len(seen.data()) == 5)
        assert seen.data() == [1, 2, 3, 4, 5]
        assert [c.code for c in events.of("connecting")][1:] == [3001]
        last = seen.of("subscribed")[-1]
        assert (last.was_recovering, last.recovered) == (True, True)


async def test_the_state_is_read_again_when_it_cannot_be_recovered(
    open_place: Place, unique: str
) -> None:
    """`get_state` with flag 2: error 112 makes the SDK load the state and go on from there."""
    name = f"news:{unique}"  # keeps three
    loaded: list[int] = []

    async def get_state(_: str) -> StreamPosition:
        history = await reader.history(name)
        loaded.append(history.offset)
        return StreamPosition(offset=history.offset, epoch=history.epoch)

    async with sdk(open_place) as (reader, _), sdk(open_place) as (client, _):
        await reader.ready(PATIENCE)
        seen = Events()
        subscription = client.new_subscription(name, events=seen, get_state=get_state)
        await subscription.subscribe()
        await subscription.ready(PATIENCE)
        assert loaded == [0]
        await open_place.publish(name, 1)
        await seen.until(lambda: seen.data() == [1])
        await client.disconnect()
        for n in range(2, 9):
            await open_place.publish(name, n)
        await client.connect()
        await seen.until(lambda: len(seen.of("subscribed")) == 2)
        assert loaded == [0, 8]
        await open_place.publish(name, 9)
        await seen.until(lambda: seen.data() == [1, 9])


async def test_the_personal_channel_comes_by_itself_and_recovers(serve: Serve, unique: str) -> None:
    """Server-side subscription `#<user>`, with what happened during a reconnect."""
    async with (
        serve(namespaces=Namespaces({})) as place,
        sdk(place, token=place.token(unique)) as (client, events),
    ):
        await client.ready(PATIENCE)
        [context] = await events.until(lambda: events.of("subscribed"))
        assert (context.channel, context.recoverable) == (f"#{unique}", True)
        await place.rooms.tell_user(unique, {"type": "order.updated", "order": "o1"})
        await events.until(lambda: events.data())
        await drop_everyone(place)
        await place.rooms.tell_user(unique, {"type": "order.updated", "order": "o2"})
        await events.until(lambda: len(events.data()) == 2)
        assert [event["order"] for event in events.data()] == ["o1", "o2"]
        assert events.of("subscribed")[-1].recovered


async def test_pings_keep_it_alive(serve: Serve) -> None:
    """Both sides hear of each other often enough: nothing reconnects over several intervals."""
    options = {"ping_seconds": 1.0, "pong_seconds": 0.5, "step_seconds": 0.1}
    async with serve(insecure=True, **options) as place, sdk(place) as (client, events):
        await client.ready(PATIENCE)
        turns = place.gateway.wheel
        async with asyncio.timeout(PATIENCE):
            while turns._at < 35:  # noqa: ASYNC110 - three intervals; the wheel turns by itself
                await asyncio.sleep(0.01)
        await client.rpc("echo", 1)
        assert len(events.of("connecting")) == 1
