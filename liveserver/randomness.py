"""Randomness of the system, a page at a time: a system call for each id costs as much as the id."""

import secrets

PAGE_BYTES = 4096


class RandomBits:
    """Never gives the same bytes twice. Not for processes that fork; ours start anew."""

    def __init__(self) -> None:
        self._page = b""
        self._at = 0

    def __call__(self, count: int) -> int:
        """`count` random bits, at most those of a page, as an integer."""
        size = (count + 7) // 8
        if self._at + size > len(self._page):
            self._page, self._at = secrets.token_bytes(PAGE_BYTES), 0
        begin = self._at
        self._at += size
        return int.from_bytes(self._page[begin : self._at]) >> (size * 8 - count)
