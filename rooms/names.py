"""
What a viewer may be called.

1–24 characters after NFKC, nothing that turns the direction of writing, and nothing that looks like
somebody who speaks for the shop.
"""

import re
import unicodedata
from collections.abc import Collection

from rooms import text
from rooms.errors import Invalid

NAME_LENGTH_MAX = 24  # characters

#: embeddings, overrides, isolates and direction marks (Unicode TR9)
BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)

#: a name that is one of these, or has it as a word of its own, speaks for the shop
STAFF_WORDS = (
    "admin", "administrator", "moderator", "mod", "official", "staff", "support", "streamer",
    "host", "system", "liveserver",
)  # fmt: skip
#: Chinese has no gaps between words: these count at the beginning and at the end of a name
STAFF_WORDS_CHINESE = (
    "主播", "管理员", "管理員", "官方", "客服", "房管", "系统", "系統", "运营", "運營",
)  # fmt: skip

#: letters and digits of other scripts that look like Latin ones, each with what it looks like
_PAIRS = (
    "аa еe оo рp сc уy хx іi јj ѕs ԁd һh ӏl кk мm тt вb нh αa οo ρp νv ιi κk τt ɑa ɡg ıi "
    "0o 1l 3e 4a 5s 7t @a $s |l !l "
    # small capitals
    "ᴀa ʙb ᴄc ᴅd ᴇe ꜰf ɢg ʜh ɪi ᴊj ᴋk ʟl ᴍm ɴn ᴏo ᴘp ꞯq ʀr ꜱs ᴛt ᴜu ᴠv ᴡw ʏy ᴢz "
    # Lisu
    "ꓮa ꓐb ꓚc ꓓd ꓰe ꓝf ꓖg ꓧh ꓲi ꓙj ꓗk ꓡl ꓟm ꓠn ꓳo ꓑp ꓣr ꓢs ꓔt ꓴu ꓦv ꓪw ꓫx ꓬy ꓜz "
    # white in black circles and squares, which NFKC leaves as they are
    "🅐a 🅑b 🅒c 🅓d 🅔e 🅕f 🅖g 🅗h 🅘i 🅙j 🅚k 🅛l 🅜m 🅝n 🅞o 🅟p 🅠q 🅡r 🅢s 🅣t 🅤u 🅥v 🅦w 🅧x 🅨y 🅩z "
    "🅰a 🅱b 🅲c 🅳d 🅴e 🅵f 🅶g 🅷h 🅸i 🅹j 🅺k 🅻l 🅼m 🅽n 🅾o 🅿p 🆀q 🆁r 🆂s 🆃t 🆄u 🆅v 🆆w 🆇x 🆈y 🆉z"
)
_LOOKS_LIKE = str.maketrans({pair[0]: pair[1] for pair in _PAIRS.split()})
#: only the letters of other scripts, each with its Latin look-alike
LETTERS_ALIKE = {pair[0]: pair[1] for pair in _PAIRS.split() if not pair[0].isascii()}
_GAPS = re.compile(r"[\W_]+")
_GAPS_AND_DIGITS = re.compile(r"[\W_\d]+")


def accept(name: str, *, staff_names: Collection[str] = ()) -> str:
    """
    The name as others will see it. `staff_names` are the names of the shop's own people.

    Raises:
        Invalid: Empty, too long, with controls in it, or a look-alike of staff.
    """
    if BIDI_CONTROLS.intersection(name):
        raise Invalid("The name turns the direction of writing")
    text.clean(name, longest=10 * NAME_LENGTH_MAX, what="The name")
    normal = text.clean(
        unicodedata.normalize("NFKC", name), longest=NAME_LENGTH_MAX, what="The name"
    )
    if _shapes(normal) & _STAFF_SHAPES or _speaks_chinese_for_staff(normal):
        raise Invalid("The name looks like staff")
    if skeleton(normal) in {skeleton(taken) for taken in staff_names}:
        raise Invalid("The name looks like somebody of the shop")
    return normal


def skeleton(name: str) -> str:
    """What the eye keeps of a name: no marks, no gaps, no case, look-alikes made equal."""
    apart = unicodedata.normalize("NFKD", name).casefold()
    letters = (c for c in apart if unicodedata.category(c)[0] in "LNS" or c in "@$|!")
    joined = "".join(letters).translate(_LOOKS_LIKE)
    return unicodedata.normalize("NFKC", joined).replace("rn", "m").replace("i", "l")


def _shapes(name: str) -> set[str]:
    """The skeletons of the whole name and of its words, with and without digits."""
    words = [name, *_GAPS.split(name), *_GAPS_AND_DIGITS.split(name)]
    words.append("".join(_GAPS_AND_DIGITS.split(name)))
    return {skeleton(word) for word in words}


def _speaks_chinese_for_staff(name: str) -> bool:
    shape = skeleton(name)
    return shape.startswith(STAFF_WORDS_CHINESE) or shape.endswith(STAFF_WORDS_CHINESE)


_STAFF_SHAPES = {skeleton(word) for word in STAFF_WORDS}
