"""Tokens: what is signed here, what is signed elsewhere with the same secret, what is not."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from liveserver.identity import Identity
from liveserver.tokens import TokenExpired, TokenInvalid, Tokens

NOW_MS = 1_800_000_000_000


def tokens(secret: str = "secret", **options: Any) -> Tokens:
    return Tokens(secret, now=lambda: NOW_MS, **options)


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(claims: Any, secret: str = "secret", header: dict[str, str] | None = None) -> str:
    """A JWT made without any library."""
    head = encode(json.dumps(header or {"alg": "HS256", "typ": "JWT"}).encode())
    body = encode(json.dumps(claims).encode())
    mac = hmac.digest(secret.encode(), f"{head}.{body}".encode(), hashlib.sha256)
    return f"{head}.{body}.{encode(mac)}"


def test_what_is_issued_is_what_is_verified() -> None:
    """Every field of a person survives the way through a token, with a short secret too."""
    person = Identity(
        user="ann",
        name="Ann",
        role="streamer",
        rooms=("a", "b"),
        merchant="tea",
        badges=("host",),
        expires_at=NOW_MS // 1000 + 60,
        revision=3,
    )
    assert tokens("x").verify(tokens("x").issue(person, 60)) == person


def test_a_token_of_another_system_needs_only_sub() -> None:
    """No expiry, no role: a viewer for good."""
    person = tokens().verify(by_hand({"sub": "42", "info": {"name": "Mia", "vip": True}}))
    assert person == Identity(user="42", name="Mia")
    assert tokens().verify(by_hand({"sub": "42", "info": "anything"})).name == ""


@pytest.mark.parametrize(
    "claims",
    [
        {}, {"sub": ""}, {"sub": 42}, {"sub": "x" * 201}, {"sub": "a\nb"},
        {"sub": "a", "role": "god"},
        {"sub": "a", "rooms": "a"}, {"sub": "a", "exp": "soon"}, {"sub": "a", "exp": 1e300},
        {"sub": "a", "nbf": NOW_MS // 1000 + 10}, [], "text", None,
        {"sub": "a", "channel": "news:a"}, {"sub": "a", "channel": 1},
    ],
)  # fmt: skip
def test_claims_that_make_no_sense_are_invalid(claims: Any) -> None:
    """Never half believed."""
    with pytest.raises(TokenInvalid):
        tokens().verify(by_hand(claims))


def test_an_expired_token_says_so() -> None:
    """Clients ask for a new one then."""
    with pytest.raises(TokenExpired):
        tokens().verify(by_hand({"sub": "a", "exp": NOW_MS // 1000}))


def test_the_algorithm_is_ours_to_choose() -> None:
    """`none`, other algorithms and other secrets are not taken."""
    unsigned = ".".join([encode(b'{"alg":"none"}'), encode(b'{"sub":"a"}'), ""])
    for token in (
        unsigned,
        by_hand({"sub": "a"}, "other"),
        by_hand({"sub": "a"}, header={"alg": "HS512"}),
        "a.b.c",
        "",
        "x" * 10_000,
        "ä.ö.ü",
    ):
        with pytest.raises(TokenInvalid):
            tokens().verify(token)


def test_a_changed_account_ends_older_tokens_only() -> None:
    """A token made after the change is good even where the change is not known yet."""
    current = {"ann": 2}
    checking = tokens(is_current=lambda user, revision: revision >= current.get(user, 0))
    with pytest.raises(TokenInvalid):
        checking.verify(checking.issue(Identity(user="ann", revision=1), 60))
    for revision in (2, 3, None):
        token = checking.issue(Identity(user="ann", revision=revision), 60)
        assert checking.verify(token).revision == revision


def test_a_subscription_token_names_its_channel() -> None:
    """And its user, expiry and info."""
    claims = {"sub": "42", "channel": "news:a", "exp": NOW_MS // 1000 + 5, "info": {"a": 1}}
    found = tokens().verify_subscription(by_hand(claims))
    assert (found.sub, found.channel) == ("42", "news:a")
    assert json.loads(bytes(found.info)) == {"a": 1}
    assert tokens().verify_subscription(by_hand({**claims, "nbf": NOW_MS // 1000})).client == ""
    for wrong in (
        {"sub": "42"},
        {"sub": "42", "channel": ""},
        {**claims, "nbf": NOW_MS // 1000 + 3},
        {**claims, "client": 5},
    ):
        with pytest.raises(TokenInvalid):
            tokens().verify_subscription(by_hand(wrong))


def test_claims_that_mean_nothing_here_are_ignored() -> None:
    """Whatever other systems put into their tokens; a null is as good as none."""
    extra = {"iat": "x", "jti": 1, "aud": "x", "channels": ["a"], "meta": {}, "channel": None}
    assert tokens().verify(by_hand({"sub": "42", **extra})).user == "42"


@pytest.mark.parametrize("name", ["官方客服", "Аdmin", "mod", "\u202eeboD", "liveserver"])
def test_a_viewer_of_another_login_cannot_look_like_staff(name: str) -> None:
    """Such a name is not shown at all; staff may be called what they are."""
    signer = tokens()
    for role, shown in (("viewer", ""), ("moderator", name)):
        token = signer.issue(Identity(user="u", name=name, role=role), None)  # type: ignore[arg-type]
        assert signer.verify(token).name == shown
    assert signer.verify(signer.issue(Identity(user="u", name="Ｍｅｉ"), None)).name == "Mei"


def test_a_known_header_opens_nothing_without_the_signature() -> None:
    """After good tokens with the same header, changed, cut and foreign ones are still refused."""
    own = tokens()
    good = by_hand({"sub": "ann"})
    for _ in range(2):
        assert own.verify(good).user == "ann"
    head, _, signature = good.split(".")
    other = encode(json.dumps({"sub": "ann", "role": "admin"}).encode())
    for bad in (
        f"{head}.{other}.{signature}",
        f"{head}.{other}.",
        good[:-2],
        f"{head}.{signature}",
        by_hand({"sub": "ann"}, "another secret"),
        by_hand({"sub": "ann"}, header={"alg": "none"}),
        by_hand({"sub": "ann"}, header={"alg": "HS256", "crit": "b64"}),
        "." + good,
        good + "ü",
    ):
        with pytest.raises(TokenInvalid):
            own.verify(bad)
    assert own.verify(good).user == "ann"
