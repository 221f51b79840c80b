"""The server API over HTTP: the key, the shapes, and what even the key's holder may not do."""

import asyncio
from typing import Any

import pytest

from tests.web.shop import API_KEY, Shop, open_shop

KEY = {"X-API-Key": API_KEY}


async def ask(shop: Shop, method: str, **body: Any) -> Any:
    """The whole answer of a command."""
    return await shop.json("POST", f"/api/{method}", json=body, headers=KEY)


async def ok(shop: Shop, method: str, **body: Any) -> Any:
    answer = await ask(shop, method, **body)
    assert set(answer) == {"result"}, answer
    return answer["result"]


async def error(shop: Shop, method: str, **body: Any) -> int:
    answer = await ask(shop, method, **body)
    assert set(answer) == {"error"} and answer["error"]["message"], answer
    code: int = answer["error"]["code"]
    return code


async def test_only_the_key_opens_it(shop: Shop) -> None:
    """No key, a wrong one, an admin's token: 401."""
    for headers in ({}, {"X-API-Key": ""}, {"X-API-Key": "wrong"}, {"X-API-Key": API_KEY + "x"}):
        for token in (None, shop.token("admin")):
            await shop.json("POST", "/api/info", token, headers=headers, json={}, status=401)


async def test_without_a_configured_key_nobody_gets_in(
    sqlite_url: str, redis_url: str, tmp_path: Any
) -> None:
    """An empty key is no key."""
    async with open_shop(sqlite_url, redis_url, tmp_path / "data", api_key="") as shop:
        for headers in ({}, {"X-API-Key": ""}, KEY):
            await shop.json("POST", "/api/info", headers=headers, json={}, status=401)


async def test_wrong_keys_are_limited(sqlite_url: str, redis_url: str, tmp_path: Any) -> None:
    """As log-ins are; the right key is never."""
    async with open_shop(sqlite_url, redis_url, tmp_path / "data", limit_loopback=True) as shop:
        seen = set()
        for _ in range(40):
            wrong = {"X-API-Key": "guess"}
            async with shop.call("POST", "/api/info", headers=wrong, json={}) as answer:
                seen.add(answer.status)
        assert seen == {401, 429}
        await ok(shop, "info")


async def test_publish_history_and_removal(shop: Shop, unique: str) -> None:
    """Numbered where the namespace keeps history; the position outlives the publications."""
    channel = f"news:{unique}"
    first = await ok(shop, "publish", channel=channel, data={"n": 1})
    assert first["offset"] == 1 and first["epoch"]
    assert (await ok(shop, "publish", channel=channel, data="two\n"))["offset"] == 2
    assert await ok(shop, "publish", channel=channel, data=3, skip_history=True) == {}
    assert await ok(shop, "publish", channel=f"plain:{unique}", data=None) == {}
    kept = await ok(shop, "history", channel=channel, limit=-1)
    assert [(p["offset"], p["data"]) for p in kept["publications"]] == [(1, {"n": 1}), (2, "two\n")]
    assert (kept["offset"], kept["epoch"]) == (2, first["epoch"])
    assert (await ok(shop, "history", channel=channel))["publications"] == []
    newest = await ok(shop, "history", channel=channel, limit=1, reverse=True)
    assert [p["offset"] for p in newest["publications"]] == [2]
    since = {"offset": 1, "epoch": first["epoch"]}
    later = await ok(shop, "history", channel=channel, limit=10, since=since)
    assert [p["offset"] for p in later["publications"]] == [2]
    assert await error(shop, "history", channel=channel, since={"offset": 1, "epoch": "x"}) == 112
    assert await ok(shop, "history_remove", channel=channel) == {}
    empty = await ok(shop, "history", channel=channel, limit=-1)
    assert (empty["publications"], empty["offset"]) == ([], 2)


async def test_a_page_of_history_is_bounded_in_bytes(shop: Shop, unique: str) -> None:
    """However large the publications are; the rest is asked for behind the last, none is lost."""
    channel = f"news:{unique}"
    for n in range(4):
        await ok(shop, "publish", channel=channel, data=str(n) * 300_000)
    pages, read = [], {"offset": 0, "epoch": ""}
    while len(pages) < 4:
        answer = await ok(shop, "history", channel=channel, limit=-1, since=read)
        pages.append([one["offset"] for one in answer["publications"]])
        read = {"offset": pages[-1][-1], "epoch": answer["epoch"]}
    assert pages == [[1], [2], [3], [4]]


async def test_broadcast_answers_for_each_channel(shop: Shop, unique: str) -> None:
    """In the order of the channels; one that fails does not keep the others from theirs."""
    channels = [f"news:{unique}", f"nowhere:{unique}", f"plain:{unique}"]
    responses = (await ok(shop, "broadcast", channels=channels, data={}))["responses"]
    assert responses[0]["result"]["offset"] == 1
    assert responses[1]["error"]["code"] == 102
    assert responses[2] == {"result": {}}


async def test_a_room_takes_events_that_are_not_its_own(shop: Shop, room: str) -> None:
    """The operator's own types are numbered and recoverable; the server's cannot be forged."""
    channel = f"room:{room}"
    own = {"type": "raffle.drawn", "winner": "Mia"}
    assert (await ok(shop, "publish", channel=channel, data=own))["offset"] > 0
    for kind in ("room.ended", "flash_sale.updated", "shelf.pinned", "danmaku", "chat", "order.x"):
        assert await error(shop, "publish", channel=channel, data={"type": kind}) == 103
        assert await error(shop, "publish", channel="#mia", data={"type": kind}) == 103
    unfit: list[Any] = [{}, [], None, "room.ended", {"type": 1}]
    for data in unfit:
        assert await error(shop, "publish", channel=channel, data=data) == 107
    assert await error(shop, "publish", channel="room:no-such-room", data=own) == 102
    assert (await ok(shop, "publish", channel="#mia", data=[1]))["offset"] > 0


async def test_errors_have_the_numbers_of_the_socket(shop: Shop, room: str, unique: str) -> None:
    """Unknown namespace 102, a feature that the namespace lacks 108."""
    assert await error(shop, "publish", channel="nowhere:a", data=1) == 102
    assert await error(shop, "publish", channel="a\nb", data=1) == 107
    assert await error(shop, "unsubscribe", user="a", channel="nowhere:a") == 102
    for method in ("history", "history_remove", "presence", "presence_stats"):
        assert await error(shop, method, channel=f"plain:{unique}") == 108
    assert await ok(shop, "presence", channel=f"news:{unique}") == {"presence": {}}
    for channel in (f"news:{unique}", f"room:{room}"):
        stats = await ok(shop, "presence_stats", channel=channel)
        assert stats == {"num_clients": 0, "num_users": 0}


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("publish", {"channel": "news:a", "data": 1, "verzion": 1}),
        ("disconnect", {"user": "a", "disconnect": {"code": 1000, "reason": "x"}}),
        ("history", {"channel": "news:a", "limit": -2}),
    ],
)
async def test_what_cannot_be_meant_is_refused(shop: Shop, method: str, body: Any) -> None:
    """An option that is not known included: it would be lost in silence."""
    await shop.json("POST", f"/api/{method}", json=body, headers=KEY, status=422)


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("publish", {"data": 1}),
        ("publish", {"channel": "", "data": 1}),
        ("broadcast", {"data": 1}),
        ("broadcast", {"channels": [], "data": 1}),
        ("presence", {}),
        ("presence_stats", {}),
        ("history", {}),
        ("history_remove", {}),
        ("subscribe", {"user": "a"}),
        ("subscribe", {"channel": "news:a"}),
        ("unsubscribe", {"channel": "news:a"}),
        ("disconnect", {}),
        ("refresh", {"user": ""}),
    ],
)
async def test_without_whom_or_where_it_is_107(shop: Shop, method: str, body: Any) -> None:
    """As Centrifugo answers: status 200, in a batch too, where the other commands are done."""
    assert await error(shop, method, **body) == 107
    commands = {"commands": [{method: body}, {"channels": {}}]}
    answer = await shop.json("POST", "/api/batch", json=commands, headers=KEY)
    refused, done = answer["replies"]
    assert refused["error"]["code"] == 107 and "channels" in done


async def test_the_key_may_come_as_centrifugos_clients_send_it(shop: Shop) -> None:
    """`apikey`, a query, and bodies without a type; a wrong key is one wherever it stands."""
    for headers, query in (
        ({"Authorization": f"apikey {API_KEY}"}, ""),
        ({}, f"?api_key={API_KEY}"),
        ({**KEY, "Content-Type": "text/plain"}, ""),
    ):
        async with shop.call("POST", f"/api/info{query}", headers=headers, data=b"{}") as answer:
            assert answer.status == 200, await answer.text()
    for headers, query in (({"Authorization": "apikey x"}, ""), ({}, "?api_key=x")):
        await shop.json("POST", f"/api/info{query}", headers=headers, json={}, status=401)


async def test_a_key_publishes_once_in_each_channel(shop: Shop, unique: str) -> None:
    """Also while the first is under way; what failed may be tried again."""
    options = {"data": 1, "idempotency_key": "k", "tags": {"a": "b"}, "delta": True}
    one, other = f"news:{unique}", f"news:{unique}2"
    places = await asyncio.gather(*(ok(shop, "publish", channel=one, **options) for _ in range(5)))
    assert places == [places[0]] * 5 and places[0]["offset"] == 1
    answers = await ok(shop, "broadcast", channels=[one, other], **options)
    assert [one["result"]["offset"] for one in answers["responses"]] == [1, 1]
    assert (await ok(shop, "history", channel=one))["offset"] == 1
    for _ in range(2):
        wrong = {"channel": f"nowhere:{unique}", **options}
        assert await error(shop, "publish", **wrong) == 102


async def test_b64data_is_the_json_that_it_holds(shop: Shop, unique: str) -> None:
    """What is no base64, no JSON or nothing at all is 107."""
    channel = f"news:{unique}"
    await ok(shop, "publish", channel=channel, b64data="eyJhIjoxfQ==")
    kept = await ok(shop, "history", channel=channel, limit=-1)
    assert [item["data"] for item in kept["publications"]] == [{"a": 1}]
    for wrong in ({"b64data": "?"}, {"b64data": "/w=="}, {}):
        assert await error(shop, "publish", channel=channel, **wrong) == 107
    for wrong in ({"b64data": "?"}, {"b64info": "/w=="}):
        assert await error(shop, "subscribe", user="mia", channel=channel, **wrong) == 107
    assert await error(shop, "subscribe", user="mia", channel="nowhere:a") == 102
    assert await error(shop, "subscribe", user="mia", channel="room:nowhere") == 102


async def test_a_batch_answers_each_command(shop: Shop, unique: str) -> None:
    """In the order of the commands, one after the other unless they may go together."""
    channel = f"news:{unique}"
    steps = [{"publish": {"channel": channel, "data": n}} for n in range(3)]
    body = {"commands": [*steps, {"history": {"channel": channel}}, {"info": {}}, {},
                         {"publish": {"channel": f"nowhere:{unique}", "data": 1}}]}  # fmt: skip
    replies = (await ask(shop, "batch", **body))["replies"]
    assert [reply["publish"]["offset"] for reply in replies[:3]] == [1, 2, 3]
    assert replies[3]["history"]["offset"] == 3 and replies[4]["info"]["nodes"]
    assert [reply["error"]["code"] for reply in replies[5:]] == [107, 102]
    together = await ask(shop, "batch", commands=steps, parallel=True)
    assert {reply["publish"]["offset"] for reply in together["replies"]} == {4, 5, 6}


async def test_what_is_not_offered_is_not_found(shop: Shop) -> None:
    """Remote procedures and what Centrifugo sells: a problem with 404."""
    for method in ("rpc", "connections"):
        await shop.json("POST", f"/api/{method}", json={}, headers=KEY, status=404)


async def test_info_names_this_worker(shop: Shop) -> None:
    """In Centrifugo's words."""
    [node] = [n for n in (await ok(shop, "info"))["nodes"] if n["name"] == "test"][:1]
    assert node["uid"] and node["version"] and node["num_clients"] == 0
