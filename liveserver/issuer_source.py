"""Where a key set comes from: a file, or a URL. Both are read off the event loop's time."""

import asyncio
from pathlib import Path

import aiohttp

from liveserver.issuer import Source

BYTES_MAX = 256 * 1024  # of a key set; real ones have a few kB
TOTAL_SECONDS = 8.0  # name, connection, TLS and answer together


def source_of(place: str) -> Source:
    """The reader of `TOKEN_JWKS`. What it raises is OSError or ValueError."""
    if place.startswith(("http://", "https://")):
        return lambda: _download(place)
    return lambda: asyncio.to_thread(_read, Path(place))


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return _bounded(file.read(BYTES_MAX + 1))


async def _download(url: str) -> bytes:
    """One GET. A redirect is an error: keys come from the named place alone."""
    timeout = aiohttp.ClientTimeout(total=TOTAL_SECONDS)
    headers = {"Accept": "application/jwk-set+json, application/json", "User-Agent": "liveserver"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise OSError(f"{url} answered {answer.status}")
            body = b""
            async for chunk in answer.content.iter_any():
                body = _bounded(body + chunk)
            return body
    except aiohttp.ClientError as error:
        raise OSError(f"{url}: {error or type(error).__name__}") from error


def _bounded(body: bytes) -> bytes:
    if len(body) > BYTES_MAX:
        raise ValueError(f"it has more than {BYTES_MAX} bytes")
    return body
