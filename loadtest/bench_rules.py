"""
What the rules of moderation cost a message: `python -m loadtest.bench_rules`.

Reaches inside, because through a socket they cannot be told apart from everything else. Real texts
would be found in no list most of the time; these are made of common characters, so that with many
words a good part of them is. CPU time of this process, median of five rounds.
"""

import random
import statistics
import sys
import time
from typing import Any

from liveserver.simplified import simplified
from rooms.folding import Folding
from rooms.guard_service import Guard, _Known
from rooms.moderation import Standing
from rooms.room import ChatRules, Speaker
from rooms.words import Filter, WordList

MESSAGES = 5_000  # of as many people
ROUNDS = 5
MUTED = 1_000
START_MS = 1_790_000_000_000
ROUND_MS = 60_000  # so that nobody's message is a repeat
COMMON = [chr(0x4E00 + 7 * n) for n in range(2_500)]


class _NoBus:
    def on_delivery(self, _listener: Any) -> None:
        """Nothing is delivered here."""

    def on_reconnect(self, _listener: Any) -> None:
        """Nothing is lost here."""


def measure(count: int) -> tuple[float, float]:
    """With so many listed words: seconds to build the lists, microseconds a message."""
    chance, now, folding = random.Random(2), START_MS, Folding(simplified())
    words = ["".join(chance.choices(COMMON, k=chance.randint(2, 5))) for _ in range(count)]
    began = time.process_time()
    filters = (Filter([WordList(name="x", action="mask", words=words)], folding),) if count else ()
    build = time.process_time() - began
    texts = ["".join(chance.choices(COMMON, k=chance.randint(4, 40))) for _ in range(MESSAGES)]
    people = [Speaker(id=f"u{n}", name=f"Viewer {n}") for n in range(MESSAGES)]
    mutes = {f"m{n}": START_MS * 2 for n in range(MUTED)}
    known = _Known(Standing(ChatRules(), mutes, frozenset()), filters, now)
    guard = Guard(_NoBus(), None, folding, now=lambda: now)  # type: ignore[arg-type]
    rounds = []
    for _ in range(ROUNDS):
        now += ROUND_MS
        began = time.process_time()
        for speaker, text in zip(people, texts, strict=True):
            guard._check(known, speaker, text, now)
        rounds.append((time.process_time() - began) / MESSAGES * 1e6)
    return build, statistics.median(rounds)


def main() -> None:
    """Print one line for each number of words."""
    for count in (0, 1_000, 50_000):
        build, each = measure(count)
        sys.stdout.write(f"{count:>6} words: built in {build:.3f} s, {each:.1f} µs a message\n")


if __name__ == "__main__":
    main()
