"""Tokens of another system by its key set: which keys count, what they may say, how keys change."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from liveserver.identity import Identity
from liveserver.issuer import (
    FETCH_EVERY_SECONDS,
    KIDS_MAX,
    MISSING_SECONDS,
    Issuer,
    KeyPending,
    parse,
)
from liveserver.issuer_source import BYTES_MAX, source_of
from liveserver.tokens import TokenExpired, TokenInvalid, Tokens, TokenUndecided
from tests.web.background import running

SECRET = "a secret that only these tests know, 32 bytes"
NOW = 1_800_000_000
RSA_KEY = rsa.generate_private_key(65537, 2048)
RSA_OTHER = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
GOOD = {"iss": "https://login.example", "aud": "shop", "sub": "42"}
FAR = {"exp": NOW + 60}


def jwk(key: Any, **fields: Any) -> dict[str, Any]:
    maker = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(maker.to_jwk(key.public_key())), **fields}


def signed(key: Any, claims: dict[str, Any], **header: Any) -> str:
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    return jwt.encode(claims, key, algorithm, headers=header)


class World:
    """A key set that tests change, a clock that they turn, and the tokens of a server."""

    def __init__(self, *keys: dict[str, Any], roles: tuple[str, ...] = ()) -> None:
        self.body: bytes | Exception = b""
        self.publish(*keys)
        self.clock = 1_000.0
        self.issuer = Issuer(
            self.read,
            issuer="https://login.example",
            audience="shop",
            roles=roles,
            monotonic=lambda: self.clock,
        )
        self.tokens = Tokens(SECRET, now=lambda: NOW * 1000, issuer=self.issuer)

    def publish(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()

    async def read(self) -> bytes:
        if isinstance(self.body, Exception):
            raise self.body
        return self.body


async def world(*keys: dict[str, Any], roles: tuple[str, ...] = ()) -> World:
    made = World(*(keys or (jwk(RSA_KEY, kid="r"), jwk(EC_KEY, kid="e"))), roles=roles)
    assert await made.issuer.fetch()
    return made


async def test_both_algorithms_and_our_own_tokens_hold_side_by_side() -> None:
    """RS256 and ES256 by `kid` or without, HS256 by our secret with a strange `kid` or without."""
    here = await world()
    for key, kid in ((RSA_KEY, "r"), (EC_KEY, "e")):
        claims = {**GOOD, "info": {"name": "Mia"}, **FAR}
        for header in ({"kid": kid}, {}):
            found = here.tokens.verify(signed(key, claims, **header))
            assert found == Identity(user="42", name="Mia", expires_at=NOW + 60)
    own = here.tokens.issue(Identity(user="ann", role="admin"), 60)
    assert here.tokens.verify(own).role == "admin"
    strange = jwt.encode({"sub": "a"}, SECRET, "HS256", headers={"kid": "ours"})
    assert here.tokens.verify(strange).user == "a"


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example"}, {"iss": None}, {"aud": "other"}, {"aud": ["a", "b"]},
        {"aud": None}, {"sub": ""}, {"sub": None}, {"nbf": NOW + 9}, {"exp": "soon"},
        {"channel": "news:a"},
    ],
)  # fmt: skip
async def test_issuer_and_audience_must_match(change: dict[str, Any]) -> None:
    """A token for another service, or by another issuer with the same keys, is nothing here."""
    here = await world()
    claims = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(TokenInvalid):
        here.tokens.verify(by_hand(claims))
    with pytest.raises(TokenInvalid):
        here.tokens.verify_subscription(by_hand({**claims, "channel": 1}))


def by_hand(claims: dict[str, Any]) -> str:
    """Signed whatever the claims are: the library refuses to write some of them."""
    return jwt.PyJWS().encode(json.dumps(claims).encode(), RSA_KEY, "RS256", {"kid": "r"})


async def test_a_list_of_audiences_may_hold_ours() -> None:
    """As RFC 7519 has it; and an expired token says so."""
    here = await world()
    token = signed(RSA_KEY, {**GOOD, "aud": ["other", "shop"]}, kid="r")
    assert here.tokens.verify(token).expires_at is None
    with pytest.raises(TokenExpired):
        here.tokens.verify(signed(RSA_KEY, {**GOOD, "exp": NOW - 1}, kid="r"))


async def test_the_key_decides_the_algorithm_and_never_the_header() -> None:
    """The old tricks: `none`, the public key as HMAC secret, one key's name on another's work."""
    here = await world()
    public = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    confused = jwt.PyJWS()
    algorithm = confused.get_algorithm_by_name("HS256")
    head = confused.encode(json.dumps(GOOD).encode(), "x" * 32, "HS256", {"kid": "r"})
    signing_input = head.rpartition(".")[0].encode()
    forged = algorithm.sign(signing_input, public)
    mac = jwt.utils.base64url_encode(forged).decode()
    for token in (
        f"{signing_input.decode()}.{mac}",
        jwt.encode(GOOD, None, "none", headers={"kid": "r"}),  # type: ignore[arg-type]
        signed(EC_KEY, GOOD, kid="r"),
        signed(RSA_KEY, GOOD, kid="e"),
        signed(RSA_OTHER, GOOD, kid="r"),
        signed(RSA_OTHER, GOOD),
        jwt.encode(GOOD, RSA_KEY, "RS512", headers={"kid": "r"}),
        jwt.encode(GOOD, SECRET, "HS256", headers={"kid": "r"}),  # the kid names an RSA key
        jwt.encode(GOOD, "another secret of at least 32 bytes!", "HS256", headers={"kid": "new"}),
    ):
        with pytest.raises(TokenInvalid):
            here.tokens.verify(token)
    assert here.issuer.fetches == 1  # none of these is worth a look at the key set


async def test_roles_above_viewer_only_as_far_as_allowed() -> None:
    """Whatever the issuer's `role` says; what is not allowed is a plain viewer, rooms and all."""
    claims = {**GOOD, "rooms": ["a"], "merchant": "m", "rev": 7}
    here = await world(roles=("streamer",))
    for role in ("admin", "merchant", "moderator", "god", "", 7, None, ["admin"]):
        found = here.tokens.verify(signed(RSA_KEY, {**claims, "role": role}, kid="r"))
        assert found == Identity(user="42"), role
    found = here.tokens.verify(signed(RSA_KEY, {**claims, "role": "streamer"}, kid="r"))
    assert (found.role, found.rooms, found.revision) == ("streamer", ("a",), None)


async def test_a_subscription_token_by_the_issuer() -> None:
    """The same keys, issuer and audience."""
    here = await world()
    token = signed(EC_KEY, {**GOOD, "channel": "news:a"}, kid="e")
    assert here.tokens.verify_subscription(token).channel == "news:a"


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "o", "alg": "HS256"},
        {**jwk(RSA_KEY), "alg": "RS512"}, {**jwk(RSA_KEY), "use": "enc"},
        {**jwk(RSA_KEY), "key_ops": ["encrypt"]}, {**jwk(RSA_KEY), "n": "!"},
        jwk(rsa.generate_private_key(65537, 1024)), jwk(ec.generate_private_key(ec.SECP384R1())),
        {**jwk(RSA_KEY), "d": "AQAB"}, {**jwk(RSA_KEY), "kid": 7}, {"kty": ["RSA"]}, "key", {},
    ],
)  # fmt: skip
def test_other_keys_are_left_out(entry: Any) -> None:
    """Short, broken, private, symmetric, or meant for something else."""
    assert [key.kid for key in parse(json.dumps({"keys": [entry, jwk(EC_KEY)]}).encode()).keys] == [
        ""
    ]
    with pytest.raises(ValueError, match="no key"):
        parse(json.dumps({"keys": [entry]}).encode())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"keys":{}}', b"<html>", b"\xff", b"[" * 9999]
)
def test_what_is_no_key_set_is_told(body: bytes) -> None:
    """An error page must not empty the keys."""
    with pytest.raises(ValueError, match="list `keys`"):
        parse(body)


async def test_a_new_key_is_looked_for_once_and_then_decided() -> None:
    """Undecided until a fetch has looked; then good, or invalid without another fetch."""
    here = await world(jwk(RSA_KEY, kid="r"))
    new, none = signed(RSA_OTHER, GOOD, kid="n"), signed(EC_KEY, GOOD, kid="nowhere")
    for token in (new, none):
        with pytest.raises(TokenUndecided):
            here.tokens.verify(token)
    here.publish(jwk(RSA_KEY, kid="r"), jwk(RSA_OTHER, kid="n"))
    await here.issuer.fetch()
    assert here.tokens.verify(new).user == "42"
    with pytest.raises(TokenInvalid):
        here.tokens.verify(none)
    here.clock += MISSING_SECONDS  # it may have come since
    with pytest.raises(TokenUndecided):
        here.tokens.verify(none)


async def test_a_fetch_that_fails_decides_nothing_and_loses_nothing() -> None:
    """The known keys stay, unknown ones stay undecided."""
    here = await world()
    with pytest.raises(TokenUndecided):
        here.tokens.verify(signed(RSA_OTHER, GOOD, kid="n"))
    for failure in (OSError("away"), b"<html>", ValueError("no")):
        here.body = failure
        assert not await here.issuer.fetch()
        assert here.tokens.verify(signed(RSA_KEY, GOOD, kid="r")).user == "42"
        with pytest.raises(TokenUndecided):
            here.tokens.verify(signed(RSA_OTHER, GOOD, kid="n"))


async def test_a_withdrawn_key_ends_with_the_next_fetch() -> None:
    """That is what the regular fetch is for."""
    here = await world()
    here.publish(jwk(EC_KEY, kid="e"))
    await here.issuer.fetch()
    await_decision = signed(RSA_KEY, GOOD, kid="r")
    with pytest.raises(TokenUndecided):
        here.tokens.verify(await_decision)
    await here.issuer.fetch()
    with pytest.raises(TokenInvalid):
        here.tokens.verify(await_decision)


async def test_a_flood_of_unknown_keys_costs_one_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many names strangers make up, fetches keep their distance and memory its bound."""
    here, gate, nap = await world(), asyncio.Event(), asyncio.sleep
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await gate.wait()

    async def until_fetched(times: int) -> None:
        async with asyncio.timeout(10):
            while here.issuer.fetches < times or not pauses:
                await nap(0.001)

    def flood(name: str) -> None:
        for number in range(2 * KIDS_MAX):
            with pytest.raises(KeyPending):
                here.issuer.open("", {"alg": "ES256", "kid": f"{name}{number}"})

    monkeypatch.setattr("liveserver.issuer.asyncio.sleep", pause)
    async with running(here.issuer.run()):
        await until_fetched(2)
        flood("a")
        for _ in range(10):
            await nap(0)
        assert (here.issuer.fetches, pauses) == (2, [FETCH_EVERY_SECONDS])
        gate.set()
        await until_fetched(3)
        flood("b")
        await until_fetched(4)
    assert len(here.issuer._missing) <= KIDS_MAX
    assert len(here.issuer._wanted) <= KIDS_MAX


async def test_the_key_set_from_a_file(tmp_path: Path) -> None:
    """Read anew each time; one that is too large is refused."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [jwk(EC_KEY)]}))
    assert parse(await source_of(str(file))()).keys
    file.write_bytes(b" " * (BYTES_MAX + 1))
    with pytest.raises(ValueError, match="more than"):
        await source_of(str(file))()
    with pytest.raises(OSError, match="nowhere"):
        await source_of(str(tmp_path / "nowhere"))()


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """A web server with a key set, a redirect to it, an error, and something too large."""

    async def keys(request: web.Request) -> web.Response:
        return web.json_response({"keys": [jwk(EC_KEY)]})

    async def moved(request: web.Request) -> web.Response:
        raise web.HTTPFound("/keys")

    async def large(request: web.Request) -> web.Response:
        return web.Response(body=b" " * (BYTES_MAX + 1))

    app = web.Application()
    app.add_routes([web.get("/keys", keys), web.get("/moved", moved), web.get("/large", large)])
    runner = web.AppRunner(app)
    await runner.setup()
    listening = web.TCPSite(runner, "127.0.0.1", 0)
    await listening.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_the_key_set_from_a_url(site: str) -> None:
    """One plain GET; a redirect, an error and a flood are failures."""
    assert parse(await source_of(f"{site}/keys")()).keys
    for path, failure in (("/moved", OSError), ("/gone", OSError), ("/large", ValueError)):
        with pytest.raises(failure):
            await source_of(site + path)()
    with pytest.raises(OSError, match=r"127\.0\.0\.1:1"):
        await source_of("http://127.0.0.1:1/keys")()
