"""
Who waits for the writer: a bounded queue of requests, each with the way back to its waiter.

Nothing waits for ever. A waiter without an answer looks into the database once, for the order with
its key; after that only the same request again can tell, and it is safe to repeat. What would be
done twice when repeated is taken back when its waiter gives up: then it was certainly not done.
Only while it is being stored nobody can say, and that is what its waiter is told.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from orders.errors import InFlight, OutcomeUnknown, Refusal, Unavailable
from orders.ledger import Answers, Failure
from orders.requests import AnyRequest, Placing, Queueing, is_repeatable
from orders.sale import check_repeat_fingerprint

MAX_WAITING = 10_000  # requests a process; at 5,000 a second the last one waits 2 s
MAX_BATCH = 1_000  # requests a transaction: beyond it a commit gets no cheaper, only later
MAX_AGE_MS = 5_000  # nobody waits longer: official SDKs give up at 5 s
ANSWER_SECONDS = 3.0  # leaves a waiter the time to look itself before its client gives up
LOOK_SECONDS = 1.0  # for that look
STEP_SECONDS = 0.25  # between two looks at who has waited for too long

Answered = bytes | Refusal
Done = Callable[[Answered], None]
Submit = Callable[[AnyRequest, Done], None]
Withdraw = Callable[[AnyRequest], bool]

NOT_DONE = "it was not done, and will not be: try again"
REPEAT = "repeat the same request, with the same key: it is done once"
LOOK_FIRST = "not known whether it was done: look before you repeat it, in five seconds"


class Ask:
    """
    One request that waits. `done` is called once, with the answer or the refusal.

    `storing` is true from its decision in a transaction to the end of that; `given_up` when its
    waiter wants it no more.
    """

    __slots__ = ("answered", "done", "given_up", "request", "since_ms", "storing")

    def __init__(
        self, request: AnyRequest, done: Callable[[Answered], None], since_ms: int
    ) -> None:
        self.request = request
        self.done = done
        self.since_ms = since_ms
        self.answered = self.given_up = self.storing = False


class WaitingLine:
    """The requests that no batch has taken yet, oldest first."""

    def __init__(self, monotonic_ms: Callable[[], int]) -> None:
        self._monotonic_ms = monotonic_ms
        self._line: deque[Ask] = deque()
        self._buyers: set[str] = set()  # who has a wish in flight, taken ones included
        self._open = 0  # everything not answered yet, taken ones included
        self._once: dict[int, Ask] = {}  # by id of the request: open ones, not to be repeated
        self.filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._line)

    @property
    def unanswered(self) -> int:
        """Requests that line up or are being worked on."""
        return self._open

    def add(self, request: AnyRequest, done: Callable[[Answered], None]) -> None:
        """Line up, or be refused at once: the line is full, or the buyer stands in it already."""
        if self._open >= MAX_WAITING:
            done(Unavailable("too many requests are waiting: try again in a moment"))
            return
        if isinstance(request, Queueing):
            if request.buyer in self._buyers:
                done(InFlight("your last reservation is still being worked on: ask again"))
                return
            self._buyers.add(request.buyer)
        self._open += 1
        ask = Ask(request, done, self._monotonic_ms())
        if not is_repeatable(request):
            self._once[id(request)] = ask
        self._line.append(ask)
        self.filled.set()

    def is_waiting(self, buyer: str) -> bool:
        """Whether a reservation of this buyer stands in line or is being decided."""
        return buyer in self._buyers

    def take(self) -> list[Ask]:
        """The next batch. Merchants' changes come first: then a cancelled sale sells no more."""
        batch: list[Ask] = []
        self.drop_old()
        while self._line and len(batch) < MAX_BATCH:
            batch.append(self._line.popleft())
        if not self._line:
            self.filled.clear()
        batch.sort(key=lambda ask: isinstance(ask.request, Queueing))
        return batch

    def drop_old(self) -> None:
        """Refuse those at the front whose waiters have given up."""
        oldest = self._monotonic_ms() - MAX_AGE_MS
        while self._line and self._line[0].since_ms < oldest:
            ask = self._line.popleft()
            self.answer(ask, undecided("it took too long", ask.request))

    def withdraw(self, request: AnyRequest) -> bool:
        """
        The waiter of a request that is not repeatable gives up. Whether it is certainly not done:
        it is decided no more, except where a transaction has it already.
        """
        ask = self._once.get(id(request))
        if ask is None:
            return False
        ask.given_up = True
        return not ask.storing

    def has_once(self, asks: list[Ask]) -> bool:
        """Whether one of these could be withdrawn."""
        return bool(self._once) and any(id(ask.request) in self._once for ask in asks)

    def claim(self, asks: list[Ask]) -> list[Ask]:
        """The transaction is open: those of a batch to be decided in it, without the withdrawn."""
        claimed = []
        for ask in asks:
            if ask.given_up:
                self.answer(ask, Unavailable(NOT_DONE))
            else:
                ask.storing = True
                claimed.append(ask)
        return claimed

    def unclaim(self, asks: list[Ask]) -> None:
        """The transaction came to nothing."""
        for ask in asks:
            ask.storing = False

    def put_back(self, asks: list[Ask]) -> None:
        """Decide these again, before all others."""
        self.unclaim(asks)
        self._line.extendleft(reversed(asks))
        if asks:
            self.filled.set()

    def answer(self, ask: Ask, result: Answered) -> None:
        """Let a waiter go, once."""
        if ask.answered:
            return
        ask.answered = True
        self._open -= 1
        self._once.pop(id(ask.request), None)
        if isinstance(ask.request, Queueing):
            self._buyers.discard(ask.request.buyer)
        ask.done(result)

    def refuse_all(self, why: str) -> None:
        """Nobody here can answer these."""
        while self._line:
            ask = self._line.popleft()
            self.answer(ask, undecided(why, ask.request))
        self.filled.clear()


def undecided(why: str, request: AnyRequest) -> Unavailable:
    """
    The refusal of a request that no batch took. A repeatable one may have been, in an earlier try.
    """
    return Unavailable(f"{why}: {REPEAT if is_repeatable(request) else NOT_DONE}")


class _Waiter:
    """Lets the first answer through, whoever brings it, and no other."""

    __slots__ = ("done", "request")

    def __init__(self, request: AnyRequest, done: Done) -> None:
        self.request = request
        self.done: Done | None = done

    def __call__(self, result: Answered) -> None:
        done, self.done = self.done, None
        if done is not None:
            done(result)


class Patience:
    """
    `wait_for_answer` for those who are called back: no task and no timer for each of them.

    All wait equally long, so one line in the order of their coming tells who has waited too long.
    """

    def __init__(self, submit: Submit, answers: Answers, withdraw: Withdraw) -> None:
        self._submit = submit
        self._answers = answers
        self._withdraw = withdraw
        self._line: deque[tuple[float, _Waiter]] = deque()  # (when it gives up, who)
        self._timer: asyncio.TimerHandle | None = None
        self._looks: set[asyncio.Task[None]] = set()  # bounded by the line of the writer

    def place(self, request: AnyRequest, done: Done) -> None:
        """Submit a request; `done` is called once, after `wait_for_answer`'s time at the latest."""
        waiter = _Waiter(request, done)
        self._submit(request, waiter)
        if waiter.done is None:
            return
        loop = asyncio.get_running_loop()
        self._line.append((loop.time() + ANSWER_SECONDS, waiter))
        if self._timer is None:
            self._timer = loop.call_later(STEP_SECONDS, self._step)

    def _step(self) -> None:
        loop = asyncio.get_running_loop()
        now, line = loop.time(), self._line
        while line and (line[0][1].done is None or line[0][0] <= now):
            waiter = line.popleft()[1]
            if waiter.done is not None:
                task = loop.create_task(self._look(waiter))
                self._looks.add(task)
                task.add_done_callback(self._looks.discard)
        self._timer = loop.call_later(STEP_SECONDS, self._step) if line else None

    async def _look(self, waiter: _Waiter) -> None:
        try:
            waiter(await late_answer(waiter.request, self._answers, self._withdraw))
        except Refusal as refusal:
            waiter(refusal)


async def wait_for_answer(
    request: AnyRequest, submit: Submit, answers: Answers, withdraw: Withdraw
) -> bytes:
    """Submit a request and wait: for its answer, then for its order, never longer."""
    future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()

    def done(result: Answered) -> None:
        if not future.done():
            future.set_result(result)

    submit(request, done)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            result = await future
    except TimeoutError:
        return await late_answer(request, answers, withdraw)
    if isinstance(result, Refusal):
        raise result
    return result


async def late_answer(request: AnyRequest, answers: Answers, withdraw: Withdraw) -> bytes:
    """
    The order with the key of a request that nobody answered, if there is one.

    Raises:
        Unavailable: It is safe to repeat, or was certainly not done.
        OutcomeUnknown: Neither.
    """
    if isinstance(request, Placing):
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                found = await answers.answer_by_key(request.buyer, "client", request.key)
        except (TimeoutError, Failure, Unavailable):
            found = None  # the refusal below says what to do about it
        if found is not None:
            check_repeat_fingerprint(found[0], request)
            return found[1]
    if is_repeatable(request):
        raise Unavailable(f"no answer in time: {REPEAT}")
    if withdraw(request):
        raise Unavailable(f"no answer in time: {NOT_DONE}")
    raise OutcomeUnknown(LOOK_FIRST)
