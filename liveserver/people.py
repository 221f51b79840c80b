"""
People: accounts with passwords, guests with a name, the first administrator, the shop's settings.

Passwords are argon2id hashes, computed in two threads beside the loop. Failed log-ins are counted
per account in SQL, before the password is looked at, so that parallel guesses count too. An
account carries a revision that its tokens repeat; every change raises it. Workers learn of changes
by polling: an old token ends at once in the worker that did it, elsewhere within `POLL_SECONDS`.
"""

import asyncio
import hashlib
import logging
import re
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Protocol, get_args

import argon2
import msgspec

from liveserver.identity import Identity, Role
from liveserver.problems import Refused
from liveserver.tokens import GUEST_PREFIX
from rooms import names, text

log = logging.getLogger(__name__)

Language = Literal["auto", "zh-CN", "en"]

ACCOUNT_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
MERCHANT_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
ROOM_ID = re.compile(r"[a-z0-9-]{1,40}")
PASSWORD_CHARS_MAX = 256  # a longer one costs hashing time and adds nothing
ROOMS_OF_ACCOUNT_MAX = 100  # they travel in every token
FAILURES_MAX = 8  # log-ins without success per account and window; then 429
FAILURE_WINDOW_MS = 10 * 60_000
POLL_SECONDS = 2.0  # how long a withdrawn token may live on in another worker
POLL_OVERLAP_MS = 60_000  # clocks of machines that share a database may differ by this much
HASHING_THREADS = 2
HASHES_WAITING_MAX = 64  # about 1 s of work; beyond that a log-in is told to come back
STAFF_TTL_SECONDS = 12 * 3600
GUEST_TTL_SECONDS = 30 * 24 * 3600


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One account as stored, without its password. `created_at` is in milliseconds."""

    name: str
    display_name: str
    role: Role
    rooms: tuple[str, ...] = ()
    merchant: str | None = None
    disabled: bool = False
    revision: int = 1
    created_at: int = 0

    def identity(self) -> Identity:
        return Identity(
            user=self.name,
            name=self.display_name,
            role=self.role,
            rooms=self.rooms,
            merchant=self.merchant,
            revision=self.revision,
        )


class ShopSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the administrator says about the shop. `public_url` without a slash at its end."""

    shop_name: str = "liveserver"
    language: Language = "auto"
    public_url: str = ""


class PeopleStore(Protocol):
    """The port; `people_sql.py` is the adapter. All times are milliseconds."""

    async def account(self, name: str) -> tuple[Account, str] | None:
        """The account and its password hash."""

    async def accounts(self, after: str, limit: int) -> list[Account]:
        """Accounts in order of name, behind `after`."""

    async def insert(self, account: Account, password_hash: str) -> bool:
        """False if the name is taken."""

    async def change(
        self, name: str, changes: dict[str, object], now: int
    ) -> Account | None:  # None: no such account
        """Change columns of an account and raise its revision, in one transaction."""

    async def changed_since(self, at: int) -> list[Account]:
        """Accounts that were made or changed at or after `at`."""

    async def has_admin(self) -> bool: ...

    async def count_attempt(self, key: str, now: int, window_ms: int) -> tuple[int, int]:
        """Count a log-in attempt; (attempts in this window, start of the window)."""

    async def clear_attempts(self, key: str) -> None: ...

    async def settings(self) -> ShopSettings: ...

    async def save_settings(self, changes: dict[str, str]) -> None: ...

    async def offer_setup(self, token_hash: str) -> None:
        """Keep the hash of the one-time set-up token; replaces an earlier one."""

    async def complete_setup(
        self, token_hash: str, account: Account, password_hash: str, settings: dict[str, str]
    ) -> bool:
        """Use up the token, make the account, keep the settings: all or (False) nothing."""


class People:
    """
    The use cases. `start()` reads what `is_current`, `settings` and guests' names need; `run()`
    keeps it fresh. The command line needs neither.
    """

    def __init__(self, store: PeopleStore, *, now: Callable[[], int]) -> None:
        self._store = store
        self._now = now
        # OWASP's smallest argon2id setting: 19 MiB, 2 passes, about 20 ms
        self._hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._threads = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="argon2")
        self._hashing = 0
        self._nobody = ""  # the hash that unknown names are checked against
        self._revisions: dict[str, int] = {}
        self._staff: dict[str, str] = {}  # account -> the name it shows
        self._seen_ms = 0
        self.settings = ShopSettings()
        self.has_admin = False  # as far as this process knows

    async def start(self) -> None:
        """Read settings and the accounts whose tokens or names matter."""
        await self._hash_of_nobody()  # made at the first log-in, it would give that one away
        await self.refresh()

    async def run(self) -> None:
        """Keep up with what other workers change. A failed reading is repeated, and logged."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.refresh()
            except Exception as error:
                log.warning("accounts could not be read, trying again: %s", error)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def refresh(self) -> None:
        """Read settings and recently changed accounts once."""
        started = self._now()
        self.settings = await self._store.settings()
        self.has_admin = self.has_admin or await self._store.has_admin()
        for account in await self._store.changed_since(self._seen_ms):
            self._note(account)
        self._seen_ms = started - POLL_OVERLAP_MS

    def is_current(self, user: str, revision: int) -> bool:
        """Whether a token with this account revision still stands."""
        return revision >= self._revisions.get(user, 0)

    # accounts

    async def add(
        self,
        name: str,
        password: str,
        role: Role,
        rooms: tuple[str, ...] = (),
        merchant: str | None = None,
        display_name: str | None = None,
    ) -> Account:
        """
        Make an account. A merchant without a shop name gets one of its own name.

        Raises:
            Refused: `validation`, or `invalid-state` if the name is taken.
        """
        account = self._checked(
            Account(
                name=name,
                display_name=display_name or name[:24],
                role=role,
                rooms=tuple(dict.fromkeys(rooms)),
                merchant=(merchant or name) if role == "merchant" else merchant,
                created_at=self._now(),
            )
        )
        hashed = await self._hash(password)
        if not await self._store.insert(account, hashed):
            raise Refused("invalid-state", f"There is an account {name} already.")
        self._note(account)
        return account

    async def ensure(
        self,
        name: str,
        password: str,
        role: Role,
        rooms: tuple[str, ...] = (),
        merchant: str | None = None,
    ) -> Account:
        """Make the account, or bring an existing one to this; what is so already stays."""
        found = await self._store.account(name)
        if found is None:
            return await self.add(name, password, role, rooms, merchant)
        account, hashed = found
        same = (account.role, account.rooms, account.merchant) == (role, rooms, merchant)
        if same and not account.disabled and await self._verify(hashed, password):
            return account
        return await self.edit(
            name, password=password, disabled=False, role=role, rooms=rooms, merchant=merchant
        )

    async def get(self, name: str) -> Account:
        """Raises Refused `not-found`."""
        found = await self._store.account(name)
        if found is None:
            raise Refused("not-found", f"There is no account {name}.")
        return found[0]

    async def list(self, after: str = "", limit: int = 50) -> list[Account]:
        """Accounts in order of name, behind `after`."""
        return await self._store.accounts(after, limit)

    async def passwd(self, name: str, password: str) -> Account:
        """Set a password; older tokens of the account end. Raises Refused."""
        return await self.edit(name, password=password)

    async def disable(self, name: str, disabled: bool = True) -> Account:
        """Close an account, or open it again; its tokens end. Raises Refused."""
        return await self.edit(name, disabled=disabled)

    async def edit(
        self,
        name: str,
        *,
        password: str | None = None,
        disabled: bool | None = None,
        display_name: str | None = None,
        role: Role | None = None,
        rooms: tuple[str, ...] | None = None,
        merchant: str | None = None,
    ) -> Account:
        """Change what is given; every older token of the account ends. Raises Refused."""
        asked = {
            "display_name": display_name,
            "role": role,
            "rooms": None if rooms is None else tuple(dict.fromkeys(rooms)),
            "merchant": merchant,
            "disabled": disabled,
        }
        changes: dict[str, object] = {k: v for k, v in asked.items() if v is not None}
        before = await self.get(name)
        wanted = self._checked(msgspec.structs.replace(before, **changes))
        if wanted.role == "merchant" and wanted.merchant is None:
            changes["merchant"] = name
        if password is not None:
            changes["password_hash"] = await self._hash(password)
        account = await self._store.change(name, changes, self._now())
        if account is None:
            raise Refused("not-found", f"There is no account {name}.")
        self._note(account)
        return account

    async def authenticate(self, name: str, password: str) -> Identity:
        """
        Who logs in with this name and password. Unknown names, wrong passwords and closed accounts
        get the same answer after the same work.

        Raises:
            Refused: `unauthorized`, or `rate-limited` after too many failures of this account.
        """
        name = name.strip().lower()
        key = name if ACCOUNT_NAME.fullmatch(name) else "?" + _sha256(name)[:40]
        attempts, since = await self._store.count_attempt(key, self._now(), FAILURE_WINDOW_MS)
        if attempts > FAILURES_MAX:
            wait = max(1, (since + FAILURE_WINDOW_MS - self._now() + 999) // 1000)
            raise Refused(
                "rate-limited", "Too many failed log-ins of this account.", retry_after=wait
            )
        found = await self._store.account(name) if key == name else None
        right = await self._verify(found[1] if found else await self._hash_of_nobody(), password)
        if found is None or not right or found[0].disabled:
            raise Refused("unauthorized", "The name or the password is wrong.")
        await self._store.clear_attempts(key)
        return found[0].identity()

    # guests

    def guest(self, name: str | None = None, keep: Identity | None = None) -> Identity:
        """
        A guest viewer; `keep` is a guest who stays the same person and may take another name.

        Raises:
            rooms.errors.Invalid: The name is empty, too long, or looks like staff.
        """
        old = keep if keep is not None and keep.guest else None
        if name is None:
            shown = old.name if old and old.name else f"Guest {secrets.randbelow(9000) + 1000}"
        else:
            shown = names.accept(name, staff_names={*self._staff, *self._staff.values()})
        user = old.user if old else GUEST_PREFIX + secrets.token_hex(12)
        return Identity(user=user, name=shown, guest=True)

    # first start

    async def setup_token(self) -> str | None:
        """The secret of the one-time set-up link, new each time; None once there is an admin."""
        if await self._store.has_admin():
            return None
        token = secrets.token_urlsafe(24)
        await self._store.offer_setup(_sha256(token))
        return token

    async def complete_setup(
        self, token: str, name: str, password: str, settings: dict[str, str]
    ) -> Identity:
        """
        Make the first administrator and keep the shop's settings.

        Raises:
            Refused: `forbidden` (wrong or used token), `validation`, `invalid-state` (name taken).
        """
        account = self._checked(
            Account(name=name, display_name=name[:24], role="admin", created_at=self._now())
        )
        hashed = await self._hash(password)
        settings = _checked_settings(settings)
        if not await self._store.complete_setup(_sha256(token), account, hashed, settings):
            raise Refused("forbidden", "This set-up link is wrong or was used already.")
        self._note(account)
        self.settings = await self._store.settings()
        return account.identity()

    async def edit_settings(self, changes: dict[str, str]) -> ShopSettings:
        """Change the shop's settings. Raises Refused `validation`."""
        await self._store.save_settings(_checked_settings(changes))
        self.settings = await self._store.settings()
        return self.settings

    # inside

    def _note(self, account: Account) -> None:
        """Remember what `is_current` and guests' names need of a made or changed account."""
        self.has_admin = self.has_admin or account.role == "admin"
        if account.revision > 1:
            known = self._revisions.get(account.name, 0)
            self._revisions[account.name] = max(known, account.revision)
        if account.role == "viewer":
            self._staff.pop(account.name, None)
        else:
            self._staff[account.name] = account.display_name

    def _checked(self, account: Account) -> Account:
        """Raises Refused `validation` unless name, role, rooms and shop make sense."""
        if not ACCOUNT_NAME.fullmatch(account.name) or account.name.startswith(GUEST_PREFIX):
            raise Refused(
                "validation",
                "An account name has 1 to 40 of a-z, 0-9, '_', '.', '-', starts with a letter "
                f"or digit, and not with {GUEST_PREFIX}.",
            )
        if account.role not in get_args(Role):
            raise Refused("validation", f"There is no role {account.role}.")
        shown = unicodedata.normalize("NFKC", account.display_name)
        if text.clean(shown, longest=names.NAME_LENGTH_MAX, what="The name") != shown:
            raise Refused("validation", "A name has no blanks around it.")
        if len(account.rooms) > ROOMS_OF_ACCOUNT_MAX:
            raise Refused("validation", f"An account has at most {ROOMS_OF_ACCOUNT_MAX} rooms.")
        if not all(ROOM_ID.fullmatch(room) for room in account.rooms):
            raise Refused("validation", "A room id has 1 to 40 of a-z, 0-9, '-'.")
        if account.merchant is not None and not MERCHANT_ID.fullmatch(account.merchant):
            raise Refused("validation", "A merchant id has 1 to 40 of a-z, 0-9, '_', '.', '-'.")
        return account

    async def _hash(self, password: str) -> str:
        if not 1 <= len(password) <= PASSWORD_CHARS_MAX:
            raise Refused("validation", f"A password has 1 to {PASSWORD_CHARS_MAX} characters.")
        return await self._in_thread(lambda: self._hasher.hash(password))

    async def _hash_of_nobody(self) -> str:
        if not self._nobody:
            self._nobody = await self._hash(secrets.token_hex(16))
        return self._nobody

    async def _verify(self, hashed: str, password: str) -> bool:
        def verify() -> str:
            try:
                self._hasher.verify(hashed, password[: PASSWORD_CHARS_MAX + 1])
            except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
                return ""
            return "right"

        return await self._in_thread(verify) == "right"

    async def _in_thread(self, work: Callable[[], str]) -> str:
        if self._hashing >= HASHES_WAITING_MAX:
            raise Refused("unavailable", "Too many log-ins at once.", retry_after=2)
        self._hashing += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._hashing -= 1


PUBLIC_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,200}")


def _checked_settings(changes: dict[str, str]) -> dict[str, str]:
    checked = dict(changes)
    if "shop_name" in checked:
        checked["shop_name"] = " ".join(checked["shop_name"].split())
        if not 1 <= len(checked["shop_name"]) <= 60:
            raise Refused("validation", "A shop name has 1 to 60 characters.")
    if checked.get("language", "auto") not in get_args(Language):
        raise Refused("validation", f"The language is one of {', '.join(get_args(Language))}.")
    if checked.get("public_url"):
        checked["public_url"] = checked["public_url"].rstrip("/")
        if not PUBLIC_URL.fullmatch(checked["public_url"]):
            raise Refused("validation", "The public URL is http(s)://host or http(s)://host:port.")
    return checked


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
