"""What a route is: a row of data; and what its handler gets and gives."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from aiohttp import web

from liveserver.identity import Identity
from liveserver.problems import Refused
from liveserver.services import Services

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Limit = Literal["none", "read", "write", "reserve", "session"]

JSON = "application/json"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a request is about, as far as rights go. `thing` is what was read to find out."""

    room: str | None = None
    merchant: str | None = None
    buyer: str | None = None
    thing: Any = None


@dataclass(kw_only=True)
class Call:
    """One request on its way through: filled from left to right by the dispatcher."""

    request: web.Request
    services: Services
    address: str
    identity: Identity | None = None
    params: dict[str, str] = field(default_factory=dict)
    query: Any = None  # the route's query Struct
    body: Any = None  # the route's request Struct
    key: str = ""  # the Idempotency-Key
    subject: Subject = field(default_factory=Subject)

    @property
    def who(self) -> Identity:
        """
        Who asks, where the route needs somebody.

        Raises:
            Refused: `unauthorized`.
        """
        if self.identity is None:
            raise Refused("unauthorized", "A session or token is needed.")
        return self.identity

    @property
    def merchant(self) -> str:
        """The caller's own shop. Raises Refused `forbidden` for a token that names none."""
        if self.who.merchant is None:
            raise Refused("forbidden", "This token belongs to no shop.")
        return self.who.merchant


@dataclass(frozen=True)
class Created:
    """A new object and where it is to be found."""

    body: Any
    location: str


Handler = Callable[[Call], Awaitable[Any]]
SubjectOf = Callable[[Call], Awaitable[Subject]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """
    One row. `action` is a row of `liveserver.access`; `about` finds out what the request is about,
    where the right depends on it; `answer` is the type of the body (None: 204); `refuses` names the
    rows of `liveserver.problems` that this route adds to the general ones.
    """

    method: Method
    path: str
    action: str
    handler: Handler
    summary: str
    tag: str
    request: type[msgspec.Struct] | None = None
    body_optional: bool = False
    any_media: bool = False  # the JSON body may come as any type: its senders say none
    body_media: tuple[str, ...] = ()  # a raw body of these types instead of JSON
    query: type[msgspec.Struct] | None = None
    about: SubjectOf | None = None
    answer: Any = None
    status: int = 200
    media: str = JSON  # of the answer
    refuses: tuple[str, ...] = ()
    idempotent: bool = False  # an Idempotency-Key is required
    keyable: bool = False  # one may be given: then it is done once
    stream_key: bool = False  # a Bearer may be a stream key, which the handler checks
    limit: Limit = "read"
    cross_origin: bool = False  # pages of listed origins may; nobody's cookie or token counts
    documented: bool = True  # False: a page, not a part of the API

    @property
    def unsafe(self) -> bool:
        """Whether the method changes something."""
        return self.method != "GET"

    @property
    def takes_body(self) -> bool:
        return self.request is not None or bool(self.body_media)


async def of_room(call: Call) -> Subject:
    """The room that the path names."""
    return Subject(room=call.params["room"])


async def of_shop(call: Call) -> Subject:
    """The caller's own shop: what it lists or makes belongs to it."""
    return Subject(merchant=call.who.merchant)


async def of_caller(call: Call) -> Subject:
    """The caller's own things, as a buyer and as a shop."""
    return Subject(buyer=call.who.user, merchant=call.who.merchant)
