"""
The way to the writer between processes: Redis carries questions and answers, never stock.

A gateway pushes into a bounded queue whose name contains the fence of the writer that it means, so
that nobody else takes from it. Ages are by the clock of Redis alone. Answers come by one pub/sub
channel for each gateway. Everything here may be lost with Redis, and no order is: a waiter without
an answer looks into the database.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from orders.decide import check_request
from orders.errors import BY_PROBLEM, Invalid, OutcomeUnknown, Refusal, Unavailable
from orders.ledger import Answers
from orders.requests import AnyRequest, Reserve, is_repeatable
from orders.service import Writer
from orders.waiting_service import (
    LOOK_FIRST,
    MAX_AGE_MS,
    MAX_BATCH,
    MAX_WAITING,
    NOT_DONE,
    REPEAT,
    Answered,
    Done,
    Patience,
    wait_for_answer,
)

log = logging.getLogger(__name__)

CALL_SECONDS = 2.0  # a Redis call; longer than that it is as good as gone
LISTEN_SECONDS = 0.5  # one wait for questions or answers, so that closing is quick
RECONNECT_SECONDS = 0.25  # between two tries to reach Redis
ANNOUNCE_SECONDS = 1.0  # between two announcements of the fence
FENCE_TTL_MS = 5_000  # the announcement of a writer that is gone
QUEUE_TTL_MS = 60_000  # the queue of a fence that is gone
MAX_QUEUE = 10_000  # questions in Redis, like the waiters of one node
MAX_PUSH = 500  # questions a call, so that one call stays short

ERRORS = (RedisError, OSError, asyncio.TimeoutError)
FAR = "the writer cannot be reached"

#: Announce a fence, unless a newer one is there.
ANNOUNCE = """
if tonumber(redis.call('GET', KEYS[1]) or '0') > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

#: Push questions for this fence; how many were accepted, or -1 when the fence is another one.
PUSH = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local free = tonumber(ARGV[2]) - redis.call('LLEN', KEYS[2])
local count = math.max(0, math.min(free, #ARGV - 3))
for index = 4, 3 + count do
    redis.call('RPUSH', KEYS[2], string.format('%d', now) .. ' ' .. ARGV[index])
end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return count
"""

#: Take questions, with the time of now.
TAKE = """
local time = redis.call('TIME')
local now = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
return {now, redis.call('LPOP', KEYS[1], ARGV[1]) or {}}
"""


class Question(msgspec.Struct, array_like=True):
    """One request on its way. `number` is the asking node's own."""

    node: str
    number: int
    request: AnyRequest


class Reply(msgspec.Struct, array_like=True):
    """Its answer: a body, or a refusal by its problem's name."""

    number: int
    body: str | None
    problem: str | None = None
    detail: str = ""
    facts: dict[str, Any] = {}


def connect(redis_url: str) -> Redis:
    """
    A client that never repeats a call by itself: a push whose reply was lost may have been done.
    """
    return Redis.from_url(
        redis_url,
        socket_timeout=CALL_SECONDS,
        socket_connect_timeout=CALL_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


class Names:
    """The keys of one shop. They share a hash tag, because scripts use them together."""

    def __init__(self, prefix: str) -> None:
        self.fence = f"{{{prefix}}}:fence"
        self._prefix = prefix

    def queue(self, fence: int) -> str:
        return f"{{{self._prefix}}}:asks:{fence}"

    def node(self, node: str) -> str:
        return f"{self._prefix}:node:{node}"


class _Waiting(NamedTuple):
    """A question on its way, and who waits for its answer."""

    done: Callable[[Answered], None]
    since: float
    request: AnyRequest


class RedisDoor:
    """The gateway's end (`orders.requests.Door`). `node` is unique to this process start."""

    def __init__(
        self,
        redis_url: str,
        node: str,
        answers: Answers,
        *,
        prefix: str = "orders",
        refusal: Callable[[Reserve], Refusal | None] = lambda _request: None,
    ) -> None:
        self._redis = connect(redis_url)
        self._node = node
        self._answers = answers
        self._patience = Patience(self.submit, answers, self.withdraw)
        self._refusal = refusal  # what is known here already, see `orders.states`
        self._names = Names(prefix)
        self._waiting: dict[int, _Waiting] = {}
        self._outgoing: list[tuple[int, bytes]] = []  # bounded by `_waiting`
        self._last = 0
        self._fence: int | None = None
        self._listening = asyncio.Event()
        self._ready = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to listen and to send. Redis need not be there yet."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="orders door: answers"),
            asyncio.create_task(self._send(), name="orders door: questions"),
        ]

    async def close(self) -> None:
        """Stop; whoever still waits is told to repeat."""
        await _end(self._tasks)
        for number in list(self._waiting):
            self._lose(number)
        await self._redis.aclose()

    async def ask(self, request: AnyRequest) -> bytes:
        """See `orders.requests.Door`."""
        if (refusal := self._known_refusal(request)) is not None:
            raise refusal
        return await wait_for_answer(request, self.submit, self._answers, self.withdraw)

    def place(self, request: AnyRequest, done: Done) -> None:
        """See `orders.requests.Door`."""
        refusal = self._known_refusal(request)
        if refusal is None:
            self._patience.place(request, done)
        else:
            done(refusal)

    def _known_refusal(self, request: AnyRequest) -> Refusal | None:
        """What needs no writer: a request that is wrong in itself, or a sale known to be over."""
        if not isinstance(request, Reserve):
            return None
        try:
            check_request(request)
        except Refusal as refusal:
            return refusal
        return self._refusal(request)

    def submit(self, request: AnyRequest, done: Callable[[Answered], None]) -> None:
        """Send a request on its way; `done` is called at most once."""
        if len(self._waiting) >= MAX_WAITING:
            done(Unavailable("too many requests are waiting: try again in a moment"))
            return
        self._last += 1
        try:
            check_request(request)
            question = msgspec.json.encode(Question(self._node, self._last, request))
        except Refusal as refusal:
            done(refusal)
        except (TypeError, ValueError, RecursionError) as error:
            done(Invalid(f"the request is not JSON: {error}"))
        else:
            now = asyncio.get_running_loop().time()
            self._waiting[self._last] = _Waiting(done, now, request)
            self._outgoing.append((self._last, question))
            self._ready.set()

    def _finish(self, number: int, result: Answered) -> None:
        waiter = self._waiting.pop(number, None)
        if waiter is not None:
            waiter.done(result)

    def _lose(self, number: int) -> None:
        """Nobody will answer this one any more."""
        request = self._waiting[number].request
        if is_repeatable(request):
            self._finish(number, Unavailable(f"{FAR}: {REPEAT}"))
        elif self._take_back(number):
            self._finish(number, Unavailable(f"{FAR}: {NOT_DONE}"))
        else:
            self._finish(number, OutcomeUnknown(LOOK_FIRST))

    def withdraw(self, request: AnyRequest) -> bool:
        """Whether a request that nobody answered had not left this process, and now never will."""
        for number, waiting in self._waiting.items():
            if waiting.request is request:
                return self._take_back(number)
        return False

    def _take_back(self, number: int) -> bool:
        kept = [item for item in self._outgoing if item[0] != number]
        taken = len(kept) < len(self._outgoing)
        self._outgoing = kept
        return taken

    # ── questions ───────────────────────────────────────────────────────────────────────────

    async def _send(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LISTEN_SECONDS):
                    await self._ready.wait()
            self._forget_old()
            if not self._outgoing:
                self._ready.clear()
                continue
            try:
                await self._listening.wait()
                sent = await self._push()
            except ERRORS as error:
                log.warning("orders door: questions not sent: %s", error)
                self._outgoing.clear()  # perhaps they were: their waiters look into the database
                sent = False
            if not sent:
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _push(self) -> bool:
        """Send the oldest questions; False when there is no writer to send them to."""
        if self._fence is None:
            announced = await self._redis.get(self._names.fence)
            if announced is None:
                return False
            self._fence = int(announced)
        part, self._outgoing = self._outgoing[:MAX_PUSH], self._outgoing[MAX_PUSH:]
        accepted = await self._redis.eval(
            PUSH, 2, self._names.fence, self._names.queue(self._fence),
            str(self._fence), MAX_QUEUE, QUEUE_TTL_MS, *(question for _number, question in part),
        )  # fmt: skip
        if accepted < 0:
            self._fence = None
            self._outgoing = part + self._outgoing
            return True
        for number, _question in part[accepted:]:
            self._finish(number, Unavailable("too many requests are waiting: try again"))
        return True

    def _forget_old(self) -> None:
        """Let go of those whose waiters have given up."""
        oldest = asyncio.get_running_loop().time() - MAX_AGE_MS / 1000
        for number, waiting in list(self._waiting.items()):
            if waiting.since >= oldest:
                break  # in the order in which they came
            self._lose(number)
        self._outgoing = [item for item in self._outgoing if item[0] in self._waiting]

    # ── answers ─────────────────────────────────────────────────────────────────────────────

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except ERRORS as error:
                log.warning("orders door: not listening: %s", error)
            self._listening.clear()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen_once(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._names.node(self._node))
            while True:
                message = await pubsub.get_message(timeout=LISTEN_SECONDS)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    self._listening.set()
                elif message["type"] == "message":
                    self._take_answers(message["data"])

    def _take_answers(self, data: bytes) -> None:
        for reply in msgspec.json.decode(data, type=list[Reply]):
            if reply.body is not None:
                self._finish(reply.number, reply.body.encode())
            else:
                kind = BY_PROBLEM.get(reply.problem or "", Unavailable)
                self._finish(reply.number, kind(reply.detail, **reply.facts))


class RedisAsks:
    """The writer's end: takes questions while its writer holds the lease, and answers them."""

    def __init__(self, redis_url: str, writer: Writer, *, prefix: str = "orders") -> None:
        self._redis = connect(redis_url)
        self._writer = writer
        self._names = Names(prefix)
        self._answers: dict[str, list[Reply]] = {}  # bounded by the writer's line
        self._answered = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled."""
        tasks = [
            asyncio.create_task(self._keep(self._announce), name="orders asks: fence"),
            asyncio.create_task(self._keep(self._take), name="orders asks: questions"),
            asyncio.create_task(self._keep(self._publish), name="orders asks: answers"),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            await _end(tasks)
            await self._redis.aclose()

    async def _keep(self, step: Callable[[], Any]) -> None:
        while True:
            try:
                await step()
            except ERRORS as error:
                log.warning("orders asks: %s", error)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _announce(self) -> None:
        fence = self._writer.fence
        if fence is None:
            await asyncio.sleep(RECONNECT_SECONDS)
            return
        await self._redis.eval(ANNOUNCE, 1, self._names.fence, fence, FENCE_TTL_MS)
        await asyncio.sleep(ANNOUNCE_SECONDS)

    async def _take(self) -> None:
        fence = self._writer.fence
        if fence is None:
            await asyncio.sleep(RECONNECT_SECONDS)
            return
        queue = self._names.queue(fence)
        first = await self._redis.blpop([queue], timeout=LISTEN_SECONDS)
        if first is None:
            return
        now, others = await self._redis.eval(TAKE, 1, queue, MAX_BATCH - 1)
        for entry in (first[1], *others):
            self._submit(entry, int(now))

    def _submit(self, entry: bytes, now: int) -> None:
        stamp, _space, body = entry.partition(b" ")
        if now - int(stamp) > MAX_AGE_MS:
            return  # nobody waits for it any more
        try:
            question = msgspec.json.decode(body, type=Question)
        except msgspec.DecodeError as error:
            log.warning("orders asks: unreadable question: %s", error)
            return

        def done(result: Answered) -> None:
            self._answers.setdefault(question.node, []).append(_reply(question.number, result))
            self._answered.set()

        self._writer.submit(question.request, done)

    async def _publish(self) -> None:
        await self._answered.wait()
        self._answered.clear()
        answers, self._answers = self._answers, {}
        for node, replies in answers.items():
            await self._redis.publish(self._names.node(node), msgspec.json.encode(replies))


def _reply(number: int, result: Answered) -> Reply:
    if isinstance(result, Refusal):
        return Reply(number, None, result.problem, result.detail, result.facts)
    return Reply(number, result.decode())


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
