"""
Tokens: JWTs signed with HS256, made here at log-in or elsewhere by whoever holds `TOKEN_SECRET`.

The same token is the Bearer of HTTP, the `token` of the viewer socket's connect command, and the
value of the pages' session cookie. Claims: `sub`, `exp` (seconds; absent = never), `info {name,
badges}`, `role` (absent = viewer), `rooms`, `merchant`; of our own making also `guest` and `rev`.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import jwt
import msgspec
from jwt.algorithms import HMACAlgorithm

from liveserver.identity import Identity, Role

COOKIE = "liveserver_session"
GUEST_PREFIX = "guest_"

TOKEN_BYTES_MAX = 8_192  # a token travels in a header; longer ones are not ours
SUB_CHARS_MAX = 200  # the ledger keeps it as buyer.id
NAME_CHARS_MAX = 24  # contract: names 1-24
ROOMS_MAX = 1_000  # rooms of one streamer or moderator
ALGORITHM = "HS256"

Shape = TypeVar("Shape")
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e13)]  # since 1970; the bound keeps it an int


class TokenError(Exception):
    """Base of both. Never raised itself."""


class TokenExpired(TokenError):
    """It was good once: the client should ask for a new one."""


class TokenInvalid(TokenError):
    """Broken, signed by somebody else, withdrawn, or with claims that make no sense."""


class SubscriptionClaims(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of a subscription token: this user may subscribe to this channel."""

    channel: str
    sub: str = ""
    exp: Seconds | None = None
    info: msgspec.Raw = msgspec.Raw(b"")


class _Info(msgspec.Struct):
    name: str = ""
    badges: list[str] = []


class _Claims(msgspec.Struct):
    sub: str
    exp: Seconds | None = None
    nbf: Seconds | None = None
    info: msgspec.Raw = msgspec.Raw(b"{}")
    role: Role = "viewer"
    rooms: list[str] = []
    merchant: str | None = None
    guest: bool = False
    rev: int | None = None


class _AnySecret(HMACAlgorithm):
    """HMAC that does not complain on every call: the start warns once about short secrets."""

    def check_key_length(self, key: bytes) -> str | None:
        return None


def _signer() -> jwt.PyJWS:
    signer = jwt.PyJWS(algorithms=[ALGORITHM])
    signer.unregister_algorithm(ALGORITHM)
    signer.register_algorithm(ALGORITHM, _AnySecret(HMACAlgorithm.SHA256))
    return signer


class Tokens:
    """
    Makes and checks tokens. `now` is in milliseconds. `is_current(user, revision)` tells whether an
    account's token of that revision still stands (`People.is_current`); None: no accounts here.
    """

    def __init__(
        self,
        secret: str,
        *,
        now: Callable[[], int],
        is_current: Callable[[str, int], bool] | None = None,
    ) -> None:
        assert secret, "an empty secret would let everybody sign"
        self._secret = secret.encode()
        self._now = now
        self._is_current = is_current
        self._jws = _signer()

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
            TokenInvalid: Everything else.
        """
        claims = self._read(token, _Claims)
        self._check_time(claims.exp, claims.nbf)
        if not 1 <= len(claims.sub) <= SUB_CHARS_MAX or not claims.sub.isprintable():
            raise TokenInvalid("sub is empty, too long or not printable")
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
        claims = self._read(token, SubscriptionClaims)
        self._check_time(claims.exp, None)
        return claims

    def _read(self, token: str, shape: type[Shape]) -> Shape:
        if len(token) > TOKEN_BYTES_MAX:
            raise TokenInvalid("too long")
        try:
            payload = self._jws.decode(token, self._secret, algorithms=[ALGORITHM])
            return msgspec.json.decode(payload, type=shape)
        except (jwt.InvalidTokenError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise TokenInvalid(str(error)) from None

    def _check_time(self, expires: float | None, not_before: float | None) -> None:
        seconds = self._now() / 1000
        if expires is not None and expires <= seconds:
            raise TokenExpired("the token has expired")
        if not_before is not None and not_before > seconds:
            raise TokenInvalid("the token is not valid yet")


def _identity(claims: _Claims) -> Identity:
    try:
        info = msgspec.json.decode(claims.info, type=_Info)
    except (msgspec.MsgspecError, RecursionError):
        info = _Info()  # `info` is free for other systems' tokens: no name then
    return Identity(
        user=claims.sub,
        name=info.name[:NAME_CHARS_MAX],
        role=claims.role,
        guest=claims.guest,
        rooms=tuple(claims.rooms),
        merchant=claims.merchant,
        badges=tuple(info.badges),
        expires_at=None if claims.exp is None else int(claims.exp),
        revision=claims.rev,
    )
