"""Differences instead of whole payloads, for subscribers that ask and channels that allow it."""

import json
from typing import Any

from centrifuge.fossil import apply_delta

from rooms.channels import Namespaces
from tests.gateway.conftest import Serve
from tests.gateway.support import NAMESPACES, Client, Place, connected

FILLER = "一" * 200  # what stays the same


def payloads(client: Client, channel: str) -> tuple[list[Any], int]:
    """What a subscriber with differences has read, and how many of them were differences."""
    before, read, deltas = b"", [], 0
    for push in client.pushes:
        if push.get("channel") == channel and "pub" in push:
            text = push["pub"]["data"].encode()
            deltas += push["pub"].get("delta", False)
            before = apply_delta(before, text) if push["pub"].get("delta") else text
            read.append(json.loads(before)["n"])
    return read, deltas


async def test_the_first_is_whole_and_the_others_are_differences(
    open_place: Place, channel: str
) -> None:
    """For each who joins; beside them others read the payloads as ever."""
    place, channel = open_place, f"delta:{channel}"
    async with connected(place) as plain, connected(place) as early, connected(place) as late:
        assert "delta" not in await plain.ok("subscribe", channel=channel)
        assert (await early.ok("subscribe", channel=channel, delta="fossil"))["delta"]
        for n in (1, 2):
            await place.publish(channel, {"n": n, "text": FILLER})
        await early.until(lambda: len(early.pubs(channel)) == 2)
        await late.ok("subscribe", channel=channel, delta="fossil")
        for n in (3, 4, 5):
            await place.publish(channel, {"n": n, "text": FILLER})
        for client in (plain, early, late):
            wanted = 3 if client is late else 5
            await client.until(lambda c=client, w=wanted: len(c.pubs(channel)) == w)  # type: ignore[misc]
        assert payloads(early, channel) == ([1, 2, 3, 4, 5], 4)
        assert payloads(late, channel) == ([3, 4, 5], 2)
        assert [data["n"] for data in plain.pubs(channel)] == [1, 2, 3, 4, 5]
        assert len(early.pubs(channel)[-1]) < 40 < 200 < len(early.pubs(channel)[0])


async def test_a_room_of_the_same_name_is_another_matter(serve: Serve, unique: str) -> None:
    """Who takes differences of channel `x` reads the events of room `x` as ever."""
    rules = {**NAMESPACES["delta"], "delta": ["fossil"]}
    room = f"room:{unique}"
    async with serve(insecure=True, namespaces=Namespaces({"": rules})) as place:
        await place.rooms.create(unique, "A room", [], actor="admin")
        for first, second in ((unique, room), (room, unique)):
            async with connected(place) as client:
                for name in (first, second):
                    more = {"delta": "fossil"} if name == unique else {}
                    await client.ok("subscribe", channel=name, **more)
                for n in (1, 2, 3):
                    await client.ok("publish", channel=unique, data={"n": n, "text": FILLER})
                    await place.rooms.advise(unique, {"type": "own", "n": n})
                await client.until(lambda c=client: len(c.pubs(unique) + c.pubs(room)) == 6)  # type: ignore[misc]
                assert payloads(client, unique) == ([1, 2, 3], 2)
                assert [event["n"] for event in client.pubs(room)] == [1, 2, 3]


async def test_recovery_is_a_chain_and_goes_on(open_place: Place, channel: str) -> None:
    """What was missed comes as differences too; the next live one fits what came."""
    place, channel = open_place, f"delta:{channel}"
    async with connected(place) as client:
        epoch = (await client.ok("subscribe", channel=channel))["epoch"]
    for n in (1, 2, 3):
        await place.publish(channel, {"n": n, "text": FILLER})
    async with connected(place) as client:
        since = {"recover": True, "offset": 0, "epoch": epoch}
        result = await client.ok("subscribe", channel=channel, delta="fossil", **since)
        assert (result["recovered"], result["delta"]) == (True, True)
        assert [one.get("delta", False) for one in result["publications"]] == [False, True, True]
        await place.publish(channel, {"n": 4, "text": FILLER})
        await place.publish(channel, {"n": 5, "text": FILLER})
        await client.until(lambda: len(client.pubs(channel)) == 2)
        assert payloads(client, channel)[0] == [4, 5]
        history = await client.ok("history", channel=channel, limit=-1)
        assert [one["data"]["n"] for one in history["publications"]] == [1, 2, 3, 4, 5]


async def test_nothing_changes_where_differences_are_not_offered(
    open_place: Place, channel: str
) -> None:
    """Other namespaces, other formats: no `delta` in the answer, plain payloads."""
    place = open_place
    async with connected(place) as client:
        for name, asked in ((f"kept:{channel}", "fossil"), (f"delta:{channel}", "other")):
            assert "delta" not in await client.ok("subscribe", channel=name, delta=asked)
            await place.publish(name, {"n": 1})
            await client.until(lambda name=name: client.pubs(name) == [{"n": 1}])  # type: ignore[misc]
