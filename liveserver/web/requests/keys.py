"""API keys."""

from typing import Annotated

from msgspec import Meta, Struct

from liveserver.web.requests.common import LINE, Body

KeyName = Annotated[str, Meta(min_length=1, max_length=60, pattern=LINE)]
Scope = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z]+:(read|write)$")]


class NewKey(Body):
    """`name` says what the key is for; `scopes` bound what it may do."""

    name: KeyName
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=20)]


class Key(Struct, kw_only=True):
    """One key as it is listed: `hint` is how its secret ends, `last_used_at` is to the hour."""

    id: str
    name: str
    scopes: list[str]
    hint: str
    created_by: str
    merchant: str | None
    created_at: str
    last_used_at: str | None


class KeyWithSecret(Key, kw_only=True):
    """The only answer that holds the secret, `key`."""

    key: str


class KeyList(Struct, kw_only=True):
    items: list[Key]
    next_cursor: str | None
