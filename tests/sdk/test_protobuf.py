"""The unmodified official Python SDK by Protobuf, beside one that speaks JSON."""

import json

import pytest
from centrifuge import ReplyError, StreamPosition

from tests.gateway.support import PATIENCE, Place
from tests.gateway.test_commands import subscription_tokens
from tests.sdk.test_python import Events, drop_everyone, sdk


async def test_both_forms_meet_in_a_channel(place: Place, unique: str) -> None:
    """Publications, joins, history, presence and recovery; payloads are the same JSON."""
    token = subscription_tokens(place, unique)
    async with (
        sdk(place, token=place.token("u1"), use_protobuf=True) as (binary, _),
        sdk(place, token=place.token("u2", name="Ann")) as (plain, _),
    ):
        seen = Events()
        here = binary.new_subscription(unique, events=seen, token=token("u1"), join_leave=True)
        await here.subscribe()
        await here.ready(PATIENCE)
        there = plain.new_subscription(unique, token=token("u2"))
        await there.subscribe()
        await there.ready(PATIENCE)
        [join] = await seen.until(lambda: [c for c in seen.of("join") if c.info.user == "u2"])
        assert join.info.conn_info == b'{"name":"Ann"}'
        await there.publish({"n": 1, "text": "直播\n"})
        await here.publish(b'{"n": 2}')
        await seen.until(lambda: len(seen.data()) == 2)
        assert [json.loads(data) for data in seen.data()] == [{"n": 1, "text": "直播\n"}, {"n": 2}]
        history = await there.history(limit=-1)
        assert [p.data["n"] for p in history.publications] == [1, 2]
        history = await here.history(limit=1, since=StreamPosition(1, history.epoch))
        assert [p.data for p in history.publications] == [b'{"n": 2}']
        presence = await here.presence()
        assert {info.user for info in presence.clients.values()} == {"u1", "u2"}
        stats = await here.presence_stats()
        assert (stats.num_clients, stats.num_users) == (2, 2)
        await drop_everyone(place)
        await place.publish(unique, {"n": 3})
        await seen.until(lambda: len(seen.data()) == 3)
        await seen.until(lambda: len(seen.of("subscribed")) == 2)
        again = seen.of("subscribed")[1]
        assert (again.was_recovering, again.recovered) == (True, True)


async def test_answers_and_refusals_by_protobuf(place: Place, unique: str) -> None:
    """RPC answers are JSON in bytes; errors have their codes; no JSON is not published."""
    async with sdk(place, token=place.token("u1"), use_protobuf=True) as (client, _):
        await client.ready(PATIENCE)
        assert json.loads((await client.rpc("whoami", b"")).data) == {"user": "u1"}
        with pytest.raises(ReplyError) as refused:
            await client.rpc("refuse", b"{}")
        assert refused.value.code == 1001
        with pytest.raises(ReplyError) as refused:
            await client.publish(f"plain:{unique}", b"\xff no JSON")
        assert refused.value.code == 107
