"""
Tokens of another system, checked by its published keys (`TOKEN_JWKS`): RS256 and ES256.

The key decides the algorithm, never a token's header; `iss` and `aud` must be the configured ones;
a role above viewer counts only where the operator allowed that issuer to give it.

Keys change without notice. A token that names a key nobody has seen is neither good nor bad yet:
`KeyPending` asks the client to come back, and the key set is read anew, never more often than once
in `FETCH_EVERY_SECONDS`, however many such tokens come. A key that was looked for and is not there
makes its tokens invalid.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import msgspec

log = logging.getLogger(__name__)

FETCH_EVERY_SECONDS = 5.0  # between two fetches that unknown keys ask for
REFRESH_SECONDS = 300.0  # between two fetches that nobody asks for: withdrawn keys end by then
FETCH_SECONDS = 10.0  # for one fetch, file or URL
MISSING_SECONDS = 60.0  # a key that was not there is looked for again after that
KIDS_MAX = 1_000  # names of unknown keys remembered; strangers can send any number
KEYS_MAX = 32  # of one set; a token without `kid` is tried with each of its algorithm
KID_CHARS_MAX = 255
RSA_BITS_MIN = 2_048  # RFC 7518, 3.3

#: what a key may be, and the one algorithm that it then means
ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256"}

Source = Callable[[], Awaitable[bytes]]  # the key set as JSON; raises OSError or ValueError


class KeyPending(Exception):
    """The token names a key that is being looked for."""


class KeyWrong(Exception):
    """No key of the issuer made this token."""


class Key(msgspec.Struct, frozen=True):
    """One public key and its algorithm."""

    kid: str
    algorithm: str
    public: Any  # cryptography's key object


class KeySet:
    """The usable keys of one JWK set (RFC 7517)."""

    def __init__(self, keys: list[Key]) -> None:
        self.keys = keys
        self.by_kid = {key.kid: key for key in keys if key.kid}


def parse(body: bytes) -> KeySet:
    """
    Read a key set. Keys for anything else than RS256 and ES256 signatures are left out.

    Raises ValueError for what is no key set, or one without a usable key.
    """
    try:
        document = msgspec.json.decode(body)
        entries = document["keys"]
        assert isinstance(entries, list)
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError, AssertionError, RecursionError):
        raise ValueError("it is no JSON object with a list `keys`") from None
    found = [key for entry in entries[:KEYS_MAX] if (key := _key(entry)) is not None]
    if not found:
        raise ValueError("it holds no key for RS256 or ES256 signatures")
    return KeySet(found)


def _key(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or "d" in entry:  # a private key has no business there
        return None
    kid, curve = entry.get("kid", ""), entry.get("crv")
    algorithm = ALGORITHMS.get((str(entry.get("kty")), None if curve is None else str(curve)))
    operations = entry.get("key_ops", ["verify"])
    if (
        algorithm is None
        or entry.get("alg", algorithm) != algorithm
        or entry.get("use", "sig") != "sig"
        or not (isinstance(operations, list) and "verify" in operations)
        or not isinstance(kid, str)
        or len(kid) > KID_CHARS_MAX
    ):
        return None
    try:
        public = jwt.PyJWK(entry, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        log.warning("key set: the key %r cannot be read and is left out", kid)
        return None
    if algorithm == "RS256" and public.key_size < RSA_BITS_MIN:
        log.warning("key set: the key %r is shorter than %d bits: left out", kid, RSA_BITS_MIN)
        return None
    return Key(kid, algorithm, public)


class Issuer:
    """
    One other system whose tokens are taken. `run` keeps its keys fresh; `open` never waits.

    `monotonic` is in seconds.
    """

    def __init__(
        self,
        source: Source,
        *,
        issuer: str,
        audience: str,
        roles: tuple[str, ...] = (),
        monotonic: Callable[[], float],
    ) -> None:
        assert issuer and audience, "without them tokens for anybody else would be taken"
        self.issuer = issuer
        self.audience = audience
        self.roles = frozenset(roles)
        self.fetches = 0
        self._source = source
        self._monotonic = monotonic
        self._set = KeySet([])
        self._wanted: dict[str, None] = {}  # kids to be looked for by the next fetch
        self._missing: OrderedDict[str, float] = OrderedDict()  # kid -> when it was not there
        self._wake = asyncio.Event()
        self._jws = jwt.PyJWS(algorithms=sorted(ALGORITHMS.values()))

    def knows(self, kid: str) -> bool:
        """Whether this is the name of one of the issuer's keys."""
        return kid in self._set.by_kid

    def open(self, token: str, header: dict[str, Any]) -> bytes:
        """
        The payload of a token whose signature holds.

        Raises:
            KeyPending: The key is not known yet.
            KeyWrong: Everything else.
        """
        kid = header.get("kid")
        if not isinstance(kid, str) or not kid:
            return self._try(token, self._set.keys)
        if kid in self._set.by_kid:
            return self._try(token, [self._set.by_kid[kid]])
        if header.get("alg") in ALGORITHMS.values() and len(kid) <= KID_CHARS_MAX:
            self._look_for(kid)
        raise KeyWrong("signed with an unknown key")

    def _try(self, token: str, keys: list[Key]) -> bytes:
        for key in keys:
            try:
                payload: bytes = self._jws.decode(token, key.public, algorithms=[key.algorithm])
                return payload
            except (jwt.PyJWTError, ValueError, TypeError):
                continue
        raise KeyWrong("not signed by a key of the issuer")

    def _look_for(self, kid: str) -> None:
        """Ask for a fetch, unless one has just shown that there is no such key."""
        since = self._missing.get(kid)
        if since is not None and self._monotonic() - since < MISSING_SECONDS:
            return
        if len(self._wanted) < KIDS_MAX:
            self._wanted[kid] = None
        self._wake.set()
        raise KeyPending("signed with a key that is being looked for")

    # --- the keys ----------------------------------------------------------------------------

    async def fetch(self) -> bool:
        """Read the key set once. A failure is logged, and what was known stays."""
        looked_for = list(self._wanted)
        self.fetches += 1
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._set = parse(await self._source())
        except (OSError, ValueError, TimeoutError) as problem:
            log.error("the key set of %s: %s", self.issuer, problem or type(problem).__name__)
            return False
        now = self._monotonic()
        for kid in looked_for:
            self._wanted.pop(kid, None)
            self._missing.pop(kid, None)
            if not self.knows(kid):
                self._missing[kid] = now
        while len(self._missing) > KIDS_MAX:
            self._missing.popitem(last=False)
        return True

    async def run(self) -> None:
        """Keep the keys fresh, forever."""
        while True:
            self._wake.clear()
            good = await self.fetch()
            await asyncio.sleep(FETCH_EVERY_SECONDS)
            if good:
                await self._until_wanted()

    async def _until_wanted(self) -> None:
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass  # time to look whether keys were withdrawn
