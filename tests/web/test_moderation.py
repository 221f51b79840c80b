"""The moderation routes through a listening server: shapes, refusals, and what they bring about."""

import secrets

import msgspec
import pytest

from orders.ids import new_id as make_id
from rooms.errors import Forbidden
from rooms.room import Speaker
from tests.web.shop import Shop, new_id, wall_ms

ANN = Speaker(id="auth0|ann", name="Ann")


async def say(shop: Shop, room: str, text: str) -> str:
    """A line of Ann's; the id of the newest message that is kept."""
    await shop.services.rooms.say(room, ANN, b"", msgspec.json.encode({"text": text}))
    bus = shop.services.moderation._bus
    read = await bus.history(room, f"chat:{room}", since=None, limit=-1)
    return str(msgspec.json.decode(read.publications[-1].data)["id"])


async def test_the_rules_of_a_room_change_in_parts(shop: Shop, room: str) -> None:
    """What is left out stays; the snapshot has the new rules; nonsense is refused."""
    staff, path = shop.token("moderator", rooms=(room,)), f"/v1/rooms/{room}/chat"
    slow = await shop.json("PATCH", path, staff, json={"slow_mode_seconds": 5})
    assert slow == {"slow_mode_seconds": 5, "muted_all": False, "links": True}
    rules = await shop.json("PATCH", path, staff, json={"links": False})
    assert rules == {"slow_mode_seconds": 5, "muted_all": False, "links": False}
    assert (await shop.json("GET", f"/v1/rooms/{room}"))["chat_rules"] == rules
    for wrong in ({"slow_mode_seconds": -1}, {"slow_mode_seconds": 3601}, {"caps": 1}):
        await shop.json("PATCH", path, staff, json=wrong, status=422)


async def test_a_person_of_any_id_is_muted_listed_and_unmuted(shop: Shop, room: str) -> None:
    """Ids of other log-ins hold signs; the list goes in pages; lifting twice is fine."""
    staff, path = shop.token("streamer", rooms=(room,)), f"/v1/rooms/{room}/mutes"
    body = {"user": ANN.id, "seconds": 60, "reason": "spam"}
    muted = await shop.json("POST", path, staff, json=body, status=201)
    assert (muted["user"], muted["reason"], muted["by"]) == (ANN.id, "spam", "streamer")
    assert muted["until"] > muted["created_at"]
    with pytest.raises(Forbidden):
        await say(shop, room, "hello")
    await shop.json("POST", path, staff, json={**body, "user": "茶/壺 #1"}, status=201)
    first = await shop.json("GET", path + "?limit=1", staff)
    rest = await shop.json("GET", f"{path}?limit=1&cursor={first['next_cursor']}", staff)
    assert [one["user"] for one in first["items"] + rest["items"]] == [ANN.id, "茶/壺 #1"]
    await shop.json("DELETE", path + "/auth0%7Cann", staff, status=204)
    await shop.json("DELETE", path + "/%E8%8C%B6%2F%E5%A3%BA%20%231", staff, status=204)
    await shop.json("DELETE", path + "/auth0%7Cann", staff, status=204)
    assert (await shop.json("GET", path, staff))["items"] == []
    await say(shop, room, "hello")


async def test_wrong_sanctions_are_refused_in_words(shop: Shop, room: str) -> None:
    """Oneself, too long, without a reason, and for an opinion."""
    staff, path = shop.token("moderator", user="me", rooms=(room,)), f"/v1/rooms/{room}/mutes"
    for wrong in (
        {"user": "me", "seconds": 60, "reason": "spam"},
        {"user": "u", "seconds": 0, "reason": "spam"},
        {"user": "u", "seconds": 2_592_001, "reason": "spam"},
        {"user": "u", "seconds": 7_200},
        {"user": "u", "seconds": 60, "reason": "critical of the product"},
    ):
        problem = await shop.json("POST", path, staff, json=wrong, status=422)
        assert problem["type"].endswith("/validation") and problem["detail"]
    await shop.json("GET", path + "?cursor=%25", staff, status=422)
    ban = {"user": "u", "reason": "差评"}
    await shop.json("POST", f"/v1/rooms/{room}/bans", staff, json=ban, status=422)


async def test_a_message_is_deleted_reported_and_on_record(shop: Shop, room: str) -> None:
    """A viewer reports, staff delete and decide, and the audit log says who did it."""
    staff, viewer = shop.token("moderator", rooms=(room,)), shop.token("viewer", "reporter")
    id = await say(shop, room, "bad words")
    body = {"message": id, "reason": "abuse", "note": "see for yourself"}
    report = await shop.json("POST", f"/v1/rooms/{room}/reports", viewer, json=body, status=201)
    assert (report["user"], report["text"], report["state"]) == (ANN.id, "bad words", "open")
    message = f"/v1/rooms/{room}/messages/{id}"
    await shop.json("DELETE", message + "?reason=abuse", staff, status=204)
    await shop.json("DELETE", message, staff, status=204)  # again, and nobody hears of it
    await shop.json("DELETE", f"/v1/rooms/{room}/messages/msg_never", staff, status=404)
    young = new_id("dmk")  # on screens, and in no archive yet
    await shop.json("DELETE", f"/v1/rooms/{room}/messages/{young}", staff, status=204)
    for old in (make_id("dmk", wall_ms() - 61_000, secrets.randbits), "dmk_never"):
        await shop.json("DELETE", f"/v1/rooms/{room}/messages/{old}", staff, status=404)
    await shop.json("POST", f"/v1/rooms/{room}/reports", viewer, json={**body, "message": id[:-1]},
                    status=404)  # fmt: skip
    wrong = {"message": id, "reason": "critical"}
    await shop.json("POST", f"/v1/rooms/{room}/reports", viewer, json=wrong, status=422)
    queue = await shop.json("GET", f"/v1/rooms/{room}/reports", staff)
    assert [one["id"] for one in queue["items"]] == [report["id"]]
    decide = f"/v1/rooms/{room}/reports/{report['id']}/decide"
    await shop.json("POST", decide, staff, json={"state": "upheld"})
    await shop.json("POST", decide, staff, json={"state": "upheld"}, status=409)
    log = await shop.json("GET", f"/v1/rooms/{room}/audit?limit=1", staff)
    [newest] = log["items"]
    assert (newest["action"], newest["actor"]) == ("report.upheld", "moderator")
    older = await shop.json("GET", f"/v1/rooms/{room}/audit?cursor={log['next_cursor']}", staff)
    assert [one["target"] for one in older["items"]] == [young, id]
    assert {one["action"] for one in older["items"]} == {"message.delete"}
    assert older["items"][0]["hash"] == newest["previous"]
    assert older["items"][1]["details"][id]["text"] == "bad words"


async def test_word_lists_are_replaced_whole_and_hold_what_they_say(shop: Shop, room: str) -> None:
    """A held message waits for staff and goes out when they show it."""
    staff, path = shop.token("moderator", rooms=(room,)), f"/v1/rooms/{room}/word-lists"
    items = [{"name": "look", "action": "hold", "words": ["合伙"]}]
    kept = await shop.json("PUT", path, staff, json={"items": items})
    assert kept["items"] == items == (await shop.json("GET", path, staff))["items"]
    await say(shop, room, "first")
    await say(shop, room, "想合夥的來")
    [held] = (await shop.json("GET", f"/v1/rooms/{room}/held", staff))["items"]
    assert (held["text"], held["list"], held["user"]) == ("想合夥的來", "look", ANN.id)
    shown = f"/v1/rooms/{room}/held/{held['id']}/decide"
    await shop.json("POST", shown, staff, json={"state": "shown"})
    assert await say(shop, room, "another") != held["id"]
    admin = shop.token("admin")
    everywhere = [{"name": "all", "action": "refuse", "words": ["!!"]}]
    await shop.json("PUT", "/v1/word-lists", admin, json={"items": everywhere}, status=422)
    await shop.json("PUT", "/v1/word-lists", admin, json={"items": []})
    [entry] = (await shop.json("GET", "/v1/audit", admin))["items"]
    assert (entry["action"], entry["number"]) == ("word_lists", 1)


async def test_a_room_that_nobody_made_has_nothing_to_moderate(shop: Shop, room: str) -> None:
    admin, path = shop.token("admin"), f"/v1/rooms/{room}x"
    await shop.json("PATCH", path + "/chat", admin, json={}, status=404)
    for part in ("word-lists", "mutes", "bans", "reports", "held", "audit"):
        await shop.json("GET", f"{path}/{part}", admin, status=404)
    body = {"user": "u", "seconds": 1, "reason": "spam"}
    await shop.json("POST", path + "/mutes", admin, json=body, status=404)
    await shop.json("DELETE", path + "/messages/msg_1", admin, status=404)
    report = {"user": "u", "reason": "spam"}
    await shop.json("POST", path + "/reports", admin, json=report, status=404)
