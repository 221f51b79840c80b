"""Types that several requests share. Bounds keep what a database column or an integer can hold."""

from typing import Annotated

from msgspec import Meta, Struct

LINE = r"^[^\x00-\x1f\x7f]*$"  # one line, no control characters

Id = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.\-]+$")]
RoomId = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z0-9\-]+$")]
MerchantId = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9_.\-]*$")]
Title = Annotated[str, Meta(min_length=1, max_length=200, pattern=LINE)]
ShortText = Annotated[str, Meta(max_length=200, pattern=LINE)]
Prose = Annotated[str, Meta(max_length=5_000)]
Cents = Annotated[int, Meta(ge=1, le=100_000_000_000)]
Units = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Cursor = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_.:=\-]+$")]
PageSize = Annotated[int, Meta(ge=1, le=200)]


class Body(Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of all JSON bodies."""


class Query(Struct, kw_only=True):
    """Base of all queries."""


class Page(Query):
    """Where in a list, and how much of it."""

    limit: PageSize = 50
    cursor: Cursor | None = None
