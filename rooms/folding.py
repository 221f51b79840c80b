"""
What of a text counts when two texts are compared: no case, width, marks, gaps or signs.

One table folds character by character, so that a place in the folded text always leads back to the
character it came from: a word that is found there can be masked in the text as it was written.
"""

import unicodedata
from collections.abc import Mapping

from rooms.names import LETTERS_ALIKE

KNOWN_MAX = 50_000  # characters remembered, about 5 MB; texts of people use some thousand
ROUNDS_MAX = 4  # until a folded character stays as it is; the deepest of Unicode needs three

#: accents of Latin letters; the marks of other scripts make another letter and stay
_ACCENTS = range(0x0300, 0x0370)
_VARIATION = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
#: numerals of Chinese, everyday and in cheques
_NUMERALS = dict(
    zip("零〇一二三四五六七八九壹贰叁肆伍陆柒捌玖", "00123456789123456789", strict=True)
)


class Folding:
    """
    The one folding of a server. `simplified` leads from traditional to simplified characters.

    The result holds letters, digits and the marks that make letters, nothing else: what a reader's
    eye keeps of `Ｗ e·Ｃhat` is `wechat`, of `茶壺` it is `茶壶`, of `①⑨` it is `19`.
    """

    def __init__(self, simplified: Mapping[str, str] | None = None) -> None:
        self._table = _Table(simplified or {})
        folded = [self._table[code] for code in range(128)]  # each one ASCII character, or none
        self._ascii = bytes(ord(one or "\0") for one in folded).ljust(256)
        self._uncounted = bytes(code for code, one in enumerate(folded) if not one)

    def key(self, text: str) -> str:
        """The text folded. Folding it again changes nothing."""
        if text.isascii():
            rest = text.encode().translate(None, self._uncounted)
            return rest.translate(self._ascii).decode()  # a tenth of the time of a table of str
        return text.translate(self._table)

    def places(self, text: str) -> list[int]:
        """For each character of the key the place of the character in `text` it came from."""
        found: list[int] = []
        for place, character in enumerate(text):
            found += [place] * len(self._table[ord(character)])
        return found


class _Table(dict[int, str]):
    """code point -> what it folds to; filled as characters are met."""

    def __init__(self, simplified: Mapping[str, str]) -> None:
        super().__init__()
        self._simplified = simplified

    def __missing__(self, code: int) -> str:
        folded = chr(code)
        for _ in range(ROUNDS_MAX):
            folded, before = "".join(map(self._fold, folded)), folded
            if folded == before:
                break
        if len(self) < KNOWN_MAX:
            self[code] = folded
        return folded

    def _fold(self, character: str) -> str:
        apart = unicodedata.normalize("NFKD", character).casefold()
        kept = "".join(map(self._letter, filter(_counts, unicodedata.normalize("NFKD", apart))))
        return unicodedata.normalize("NFKC", kept)

    def _letter(self, character: str) -> str:
        plain = self._simplified.get(character, character)
        plain = _NUMERALS.get(plain, LETTERS_ALIKE.get(plain, plain))
        digit = unicodedata.decimal(plain, None) if len(plain) == 1 else None
        return plain if digit is None else str(digit)


def _counts(character: str) -> bool:
    """Whether a character is, or looks like, a letter, a digit, or a mark that makes a letter."""
    if character in LETTERS_ALIKE:
        return True
    kind, code = unicodedata.category(character)[0], ord(character)
    if kind == "M":
        return code not in _ACCENTS and not any(code in selectors for selectors in _VARIATION)
    return kind in "LN"
