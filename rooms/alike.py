"""
The same again and again: one person's repeats, and a crowd that says nearly the same.

Texts are compared by their folded form (`folding.py`). Two are alike when most of their pairs of
neighbouring characters are the same, so a changed tail or some characters in between do not help.
Short cheers (“666”, “好看”) belong to a live room and are hardly limited.
"""

from collections import OrderedDict
from operator import concat
from typing import Literal

import msgspec

Again = Literal["repeated", "flood"]
Pairs = frozenset[int]  # hashes of all pairs of neighbouring characters

WINDOW_MS = 30_000  # for one person's texts
TEXTS_KEPT = 6  # of one person
SHORT_LENGTH = 8  # folded characters; below, only the very same text counts as alike
SHORT_TIMES = 3  # a short text may be said so often in the window
LONG_TIMES = 2  # a longer one, or one like it
ALIKE = 0.8  # share of common pairs, of all pairs of both texts
PEOPLE_MAX = 5_000  # remembered in one room; who was quiet longest is forgotten

ROOM_WINDOW_MS = 10_000  # for the whole room: this window and the one before
ROOM_PAIRS = 10  # different pairs; shorter texts, and laughter, may come from everybody at once
ROOM_TIMES = 8  # so many alike, by whomever, in two windows
SKETCH = 8  # smallest hashes of a text's pairs; which ones differs from process to process
SKETCH_SHARED = 5  # of them: a tail with three pairs of its own never hides the rest


class _Said(msgspec.Struct, gc=False):
    key: str
    at: int


class Alike:
    """What was said in one room lately. Times are integer milliseconds."""

    def __init__(self) -> None:
        self._people: OrderedDict[str, list[_Said]] = OrderedDict()
        self._before: dict[int, int] = {}  # hash -> texts with it in their sketch, last window
        self._counts: dict[int, int] = {}  # and in this one
        self._since = 0  # begin of the newer window

    def again(self, user: str, key: str, now: int) -> Again | None:
        """Why this text is one too many; if it is not, it is remembered."""
        texts = self._people.pop(user, [])
        if texts and (now - texts[0].at > WINDOW_MS or now < texts[0].at):
            texts = [said for said in texts if 0 <= now - said.at <= WINDOW_MS]
        self._people[user] = texts
        if len(self._people) > PEOPLE_MAX:
            self._people.popitem(last=False)
        if texts and _times(texts, key) >= (
            LONG_TIMES if len(key) >= SHORT_LENGTH else SHORT_TIMES
        ):
            return "repeated"
        if len(key) > ROOM_PAIRS and self._floods(_pairs(key), now):
            return "flood"
        texts.append(_Said(key, now))
        if len(texts) > TEXTS_KEPT:
            del texts[0]
        return None

    def forget(self, user: str, key: str) -> None:
        """The text was not shown after all: saying it again is no repeat."""
        texts = self._people.get(user, [])
        for place in reversed(range(len(texts))):
            if texts[place].key == key:
                del texts[place]
                return

    def _floods(self, pairs: Pairs, now: int) -> bool:
        if len(pairs) < ROOM_PAIRS:
            return False
        if not 0 <= now - self._since < ROOM_WINDOW_MS:
            recent = 0 <= now - self._since < 2 * ROOM_WINDOW_MS
            self._before = self._counts if recent else {}
            self._counts, self._since = {}, now
        before, counts = self._before, self._counts
        sketch = sorted(pairs)[:SKETCH]
        often = 0
        for one in sketch:
            often += before.get(one, 0) + counts.get(one, 0) >= ROOM_TIMES
        if often >= SKETCH_SHARED:
            return True
        for one in sketch:
            counts[one] = counts.get(one, 0) + 1
        return False


def _pairs(key: str) -> Pairs:
    return frozenset(map(hash, map(concat, key, key[1:])))


def _times(texts: list[_Said], key: str) -> int:
    """How many of these texts are like the one with this key."""
    count = sum(said.key == key for said in texts)
    others = [said.key for said in texts if said.key != key and _may_be_alike(said.key, key)]
    if others:
        pairs = _pairs(key)
        count += sum(_are_alike(_pairs(other), pairs) for other in others)
    return count


def _may_be_alike(one: str, other: str) -> bool:
    """Texts of very different lengths have few pairs in common."""
    shorter, longer = sorted((len(one), len(other)))
    return shorter >= SHORT_LENGTH and shorter >= ALIKE * longer - 1


def _are_alike(one: Pairs, other: Pairs) -> bool:
    common = len(one & other)
    return common >= ALIKE * (len(one) + len(other) - common)
