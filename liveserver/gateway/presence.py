"""
Who is in which channel, for namespaces that want to know: entries with a TTL, joins and leaves.

What a client's own command causes is done before its answer. What a vanished connection leaves
behind goes through one bounded line of errands; an entry that is forgotten there expires.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from liveserver.gateway.options import PRESENCE_REFRESH_SECONDS, PRESENCE_TTL_SECONDS
from rooms.bus import Bus, Message
from rooms.channels import topic_of
from rooms.errors import Refusal
from rooms.protocol import JOIN, LEAVE

ERRANDS = 10_000  # leaves waiting, a storm of that many at once; the oldest are left to the TTL

log = logging.getLogger(__name__)


class Presence:
    """The presence entries of this worker's connections."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._here: dict[tuple[str, str], bytes] = {}  # (channel, client) -> ClientInfo
        self._errands: deque[tuple[str, str, bytes, bool, bool]] = deque(maxlen=ERRANDS)
        self._wake = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()

    async def enter(self, channel: str, client: str, info: bytes) -> None:
        """Note the client before its subscription is answered."""
        await self._bus.set_presence(channel, client, info, PRESENCE_TTL_SECONDS)
        self._here[channel, client] = info

    async def announce(self, channel: str, info: bytes, *, join: bool) -> None:
        """Tell the channel's subscribers who came or went."""
        name = (JOIN if join else LEAVE) + channel
        message = Message(channel=name, data=info, numbered=False)
        await self._bus.publish(topic_of(channel), [message])

    async def leave(
        self, channel: str, client: str, info: bytes, *, present: bool, told: bool
    ) -> None:
        """Forget the client (`present`), and tell the others (`told`)."""
        if present:
            self._here.pop((channel, client), None)
            await self._bus.clear_presence(channel, client)
        if told:
            await self.announce(channel, info, join=False)

    def leave_later(
        self, channel: str, client: str, info: bytes, *, present: bool, told: bool
    ) -> None:
        """The same for a connection that is gone."""
        if present or told:
            self._here.pop((channel, client), None)
            self._errands.append((channel, client, info, present, told))
            self._done.clear()
            self._wake.set()

    async def infos(self, channel: str) -> dict[str, bytes]:
        """Who is in the channel, on all workers."""
        return await self._bus.presence(channel)

    async def run_errands(self) -> None:
        """Do what vanished connections left behind, one by one, forever."""
        while True:
            while self._errands:
                channel, client, info, present, told = self._errands.popleft()
                try:
                    await self.leave(channel, client, info, present=present, told=told)
                except Refusal as problem:
                    log.warning("presence of %s: %s", channel, problem.detail)
            self._done.set()
            self._wake.clear()
            await self._wake.wait()

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
