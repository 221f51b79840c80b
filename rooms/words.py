"""
Word lists: what a text may not hold, looked for in its folded form by one Aho-Corasick automaton.

The automaton runs over the UTF-8 bytes, one symbol a byte. Its nodes search their children one by
one, and a first node with a child for each Chinese character makes it two hundred times slower;
UTF-8 synchronises itself, so a hit always begins and ends between two characters.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import ahocorasick
import msgspec

from rooms.errors import Invalid
from rooms.folding import Folding

Action = Literal["refuse", "hold", "mask", "pass"]

LISTS_MAX = 20  # lists of one room, or of the whole server
WORDS_MAX = 50_000  # of all lists together: 0.3 s to build and 20 MB
WORD_LENGTH_MAX = 64  # characters
NAME_LENGTH_MAX = 40
GAP_MAX = 2  # signs or blanks that may stand between two characters of a word
WILDCARD = "*"
MASK = "*"

_WEIGHT: dict[str, int] = {"mask": 1, "hold": 2, "refuse": 3}


class WordList(msgspec.Struct, frozen=True, kw_only=True):
    """
    Words and what becomes of a text that holds one: it is refused, held until staff have seen it,
    or shown with the word masked. Words of a list that says `pass` are exceptions to all others.
    """

    name: str
    action: Action
    words: list[str]


class Found(NamedTuple):
    """What the lists say of a text. `text` has the masks in it."""

    action: Action  # "pass" when no list has anything against it
    text: str
    list: str = ""


class _Word(NamedTuple):
    length: int  # characters of its key
    action: Action
    list: str
    begins: bool  # a Latin word: it must begin where a word begins
    ends: bool


class _Hit(NamedTuple):
    first: int  # places in the text as it was written, both inside
    last: int
    word: _Word


class Filter:
    """The lists of one room, or of the whole server. Building takes long; asking does not."""

    def __init__(self, lists: Sequence[WordList], folding: Folding) -> None:
        self._folding = folding
        self._automaton = None
        words = _words(lists, folding)
        if words:
            self._automaton = ahocorasick.Automaton()
            for key, word in words.items():
                self._automaton.add_word(_bytes(key), word)
            self._automaton.make_automaton()

    def hits(self, text: str, key: str) -> list[_Hit]:
        """Where words of the lists stand in `text`, whose folded form is `key`."""
        if self._automaton is None:
            return []
        coded = _bytes(key)
        found = list(self._automaton.iter(coded))
        if not found:
            return []
        places = self._folding.places(text)
        hits = []
        for last_byte, word in found:
            end = len(coded[: last_byte + 1].encode("latin-1").decode("utf-8", "surrogatepass"))
            if self._stands_alone(text, places, end - word.length, end, word):
                hits.append(_Hit(places[end - word.length], places[end - 1], word))
        return hits

    def _stands_alone(self, text: str, at: list[int], start: int, end: int, word: _Word) -> bool:
        """Whether it is one word, and not the end of one and the beginning of another."""
        if any(at[i + 1] - at[i] > GAP_MAX + 1 for i in range(start, end - 1)):
            return False
        before, after = at[start] - 1, at[end - 1] + 1
        if word.begins and before >= 0 and self._is_latin(text[before]):
            return False
        return not (word.ends and after < len(text) and self._is_latin(text[after]))

    def _is_latin(self, character: str) -> bool:
        key = self._folding.key(character)
        return key != "" and key.isascii()


def judge(filters: Iterable[Filter], text: str, key: str) -> Found:
    """What several filters say together; the hardest word decides."""
    hits = [hit for one in filters for hit in one.hits(text, key)]
    if not hits:
        return Found("pass", text)
    passes = [hit for hit in hits if hit.word.action == "pass"]
    against = [
        hit
        for hit in hits
        if hit.word.action != "pass"
        and not any(one.first <= hit.first and hit.last <= one.last for one in passes)
    ]
    if not against:
        return Found("pass", text)
    worst = max(against, key=lambda hit: _WEIGHT[hit.word.action]).word
    masked = _masked(text, [hit for hit in against if hit.word.action == "mask"])
    return Found(worst.action, masked, worst.list)


def check_lists(lists: Sequence[WordList], folding: Folding) -> list[WordList]:
    """
    The lists without repeats and blanks.

    Raises:
        Invalid: Too many, a name twice, or a word without a letter or digit.
    """
    if len({one.name for one in lists}) < len(lists) or len(lists) > LISTS_MAX:
        raise Invalid(f"At most {LISTS_MAX} lists, each with a name of its own")
    cleaned = []
    for one in lists:
        words = list(dict.fromkeys(word.strip() for word in one.words))
        for word in words:
            if not folding.key(word):
                raise Invalid(f"“{word}” has no letter or digit that could be looked for")
            if len(word) > WORD_LENGTH_MAX:
                raise Invalid(f"A word has at most {WORD_LENGTH_MAX} characters")
        cleaned.append(msgspec.structs.replace(one, words=words))
    if sum(len(one.words) for one in cleaned) > WORDS_MAX:
        raise Invalid(f"At most {WORDS_MAX} words in all lists together")
    return cleaned


def _words(lists: Sequence[WordList], folding: Folding) -> dict[str, _Word]:
    """Folded word -> what it does; the first list that has it decides, exceptions before all."""
    found: dict[str, _Word] = {}
    for one in sorted(lists, key=lambda one: -_WEIGHT.get(one.action, 9)):
        for word in one.words:
            key = folding.key(word)
            latin = key.isascii()
            found.setdefault(
                key,
                _Word(
                    length=len(key),
                    action=one.action,
                    list=one.name,
                    begins=latin and not word.startswith(WILDCARD),
                    ends=latin and not word.endswith(WILDCARD),
                ),
            )
    return found


def _bytes(key: str) -> str:
    """UTF-8, one character of the result a byte."""
    return key.encode("utf-8", "surrogatepass").decode("latin-1")


def _masked(text: str, hits: Iterable[_Hit]) -> str:
    characters = list(text)
    for hit in hits:
        for place in range(hit.first, hit.last + 1):
            if not characters[place].isspace():
                characters[place] = MASK
    return "".join(characters)
