"""
The way from a gateway to the media process: WHIP and WHEP signalling over a unix socket.

The media process may be away at any time; then who asks is told to come back, and everything else
goes on.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import aiohttp

from liveserver.problems import Refused

log = logging.getLogger(__name__)

SECONDS = 5.0  # for one answer; an offer is answered in milliseconds
AT_ONCE = 64  # requests on their way; more wait for a connection within the same time
RETRY_SECONDS = 2  # the supervisor has a dead media process back by then
#: headers of an answer that clients need
PASSED_ON = ("Content-Type", "Location", "ETag", "Accept-Patch", "Retry-After")


class MediaAnswer(NamedTuple):
    """An answer as it is passed on to the client."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class MediaDoor:
    """One per gateway. `path` is the media process's socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self, method: str, path: str, *, headers: dict[str, str], body: bytes = b""
    ) -> MediaAnswer:
        """
        Pass a request on.

        Raises:
            Refused: `unavailable` while the media process is away.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(self._path), limit=AT_ONCE),
                timeout=aiohttp.ClientTimeout(total=SECONDS),
                auto_decompress=False,
            )
        try:
            async with self._session.request(
                method, f"http://media{path}", headers=headers, data=body
            ) as answer:
                passed = [(name, answer.headers[name]) for name in PASSED_ON
                          if name in answer.headers]  # fmt: skip
                passed += [("Link", link) for link in answer.headers.getall("Link", [])]
                return MediaAnswer(answer.status, passed, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("the media process does not answer: %r", error)
            raise Refused(
                "unavailable", "Video is not available right now.", retry_after=RETRY_SECONDS
            ) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
