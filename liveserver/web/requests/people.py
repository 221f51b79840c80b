"""Sessions, accounts, the first start, and the shop's settings."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from liveserver.identity import Role
from liveserver.people import Language
from liveserver.web.requests.common import Body, MerchantId, RoomId

AccountName = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9_.\-]*$")]
LoginName = Annotated[str, Meta(min_length=1, max_length=256)]
LoginPassword = Annotated[str, Meta(min_length=1, max_length=256)]
NewPassword = Annotated[str, Meta(min_length=8, max_length=256)]
ShownName = Annotated[str, Meta(min_length=1, max_length=24)]
GuestName = Annotated[str, Meta(max_length=200)]  # cleaned first, then 1 to 24
Rooms = Annotated[list[RoomId], Meta(max_length=100)]
SetupToken = Annotated[str, Meta(min_length=1, max_length=200)]
ShopName = Annotated[str, Meta(min_length=1, max_length=60)]
Url = Annotated[str, Meta(max_length=250)]


class NewSession(Body):
    """`name` alone (or nothing) for a guest; `user` and `password` for an account."""

    name: GuestName | None = None
    user: LoginName | None = None
    password: LoginPassword | None = None


class NewUser(Body):
    """`rooms` are those of a streamer or moderator; `merchant` is the shop of a merchant."""

    user: AccountName
    password: NewPassword
    role: Role
    name: ShownName | None = None
    rooms: Rooms = field(default_factory=list)
    merchant: MerchantId | None = None


class UserChanges(Body):
    """What is left out stays. Any change ends the account's sessions."""

    password: NewPassword | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    name: ShownName | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    rooms: Rooms | UnsetType = UNSET
    merchant: MerchantId | UnsetType = UNSET


class Setup(Body):
    """The first start: the token of the one-time link, the administrator, the shop."""

    token: SetupToken
    user: AccountName
    password: NewPassword
    shop_name: ShopName
    language: Language = "auto"
    public_url: Url = ""


class SettingsChanges(Body):
    """What is left out stays."""

    shop_name: ShopName | UnsetType = UNSET
    language: Language | UnsetType = UNSET
    public_url: Url | UnsetType = UNSET


class Session(Struct, kw_only=True):
    """Who the caller is."""

    user: str
    role: Role
    name: str
    guest: bool
    rooms: list[str]
    merchant: str | None
    expires_at: str | None


class SessionWithToken(Session, kw_only=True):
    """A new session; the same token is in the cookie."""

    token: str


class User(Struct, kw_only=True):
    """An account as the administrator sees it."""

    user: str
    name: str
    role: Role
    rooms: list[str]
    merchant: str | None
    disabled: bool
    created_at: str


class UserList(Struct, kw_only=True):
    items: list[User]
    next_cursor: str | None


class Settings(Struct, kw_only=True):
    shop_name: str
    language: Language
    public_url: str


class PublicConfig(Struct, kw_only=True):
    """What pages need to know before anybody signed in."""

    shop_name: str
    language: Language
    public_url: str
    demo: bool
    payments: list[str]
    needs_setup: bool
    version: str
    embed_origins: list[str]  # whose pages may show a room in a frame, and talk with it
    session: bool  # whether the asking browser brought a session cookie, good or not
