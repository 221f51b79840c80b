"""
Tokens: JWTs signed with HS256, made here at log-in or elsewhere by whoever holds `TOKEN_SECRET`;
and, where `TOKEN_JWKS` is set, those of another issuer by its own keys (`issuer.py`).

The same token is the Bearer of HTTP, the `token` of the viewer socket's connect command, and the
value of the pages' session cookie. Claims: `sub`, `exp` (seconds; absent = never), `nbf`, `info
{name, badges}`, `role` (absent = viewer), `rooms`, `merchant`; of our own making also `guest` and
`rev`. A token with `channel` is a subscription token, which opens that channel and nothing else.
Other claims are ignored.
"""

import base64
import hmac
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import jwt
import msgspec
from jwt.algorithms import HMACAlgorithm

from liveserver.identity import Identity, Role
from liveserver.issuer import Issuer, KeyPending, KeyWrong
from rooms import names
from rooms.errors import Invalid

COOKIE = "liveserver_session"
GUEST_PREFIX = "guest_"

TOKEN_BYTES_MAX = 8_192  # a token travels in a header; longer ones are not ours
SUB_CHARS_MAX = 200  # the ledger keeps it as buyer.id
NAME_CHARS_MAX = 24  # contract: names 1-24
NAMES_KEPT = 10_000  # whose check is remembered; it takes some twenty microseconds
ROOMS_MAX = 1_000  # rooms of one streamer or moderator
ALGORITHM = "HS256"
HEADERS_KEPT = 100  # each issuer's library writes one, or a few

Shape = TypeVar("Shape")
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e13)]  # since 1970; the bound keeps it an int


class TokenError(Exception):
    """Base of all. Never raised itself."""


class TokenExpired(TokenError):
    """It was good once: the client should ask for a new one."""


class TokenInvalid(TokenError):
    """Broken, signed by somebody else, withdrawn, or with claims that make no sense."""


class TokenOfNobody(TokenInvalid):
    """Good but for `sub`: it names no user. Only where tokens are optional it stands for nobody."""


class TokenUndecided(TokenError):
    """Signed with a key that is being looked for: the same token may be good in a moment."""


class SubscriptionClaims(msgspec.Struct, frozen=True, kw_only=True):
    """
    The claims of a subscription token: this user may subscribe to this channel, where `client` is
    not empty only from that connection.
    """

    channel: str
    sub: str = ""
    client: str = ""
    exp: Seconds | None = None
    nbf: Seconds | None = None
    info: msgspec.Raw = msgspec.Raw(b"")


class _Info(msgspec.Struct):
    name: str = ""
    badges: list[str] = []


class _ViewerClaims(msgspec.Struct):
    sub: str = ""
    channel: str | None = None
    exp: Seconds | None = None
    nbf: Seconds | None = None
    info: msgspec.Raw = msgspec.Raw(b"{}")
    guest: bool = False


class _Claims(_ViewerClaims):
    role: Role = "viewer"
    rooms: list[str] = []
    merchant: str | None = None
    rev: int | None = None


class _Foreign(msgspec.Struct):
    """What another issuer's token must say besides, and what it may not simply say."""

    iss: str
    aud: str | list[str]
    role: Any = None


class _AnySecret(HMACAlgorithm):
    """HMAC that does not complain on every call: the start warns once about short secrets."""

    def check_key_length(self, key: bytes) -> str | None:
        return None


def _unpadded(digest: bytes) -> bytes:
    """Base64 as JWTs have it (RFC 7515, appendix C)."""
    return base64.urlsafe_b64encode(digest).rstrip(b"=")


def _signer() -> jwt.PyJWS:
    signer = jwt.PyJWS(algorithms=[ALGORITHM])
    signer.unregister_algorithm(ALGORITHM)
    signer.register_algorithm(ALGORITHM, _AnySecret(HMACAlgorithm.SHA256))
    return signer


class Tokens:
    """
    Makes and checks tokens. `now` is in milliseconds. `is_current(user, revision)` tells whether an
    account's token of that revision still stands (`People.is_current`); None: no accounts here.
    `issuer`: another system whose tokens are taken too.
    """

    def __init__(
        self,
        secret: str,
        *,
        now: Callable[[], int],
        is_current: Callable[[str, int], bool] | None = None,
        issuer: Issuer | None = None,
    ) -> None:
        assert secret, "an empty secret would let everybody sign"
        self._secret = secret.encode()
        self._now = now
        self._is_current = is_current
        self._issuer = issuer
        self._jws = _signer()
        self._headers: set[bytes] = set()  # that the library accepted, as they are in tokens

    def issue(self, identity: Identity, ttl_seconds: int | None) -> str:
        """A token for `identity`; `ttl_seconds` None = it never expires."""
        claims: dict[str, Any] = {"sub": identity.user, "role": identity.role}
        info: dict[str, Any] = {"name": identity.name}
        if identity.badges:
            info["badges"] = list(identity.badges)
        claims["info"] = info
        if ttl_seconds is not None:
            claims["exp"] = self._now() // 1000 + ttl_seconds
        if identity.rooms:
            claims["rooms"] = list(identity.rooms)
        if identity.merchant is not None:
            claims["merchant"] = identity.merchant
        if identity.guest:
            claims["guest"] = True
        if identity.revision is not None:
            claims["rev"] = identity.revision
        return self._jws.encode(msgspec.json.encode(claims), self._secret, ALGORITHM)

    def verify(self, token: str) -> Identity:
        """
        Who holds this token.

        Raises:
            TokenExpired: Its time is over.
            TokenUndecided: It names a key that is being looked for.
            TokenInvalid: Everything else; TokenOfNobody is one of these.
        """
        payload, foreign = self._open(token)
        claims = self._foreign(payload) if foreign else _shaped(payload, _Claims)
        if claims.channel:
            raise TokenInvalid("a subscription token opens its channel alone")
        self._check_time(claims.exp, claims.nbf)
        if not claims.sub:
            raise TokenOfNobody("there is no sub")
        if len(claims.sub) > SUB_CHARS_MAX or not claims.sub.isprintable():
            raise TokenInvalid("sub is too long or not printable")
        if len(claims.rooms) > ROOMS_MAX:
            raise TokenInvalid(f"more than {ROOMS_MAX} rooms")
        identity = _identity(claims)
        if not self.still_current(identity):
            raise TokenInvalid("the account changed since")
        return identity

    def still_current(self, identity: Identity) -> bool:
        """False once the account behind a verified token was disabled or changed."""
        if identity.revision is None or self._is_current is None:
            return True
        return self._is_current(identity.user, identity.revision)

    def verify_subscription(self, token: str) -> SubscriptionClaims:
        """The claims of a subscription token. Raises as `verify` does."""
        payload, foreign = self._open(token)
        if foreign:
            self._check_issuer(_shaped(payload, _Foreign))
        claims = _shaped(payload, SubscriptionClaims)
        if not claims.channel:
            raise TokenInvalid("there is no channel")
        self._check_time(claims.exp, claims.nbf)
        return claims

    def _open(self, token: str) -> tuple[bytes, bool]:
        """The payload of a token whose signature holds, and whether the other issuer made it."""
        if len(token) > TOKEN_BYTES_MAX:
            raise TokenInvalid("too long")
        try:
            if self._issuer is None:
                return self._own(token), False
            header = self._jws.get_unverified_header(token)
            if not self._issuer.knows(str(header.get("kid", ""))):
                try:
                    return self._own(token), False
                except jwt.InvalidTokenError:
                    pass  # then it is the issuer's, or nobody's
            return self._issuer.open(token, header), True
        except KeyPending as error:
            raise TokenUndecided(str(error)) from None
        except (jwt.InvalidTokenError, KeyWrong, ValueError, RecursionError) as error:
            raise TokenInvalid(str(error)) from None

    def _own(self, token: str) -> bytes:
        """
        The payload of a token signed with our secret.

        A crowd's tokens have the same header: once the library has accepted it, the signature alone
        is left to be checked. What does not hold is judged by the library, in its words.
        """
        signed, _, signature = token.encode().rpartition(b".")
        header, _, body = signed.partition(b".")
        if header in self._headers:
            digest = hmac.digest(self._secret, signed, "sha256")
            if hmac.compare_digest(_unpadded(digest), signature):
                return base64.urlsafe_b64decode(body + b"==")
        payload: bytes = self._jws.decode(token, self._secret, algorithms=[ALGORITHM])
        if len(self._headers) < HEADERS_KEPT:
            self._headers.add(header)
        return payload

    def _foreign(self, payload: bytes) -> _Claims:
        """The other issuer's claims: of its roles only allowed ones count, and no revision."""
        stated = _shaped(payload, _Foreign)
        self._check_issuer(stated)
        assert self._issuer is not None
        if isinstance(stated.role, str) and stated.role in self._issuer.roles:
            claims = _shaped(payload, _Claims)
        else:
            one = _shaped(payload, _ViewerClaims)
            claims = _Claims(
                sub=one.sub, channel=one.channel, exp=one.exp, nbf=one.nbf, info=one.info,
                guest=one.guest,
            )  # fmt: skip
        claims.rev = None  # of accounts here, which that issuer knows nothing about
        return claims

    def _check_issuer(self, stated: _Foreign) -> None:
        assert self._issuer is not None
        audiences = [stated.aud] if isinstance(stated.aud, str) else stated.aud
        if stated.iss != self._issuer.issuer or self._issuer.audience not in audiences:
            raise TokenInvalid("made by or for somebody else")

    def _check_time(self, expires: float | None, not_before: float | None) -> None:
        seconds = self._now() / 1000
        if expires is not None and expires <= seconds:
            raise TokenExpired("the token has expired")
        if not_before is not None and not_before > seconds:
            raise TokenInvalid("the token is not valid yet")


def _shaped(payload: bytes, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(payload, type=shape)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise TokenInvalid(str(error)) from None


@lru_cache(maxsize=NAMES_KEPT)
def _name(name: str, role: Role) -> str:
    """
    How others see the person. Another system's log-in lets people choose any name; a viewer's that
    could not be had here, because it looks like staff or turns the direction of writing, is none.
    """
    if role != "viewer" or not name:
        return name
    try:
        return names.accept(name)
    except Invalid:
        return ""


def _identity(claims: _Claims) -> Identity:
    try:
        info = msgspec.json.decode(claims.info, type=_Info)
    except (msgspec.MsgspecError, RecursionError):
        info = _Info()  # `info` is free for other systems' tokens: no name then
    return Identity(
        user=claims.sub,
        name=_name(info.name[:NAME_CHARS_MAX], claims.role),
        role=claims.role,
        guest=claims.guest,
        rooms=tuple(claims.rooms),
        merchant=claims.merchant,
        badges=tuple(info.badges),
        expires_at=None if claims.exp is None else int(claims.exp),
        revision=claims.rev,
    )
