"""
A show as files: danmaku as Bilibili XML and as ASS subtitles, everything as JSON lines. Pure rules.

Times count from the start of the show. Who said something is a hash with a key of this server, so
that it can be told who said two things, but not who it was.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec

from liveserver.archive.entry import Line

#: of Bilibili's format: 1 flies from the right, 4 stands at the bottom, 5 at the top
MODES = {"scroll": 1, "bottom": 4, "top": 5}
SIZE = 25  # Bilibili's normal letters
WHITE = 0xFFFFFF
#: what XML 1.0 cannot hold (section 2.2)
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: digits of the hash of a user, as Bilibili's files have them
HASH_DIGITS = 8

WIDTH, HEIGHT, FONT = 1920, 1080, 48  # px of the picture that ASS is made for
FLIGHT_MS, STILL_MS = 8_000, 4_000
LANES = HEIGHT // 2 // FONT  # danmaku keep to the upper half


def user_hash(secret: bytes, user: str) -> str:
    """A name for a user in exported files."""
    return hmac.new(secret, user.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]


class Danmaku(msgspec.Struct, frozen=True):
    """One item of the archive. `ms` from the start of the show."""

    n: int
    ms: int
    at: int
    mode: str
    color: int
    user: str
    text: str


def danmaku_of(lines: Iterable[Line], started_at: int) -> Iterator[Danmaku]:
    """The danmaku among the lines; deleted ones are not there any more."""
    for line in lines:
        if line.type != "danmaku":
            continue
        for item in msgspec.json.decode(line.json)["items"]:
            yield Danmaku(
                n=line.n,
                ms=max(0, line.at - started_at),
                at=line.at,
                mode=item.get("mode", "scroll"),
                color=_color(item.get("color")),
                user=item["user"]["id"],
                text=item["text"],
            )


def _color(color: Any) -> int:
    known = isinstance(color, str) and re.fullmatch("#[0-9a-fA-F]{6}", color)
    return int(color[1:], 16) if known else WHITE


# --- Bilibili XML ------------------------------------------------------------------------------

XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<i>\n<chatserver>liveserver</chatserver>\n'
XML_TAIL = "</i>\n"


def xml_line(item: Danmaku, hash_of: Callable[[str], str]) -> str:
    """`<d p="seconds,mode,size,colour,unix time,pool,user hash,id">text</d>`."""
    values = (
        f"{item.ms / 1000:.3f}", MODES.get(item.mode, 1), SIZE, item.color, item.at // 1000, 0,
        hash_of(item.user), item.n,
    )  # fmt: skip
    text = escape(_NOT_XML.sub("", item.text))
    return f"<d p={quoteattr(','.join(str(value) for value in values))}>{text}</d>\n"


# --- ASS ---------------------------------------------------------------------------------------


def ass_head(title: str) -> str:
    """The head of an Advanced SubStation Alpha file (v4.00+)."""
    title = re.sub(r"[\r\n]+", " ", title)
    return (
        f"[Script Info]\nTitle: {title}\nScriptType: v4.00+\nPlayResX: {WIDTH}\n"
        f"PlayResY: {HEIGHT}\nWrapStyle: 2\nScaledBorderAndShadow: yes\n\n[V4+ Styles]\n"
        "Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, "
        "BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, "
        "BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n"
        f"Style: Danmaku,sans-serif,{FONT},&H00FFFFFF,&H00FFFFFF,&H00000000,&H00000000,"
        "0,0,0,0,100,100,0,0,1,2,0,7,0,0,0,1\n\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    )


class AssLanes:
    """Which line an item takes: the one that is free first, so that few overlap."""

    def __init__(self) -> None:
        self._free_at = {mode: [0] * LANES for mode in MODES}

    def line(self, item: Danmaku) -> str:
        """One dialogue. Items come in order of time."""
        mode = item.mode if item.mode in MODES else "scroll"
        width = sum(FONT if ord(letter) > 0x2E7F else FONT // 2 for letter in item.text)
        lasts = FLIGHT_MS if mode == "scroll" else STILL_MS
        lanes = self._free_at[mode]
        lane = min(range(LANES), key=lambda at: (max(lanes[at], item.ms), at))
        #: a flying item frees its lane when all of it has come in
        busy = FLIGHT_MS * width // (WIDTH + width) if mode == "scroll" else STILL_MS
        lanes[lane] = max(lanes[lane], item.ms) + busy
        y = HEIGHT - (lane + 1) * FONT if mode == "bottom" else lane * FONT
        if mode == "scroll":
            place = f"\\move({WIDTH},{y},{-width},{y})"
        else:
            place = f"\\an8\\pos({WIDTH // 2},{y})"
        color = "" if item.color == WHITE else f"\\c&H{_bgr(item.color)}&"
        times = f"{_ass_time(item.ms)},{_ass_time(item.ms + lasts)}"
        return f"Dialogue: 0,{times},Danmaku,,0,0,0,,{{{place}{color}}}{_ass_text(item.text)}\n"


def _bgr(color: int) -> str:
    return f"{color & 255:02X}{color >> 8 & 255:02X}{color >> 16:02X}"


def _ass_time(ms: int) -> str:
    hundredths = ms // 10
    return (
        f"{hundredths // 360_000}:{hundredths // 6_000 % 60:02}"
        f":{hundredths // 100 % 60:02}.{hundredths % 100:02}"
    )


def _ass_text(text: str) -> str:
    """Braces and backslashes would be commands."""
    return re.sub(r"[\r\n]+", " ", text).replace("\\", "＼").replace("{", "｛").replace("}", "｝")


# --- JSON lines --------------------------------------------------------------------------------


def json_line(line: Line) -> bytes:
    """One line of the archive as one line of JSON."""
    fields = {
        "n": line.n,
        "channel": line.channel,
        "epoch": line.epoch,
        "offset": line.offset,
        "at": line.at,
    }
    return msgspec.json.encode({**fields, "event": msgspec.Raw(line.json.encode())}) + b"\n"
