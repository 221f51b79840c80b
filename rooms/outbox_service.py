"""
What leaves this worker for the bus: one batch per topic under way, the rest gathers behind it.

Chat and danmaku wait for their tick so that many share a call; must-arrive events leave at once and
take along what waits. A caller gets its outcomes when its batch is numbered.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from rooms.bus import Bus, Message, Outcome, StateMissing
from rooms.errors import Refusal, TooFast, Unavailable

PENDING_MAX = 1_000  # messages per topic; five batches, some 20 ms of the bus
BATCH_MAX = 200  # messages per call: keeps one call near a millisecond inside the server
RESTORES_MAX = 3  # a state that is missing again and again is somebody else's flood of resets
CLOSE_SECONDS = 5.0

T = TypeVar("T")
Done = Callable[[list[Outcome] | Exception], None]

log = logging.getLogger(__name__)


class _Group(msgspec.Struct):
    """Messages of one caller, which stay together and in order."""

    messages: Sequence[Message]
    done: Done
    due: float  # loop time


class _Lane(msgspec.Struct):
    waiting: deque[_Group] = msgspec.field(default_factory=deque)
    count: int = 0  # messages in `waiting`
    busy: bool = False
    timer: asyncio.Handle | None = None
    due: float = 0.0  # of the timer; uvloop's own does not always tell


class Outbox:
    """`restore(topic)` is called when the bus misses the state of a room."""

    def __init__(self, bus: Bus, restore: Callable[[str], Awaitable[None]]) -> None:
        self._bus = bus
        self._restore = restore
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(
        self, topic: str, messages: Sequence[Message], *, wait_ms: int = 0
    ) -> list[Outcome]:
        """
        Number and send messages of one topic; their outcomes, in order.

        Raises:
            TooFast: Too much waits for this topic already.
            Unavailable: The bus does not answer.
        """
        answer: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self.post(topic, messages, partial(settle, answer), wait_ms=wait_ms)
        return await answer

    def post(
        self, topic: str, messages: Sequence[Message], done: Done, *, wait_ms: int = 0
    ) -> None:
        """`send`, but `done` is called with the outcomes or a Refusal. Raises TooFast."""
        lane = self._lanes.get(topic)
        if lane is None:
            lane = self._lanes[topic] = _Lane()
        if lane.count + len(messages) > PENDING_MAX:
            raise TooFast("Too many messages at once; try again in a moment")
        due = asyncio.get_running_loop().time() + wait_ms / 1000
        group = _Group(messages, done, due)
        lane.waiting.append(group)
        lane.count += len(messages)
        if lane.timer is None or group.due < lane.due:
            self._plan(topic, lane)

    async def close(self) -> None:
        """Send what waits, for as long as that takes a few seconds."""
        for topic, lane in list(self._lanes.items()):
            if not lane.busy:
                self._flush(topic, lane)
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=CLOSE_SECONDS)

    def _plan(self, topic: str, lane: _Lane) -> None:
        """Flush when the most urgent group is due, unless a batch is under way."""
        if lane.busy or not lane.waiting:
            return
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        loop = asyncio.get_running_loop()
        due = min(group.due for group in lane.waiting)
        if due <= loop.time():
            self._flush(topic, lane)
        else:
            lane.timer, lane.due = loop.call_at(due, self._flush, topic, lane), due

    def _flush(self, topic: str, lane: _Lane) -> None:
        lane.timer = None
        groups: list[_Group] = []
        size = 0
        while lane.waiting and (not groups or size + len(lane.waiting[0].messages) <= BATCH_MAX):
            groups.append(lane.waiting.popleft())
            size += len(groups[-1].messages)
        lane.count -= size
        lane.busy = True
        task = asyncio.create_task(self._call(topic, lane, groups))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(self, topic: str, lane: _Lane, groups: list[_Group]) -> None:
        try:
            outcomes = await self._publish(topic, [m for g in groups for m in g.messages])
        except Exception as problem:
            if not isinstance(problem, Refusal):
                log.exception("publishing to %s failed", topic)
                problem = Unavailable("Publishing failed")
            for group in groups:
                _tell(group, problem)
        else:
            at = 0
            for group in groups:
                _tell(group, outcomes[at : at + len(group.messages)])
                at += len(group.messages)
        finally:
            lane.busy = False
            if lane.waiting:
                self._plan(topic, lane)
            else:
                self._lanes.pop(topic, None)

    async def _publish(self, topic: str, messages: list[Message]) -> list[Outcome]:
        for _ in range(RESTORES_MAX):
            try:
                return await self._bus.publish(topic, messages)
            except StateMissing:
                await self._restore(topic)
        raise Unavailable("The room's state does not stay on the message bus")


def settle(answer: asyncio.Future[T], result: T | Exception) -> None:
    """A future's end by a callback."""
    if answer.done():  # its caller was cancelled
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _tell(group: _Group, result: list[Outcome] | Exception) -> None:
    """What one caller does with its answer must not cost the others theirs."""
    try:
        group.done(result)
    except Exception:
        log.exception("an answer of the message bus was lost")
