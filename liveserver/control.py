"""
Workers talk to each other: who is there, and "all of you, do this and tell me".

One hidden topic of the bus carries it. Every process says every few seconds that it is there, and
how its connections are if it holds any; from that all know whose answers to wait for. A process
that does not answer in time is left out of the result.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from rooms.bus import Bus, Delivery, Message
from rooms.errors import Refusal

TOPIC = "\x1fworkers"  # no room and no channel can have this name
BEAT_SECONDS = 4.0
SILENT_SECONDS = 3 * BEAT_SECONDS  # then a worker counts as gone
ANSWER_SECONDS = 1.0  # for all workers together
RETRY_SECONDS = 1.0  # after the bus did not answer
ASKS_MAX = 100  # questions of one worker at once: each holds an answer of every worker

log = logging.getLogger(__name__)


class Status(msgspec.Struct, omit_defaults=True, kw_only=True):
    """How a worker is, in the words of Centrifugo's `info`."""

    uid: str
    name: str
    version: str
    num_clients: int
    num_users: int
    num_subs: int
    num_channels: int
    uptime: int  # seconds


class _Line(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One message between workers: a beat, a question with an `op`, or an answer to one."""

    node: str
    beat: bool = False
    sent: float = 0.0  # of a beat: the sender's own clock, for its own eyes
    status: Status | None = None  # of a beat, from a process that holds connections
    hello: bool = False  # asks the others for their status now
    ask: int = 0
    op: str = ""
    to: str = ""  # whom an answer is for
    body: msgspec.Raw = msgspec.Raw()


class _Question(msgspec.Struct):
    missing: set[str]
    answers: list[msgspec.Raw]
    done: asyncio.Future[None]


Work = Callable[[msgspec.Raw], Any]  # the body of a question -> what JSON can say; never waits


class Control:
    """
    This worker among the others. `clock` is monotonic, in seconds; `status` is None in a process
    that holds no connections; `on_echo` is told how long a message of our own took through the bus,
    in seconds.
    """

    def __init__(
        self,
        bus: Bus,
        node: str,
        status: Callable[[], Status] | None,
        work: dict[str, Work],
        *,
        clock: Callable[[], float],
        on_echo: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._bus = bus
        self._node = node
        self._status = status
        self._work = work
        self._clock = clock
        self._on_echo = on_echo
        self._known: dict[str, tuple[Status | None, float]] = {}  # node -> status, when it came
        self._questions: dict[int, _Question] = {}
        self._asked = 0
        self._replies: asyncio.Queue[_Line] = asyncio.Queue(maxsize=ASKS_MAX)
        self._beat_now = asyncio.Event()
        bus.on_delivery(self._deliver)

    def nodes(self) -> list[Status]:
        """All who hold connections and were heard of lately; this worker as it is now."""
        self._forget_silent()
        others = [self._known[node][0] for node in sorted(self._known) if node != self._node]
        own = [self._status()] if self._status else []
        return own + [status for status in others if status is not None]

    @property
    def has_others(self) -> bool:
        """Whether another process was heard of lately."""
        self._forget_silent()
        return not self._known.keys() <= {self._node}

    def _forget_silent(self) -> None:
        now = self._clock()
        for node, (_, at) in list(self._known.items()):
            if now - at > SILENT_SECONDS:
                del self._known[node]

    async def ask(self, op: str, body: Any, *, everyone: bool = False) -> list[msgspec.Raw]:
        """
        Have all who hold connections, or `everyone`, do `op`, this process included; the answers of
        those that gave one in time.

        Raises:
            Unavailable: The bus does not answer.
        """
        self._asked += 1
        id = self._asked
        self._forget_silent()
        asked = {node for node, (status, _) in self._known.items() if everyone or status}
        missing = {self._node, *asked}
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        question = self._questions[id] = _Question(missing, [], done)
        try:
            line = _Line(node=self._node, ask=id, op=op, body=msgspec.Raw(_encode(body)))
            await self._send(line)
            async with asyncio.timeout(ANSWER_SECONDS):
                await done
        except TimeoutError:
            log.warning("%s: no answer from %s", op, ", ".join(sorted(question.missing)))
        finally:
            del self._questions[id]
        return question.answers

    async def tell(self, node: str, op: str, body: Any) -> bool:
        """
        Have one other process do `op`; in the order of the calls, and without an answer. False if
        no such process was heard of lately.

        Raises:
            Unavailable: The bus does not answer.
        """
        self._forget_silent()
        if node not in self._known:
            return False
        line = _Line(node=self._node, op=op, body=msgspec.Raw(_encode(body)))
        await self._send(line, _own_topic(node))
        return True

    # --- in the background -------------------------------------------------------------------

    async def run(self) -> None:
        """Listen, tell the others how this worker is, and answer them, until cancelled."""
        while True:
            try:
                await self._bus.attach(_own_topic(self._node))
                await self._bus.attach(TOPIC)
                await self._send(_Line(node=self._node, hello=True))
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._beat())
                    group.create_task(self._reply())
            except* Refusal as problems:
                log.warning("workers: %s", problems.exceptions[0])
            await asyncio.sleep(RETRY_SECONDS)

    async def _beat(self) -> None:
        while True:
            self._beat_now.clear()
            status = self._status() if self._status else None
            await self._send(_Line(node=self._node, beat=True, sent=self._clock(), status=status))
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._beat_now.wait()
            except TimeoutError:
                pass

    async def _reply(self) -> None:
        while True:
            await self._send(await self._replies.get())

    async def _send(self, line: _Line, topic: str | None = None) -> None:
        topic = topic or TOPIC
        message = Message(channel=topic, data=_encode(line), numbered=False)
        await self._bus.publish(topic, [message])

    # --- what comes --------------------------------------------------------------------------

    def _deliver(self, delivery: Delivery) -> None:
        if delivery.topic not in (TOPIC, _own_topic(self._node)):
            return
        for item in delivery.publications:
            try:
                line = msgspec.json.decode(item.data, type=_Line)
            except msgspec.MsgspecError:
                log.warning("workers: a message of another version is ignored")
                continue
            self._take(line)

    def _take(self, line: _Line) -> None:
        if line.beat:
            self._known[line.node] = (line.status, self._clock())
            if line.node == self._node:
                self._on_echo(self._clock() - line.sent)
        elif line.hello:
            self._beat_now.set()
        elif line.op:
            self._do(line)
        elif line.to == self._node and line.ask in self._questions:
            question = self._questions[line.ask]
            if line.node in question.missing:
                question.missing.discard(line.node)
                question.answers.append(line.body)
            if not question.missing and not question.done.done():
                question.done.set_result(None)

    def _do(self, line: _Line) -> None:
        work = self._work.get(line.op)
        if work is None:
            return
        try:
            body = msgspec.Raw(_encode(work(line.body)))
        except Exception:  # the others go on; the asker notices that we did not answer
            log.exception("workers: %s failed", line.op)
            return
        if not line.ask:
            return
        reply = _Line(node=self._node, ask=line.ask, to=line.node, body=body)
        try:
            self._replies.put_nowait(reply)
        except asyncio.QueueFull:
            log.warning("workers: too many questions at once; one is not answered")


def _own_topic(node: str) -> str:
    return f"{TOPIC}:{node}"


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value)
