"""The commands of the protocol against a listening worker, by hand."""

import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from liveserver.problems import Refused
from liveserver.tokens import COOKIE
from rooms.channels import Namespaces
from tests.gateway.conftest import Serve
from tests.gateway.support import SECRET, Client, Place, connected, dialled, eventually


async def test_connect_tells_who_and_how_often_it_pings(place: Place) -> None:
    """The reply has what SDKs read: client, version, ping, pong; no exp, no expiry."""
    async with dialled(place) as client:
        reply = await client.ok("connect", token=place.token("u1"))
        assert set(reply) == {"client", "version", "subs", "ping", "pong", "time"}
        assert (reply["ping"], reply["pong"], len(reply["client"])) == (25, True, 36)
        assert reply["version"] and abs(reply["time"] - place.gateway.now()) < 60_000


async def test_the_personal_channel_is_subscribed_by_the_server(serve: Serve, unique: str) -> None:
    """`#<user>` is in the connect reply, recoverable; what happened meanwhile comes on return."""
    async with serve(namespaces=Namespaces({})) as place:
        token = place.token(unique)
        async with dialled(place) as client:
            subs = (await client.ok("connect", token=token))["subs"]
            own = subs[f"#{unique}"]
            assert own["recoverable"] and own["positioned"] and own["epoch"]
            await place.rooms.tell_user(unique, {"type": "order.updated", "order": "o1"})
            [event] = await client.until(lambda: client.pubs(f"#{unique}"))
            assert event["order"] == "o1"
        await place.rooms.tell_user(unique, {"type": "order.updated", "order": "o2"})
        back = {"recover": True, "offset": 1, "epoch": own["epoch"]}
        async with dialled(place) as client:
            subs = (await client.ok("connect", token=token, subs={f"#{unique}": back}))["subs"]
            assert subs[f"#{unique}"]["recovered"]
            assert [p["data"]["order"] for p in subs[f"#{unique}"]["publications"]] == ["o2"]
            assert await client.error("subscribe", channel=f"#{unique}") == 105


async def test_a_personal_channel_is_closed_to_others(open_place: Place, unique: str) -> None:
    """Only the user named after the `#`, even in insecure mode."""
    async with connected(open_place, open_place.token("mallory")) as client:
        for method in ("subscribe", "history", "presence", "presence_stats"):
            assert await client.error(method, channel=f"#{unique}") == 103
        assert await client.error("publish", channel=f"#{unique}", data=1) == 103
        assert await client.error("subscribe", channel=f"dialog#{unique},other") == 103
        await client.ok("subscribe", channel=f"dialog#{unique},mallory")


async def test_tokens_decide_who_connects(place: Place, open_place: Place) -> None:
    """None: 101. Expired: 109, to be renewed. Broken or foreign: close 3500, for good."""
    async with dialled(place) as client:
        assert await client.error("connect") == 101
    async with dialled(place) as client:
        assert await client.error("connect", token=place.token("u", -10)) == 109
    for wrong in ("x", "a.b.c", place.token("u")[:-4] + "AAAA"):
        for where in (place, open_place):  # sent tokens are verified in insecure mode too
            async with dialled(where) as client:
                await client.ws.send(client.line("connect", {"token": wrong})[1])
                assert await client.until_closed() == (3500, "invalid token")
    async with connected(open_place) as client:  # nobody in particular
        reply = await client.ok("rpc", method="whoami")
        assert reply == {"data": {"user": None}}


async def test_a_token_that_names_no_user_is_for_trials_alone(
    place: Place, open_place: Place, unique: str
) -> None:
    """Where tokens are asked for it is invalid; where they are not, nobody has come."""
    tokens = [signed(claims) for claims in ({}, {"sub": ""}, {"sub": "", "exp": 2**40})]
    for token in tokens:
        async with dialled(place) as client:
            await client.ws.send(client.line("connect", {"token": token})[1])
            assert await client.until_closed() == (3500, "invalid token")
        async with connected(open_place, token) as client:
            assert await client.ok("rpc", method="whoami") == {"data": {"user": None}}
            assert await client.error("subscribe", channel=f"#{unique}") == 103
    async with dialled(open_place) as client:
        assert await client.error("connect", token=signed({"exp": 1})) == 109
    async with dialled(open_place) as client:
        await client.ws.send(client.line("connect", {"token": tokens[0][:-3] + "AAA"})[1])
        assert await client.until_closed() == (3500, "invalid token")


def signed(claims: dict[str, Any]) -> str:
    """A token as another system makes it."""
    return jwt.encode(claims, SECRET, "HS256")


async def test_an_expiring_token_is_told_and_renewed(serve: Serve) -> None:
    """`expires` and `ttl` on connect; refresh sets a new end; a foreign or old token closes."""
    async with serve() as place:
        async with dialled(place) as client:
            reply = await client.ok("connect", token=place.token("u1", 120))
            assert reply["expires"] and 100 < reply["ttl"] <= 120
            reply = await client.ok("refresh", token=place.token("u1", 500))
            assert reply["expires"] and 480 < reply["ttl"] <= 500
            await client.ws.send(client.line("refresh", {"token": place.token("u2", 500)})[1])
            assert await client.until_closed() == (3500, "invalid token")
        async with connected(place, place.token("u1", 120)) as client:
            await client.ws.send(client.line("refresh", {"token": place.token("u1", -5)})[1])
            assert await client.until_closed() == (3005, "connection expired")


async def test_a_connection_ends_with_its_token(serve: Serve) -> None:
    """Close 3005 at the end of the grace, not only at the next ping, which comes far later."""
    async with (
        serve(step_seconds=0.02, expired_grace_seconds=0.5) as place,
        connected(place, place.token("u1", 2)) as client,
    ):
        assert await client.until_closed() == (3005, "connection expired")


async def test_the_cookie_stands_for_the_token_only_on_our_own_pages(place: Place) -> None:
    """Own Origin: yes. Listed or missing Origin: no. An old cookie is as good as none."""
    cookie = {"Cookie": f"a=b; {COOKIE}={place.token('u1')}; c=d"}
    async with dialled(place, origin=place.origin, additional_headers=cookie) as client:
        await client.ok("connect")
        assert (await client.ok("rpc", method="whoami")) == {"data": {"user": "u1"}}
    async with dialled(place, additional_headers=cookie) as client:
        assert await client.error("connect") == 101
    old = {"Cookie": f"{COOKIE}={place.token('u1', -5)}"}
    async with dialled(place, origin=place.origin, additional_headers=old) as client:
        assert await client.error("connect") == 101


async def test_only_connect_may_come_first_and_only_once(place: Place) -> None:
    """Everything else before it, a second one, and anything after a failed one: 3501."""
    for first in ("subscribe", "publish", "rpc", "history", "ping", "refresh", "send"):
        async with dialled(place) as client:
            await client.ws.send(client.line(first, {})[1])
            assert await client.until_closed() == (3501, "bad request")
    async with connected(place, place.token("u")) as client:
        await client.ws.send(client.line("connect", {})[1])
        assert await client.until_closed() == (3501, "bad request")
    async with dialled(place) as client:
        assert await client.error("connect") == 101
        await client.ws.send(client.line("connect", {"token": place.token("u")})[1])
        assert await client.until_closed() == (3501, "bad request")


async def test_a_first_frame_with_everything_is_answered_in_order(open_place: Place) -> None:
    """Connect, subscriptions, a publication and a history in one frame: replies in that order."""
    async with dialled(open_place) as client:
        channels = [f"news:{open_place.port}-{n}" for n in range(20)]
        lines = [client.line("connect", {})[1]]
        lines += [client.line("subscribe", {"channel": name})[1] for name in channels]
        lines += [client.line("publish", {"channel": channels[0], "data": {"n": 1}})[1]]
        last, line = client.line("history", {"channel": channels[0], "limit": -1})
        await client.ws.send("\n".join([*lines, line]))
        await client.until(lambda: last in client.replies)
        ids = [message["id"] for message in client.log if "id" in message]
        assert ids == list(range(1, last + 1))
        assert not any("error" in reply for reply in client.replies.values())
        assert [p["data"] for p in client.replies[last]["history"]["publications"]] == [{"n": 1}]


async def test_publications_arrive_numbered_with_who_published(place: Place, channel: str) -> None:
    """One to many; the publisher itself gets its own by the channel, after its subscribe reply."""
    async with (
        connected(place, place.token("u1", name="Ann")) as ann,
        connected(place, place.token("u2")) as bob,
    ):
        token = subscription_tokens(place, channel)
        for client, user in ((ann, "u1"), (bob, "u2")):
            reply = await client.ok("subscribe", channel=channel, token=token(user))
            assert reply["recoverable"] and reply["positioned"]
            assert "recovered" not in reply and "publications" not in reply
        await ann.ok("publish", channel=channel, data={"text": "a\nb"})
        for client in (ann, bob):
            await client.until(lambda c=client: c.pubs(channel))
            [push] = [p for p in client.pushes if "pub" in p]
            assert push["pub"]["data"] == {"text": "a\nb"}
            assert push["pub"]["offset"] == 1
            info = push["pub"]["info"]
            assert (info["user"], info["conn_info"]) == ("u1", {"name": "Ann"})


async def test_subscription_tokens(place: Place, channel: str) -> None:
    """None: 103. Broken: 103. Expired: 109. Of another user, channel or client: close 3500."""
    async with connected(place, place.token("u1")) as client:
        sub = subscription_tokens(place, channel)
        assert await client.error("subscribe", channel=channel) == 103
        assert await client.error("subscribe", channel=channel, token="x.y.z") == 103
        assert await client.error("subscribe", channel=channel, token=sub("u1", -5)) == 109
        reply = await client.ok("subscribe", channel=channel, token=sub("u1", 90))
        assert reply["expires"] and 60 < reply["ttl"] <= 90
        reply = await client.ok("sub_refresh", channel=channel, token=sub("u1", 900))
        assert reply["expires"] and 800 < reply["ttl"] <= 900
        assert (await client.ok("sub_refresh", token=sub("u1"))) == {}  # the token names it
        hello = next(reply["connect"] for reply in client.log if "connect" in reply)
        await client.ok("sub_refresh", token=sub("u1", client=hello["client"]))
        await client.ok("unsubscribe", channel=channel)
        await client.ok("subscribe", channel=channel, token=sub("u1", client=hello["client"]))
    for user, name, more in (
        ("u2", channel, {}), ("u1", channel + "x", {}), ("u1", channel, {"client": "another"}),
    ):  # fmt: skip
        for method in ("subscribe", "sub_refresh"):
            async with connected(place, place.token("u1")) as client:
                wrong = subscription_tokens(place, name)(user, **more)
                request = {"channel": channel, "token": wrong}
                await client.ws.send(client.line(method, request)[1])
                assert await client.until_closed() == (3500, "invalid token")


async def test_a_subscription_token_connects_nobody(place: Place, channel: str) -> None:
    """It was given for one channel; as another token of its user it is no good either."""
    token = subscription_tokens(place, channel)("u1")
    async with dialled(place) as client:
        await client.ws.send(client.line("connect", {"token": token})[1])
        assert await client.until_closed() == (3500, "invalid token")
    async with connected(place, place.token("u1", 60)) as client:
        await client.ws.send(client.line("refresh", {"token": token})[1])
        assert await client.until_closed() == (3500, "invalid token")


async def test_a_subscription_ends_with_its_token(serve: Serve, channel: str) -> None:
    """An unsubscribe push 2501, long before a ping, upon which the SDK gets a new token."""
    async with (
        serve(step_seconds=0.02, expired_grace_seconds=0.5) as place,
        connected(place, place.token("u1")) as client,
    ):
        await client.ok(
            "subscribe", channel=channel, token=subscription_tokens(place, channel)("u1", 2)
        )
        [push] = await client.until(lambda: [p for p in client.pushes if "unsubscribe" in p])
        assert push == {
            "channel": channel,
            "unsubscribe": {"code": 2501, "reason": "subscription expired"},
        }


async def test_names_and_limits_of_channels(open_place: Place, unique: str) -> None:
    """Too long or unprintable a name 107, unknown namespace 102, twice 105, more than 128 106."""
    async with connected(open_place) as client:
        for wrong in ("x" * 256, "a\nb", "a\x1fb", "\x1fjoin:plain:a"):
            assert await client.error("subscribe", channel=wrong) == 107
        assert await client.error("subscribe", channel="nowhere:a") == 102
        assert await client.error("subscribe", channel="plain:a", tf={"key": "x"}) == 107
        assert await client.error("subscribe", channel="plain:a", type=1) == 107
        await client.ok("subscribe", channel=f"plain:{unique}")
        assert await client.error("subscribe", channel=f"plain:{unique}") == 105
        for n in range(127):
            await client.ok("subscribe", channel=f"plain:{unique}{n}")
        assert await client.error("subscribe", channel=f"plain:{unique}x") == 106
        assert await client.ok("unsubscribe", channel=f"plain:{unique}0") == {}
        assert await client.ok("unsubscribe", channel="plain:never") == {}
        await client.ok("subscribe", channel=f"plain:{unique}x")


async def test_who_has_unsubscribed_gets_nothing_more(open_place: Place, unique: str) -> None:
    """Not even of the other channels of the same room of channels."""
    async with connected(open_place) as client, connected(open_place) as other:
        for name in (f"plain:{unique}", f"news:{unique}"):
            await client.ok("subscribe", channel=name)
        await client.ok("unsubscribe", channel=f"plain:{unique}")
        await other.ok("publish", channel=f"plain:{unique}", data=1)
        await other.ok("publish", channel=f"news:{unique}", data=2)
        await client.until(lambda: client.pubs(f"news:{unique}"))
        assert client.pubs(f"plain:{unique}") == []


async def test_history(open_place: Place, unique: str) -> None:
    """limit 0, -1 and N, since, reverse; a lost epoch is 112; only what is kept."""
    name = f"kept:{unique}"
    async with connected(open_place) as client:
        for n in range(1, 6):
            await client.ok("publish", channel=name, data=n)
        top = await client.ok("history", channel=name)
        assert (top["offset"], top["publications"]) == (5, [])
        ask = client.ok

        async def read(**fields: object) -> list[int]:
            reply = await ask("history", channel=name, **fields)
            return [item["data"] for item in reply["publications"]]

        since = {"offset": 2, "epoch": top["epoch"]}
        assert await read(limit=-1) == [1, 2, 3, 4, 5]
        assert await read(limit=2) == [1, 2]
        assert await read(limit=2, reverse=True) == [5, 4]
        assert await read(limit=-1, since=since) == [3, 4, 5]
        assert await read(limit=1, since=since) == [3]
        assert await read(limit=-1, since=since, reverse=True) == [1]
        wrong = {"offset": 2, "epoch": "other"}
        assert await client.error("history", channel=name, limit=1, since=wrong) == 112
        assert await client.error("history", channel=f"plain:{unique}", limit=1) == 108


async def test_presence_joins_and_leaves(place: Place, channel: str) -> None:
    """Everybody is there from the subscribe reply on, is announced, and leaves with its socket."""
    sub = subscription_tokens(place, channel)
    async with connected(place, place.token("u1")) as first:
        await first.ok("subscribe", channel=channel, token=sub("u1"))
        [own] = await first.until(lambda: _of(first, channel, "join"))  # its own, too
        assert own["join"]["info"]["user"] == "u1"
        assert first.log.index({"push": own}) > first.log.index(first.replies[2])
        first.pushes.clear()
        async with connected(place, place.token("u2")) as second:
            await second.ok("subscribe", channel=channel, token=sub("u2"))
            present = (await second.ok("presence", channel=channel))["presence"]
            assert {entry["user"] for entry in present.values()} == {"u1", "u2"}
            assert all(entry["client"] == client for client, entry in present.items())
            stats = await second.ok("presence_stats", channel=channel)
            assert stats == {"num_clients": 2, "num_users": 2}
            [joined] = await first.until(lambda: _of(first, channel, "join"))
            assert joined["join"]["info"]["user"] == "u2"
        [left] = await first.until(lambda: _of(first, channel, "leave"))
        assert left["leave"]["info"]["user"] == "u2"
        present = (await first.ok("presence", channel=channel))["presence"]
        assert {entry["user"] for entry in present.values()} == {"u1"}
        assert await first.error("presence", channel="plain:x") == 103
        await first.ok("unsubscribe", channel=channel)
        assert await eventually(lambda: _nobody(place, channel))


async def test_publishing_needs_the_right(place: Place, channel: str) -> None:
    """ "subscriber" needs a subscription, "anyone" none; no data closes with 3501."""
    async with connected(place, place.token("u1")) as client:
        assert await client.error("publish", channel=channel, data=1) == 103
        await client.ok("publish", channel="plain:x", data=1)
        assert await client.error("publish", channel="nowhere:x", data=1) == 102
        await client.ok(
            "subscribe", channel=channel, token=subscription_tokens(place, channel)("u1")
        )
        await client.ok("publish", channel=channel, data=1)


async def test_rpc_send_and_ping(place: Place) -> None:
    """RPC answers in JSON or with its refusal's code; send has no answer; ping is not offered."""
    async with connected(place, place.token("u1")) as client:
        assert await client.ok("rpc", method="echo", data={"a": [1, "é"]}) == {
            "data": {"a": [1, "é"]}
        }
        assert await client.ok("rpc", method="whoami") == {"data": {"user": "u1"}}
        reply = await client.ask("rpc", method="refuse")
        assert reply["error"] == {"code": 1001, "message": "Nothing is left"}
        reply = await client.ask("rpc", method="break")
        assert reply["error"] == {
            "code": 100, "message": "internal server error", "temporary": True,
        }  # fmt: skip
        assert await client.error("rpc", method="unheard.of") == 108
        assert await client.error("rpc") == 108
        await client.ws.send('{"send":{"data":{"x":1}}}')
        assert await client.error("ping") == 108


@pytest.mark.parametrize("command", [
    {"unheard_of": {}},
    {},
    {"connect": None},
    {"publish": {"channel": "plain:x"}},
    {"publish": {"data": 1}},
    {"subscribe": {}},
    {"subscribe": {"channel": None}},
    {"unsubscribe": {}},
    {"history": {"limit": 1}},
    {"presence": {}},
    {"presence_stats": {"channel": ""}},
    {"refresh": {}},
])  # fmt: skip
async def test_a_command_that_lacks_the_needful_ends_the_connection(
    open_place: Place, command: dict[str, Any]
) -> None:
    """3501, as in Centrifugo: no such client works, so it must not come back."""
    async with connected(open_place) as client:
        await client.ws.send(json.dumps({"id": 77, **command}))
        assert await client.until_closed() == (3501, "bad request")


async def test_null_is_as_good_as_nothing(open_place: Place, unique: str) -> None:
    """In every optional field of every command; a payload may be null itself."""
    name = f"kept:{unique}"
    async with dialled(open_place) as client:
        await client.ok("connect", token=None, data=None, subs=None, name=None, version=None)
        recovery = {"recover": None, "offset": None, "epoch": None, "flag": None, "tf": None}
        await client.ok("subscribe", channel=name, token=None, delta=None, **recovery)
        await client.ok("publish", channel=name, data=None)
        await client.ok("publish", channel=name, data={"a": None})
        since = {"offset": None, "epoch": None}
        read = await client.ok("history", channel=name, limit=-1, since=since, reverse=None)
        assert [one["data"] for one in read["publications"]] == [None, {"a": None}]
    async with dialled(open_place) as client:
        await client.ok("connect", subs={"#u": {"epoch": None, "recover": None}, "#v": None})


async def test_rooms_channels_follow_the_table(place: Place, unique: str) -> None:
    """Viewers see room, chat and danmaku; the console is for staff; unknown rooms are unknown."""
    await place.rooms.create(unique, "A room", [], actor="admin")
    viewer, staff = (
        place.token("u1", name="Ann"),
        place.token("s", role="moderator", rooms=(unique,)),
    )
    async with connected(place, viewer) as client, connected(place, staff) as moderator:
        assert (await client.ok("subscribe", channel=f"room:{unique}"))["recoverable"]
        assert (await client.ok("subscribe", channel=f"chat:{unique}"))["recoverable"]
        assert await client.ok("subscribe", channel=f"danmaku:{unique}") == {}
        assert await client.error("subscribe", channel=f"console:{unique}") == 103
        assert await client.error("subscribe", channel="room:nowhere") == 102
        await moderator.ok("subscribe", channel=f"console:{unique}")
        assert await client.error("publish", channel=f"room:{unique}", data={}) == 103
        assert await client.error("presence", channel=f"room:{unique}") == 103
        assert await client.error("history", channel=f"danmaku:{unique}", limit=1) == 108
        await client.ok("publish", channel=f"chat:{unique}", data={"text": "hi"})
        await client.ok("publish", channel=f"danmaku:{unique}", data={"text": "wow"})
        assert await client.error("publish", channel=f"chat:{unique}", data={"text": ""}) == 1009
        [line] = await client.until(lambda: client.pubs(f"chat:{unique}"))
        assert (line["text"], line["user"]["id"], line["user"]["badges"]) == ("hi", "u1", [])
        await client.until(lambda: client.pubs(f"danmaku:{unique}"))
        history = await client.ok("history", channel=f"chat:{unique}", limit=-1)
        assert [item["data"]["text"] for item in history["publications"]] == ["hi"]
        await eventually(lambda: _online(client, unique))


async def test_who_subscribed_is_counted_at_once(place: Place, unique: str) -> None:
    """Those of the same worker; others' are summed up once a second."""
    await place.rooms.create(unique, "A room", [], actor="admin")
    async with connected(place, place.token("u1")) as client:
        await client.ok("subscribe", channel=f"room:{unique}")
        assert await _online(client, unique)


async def test_another_token_or_subscription_speaks_from_the_next_line_on(
    place: Place, channel: str, unique: str
) -> None:
    """Name, badges and the right to publish are those of now, not of the line before."""
    await place.rooms.create(unique, "A room", [], actor="admin")
    chat = f"chat:{unique}"
    claims = [
        {"name": "Ann"},
        {"name": "Anna"},
        {"name": "Anna", "role": "moderator", "rooms": (unique,)},
    ]
    async with connected(place, place.token("u1", **claims[0])) as client:
        await client.ok("subscribe", channel=chat)
        for claim in claims:
            await client.ok("refresh", token=place.token("u1", 500, **claim))
            await client.ok("publish", channel=chat, data={"text": "hi"})
        lines = await client.until(lambda: len(client.pubs(chat)) == 3 and client.pubs(chat))
        assert [line["user"]["name"] for line in lines] == ["Ann", "Anna", "Anna"]
        assert [line["user"]["badges"] for line in lines] == [[], [], ["moderator"]]
        token = subscription_tokens(place, channel)("u1")
        await client.ok("subscribe", channel=channel, token=token)
        await client.ok("publish", channel=channel, data=1)
        await client.ok("unsubscribe", channel=channel)
        assert await client.error("publish", channel=channel, data=2) == 103


async def test_nobody_speaks_without_a_name(open_place: Place, unique: str) -> None:
    """Insecure mode opens operators' channels, not the chat of a room."""
    await open_place.rooms.create(unique, "A room", [], actor="admin")
    async with connected(open_place) as client:
        await client.ok("subscribe", channel=f"chat:{unique}")
        assert await client.error("publish", channel=f"chat:{unique}", data={"text": "x"}) == 101


def _of(client: Client, channel: str, kind: str) -> list[dict[str, Any]]:
    return [push for push in client.pushes if push.get("channel") == channel and kind in push]


async def _online(client: Client, room: str) -> bool:
    stats = await client.ok("presence_stats", channel=f"room:{room}")
    return bool(stats["num_clients"] == 1)


async def _nobody(place: Place, channel: str) -> bool:
    return not await place.bus.presence(channel)


def subscription_tokens(place: Place, channel: str) -> Callable[..., str]:
    """A maker of subscription tokens, signed as a shop's back end would."""

    def make(user: str, ttl: int | None = None, **more: str) -> str:
        claims: dict[str, Any] = {"sub": user, "channel": channel, **more}
        if ttl is not None:
            claims["exp"] = place.gateway.now() // 1000 + ttl
        return jwt.encode(claims, SECRET, "HS256")

    return make


async def test_methods_that_call_back_are_answered_in_order(open_place: Place) -> None:
    """
    Whether a method calls back at once, later or with a refusal, or is awaited: each command is
    answered once, and those behind one that waits are answered after it.
    """
    held = open_place.methods.held
    async with connected(open_place) as client:
        assert await client.ok("rpc", method="at once", data={"a": 1}) == {"data": {"a": 1}}
        lines = [
            client.line("rpc", {"method": method, "data": number})
            for number, method in enumerate(("later", "echo", "at once", "later", "whoami"))
        ]
        ids = [id for id, _ in lines]
        await client.ws.send("\n".join(line for _, line in lines))
        await until(lambda: len(held) == 1)
        assert not client.replies.keys() & set(ids)
        held[0][1](b'"held"')
        await client.until(lambda: ids[2] in client.replies)
        await until(lambda: len(held) == 2)
        assert ids[4] not in client.replies
        held[1][1](Refused("sold-out", "Nothing is left"))
        await client.until(lambda: ids[4] in client.replies)
    answers = [client.replies[id].get("rpc") or client.replies[id]["error"] for id in ids]
    assert answers[:3] == [{"data": "held"}, {"data": 1}, {"data": 2}]
    assert answers[3]["message"] == "Nothing is left"
    assert [line["id"] for line in client.log if line.get("id") in ids] == ids


async def until(true: Callable[[], bool]) -> None:
    """Look again until it holds."""

    async def looked() -> bool:
        return true()

    await eventually(looked)
