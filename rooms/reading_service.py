"""Reads that a crowd asks for in the same moment, as few calls of the bus."""

import asyncio

from rooms.bus import Bus, Position

Asked = dict[tuple[str, str], asyncio.Future[Position]]  # topic and channel -> who waits


class SharedPositions:
    """
    The position of a channel, for a first subscriber; each of a crowd has a channel of its own.

    One call is under way at a time; who asks meanwhile shares the next. So who comes alone waits
    for nobody, and a thousand cost a few calls. Nobody gets an answer older than the question.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._asked: Asked = {}
        self._task: asyncio.Task[None] | None = None

    async def of(self, topic: str, channel: str) -> Position:
        """Raises `rooms.errors.Unavailable` when the bus does not answer."""
        waiting = self._asked.get((topic, channel))
        if waiting is None:
            waiting = asyncio.get_running_loop().create_future()
            self._asked[topic, channel] = waiting
        if self._task is None:
            self._task = asyncio.create_task(self._read())
        return await asyncio.shield(waiting)

    async def _read(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                await self._answer(asked)
        finally:
            self._task = None

    async def _answer(self, asked: Asked) -> None:
        topics: dict[str, list[str]] = {}
        for topic, channel in asked:
            topics.setdefault(topic, []).append(channel)
        try:
            found = await self.bus.positions(topics)
            for (_, channel), waiting in asked.items():
                waiting.set_result(found[channel])
        except Exception as problem:
            for waiting in asked.values():
                if not waiting.done():
                    waiting.set_exception(problem)
                    waiting.exception()  # told even if its only asker is gone: not an error
        finally:
            for waiting in asked.values():
                waiting.cancel()  # does nothing to one that was answered
