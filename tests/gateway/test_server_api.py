"""The server API over two workers: whoever is asked, everybody is meant."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import msgspec
import pytest

from liveserver import control as control_module
from liveserver.control import TOPIC, Control
from liveserver.gateway.remote import Disconnect, Refresh, Remote, Subscribe, Unsubscribe
from liveserver.metrics import Metrics
from liveserver.server_api import ServerApi
from rooms.bus import Message, Position
from tests.gateway.conftest import Serve
from tests.gateway.support import Client, Place, connected, eventually


@asynccontextmanager
async def api_of(place: Place, node: str, echoes: list[float]) -> AsyncIterator[ServerApi]:
    remote = Remote(place.gateway, node, name=node, clock=time.monotonic)
    control = place.metrics.control = Control(
        place.bus,
        node,
        remote.status,
        remote.work | place.metrics.work,
        clock=time.monotonic,
        on_echo=echoes.append,
    )
    running = asyncio.create_task(control.run())
    try:
        yield ServerApi(place.gateway, control)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


Two = tuple[tuple[Place, ServerApi], tuple[Place, ServerApi]]


@pytest.fixture
async def two(serve: Serve, unique: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    """Two workers that know each other and nobody else, and their APIs."""
    monkeypatch.setattr(control_module, "TOPIC", TOPIC + unique)  # other tests share the bus
    echoes: list[float] = []
    async with AsyncExitStack() as stack:
        places = [await stack.enter_async_context(serve(insecure=True)) for _ in range(2)]
        apis = [
            await stack.enter_async_context(api_of(place, f"{unique}w{number}", echoes))
            for number, place in enumerate(places)
        ]

        async def met() -> bool:
            return all(len(api.info()) == 2 for api in apis) and len(echoes) >= 2

        await eventually(met)
        assert min(echoes) >= 0
        yield (places[0], apis[0]), (places[1], apis[1])


async def test_channels_and_info_count_over_all_workers(two: Two, channel: str) -> None:
    """A channel's viewers are summed; each worker tells of its own connections."""
    (here, api), (there, _) = two
    async with connected(here, here.token("a")) as one, connected(there, there.token("b")) as other:
        for client in (one, other):
            await client.ok("subscribe", channel=channel)
        await other.ok("subscribe", channel=f"plain:{channel}")
        found = await api.channels("")
        assert (found[channel], found[f"plain:{channel}"], found["#b"]) == (2, 1, 1)
        assert set(await api.channels(f"plain:{channel[:3]}*")) == {f"plain:{channel}"}
        mine = api.info()[0]
        assert (mine.num_clients, mine.num_users, mine.num_subs) == (1, 1, 2)


async def test_disconnect_reaches_every_worker(two: Two) -> None:
    """All connections of the user but the spared ones, with code and reason; nobody else's."""
    (here, api), (there, _) = two
    async with (
        connected(here, here.token("mia")) as near,
        connected(there, there.token("mia")) as far,
        connected(there, there.token("mia")) as spared,
        connected(there, there.token("tom")) as other,
    ):
        stays = {spared_client(spared)}
        await api.disconnect(
            Disconnect(user="mia", code=4001, reason="bye", whitelist=sorted(stays))
        )
        assert await near.until_closed() == (4001, "bye")
        assert await far.until_closed() == (4001, "bye")
        for client in (spared, other):
            await client.ok("rpc", method="whoami")


def spared_client(client: object) -> str:
    replies = client.replies  # type: ignore[attr-defined]
    found: str = replies[1]["connect"]["client"]
    return found


async def test_unsubscribe_tells_the_client_and_ends_the_subscription(
    two: Two, channel: str
) -> None:
    """A push with 2000, after which nothing of the channel comes; others stay subscribed."""
    (_, api), (there, _) = two
    kept = f"kept:{channel}"
    async with connected(there, there.token("mia")) as client:
        for name in (channel, kept):
            await client.ok("subscribe", channel=name)
        await api.unsubscribe(Unsubscribe(user="mia", channel=channel))
        [push] = await client.until(lambda: [p for p in client.pushes if "unsubscribe" in p])
        assert push["channel"] == channel and push["unsubscribe"]["code"] == 2000
        await api.publish(channel, b'"unheard"')
        await api.publish(kept, b'"heard"')
        assert await client.until(lambda: client.pubs(kept)) == ["heard"]
        assert client.pubs(channel) == []
        await client.ok("subscribe", channel=channel)  # it may come back


async def test_subscribe_brings_a_client_into_a_channel(two: Two, channel: str) -> None:
    """It is told its position and the caller's data, others its info, and publications follow."""
    (here, api), (there, _) = two
    async with (
        connected(there, there.token("mia")) as mia,
        connected(here, here.token("tom")) as tom,
    ):
        await tom.ok("subscribe", channel=channel, join_leave=True)
        order = Subscribe(user="mia", channel=channel, info='{"vip":1}', data='{"why":"gift"}')
        await api.subscribe(order)
        [push] = await mia.until(lambda: [p for p in mia.pushes if "subscribe" in p])
        assert push["channel"] == channel
        told = push["subscribe"]
        assert told.pop("epoch") and told == {
            "recoverable": True, "positioned": True, "data": {"why": "gift"},
        }  # fmt: skip
        [join] = await tom.until(
            lambda: [
                p for p in tom.pushes if p.get("join", {}).get("info", {}).get("user") == "mia"
            ]
        )
        assert join["join"]["info"]["chan_info"] == {"vip": 1}
        await api.subscribe(order)  # it is there already
        await api.publish(channel, b'"hello"')
        assert await mia.until(lambda: mia.pubs(channel)) == ["hello"]
        await api.unsubscribe(Unsubscribe(user="mia", channel=channel))
        await mia.until(lambda: [p for p in mia.pushes if "unsubscribe" in p])
        assert len([p for p in mia.pushes if "subscribe" in p]) == 1


async def test_subscribe_sends_what_followed_on_a_position(two: Two, channel: str) -> None:
    """From there on without a hole or a repeat; of another epoch nothing but what follows."""
    (_, api), (there, _) = two
    place = await api.publish(channel, b"1")
    for number in (b"2", b"3"):
        await api.publish(channel, number)
    position = {"epoch": place.epoch, "recoverable": True, "positioned": True}
    async with (
        connected(there, there.token("mia")) as mia,
        connected(there, there.token("tom")) as tom,
    ):
        await api.subscribe(Subscribe(user="mia", channel=channel, since=Position(place.epoch, 1)))
        await api.subscribe(Subscribe(user="tom", channel=channel, since=Position("other", 1)))
        for client, offset in ((mia, 1), (tom, 3)):
            await client.until(lambda: of(client, "subscribe"))  # noqa: B023
            assert of(client, "subscribe") == [{**position, "offset": offset}]
        await api.publish(channel, b"4")
        await mia.until(lambda: len(mia.pubs(channel)) == 3)
        await tom.until(lambda: tom.pubs(channel))
        assert (mia.pubs(channel), tom.pubs(channel)) == ([2, 3, 4], [4])


def of(client: Client, kind: str) -> list[object]:
    """What a client was pushed of this kind."""
    return [push[kind] for push in client.pushes if kind in push]


async def test_refresh_changes_when_a_connection_ends(two: Two) -> None:
    """At another time, or now with 3005, on every worker; only the session that is named."""
    (_, api), (there, _) = two
    async with (
        connected(there, there.token("mia")) as mia,
        connected(there, there.token("tom")) as tom,
    ):
        later = int(time.time()) + 5_000
        await api.refresh(Refresh(user="mia", expire_at=later))
        found = {one.session.user: one.session for one in there.gateway.connections}
        assert found["mia"].identity.expires_at == later  # type: ignore[union-attr]
        await api.refresh(Refresh(user="mia", session="another", expired=True))
        await mia.ok("rpc", method="whoami")
        await api.refresh(Refresh(user="mia", expired=True))
        assert await mia.until_closed() == (3005, "connection expired")
        await api.refresh(Refresh(user="tom", expire_at=1))
        assert await tom.until_closed() == (3005, "connection expired")


async def test_an_earlier_end_does_not_wait_for_a_ping(serve: Serve) -> None:
    """Pings are 25 s apart; the end is looked at when it has come."""
    soon = {"expired_grace_seconds": 0.1, "step_seconds": 0.02}
    async with serve(**soon) as place, connected(place, place.token("mia")) as mia:
        remote = Remote(place.gateway, "w", name="w", clock=time.monotonic)
        order = Refresh(user="mia", expire_at=int(time.time()) + 1)
        assert remote.work["refresh"](msgspec.Raw(msgspec.json.encode(order))) == 1
        assert await mia.until_closed() == (3005, "connection expired")


async def test_a_silent_worker_is_left_out(
    two: Two, monkeypatch: pytest.MonkeyPatch, unique: str
) -> None:
    """What is known of a worker that died does not hold up the others for long."""
    (here, api), _ = two
    monkeypatch.setattr(control_module, "ANSWER_SECONDS", 0.2)
    line = b'{"node":"dead","beat":true,"status":{"uid":"dead","name":"d","version":"1",'
    line += b'"num_clients":0,'
    line += b'"num_users":0,"num_subs":0,"num_channels":0,"uptime":1}}'
    for data in (line, b"rubbish", b'{"node":"x","op":"no such op","ask":1}'):
        topic = control_module.TOPIC
        await here.bus.publish(topic, [Message(channel=topic, data=data, numbered=False)])

    async def heard() -> bool:
        return len(api.info()) == 3

    await eventually(heard)
    assert isinstance(await api.channels(""), dict)
    monkeypatch.setattr(control_module, "SILENT_SECONDS", -1.0)
    assert len(api.info()) == 1
    assert msgspec.json.encode(api.info())


async def test_one_scrape_tells_of_all_processes(two: Two, unique: str) -> None:
    """Whoever is asked answers for all, a process without connections too."""
    (here, _), (there, _) = two
    metrics = Metrics(f"{unique}w", "orders")
    control = Control(here.bus, f"{unique}w", None, metrics.work, clock=time.monotonic)
    running = asyncio.create_task(control.run())
    try:

        async def met() -> bool:
            return 'worker="orders"' in (await there.metrics.scrape()).decode()

        await eventually(met)
        async with connected(here, here.token("a")):
            text = (await there.metrics.scrape()).decode()
        clients = [line for line in text.splitlines() if line.startswith("liveserver_node_num_cl")]
        assert sorted(line[-3:] for line in clients) == ["0.0", "1.0"]
        nodes = [one for one in text.splitlines() if one.startswith("liveserver_node_num_nodes{")]
        assert [line[-3:] for line in nodes] == ["2.0", "2.0"]
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
