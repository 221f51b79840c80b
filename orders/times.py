"""Times are integer milliseconds inside, and RFC 3339 UTC text in the shapes."""

from datetime import UTC, datetime
from functools import lru_cache

from orders.errors import Invalid


def rfc3339(ms: int) -> str:
    """`1763780000123` → `2025-11-22T02:53:20.123Z`."""
    return f"{_seconds(ms // 1000)}.{ms % 1000:03d}Z"


def rfc3339_or_none(ms: int | None) -> str | None:
    """The same for a time that may be missing."""
    return None if ms is None else rfc3339(ms)


def check_moment(value: object, name: str, *, least: int, most: int) -> int:
    """`value` as a moment within bounds; the refusal writes them as the caller writes times."""
    if type(value) is not int or not least <= value <= most:
        raise Invalid(f"{name} must lie between {rfc3339(least)} and {rfc3339(most)}", field=name)
    return value


@lru_cache(maxsize=1024)  # many orders share the second of their start or deadline
def _seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
