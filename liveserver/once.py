"""Publications with an idempotency key: what was done under a key is answered, not done again."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from liveserver.gateway import codes

WINDOW_SECONDS = 300.0  # Centrifugo's
KEYS_MAX = 10_000  # the oldest goes; about 4 MB

T = TypeVar("T")


class Once(Generic[T]):
    """The keys of one worker. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, asyncio.Future[T]]] = OrderedDict()

    async def do(self, scope: str, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """
        The result of `work`, or of the work that had this key in the window. A repeat that comes
        while the first is under way waits for it; what failed may be tried again. Raises as `work`.
        """
        self._forget_old()
        if kept := self._kept.get((scope, key)):
            return await asyncio.shield(kept[1])
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._kept[scope, key] = self._clock(), result
        try:
            done = await work()
        except BaseException as problem:
            self._kept.pop((scope, key), None)
            stays = isinstance(problem, Exception)
            result.set_exception(problem if stays else codes.Fail(codes.INTERNAL))
            result.exception()  # seen: perhaps nobody waits for it
            raise
        result.set_result(done)
        return done

    def _forget_old(self) -> None:
        over = self._clock() - WINDOW_SECONDS
        while self._kept:
            at, _ = next(iter(self._kept.values()))
            if at > over and len(self._kept) < KEYS_MAX:
                return
            self._kept.popitem(last=False)
