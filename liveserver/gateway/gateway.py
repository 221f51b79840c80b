"""
The viewer socket of one worker: all its connections, what they share, and their end.

`run` is one coroutine for everything that goes on by itself: the timing wheel, the gap check,
presence, the count of viewers. What fails there is logged and begins again.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from liveserver.gateway import codes
from liveserver.gateway.admission import Admission, Turnstile
from liveserver.gateway.commands import Commands
from liveserver.gateway.connection import Connection
from liveserver.gateway.meters import Meters
from liveserver.gateway.options import HTTP_STREAM_PATH, PATH, SSE_PATH, GatewayOptions
from liveserver.gateway.peer import Peer
from liveserver.gateway.presence import Presence
from liveserver.gateway.rights import Rights
from liveserver.gateway.session import Session
from liveserver.gateway.speech import Speech
from liveserver.gateway.stream import Stream
from liveserver.gateway.trial import TrialCommands
from liveserver.gateway.wheel import Wheel
from liveserver.tokens import Tokens
from rooms.hub_service import HubService
from rooms.service import RoomService

if TYPE_CHECKING:
    from liveserver.rpc import Rpc

RESTART_SECONDS = 1.0  # between the failure of a background part and its next beginning
COUNT_SECONDS = 1.0  # between two counts of the viewers of each room
LAG_SECONDS = 0.25  # between two looks at how late the event loop is
CLOSES_AT_ONCE = 100  # of a drain: one slice, so that the others are still served in between
LEAVE_SECONDS = 2.0  # for clients to end their side, after the last of a drain was told to

log = logging.getLogger(__name__)


class Gateway:
    """Everything about viewers' connections that one worker holds."""

    def __init__(
        self,
        hub: HubService,
        rooms: RoomService,
        rpc: "Rpc",
        tokens: Tokens,
        options: GatewayOptions,
        *,
        now: Callable[[], int],
        node: str = "",
        meters: Meters | None = None,
    ) -> None:
        """
        `now` is the wall clock in milliseconds; `node` names this process to clients of streams;
        without `meters` nobody reads the figures.
        """
        self.hub = hub
        self.rooms = rooms
        self.tokens = tokens
        self.options = options
        self.now = now
        self.clock = time.monotonic  # for durations, in seconds
        self.node = node
        self.connections: set[Peer] = set()
        self.streams: dict[str, Stream] = {}  # by the session of their client
        self.meters = meters or Meters()
        hub.fanout.on_frame = self.meters.frame
        self.closes: Counter[int] = Counter()  # for the metrics: how often with which code
        self.bytes_in = 0  # for the metrics: of viewer sockets, before TLS
        self.frames_skipped = 0  # of danmaku alone, for viewers past the soft mark
        self.messages_out = 0  # replies, and pushes to one client alone
        self.bytes_out = 0  # to one client alone; what many get is counted by the hub
        self.wheel = Wheel(options.step_seconds)
        self.admission = Admission(options.connects_per_second)
        self.turnstile = Turnstile(time.thread_time, _soon)
        self.presence = Presence(hub.bus)
        self.speech = Speech(rooms, rpc, self.presence, self._viewers_here)
        commands = TrialCommands if options.insecure else Commands
        self.commands = commands(self, Rights(options, tokens))
        self._tasks: set[asyncio.Task[None]] = set()
        self._counted: dict[str, int] = {}  # room -> viewers here, as last noted
        self._draining = False
        self._all_gone = asyncio.Event()
        if options.insecure:
            log.warning("INSECURE: anybody may connect, subscribe and publish. For trials only.")

    def protocol_factory(self, path: bytes) -> Callable[[], Peer] | None:
        """
        What makes the protocol of a socket whose first bytes are the head of a request for `path`;
        None where that is no way to viewers.
        """
        if path == PATH.encode():
            return lambda: Connection(self)
        if path in (HTTP_STREAM_PATH.encode(), SSE_PATH.encode()):
            return lambda: Stream(self)
        return None

    # --- what goes on by itself ----------------------------------------------------------------

    async def run(self) -> None:
        """Run everything until cancelled."""
        parts: dict[str, Callable[[], Awaitable[None]]] = {
            "timing wheel": self.wheel.run,
            "gap check": self.hub.run,
            "presence errands": self.presence.run_errands,
            "presence refresh": self.presence.run_refresh,
            "viewer count": self._count,
            "loop lag": self._measure_lag,
        }
        async with asyncio.TaskGroup() as group:
            for name, part in parts.items():
                group.create_task(_forever(name, part))

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_SECONDS
            await asyncio.sleep(LAG_SECONDS)
            self.meters.loop_lag.observe(max(0.0, loop.time() - due))

    async def _count(self) -> None:
        while True:
            self._note_online()
            await asyncio.sleep(COUNT_SECONDS)

    def _note_online(self) -> None:
        """Tell the rooms how many watch on this worker, where that has changed."""
        watched = {room: self._viewers_here(room) for room in self.hub.hub.rooms}
        for room in {*watched, *self._counted}:
            count = watched.get(room, 0)
            if count != self._counted.get(room, 0):
                self.rooms.note_online(room, count)
        self._counted = {room: count for room, count in watched.items() if count}

    def _viewers_here(self, room: str) -> int:
        return self.hub.hub.viewers_of(room, f"room:{room}")

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the rest of a command. Bounded: one at a time for each connection."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def count_open(self) -> Mapping[str, int]:
        """Open connections by transport."""
        return Counter(one.transport_name for one in self.connections if one.open)

    def count_close(self, close: codes.Close) -> None:
        self.closes[close.code] += 1

    # --- the end -------------------------------------------------------------------------------

    def idle(self, session: Session) -> None:
        """A session has answered all it was asked; during a drain it is closed now."""
        if self._draining:
            session.connection.close(codes.SHUTDOWN)

    def arrived(self, connection: Peer) -> None:
        """A socket was handed over. Too late during a drain: it never was here."""
        if self._draining:
            connection.failed()
        else:
            self.connections.add(connection)

    def gone(self, connection: Peer) -> None:
        """The socket is closed."""
        self.connections.discard(connection)
        if self._draining and not self.connections:
            self._all_gone.set()

    async def drain(self, seconds: float, *, leave_seconds: float = LEAVE_SECONDS) -> None:
        """
        Close everyone with 3001, a large crowd spread over `seconds`, and wait `leave_seconds`.

        Commands that are being worked on are answered first. Whoever is still there at the end is
        cut off. The listener must have stopped accepting.
        """
        loop = asyncio.get_running_loop()
        self._draining = True
        if not self.connections:
            self._all_gone.set()
        await self._close_all(seconds)
        end = loop.time() + leave_seconds
        with suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                await self._all_gone.wait()
        for connection in list(self.connections):
            connection.failed()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.presence.finish_errands(max(0.0, end - loop.time()))

    async def _close_all(self, seconds: float) -> None:
        """The first slice goes at once, the last after `seconds`."""
        loop = asyncio.get_running_loop()
        begin, everyone = loop.time(), list(self.connections)
        starts = range(0, len(everyone), CLOSES_AT_ONCE)
        for number, start in enumerate(starts):
            if number:
                due = begin + seconds * number / (len(starts) - 1)
                await asyncio.sleep(max(0.0, due - loop.time()))
            if self._all_gone.is_set():
                return
            for connection in everyone[start : start + CLOSES_AT_ONCE]:
                if not connection.session.busy:
                    connection.close(codes.SHUTDOWN)


def _soon(turn: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(turn)


async def _forever(name: str, part: Callable[[], Awaitable[None]]) -> NoReturn:
    """A part that fails is told in the log and begins again; it never just stops."""
    while True:
        try:
            await part()
        except Exception:
            log.exception("the %s failed and begins again", name)
        await asyncio.sleep(RESTART_SECONDS)
