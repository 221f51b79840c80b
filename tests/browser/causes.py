"""What causes each row of tests/states.md: a function a row, found by the row's id."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from playwright.async_api import Page

from tests.browser.stand import Eyes, Stand

Cause = Callable[[Stand, Eyes], Awaitable[Page]]


class Known(NamedTuple):
    """`brief`: the state passes by itself, so it is looked at in one size only, at once."""

    cause: Cause
    brief: bool


CAUSES: dict[str, Known] = {}


def cause(page: str, name: str, *, brief: bool = False) -> Callable[[Cause], Cause]:
    """The function below causes this row."""

    def keep(function: Cause) -> Cause:
        assert f"{page}-{name}" not in CAUSES
        CAUSES[f"{page}-{name}"] = Known(function, brief)
        return function

    return keep
