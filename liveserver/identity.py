"""Who is asking: verified claims of a token or cookie, the same for HTTP and the socket."""

from typing import Literal

import msgspec

Role = Literal["viewer", "streamer", "moderator", "merchant", "admin"]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """
    One person. `user` is the token's `sub`, unchanged; `rooms` are the rooms of a streamer or
    moderator; `merchant` is the shop of a merchant. `expires_at` is in seconds (None = never).
    `revision` is set in tokens of this server's own accounts: a changed password, right or a
    disabled account raises it, and older tokens are refused from then on. `scopes` are those of an
    API key: it may no more than they name (None: whatever the role may).
    """

    user: str
    name: str = ""
    role: Role = "viewer"
    guest: bool = False
    rooms: tuple[str, ...] = ()
    merchant: str | None = None
    badges: tuple[str, ...] = ()
    expires_at: int | None = None
    revision: int | None = None
    scopes: tuple[str, ...] | None = None

    @property
    def staff_badges(self) -> tuple[str, ...]:
        """Badges others see; only staff carry any (contract: chat)."""
        return () if self.role == "viewer" else (self.badges or (self.role,))
