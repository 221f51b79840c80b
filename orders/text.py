"""Which texts a row may hold. What a database cannot store is refused before it gets there."""

import re

from orders.errors import Invalid

#: Control characters of C0 and C1 (line ends are allowed in long texts), halves of surrogate pairs.
UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
UNFIT_IN_PROSE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def check_text(value: object, name: str, *, most: int, least: int = 1) -> str:
    """One line of text between `least` and `most` characters."""
    if not isinstance(value, str) or not least <= len(value) <= most or UNFIT.search(value):
        raise Invalid(
            f"{name} must be text of {least} to {most} characters without control characters",
            field=name,
        )
    return value


def check_prose(value: object, name: str, *, most: int) -> str:
    """A longer text that may have several lines, or be empty."""
    if not isinstance(value, str) or len(value) > most or UNFIT_IN_PROSE.search(value):
        raise Invalid(
            f"{name} must be text of at most {most} characters without control characters",
            field=name,
        )
    return value
