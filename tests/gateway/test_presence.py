"""Coming and going where others are told: in order, once, and whatever the bus does meanwhile."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from liveserver.gateway import codes
from rooms.bus import Message, Outcome
from rooms.errors import Unavailable
from rooms.protocol import JOIN
from tests.gateway.support import PATIENCE, Client, Place, connected, dialled

GHOSTS = 300  # that left before: the errand of the next one takes its time


def told(client: Client, user: str) -> list[str]:
    """What a client was told of another one, in order."""
    return [
        kind
        for push in client.pushes
        for kind in ("join", "leave")
        if push.get(kind, {}).get("info", {}).get("user") == user
    ]


async def test_who_comes_back_at_once_is_there(open_place: Place, channel: str) -> None:
    """However long the line of those who left is: it left, it came, and it is present."""
    place = open_place
    async with (
        connected(place, place.token("tom")) as tom,
        connected(place, place.token("mia")) as mia,
    ):
        for client in (tom, mia):
            await client.ok("subscribe", channel=channel)
        await tom.until(lambda: told(tom, "mia") == ["join"])
        [session] = [one.session for one in place.gateway.connections if one.session.user == "mia"]
        for ghost in range(GHOSTS):
            place.gateway.presence.leave_later(
                channel, f"g{ghost}", b"{}", present=True, told=False
            )
        session.end_subscription(session.subscriptions[channel], codes.LOST_STATE)
        await mia.until(lambda: [one for one in mia.pushes if "unsubscribe" in one])
        await mia.ok("subscribe", channel=channel)
        await tom.until(lambda: len(told(tom, "mia")) == 3)
        await place.gateway.presence.finish_errands(PATIENCE)
        assert told(tom, "mia") == ["join", "leave", "join"]
        present = (await tom.ok("presence", channel=channel))["presence"]
        assert session.client in present


async def test_a_join_that_cannot_be_told_harms_nobody(
    open_place: Place, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was given: no second one follows, and the connection goes on."""
    place = open_place
    publish = place.bus.publish

    async def refuses_joins(topic: str, messages: Sequence[Message]) -> list[Outcome]:
        if messages[0].channel.startswith(JOIN):
            raise Unavailable("The message bus does not answer")
        return await publish(topic, messages)

    monkeypatch.setattr(place.bus, "publish", refuses_joins)
    async with dialled(place) as client:
        hello = await client.ok("connect", token=place.token("mia"))
        assert "#mia" in hello["subs"]
        await client.ok("subscribe", channel=channel)
        await client.ok("rpc", method="whoami")
        assert [line["id"] for line in client.log if "id" in line] == [1, 2, 3]


async def test_who_leaves_is_let_go_though_the_bus_is_silent(
    open_place: Place, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error would make SDKs drop the whole connection; the others are told a little later."""
    place = open_place
    async with (
        connected(place, place.token("tom")) as tom,
        connected(place, place.token("mia")) as mia,
    ):
        for client in (tom, mia):
            await client.ok("subscribe", channel=channel)
        clear, failures = place.bus.clear_presence, 1

        async def fails_once(channel: str, client: str) -> None:
            nonlocal failures
            if failures:
                failures -= 1
                raise Unavailable("The message bus does not answer")
            await clear(channel, client)

        monkeypatch.setattr(place.bus, "clear_presence", fails_once)
        assert await mia.ok("unsubscribe", channel=channel) == {}
        await tom.until(lambda: told(tom, "mia") == ["join", "leave"])
        present = (await tom.ok("presence", channel=channel))["presence"]
        assert {one["user"] for one in present.values()} == {"tom"}


async def test_a_channel_is_entered_once_by_whoever_was_quicker(
    open_place: Place, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client and the server subscribe it in the same moment: one entry, one join."""
    place = open_place
    rules = place.gateway.options.namespaces.rules_of(channel)
    assert rules is not None
    async with (
        connected(place, place.token("tom")) as tom,
        connected(place, place.token("mia")) as mia,
    ):
        await tom.ok("subscribe", channel=channel)
        [session] = [one.session for one in place.gateway.connections if one.session.user == "mia"]
        enter, both = place.gateway.presence.enter, asyncio.Barrier(3)

        async def enter_together(*who: Any) -> None:
            await enter(*who)
            await both.wait()

        monkeypatch.setattr(place.gateway.presence, "enter", enter_together)
        subscribing = place.gateway.commands.subscribing
        of_the_server = [subscribing.subscribe_for(session, channel, rules, b"", b"") for _ in "12"]
        asked = mia.ask("subscribe", channel=channel)
        answer, *_ = await asyncio.gather(asked, *of_the_server)
        pushed = [push for push in mia.pushes if "subscribe" in push]
        if "error" in answer:
            assert (answer["error"]["code"], len(pushed)) == (105, 1)
        else:
            assert not pushed
        await tom.ok("publish", channel=channel, data="after")
        await tom.until(lambda: tom.pubs(channel))
        assert told(tom, "mia") == ["join"]
        assert await mia.until(lambda: mia.pubs(channel)) == ["after"]
