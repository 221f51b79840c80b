"""
Who is in which channel, for namespaces that want to know: entries with a TTL, joins and leaves.

What a client's own command causes is done before its answer. What a vanished connection leaves
behind goes through one bounded line of errands; an entry that is forgotten there expires.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from liveserver.gateway.options import PRESENCE_REFRESH_SECONDS, PRESENCE_TTL_SECONDS
from rooms.bus import Bus, Message
from rooms.channels import topic_of
from rooms.errors import Refusal
from rooms.protocol import JOIN, LEAVE

ERRANDS = 10_000  # leaves waiting, a storm of that many at once; the oldest are left to the TTL

log = logging.getLogger(__name__)


class _Leaving(NamedTuple):
    """What is left to do for a client that went: its entry, and the others to be told."""

    info: bytes
    present: bool
    told: bool


class Presence:
    """The presence entries of this worker's connections."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._here: dict[tuple[str, str], bytes] = {}  # (channel, client) -> ClientInfo
        self._errands: OrderedDict[tuple[str, str], _Leaving] = OrderedDict()
        self._doing: tuple[str, str] | None = None  # the errand under way
        self._one = asyncio.Lock()  # errand at a time
        self._wake = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()

    async def enter(self, channel: str, client: str, info: bytes) -> None:
        """Note the client before its subscription is answered, and after it left the last time."""
        await self._settle(channel, client)
        await self._bus.set_presence(channel, client, info, PRESENCE_TTL_SECONDS)
        self._here[channel, client] = info

    async def announce_join(self, channel: str, client: str, info: bytes) -> None:
        """Tell the channel's subscribers who came: news, and nothing that its answer hangs on."""
        try:
            await self._settle(channel, client)
            await self._announce(JOIN, channel, info)
        except Refusal as problem:
            log.warning("a join of %s: %s", channel, problem.detail)

    async def _announce(self, what: str, channel: str, info: bytes) -> None:
        message = Message(channel=what + channel, data=info, numbered=False)
        await self._bus.publish(topic_of(channel), [message])

    async def leave(
        self, channel: str, client: str, info: bytes, *, present: bool, told: bool
    ) -> None:
        """Forget the client (`present`), and tell the others (`told`)."""
        if present:
            self._here.pop((channel, client), None)
            await self._bus.clear_presence(channel, client)
        if told:
            await self._announce(LEAVE, channel, info)

    def leave_later(
        self, channel: str, client: str, info: bytes, *, present: bool, told: bool
    ) -> None:
        """The same for a connection that is gone."""
        if present or told:
            self._here.pop((channel, client), None)
            self._errands[channel, client] = _Leaving(info, present, told)
            if len(self._errands) > ERRANDS:
                self._errands.popitem(last=False)
            self._done.clear()
            self._wake.set()

    async def infos(self, channel: str) -> dict[str, bytes]:
        """Who is in the channel, on all workers."""
        return await self._bus.presence(channel)

    async def run_errands(self) -> None:
        """Do what vanished connections left behind, one by one, forever."""
        while True:
            while self._errands:
                await self._do(next(iter(self._errands)))
            self._done.set()
            self._wake.clear()
            await self._wake.wait()

    async def _settle(self, channel: str, client: str) -> None:
        """Whoever comes back at once must have left before, or it would be taken for gone."""
        if (channel, client) in self._errands or self._doing == (channel, client):
            await self._do((channel, client))

    async def _do(self, who: tuple[str, str]) -> None:
        """An errand, if it is not done already. What fails is left to the TTL."""
        async with self._one:
            leaving = self._errands.pop(who, None)
            if leaving is None:
                return
            self._doing = who
            try:
                await self.leave(*who, leaving.info, present=leaving.present, told=leaving.told)
            except Refusal as problem:
                log.warning("presence of %s: %s", who[0], problem.detail)
            finally:
                self._doing = None

    async def finish_errands(self, seconds: float) -> None:
        """Wait until the line is empty, at most that long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._done.wait()

    async def run_refresh(self) -> None:
        """Renew the entries of everyone here before they expire, forever."""
        while True:
            await asyncio.sleep(PRESENCE_REFRESH_SECONDS)
            await self._refresh(list(self._here.items()))

    async def _refresh(self, entries: Iterable[tuple[tuple[str, str], bytes]]) -> None:
        for (channel, client), info in entries:
            if (channel, client) not in self._here:
                continue
            try:
                await self._bus.set_presence(channel, client, info, PRESENCE_TTL_SECONDS)
            except Refusal as problem:
                log.warning("presence of %s: %s", channel, problem.detail)
                return  # the next round tries again, before the entries expire
