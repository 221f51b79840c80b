"""Danmaku: comments that fly over the picture. What may be thrown, and what everybody gets."""

import re
from typing import Literal

import msgspec

from rooms import text
from rooms.errors import Invalid
from rooms.room import Speaker

Mode = Literal["scroll", "top", "bottom"]
WHITE = "#ffffff"

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """What a viewer publishes into `danmaku:<room>`."""

    text: str
    mode: Mode = "scroll"
    color: str = WHITE  # #rrggbb


def read(data: bytes) -> Shot:
    """
    What the viewer threw, cleaned.

    Raises:
        Invalid: Not the shape of danmaku, a text that cannot be shown, or no colour.
    """
    try:
        shot = msgspec.json.decode(data, type=Shot)
    except (msgspec.DecodeError, UnicodeError) as problem:
        raise Invalid(f"Danmaku takes {{text, mode?, color?}}: {problem}") from None
    if not _COLOR.fullmatch(shot.color):
        raise Invalid("color is #rrggbb")
    return Shot(text=text.clean(shot.text), mode=shot.mode, color=shot.color.lower())


def event(id: str, speaker: Speaker, shot: Shot, at: int, dropped: int) -> bytes:
    """The publication; `dropped` counts what was sampled out before it. `at` in milliseconds."""
    item = {
        "id": id,
        "user": msgspec.to_builtins(speaker),
        "text": shot.text,
        "mode": shot.mode,
        "color": shot.color,
        "at": at,
    }
    return msgspec.json.encode({"type": "danmaku", "items": [item], "dropped": dropped})
