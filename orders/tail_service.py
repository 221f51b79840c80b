"""
The newest part of the feed, in memory: who follows it closely is told what the writer of this
process has just committed without asking the database.

The pieces of the tail follow on each other without a gap, each from a number to a number, or the
tail begins anew. Who is behind it, and who has read all of it, asks the database: another process
may have written since.
"""

from collections import deque
from collections.abc import Callable

from orders.feed import Feed, FeedEvent
from orders.news import News

EVENTS_MAX = 10_000  # about 15 MB; two seconds of a rush, which a follower may be behind


class _Piece:
    """What one commit told: the events with numbers in (after, until], made when first wanted."""

    __slots__ = ("_events", "_make", "after", "size", "until")

    def __init__(self, news: News, make: Callable[[], list[FeedEvent]]) -> None:
        self.after = news.after
        self.until = news.last_edge
        self.size = news.last_edge - news.after  # at least as many as there are events
        self._make: Callable[[], list[FeedEvent]] | None = make
        self._events: list[FeedEvent] = []

    def events(self) -> list[FeedEvent]:
        if self._make is not None:
            self._events, self._make = self._make(), None
        return self._events


class TailedFeed:
    """`orders.feed.Feed` over another one and the news of this process's writer."""

    def __init__(self, feed: Feed, *, events_max: int = EVENTS_MAX) -> None:
        self._feed = feed
        self._events_max = events_max
        self._pieces: deque[_Piece] = deque()
        self._size = 0

    def push(self, news: News) -> None:
        """A commit of this process's writer, right after it."""
        if news.events is None:
            return
        if self._pieces and self._pieces[-1].until != news.after:
            self._pieces.clear()  # somebody else wrote in between
            self._size = 0
        self._pieces.append(_Piece(news, news.events))
        self._size += self._pieces[-1].size
        while self._size > self._events_max:
            self._size -= self._pieces.popleft().size

    async def after(self, n: int, limit: int) -> list[FeedEvent]:
        return self._remembered(n, limit) or await self._feed.after(n, limit)

    async def last(self) -> int:
        return await self._feed.last()

    def _remembered(self, n: int, limit: int) -> list[FeedEvent]:
        """What the tail has after `n`; nothing where it does not reach back so far."""
        found: list[FeedEvent] = []
        if not self._pieces or n < self._pieces[0].after:
            return found
        for piece in self._pieces:
            if piece.until <= n:
                continue
            events = piece.events()
            found += events if piece.after >= n else [event for event in events if event.n > n]
            if len(found) >= limit:
                break
        return found[:limit]
