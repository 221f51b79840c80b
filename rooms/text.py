"""
What a line of text must be before anybody sees it.

Characters are counted after NFC, the form in which the text goes on.
"""

import re
import unicodedata

import msgspec

from rooms.errors import Invalid

CHAT_LENGTH_MAX = 200  # characters
NOTICE_LENGTH_MAX = 500
CAPTION_LENGTH_MAX = 300  # two lines on a phone are about 60; the rest is for slow readers
TITLE_LENGTH_MAX = 80

#: control characters, lone surrogates, and the separators that break a line or a JSON script: the
#: categories Cc, Cs, Zl and Zp
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
#: joiners and marks that show nothing by themselves
_INVISIBLE = frozenset({"Cf", "Zs", "Mn", "Me"})
#: Hangul fillers and the blank braille pattern count as letters and symbols, and show nothing
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def clean(text: str, *, longest: int = CHAT_LENGTH_MAX, what: str = "The text") -> str:
    """
    The text in NFC, without blanks around it.

    Raises:
        Invalid: Empty or invisible, longer than `longest` characters, or with characters that
            do not belong into a line.
    """
    if not text.isprintable() and _FORBIDDEN.search(text):  # the first is quick, and usual
        raise Invalid(f"{what} has a control character or half a character in it")
    normal = (text if text.isascii() else unicodedata.normalize("NFC", text)).strip()
    if not (normal if normal.isascii() else any(map(_shows, normal))):
        raise Invalid(f"{what} is empty")
    if len(normal) > longest:
        raise Invalid(
            f"{what} has {len(normal)} characters; {longest} are allowed", longest=longest
        )
    return normal


def _shows(character: str) -> bool:
    return unicodedata.category(character) not in _INVISIBLE and character not in _BLANK


def one_line(data: bytes) -> bytes:
    """JSON without raw newlines, which would split a frame."""
    if b"\n" not in data and b"\r" not in data:
        return data
    try:
        return msgspec.json.format(data, indent=-1)
    except msgspec.DecodeError as problem:
        raise Invalid(f"Not JSON: {problem}") from None


def is_json(data: bytes) -> bool:
    """Whether JSON clients could read this."""
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
        data.decode()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return True
