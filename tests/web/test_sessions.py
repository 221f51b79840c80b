"""Sessions: guests, accounts, cookies, and when they end."""

import asyncio
from pathlib import Path
from typing import Any

from liveserver.db import make_engine
from liveserver.people import FAILURES_MAX, People
from liveserver.people_sql import SqlPeople
from liveserver.tokens import COOKIE
from tests.web.shop import Shop, open_shop


async def signed_in(shop: Shop, user: str, password: str, **options: Any) -> tuple[int, Any]:
    body = {"user": user, "password": password}
    async with shop.call("POST", "/v1/session", json=body, **options) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_guest_gets_a_token_and_a_cookie_that_scripts_cannot_read(shop: Shop) -> None:
    """One POST without anything is enough to watch, chat and buy."""
    async with shop.call("POST", "/v1/session") as answer:
        body = await answer.json()
        cookie = answer.cookies[COOKIE]
        assert answer.status == 201
    assert body["guest"] and body["role"] == "viewer" and body["user"].startswith("guest_")
    assert body["expires_at"].endswith(".000Z")
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and not cookie["secure"]
    me = await shop.json("GET", "/v1/session", body["token"])
    assert me["user"] == body["user"]
    assert "token" not in me


async def test_a_guest_who_renames_stays_the_same_person(shop: Shop) -> None:
    """The orders of a guest hang on the `sub`, so a new name must not lose it."""
    first = await shop.json("POST", "/v1/session", json={"name": "Mia"}, status=201)
    second = await shop.json(
        "POST", "/v1/session", first["token"], json={"name": "Mia 2"}, status=201
    )
    assert (second["user"], second["name"]) == (first["user"], "Mia 2")
    kept = await shop.json("POST", "/v1/session", second["token"], json={}, status=201)
    assert (kept["user"], kept["name"]) == (first["user"], "Mia 2")


PRETENDERS = ("", "   ", "x" * 25, "a\u202eb", "Аdmin", "Str\u0435amer", "主播", "Bo\u0442h's")


async def test_a_name_that_hides_or_pretends_is_refused(shop: Shop) -> None:
    """Empty, too long, turned around, or a look-alike of staff: 422 in words."""
    await shop.services.people.add("both", "long enough", "streamer", display_name="Both's")
    for name in PRETENDERS:
        problem = await shop.json("POST", "/v1/session", json={"name": name}, status=422)
        assert problem["type"] == "/problems/validation", name


async def test_an_account_signs_in_with_its_rights(shop: Shop) -> None:
    """Rooms and shop of the account are in the session."""
    await shop.services.people.add("ann", "right horse", "streamer", rooms=("a", "b"))
    status, body = await signed_in(shop, "ann", "right horse")
    assert status == 201
    assert body["role"] == "streamer" and body["rooms"] == ["a", "b"] and not body["guest"]


async def test_unknown_name_wrong_password_and_closed_account_answer_the_same(shop: Shop) -> None:
    """Nobody learns from outside which accounts there are."""
    people = shop.services.people
    await people.add("ann", "right horse", "viewer")
    await people.add("bob", "right horse", "viewer")
    await people.disable("bob")
    answers = [
        await signed_in(shop, "ann", "wrong"),
        await signed_in(shop, "nobody", "wrong"),
        await signed_in(shop, "bob", "right horse"),
        await signed_in(shop, "' OR 1=1 --", "wrong"),
    ]
    assert answers == [answers[0]] * 4
    assert answers[0][0] == 401


async def test_failed_log_ins_of_one_account_are_limited_even_from_loopback(shop: Shop) -> None:
    """Also the right password must wait then; other accounts are not touched."""
    people = shop.services.people
    await people.add("ann", "right horse", "viewer")
    await people.add("bob", "right horse", "viewer")
    tries = await asyncio.gather(
        *(signed_in(shop, "ann", "wrong") for _ in range(FAILURES_MAX + 4))
    )
    statuses = sorted(status for status, _ in tries)
    assert statuses == [401] * FAILURES_MAX + [429] * 4
    body = {"user": "ann", "password": "right horse"}
    async with shop.call("POST", "/v1/session", json=body) as answer:
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) > 1
    assert (await signed_in(shop, "bob", "right horse"))[0] == 201


async def test_a_success_forgets_the_failures_before_it(shop: Shop) -> None:
    """A person who mistypes twice a day is never locked out."""
    await shop.services.people.add("ann", "right horse", "viewer")
    for _ in range(3):
        for _ in range(FAILURES_MAX - 1):
            assert (await signed_in(shop, "ann", "wrong"))[0] == 401
        assert (await signed_in(shop, "ann", "right horse"))[0] == 201


async def test_tokens_end_when_the_account_changes(shop: Shop) -> None:
    """Closed, another password, other rooms: what was handed out before is worth nothing."""
    people = shop.services.people
    await people.add("ann", "right horse", "streamer", rooms=("a",))
    admin = shop.token("admin")
    for change in ({"password": "other horse"}, {"rooms": ["b"]}, {"disabled": True}):
        await people.disable("ann", False)
        await people.passwd("ann", "right horse")
        _, session = await signed_in(shop, "ann", "right horse")
        await shop.json("GET", "/v1/session", session["token"])
        await shop.json("PATCH", "/v1/users/ann", admin, json=change)
        await shop.json("GET", "/v1/session", session["token"], status=401)


async def test_another_worker_learns_of_a_change(
    shop: Shop, sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Workers share only the database; a withdrawn token ends there within seconds."""
    await shop.services.people.add("ann", "right horse", "viewer")
    _, session = await signed_in(shop, "ann", "right horse")
    people = shop.services.people
    write, read = make_engine(sqlite_url), make_engine(sqlite_url, read_only=True)
    other = People(SqlPeople(write, read), now=shop.services.now)
    await other.passwd("ann", "other horse")
    await people.refresh()  # what `run` does every two seconds
    await shop.json("GET", "/v1/session", session["token"], status=401)
    await other.close()
    await write.dispose()
    await read.dispose()


async def test_the_cookie_stands_for_the_token_only_with_our_own_origin(shop: Shop) -> None:
    """Other sites can make a browser send the cookie, but not our Origin."""
    session = await shop.json("POST", "/v1/session", json={"name": "Mia"}, status=201)
    cookie = {"Cookie": f"{COOKIE}={session['token']}"}
    ours = {**cookie, "Origin": shop.origin}
    me = await shop.json("GET", "/v1/session", headers=cookie)
    assert me["user"] == session["user"]
    body = {"name": "Mia 2"}
    renamed = await shop.json("POST", "/v1/session", json=body, headers=ours, status=201)
    assert renamed["user"] == session["user"]
    for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        headers = {**cookie, **origin}
        problem = await shop.json("POST", "/v1/session", json=body, headers=headers, status=403)
        assert problem["type"] == "/problems/forbidden"


async def test_a_foreign_origin_cannot_plant_a_session(shop: Shop) -> None:
    """Without it another site could sign a visitor in as somebody of its choice."""
    headers = {"Origin": "https://evil.example"}
    await shop.json("POST", "/v1/session", json={}, headers=headers, status=403)


async def test_signing_out_takes_the_cookie_away(shop: Shop) -> None:
    """The browser forgets; a second time is fine."""
    async with shop.call("DELETE", "/v1/session") as answer:
        assert answer.status == 204
        assert answer.cookies[COOKIE]["max-age"] == "0"


async def test_a_broken_bearer_is_told_so(shop: Shop) -> None:
    """Never taken for nobody: the client believes to be signed in."""
    for header in ("Bearer nonsense", "Basic abc", "Bearer ", "Bearer a.b.c"):
        async with shop.call("GET", "/v1/rooms", headers={"Authorization": header}) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_cookie_that_is_over_is_like_none(shop: Shop) -> None:
    """The page of yesterday opens, and its visitor becomes a guest again."""
    headers = {"Cookie": f"{COOKIE}=old", "Origin": shop.origin}
    await shop.json("POST", "/v1/session", json={}, headers=headers, status=201)


async def test_addresses_are_limited_and_told_when_to_come_back(
    sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    """With LIMIT_LOOPBACK, or behind a forwarding header, one address cannot try for ever."""
    options: dict[str, Any] = {"limit_loopback": True}
    async with open_shop(sqlite_url, redis_url, tmp_path, **options) as shop:
        statuses = []
        for number in range(30):
            status, _ = await signed_in(shop, f"nobody{number}", "wrong")
            statuses.append(status)
        assert statuses[0] == 401
        assert statuses[-1] == 429


async def test_a_forwarding_header_ends_the_loopback_exemption(shop: Shop) -> None:
    """Behind a local proxy that nobody declared, all visitors look like loopback."""
    headers = {"X-Forwarded-For": "203.0.113.9"}
    statuses = [
        (await signed_in(shop, f"nobody{number}", "wrong", headers=headers))[0]
        for number in range(30)
    ]
    assert statuses[0] == 401
    assert statuses[-1] == 429


async def test_the_configuration_says_whether_a_session_came_along(shop: Shop) -> None:
    """So that the pages of a first visit ask for no session that is not there."""
    assert (await shop.json("GET", "/v1/config"))["session"] is False
    cookie = {"Cookie": "liveserver_session=whatever"}
    assert (await shop.json("GET", "/v1/config", headers=cookie))["session"] is True


async def test_first_start_makes_one_administrator_once(
    sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    """The link works once; a wrong one never; afterwards there is no new link."""
    async with open_shop(sqlite_url, redis_url, tmp_path, demo=False) as shop:
        assert (await shop.json("GET", "/v1/config"))["needs_setup"] is True
        token = await shop.services.people.setup_token()
        body = {
            "token": "wrong",
            "user": "root",
            "password": "long enough",
            "shop_name": "Tea & Cups",
            "language": "en",
            "public_url": "https://shop.example/",
        }
        await shop.json("POST", "/v1/setup", json=body, status=403)
        session = await shop.json("POST", "/v1/setup", json={**body, "token": token}, status=201)
        assert session["role"] == "admin"
        await shop.json("POST", "/v1/setup", json={**body, "token": token}, status=403)
        assert await shop.services.people.setup_token() is None
        config = await shop.json("GET", "/v1/config")
        assert config["shop_name"] == "Tea & Cups"
        assert config["public_url"] == "https://shop.example"
        assert config["needs_setup"] is False and config["payments"] == []
        merchant = {"user": "tea", "password": "long enough", "role": "merchant"}
        made = await shop.json("POST", "/v1/users", session["token"], json=merchant, status=201)
        assert made["merchant"] == "tea"
        listed = await shop.json("GET", "/v1/users", session["token"])
        assert [user["user"] for user in listed["items"]] == ["root", "tea"]
