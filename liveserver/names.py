"""
Names that people choose for themselves: what is acceptable, and what looks like somebody else's.

Two names look alike when their skeletons are equal: compatibility forms, case, accents, spaces and
punctuation are folded away, and letters of other scripts that are drawn like Latin ones as well.
"""

import unicodedata

NAME_CHARS_MAX = 24

#: letters drawn like a Latin letter or like each other, after case folding
_ALIKE = str.maketrans(
    {
        "а": "a", "е": "e", "о": "o", "р": "p", "с": "c", "у": "y", "х": "x", "і": "i", "ј": "j",
        "ѕ": "s", "һ": "h", "ԁ": "d", "ԛ": "q", "ԝ": "w", "м": "m", "т": "t", "к": "k", "н": "h",
        "в": "b", "г": "r", "п": "n", "α": "a", "ε": "e", "ο": "o", "ρ": "p", "ν": "v", "ι": "i",
        "κ": "k", "τ": "t", "υ": "u", "χ": "x", "η": "n", "μ": "m", "ı": "i", "ł": "l", "ø": "o",
        "đ": "d", "ɑ": "a", "ɡ": "g", "0": "o", "1": "i", "l": "i", "|": "i", "3": "e", "4": "a",
        "5": "s", "7": "t", "8": "b", "$": "s", "@": "a", "!": "i",
    }
)  # fmt: skip

#: what a guest may never be called, whoever works here
RESERVED = (
    "admin", "administrator", "moderator", "mod", "streamer", "merchant", "host", "official",
    "staff", "support", "system", "server",
    "管理员", "管理員", "主播", "房管", "官方", "客服", "商家", "系统",
)  # fmt: skip


def clean_name(text: str) -> str | None:
    """The name as it is stored (NFKC, trimmed, single spaces), or None if it is not acceptable."""
    name = " ".join(unicodedata.normalize("NFKC", text).split())
    if not 1 <= len(name) <= NAME_CHARS_MAX:
        return None
    # Cc controls, Cf formats (all bidi controls and zero-width ones), Cs, Co, Cn: nothing to see
    if any(unicodedata.category(char)[0] == "C" for char in name):
        return None
    return name


def skeleton(name: str) -> str:
    """What the eye takes in: equal for names that look alike."""
    folded = unicodedata.normalize("NFKD", name).casefold().translate(_ALIKE)
    letters = "".join(char for char in folded if unicodedata.category(char)[0] in "LN")
    return letters or folded  # a name of symbols alone looks like itself


RESERVED_SKELETONS = frozenset(skeleton(name) for name in RESERVED)
