"""Many viewers, slow ones, returning ones: order, recovery, and nothing lost in silence."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rooms.bus import Delivery, Message, Position
from rooms.channels import topic_of
from rooms.errors import Unavailable
from tests.gateway.conftest import Serve
from tests.gateway.support import (
    PATIENCE,
    Client,
    Place,
    connected,
    dialled,
    eventually,
    raw_upgrade,
)
from tests.gateway.test_sockets import TEXT, masked


def offsets(client: Client, channel: str) -> list[int]:
    return [
        push["pub"]["offset"]
        for push in client.pushes
        if push.get("channel") == channel and "offset" in push.get("pub", ())
    ]


async def test_everybody_gets_everything_in_order(serve: Serve, unique: str) -> None:
    """Publishers on two workers, viewers on both: one order, the same for all."""
    name = f"kept:{unique}"
    async with (
        serve(insecure=True) as one,
        serve(insecure=True) as two,
        connected(one) as a,
        connected(one) as b,
        connected(two) as c,
    ):
        for client in (a, b, c):
            await client.ok("subscribe", channel=name)

        async def publish(client: Client) -> None:
            for n in range(30):
                await client.ok("publish", channel=name, data=n)

        await asyncio.gather(publish(a), publish(c))
        for client in (a, b, c):
            await client.until(lambda c=client: len(offsets(c, name)) == 60)
            assert offsets(client, name) == list(range(1, 61))
        assert a.pubs(name) == b.pubs(name) == c.pubs(name)


async def test_one_delivery_is_one_frame_whatever_it_holds(open_place: Place, unique: str) -> None:
    """All messages of one numbering call come newline-joined, and per set of channels."""
    await open_place.rooms.create(unique, "A room", [], actor="admin")
    room, chat = f"room:{unique}", f"chat:{unique}"
    async with connected(open_place) as both, connected(open_place) as only:
        await both.ok("subscribe", channel=room)
        await both.ok("subscribe", channel=chat)
        await only.ok("subscribe", channel=chat)
        both.frames.clear()
        only.frames.clear()
        lines = [
            Message(channel=name, data=b"%d" % n, history_size=10, history_ttl_seconds=60)
            for n, name in enumerate([chat, room, chat, room])
        ]
        await open_place.bus.publish(unique, lines)
        await both.until(lambda: len(both.pushes) == 4)
        await only.until(lambda: len(only.pushes) == 2)
        assert (both.frames, only.frames) == ([4], [2])
        assert [push["pub"]["data"] for push in both.pushes] == [0, 1, 2, 3]
        assert only.pubs(chat) == [0, 2]


async def test_a_returning_viewer_gets_exactly_what_it_missed(
    open_place: Place, unique: str
) -> None:
    """Recovered with the missing ones, none twice, none lost; then live again."""
    name = f"kept:{unique}"
    for n in range(1, 6):
        await open_place.publish(name, n)
    async with connected(open_place) as client:
        first = await client.ok("subscribe", channel=name)
        assert "publications" not in first and first["offset"] == 5
    for n in range(6, 9):
        await open_place.publish(name, n)
    back = {"recover": True, "offset": 5, "epoch": first["epoch"]}
    async with connected(open_place) as client:
        reply = await client.ok("subscribe", channel=name, **back)
        assert (reply["recovered"], reply["was_recovering"], reply["offset"]) == (True, True, 5)
        assert [p["offset"] for p in reply["publications"]] == [6, 7, 8]
        await open_place.publish(name, 9)
        await client.until(lambda: offsets(client, name))
        assert offsets(client, name) == [9]
    async with connected(open_place) as client:  # nothing missed
        back["offset"] = 9
        reply = await client.ok("subscribe", channel=name, **back)
        assert (reply["recovered"], reply["offset"]) == (True, 9)
        assert "publications" not in reply
    async with connected(open_place) as client:  # an empty epoch is a wildcard
        reply = await client.ok("subscribe", channel=name, recover=True)
        assert [p["offset"] for p in reply["publications"]] == list(range(1, 10))


@pytest.mark.parametrize("worker", ["fresh", "watched"])
async def test_what_cannot_be_recovered_is_said(serve: Serve, unique: str, worker: str) -> None:
    """Too old, another epoch, or an offset from the future: `recovered` absent, or 112 if asked."""
    name = f"news:{unique}"  # keeps three
    async with serve(insecure=True) as place, connected(place) as other:
        if worker == "watched":
            await other.ok("subscribe", channel=name)
        for n in range(1, 6):
            await place.publish(name, n)
        epoch = (await other.ok("history", channel=name))["epoch"]
        for wrong in (
            {"offset": 1, "epoch": epoch},
            {"offset": 4, "epoch": "other"},
            {"offset": 0, "epoch": "_"},
            {"offset": 99, "epoch": epoch},
        ):
            async with connected(place) as client:
                reply = await client.ok("subscribe", channel=name, recover=True, **wrong)
                assert reply["was_recovering"] and "recovered" not in reply
                assert (reply["offset"], reply["epoch"]) == (5, epoch)
                assert "publications" not in reply
            async with connected(place) as client:
                refused = {"channel": name, "recover": True, "flag": 3, **wrong}
                assert await client.error("subscribe", **refused) == 112
                await place.publish(f"plain:{unique}", 0)
                await client.ok("subscribe", channel=name)  # it is not inside


async def test_a_crowd_that_comes_back_during_a_storm_loses_nothing(
    serve: Serve, unique: str
) -> None:
    """Subscribing with recovery while publications rush in: every viewer has each one once."""
    name = f"kept:{unique}"
    async with serve(insecure=True) as place:
        async with connected(place) as client:
            epoch = (await client.ok("subscribe", channel=name))["epoch"]
        going_on = asyncio.Event()

        async def storm() -> None:
            n = 0
            while not going_on.is_set() or n < 40:
                n += 1
                await place.publish(name, n)
                await asyncio.sleep(0)
                if n >= 45:
                    return

        async def viewer() -> None:
            async with connected(place) as client:
                reply = await client.ok(
                    "subscribe", channel=name, recover=True, offset=0, epoch=epoch
                )
                assert reply["recovered"]
                had = [p["offset"] for p in reply.get("publications", [])]
                await client.until(lambda: had + offsets(client, name) == list(range(1, 46)))

        await asyncio.gather(storm(), *(viewer() for _ in range(15)))


async def test_a_slow_reader_does_not_delay_others(serve: Serve, unique: str) -> None:
    """It loses the droppable lane first and is closed with 3008 at last; others never wait."""
    async with serve(insecure=True) as place, connected(place) as fast:
        await place.rooms.create(unique, "A room", [], actor="admin")
        reader, writer, _ = await raw_upgrade(place)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        lines = [{"id": 1, "connect": {}}]
        lines += [
            {"id": n, "subscribe": {"channel": f"{kind}:{unique}"}}
            for n, kind in enumerate(("room", "danmaku"), 2)
        ]
        writer.write(masked(TEXT, "\n".join(map(json.dumps, lines)).encode()))
        hub = place.gateway.hub.hub
        await eventually(_watching(hub, unique, f"danmaku:{unique}", 1))
        writer.transport.pause_reading()
        await fast.ok("subscribe", channel=f"room:{unique}")
        await fast.ok("subscribe", channel=f"danmaku:{unique}")
        big = json.dumps("x" * 60_000).encode()
        sent = 0
        while place.gateway.closes[3008] == 0:
            assert sent < 400, "the slow reader is never closed"
            sent += 1
            droppable = Message(channel=f"danmaku:{unique}", data=big, numbered=False)
            numbered = Message(
                channel=f"room:{unique}", data=big, history_size=5, history_ttl_seconds=60
            )
            await place.bus.publish(unique, [droppable, numbered, numbered, numbered])
            await fast.until(lambda n=sent: offsets(fast, f"room:{unique}")[-1:] == [3 * n])
        assert len(fast.pubs(f"danmaku:{unique}")) == sent
        await eventually(_watching(hub, unique, f"room:{unique}", 1))
        writer.transport.resume_reading()
        got = bytearray()
        async with asyncio.timeout(PATIENCE):
            while not got.endswith(b"\x88\x06\x0b\xc0slow"):  # close 3008, after all the rest
                got += await reader.read(1 << 20)
        assert got.count(b"danmaku:") < got.count(b'"room:')
        writer.close()


def _watching(hub: Any, topic: str, channel: str, count: int) -> Any:
    async def check() -> bool:
        return bool(hub.viewers_of(topic, channel) == count)

    return check


async def test_a_lost_message_is_fetched_from_history(serve: Serve, unique: str) -> None:
    """A delivery that never came is noticed by the check alone, and by the next one at once."""
    name = f"kept:{unique}"
    async with serve(insecure=True) as place, connected(place) as client:
        await client.ok("subscribe", channel=name)
        await place.publish(name, 1)
        await client.until(lambda: offsets(client, name) == [1])
        async with _deaf(place, 1):
            await place.publish(name, 2)
        await client.until(lambda: offsets(client, name) == [1, 2])  # nothing else is published
        async with _deaf(place, 1):
            await place.publish(name, 3)
        await place.publish(name, 4)
        await client.until(lambda: offsets(client, name) == [1, 2, 3, 4])
        assert place.gateway.hub.gaps_filled >= 2


async def test_a_hole_ends_the_subscription_never_in_silence(serve: Serve, unique: str) -> None:
    """More was lost than the history keeps: unsubscribe 2500, and the SDK starts over."""
    name = f"news:{unique}"  # keeps three
    async with serve(insecure=True) as place, connected(place) as client:
        await client.ok("subscribe", channel=name)
        await place.publish(name, 1)
        await client.until(lambda: offsets(client, name) == [1])
        async with _deaf(place, 6):
            for n in range(2, 8):
                await place.publish(name, n)
        [push] = await client.until(lambda: [p for p in client.pushes if "unsubscribe" in p])
        assert push["unsubscribe"] == {"code": 2500, "reason": "insufficient state"}
        assert offsets(client, name) == [1]
        reply = await client.ok("subscribe", channel=name)
        assert reply["offset"] == 7


async def test_a_lost_state_is_told_to_everyone(serve: Serve, unique: str) -> None:
    """After a bus that lost its memory a channel has a new epoch: nobody goes on as if not."""
    name, user = f"kept:{unique}", f"u{unique}"
    async with (
        serve(insecure=True) as place,
        connected(place) as client,
        connected(place, place.token(user)) as owner,
    ):
        old = (await client.ok("subscribe", channel=name))["epoch"]
        for topic, channel in ((name, name), (f"#{user}", f"#{user}")):
            await place.bus._redis.delete(f"ls:{{{topic}}}:m:{channel}")
        await place.publish(name, 1)
        [push] = await client.until(lambda: [p for p in client.pushes if "unsubscribe" in p])
        assert push["unsubscribe"]["code"] == 2500
        back = {"recover": True, "offset": 0, "epoch": old}
        reply = await client.ok("subscribe", channel=name, **back)
        assert "recovered" not in reply and reply["epoch"] != old
        assert await owner.until_closed() == (3010, "insufficient state")


async def test_topics_without_viewers_are_let_go(
    serve: Serve, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bus delivers only what somebody here watches; coming back works at any time."""
    monkeypatch.setattr("rooms.hub_service.LINGER_CHECKS", 0)
    name = f"kept:{unique}"
    async with serve(insecure=True) as place:
        hub = place.gateway.hub
        for round in range(1, 4):
            async with connected(place) as client:
                await client.ok("subscribe", channel=name)
                await place.publish(name, round)
                await client.until(lambda r=round: offsets(client, name) == [r])
            hub._look_now.set()
            await eventually(_absent(hub.hub.topics, topic_of(name)))


def _absent(topics: dict[str, Any], name: str) -> Any:
    async def check() -> bool:
        return name not in topics

    return check


async def test_a_subscription_fails_in_words_when_the_bus_is_away(
    serve: Serve, unique: str
) -> None:
    """Error 100, temporary: the SDK tries again by itself, and the connection stays."""
    async with serve(insecure=True) as place, dialled(place) as client:
        await client.ok("connect")
        working, place.gateway.hub.bus = place.gateway.hub.bus, _Away()  # type: ignore[assignment]
        reply = await client.ask("subscribe", channel=f"kept:{unique}")
        assert (reply["error"]["code"], reply["error"]["temporary"]) == (100, True)
        place.gateway.hub.bus = working
        await client.ok("subscribe", channel=f"kept:{unique}")


class _Away:
    """A bus that does not answer."""

    async def attach(self, topic: str) -> None:
        raise Unavailable("the bus does not answer")

    async def positions(self, topics: dict[str, list[str]]) -> dict[str, Position]:
        return {}


@asynccontextmanager
async def _deaf(place: Place, publications: int) -> AsyncIterator[None]:
    """The worker does not hear this many publications: as if they were lost on the way."""
    listeners, left = place.bus._delivery_listeners, publications
    kept, heard = list(listeners), asyncio.Event()

    def swallow(delivery: Delivery) -> None:
        nonlocal left
        left -= len(delivery.publications)
        if left <= 0:
            heard.set()

    listeners[:] = [swallow]
    yield
    async with asyncio.timeout(PATIENCE):
        await heard.wait()
    listeners[:] = kept


async def test_a_viewer_that_knows_more_than_this_worker_recovers_all_the_same(
    serve: Serve, unique: str
) -> None:
    """It comes from another worker and asks from a position that has not arrived here yet."""
    name = f"kept:{unique}"
    async with serve(insecure=True) as place, connected(place) as here:
        epoch = (await here.ok("subscribe", channel=name))["epoch"]
        async with _deaf(place, 3):
            for n in (1, 2, 3):
                await place.publish(name, n)
        async with connected(place) as client:
            reply = await client.ok("subscribe", channel=name, recover=True, offset=2, epoch=epoch)
            assert reply["recovered"]
            had = [p["offset"] for p in reply.get("publications", [])]
            await client.until(lambda: had + offsets(client, name) == [3])
        await here.until(lambda: offsets(here, name) == [1, 2, 3])
