"""The same listening worker as the tests of the viewer socket."""

from tests.gateway.conftest import (
    open_place,
    place,
    pytest_asyncio_loop_factories,
    serve,
)

__all__ = ["open_place", "place", "pytest_asyncio_loop_factories", "serve"]
