"""Product pictures: only formats that cannot hold a script, named by product and content."""

import asyncio
import hashlib
import os
import re
from pathlib import Path

from liveserver.problems import Refused

FOLDER = "images"
PREFIX = "/images/"
NAME = re.compile(r"[A-Za-z0-9_.\-]{1,128}-[0-9a-f]{16}\.(png|jpg|webp)")

#: media type -> file ending. SVG is left out: it may carry scripts.
ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
MEDIA = tuple(ENDINGS)
TYPES = {ending: media for media, ending in ENDINGS.items()}


def kind_of(data: bytes) -> str | None:
    """The media type that the first bytes speak for."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


async def store(folder: Path, product: str, data: bytes, media: str) -> str:
    """
    Keep a picture; its file name.

    Raises:
        Refused: `unsupported-media-type`, or `validation` if the bytes are something else.
    """
    if media not in ENDINGS:
        raise Refused("unsupported-media-type", f"Send one of {', '.join(MEDIA)}.")
    if kind_of(data) != media:
        raise Refused("validation", f"These bytes are no {media}.")
    name = f"{product}-{hashlib.sha256(data).hexdigest()[:16]}.{ENDINGS[media]}"
    await asyncio.to_thread(_write, folder, name, data)
    return name


def _write(folder: Path, name: str, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{name}.{os.getpid()}"
    part.write_bytes(data)
    part.replace(folder / name)


async def tidy(folder: Path, product: str, keep: tuple[str, ...]) -> None:
    """Remove older pictures of a product. The last one stays: shelves on their way show it."""

    def remove() -> None:
        for path in folder.glob(f"{product}-*"):
            if NAME.fullmatch(path.name) and path.name not in keep:
                path.unlink(missing_ok=True)

    await asyncio.to_thread(remove)
