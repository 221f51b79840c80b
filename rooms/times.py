"""Integer milliseconds inside, RFC 3339 in UTC with milliseconds outside."""

from datetime import UTC, datetime


def rfc3339(ms: int) -> str:
    """`YYYY-MM-DDTHH:MM:SS.mmmZ`."""
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
